//! One run of the lab: pods in their slots, a look at them every second, a journal of what really happened.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cgroup::Cgroups;
use crate::clean::{self, Cleaned, RUNTIME};
use crate::clock::Clock;
use crate::error::{LabError, Result, io};
use crate::exporter::{Exporter, Newest};
use crate::families::{Families, PlannedEnd, PodPlan};
use crate::host::Host;
use crate::kubelet::Machine;
use crate::node::{Eviction, Node};
use crate::pod::Pod;
use crate::proc::Proc;
use crate::record::{Record, Sitting};
use crate::runc::Runc;
use crate::sampler::Sampler;
use crate::truth::{Ending, Journal, Life};

/// The workload, compiled when the lab was.
const WORKLOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/workload"));
/// Pods of a new run start this far apart, so that they do not all live in step.
const STAGGER: Duration = Duration::from_millis(700);
/// Between looks at the nodes' memory.
const WATCH: Duration = Duration::from_millis(100);
/// So many pods that fail to start one after the other end the run.
const MOST_PROBLEMS: u64 = 8;

/// What to run.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Ended lives wanted.
    pub lives: usize,
    /// Pods at a time.
    pub concurrency: usize,
    /// Seed of the plan.
    pub seed: u64,
    /// Folder of the run: journal, lake, record.
    pub out: PathBuf,
    /// Recipes of scripts and their mix.
    pub families: Families,
    /// Where a Prometheus may scrape the fleet.
    pub exporter: Option<SocketAddr>,
}

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Lives wanted.
    pub wanted: usize,
    /// Lives that ended, of this sitting and earlier ones.
    pub ended: usize,
    /// Pods that live now.
    pub alive: usize,
    /// Deaths by cause.
    pub causes: BTreeMap<String, usize>,
    /// Ends that were no deaths.
    pub spared: usize,
}

impl Standing {
    fn count(&mut self, life: &Life) {
        match (life.ending, &life.cause) {
            (None | Some(Ending::Lost), _) => return,
            (_, Some(cause)) => *self.causes.entry(cause.clone()).or_default() += 1,
            _ => self.spared += 1,
        }
        self.ended += 1;
    }
}

/// Is told how a run goes.
pub trait Watcher: Sync {
    /// Something was taken away that an earlier run left.
    fn cleaned(&self, cleaned: &Cleaned);
    /// The endpoint listens.
    fn listening(&self, address: SocketAddr);
    /// A life ended, or a second passed.
    fn changed(&self, standing: &Standing);
    /// A pod could not be driven to its end; the run goes on.
    fn problem(&self, problem: &str);
}

/// Keeps two runs on one machine from taking each other's containers away. Held until dropped.
#[derive(Debug)]
struct Alone(#[expect(dead_code, reason = "its lock is what matters")] std::fs::File);

impl Alone {
    fn take() -> Result<Self> {
        let path = Path::new("/run/forewarn-lab.lock");
        let file =
            std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(io(path, "open the lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(LabError::Run {
                path: path.to_owned(),
                reason: "another run of the lab is going on on this machine; wait for its end".to_owned(),
            }),
            Err(std::fs::TryLockError::Error(error)) => Err(io(path, "take the lock")(error)),
        }
    }
}

/// Takes away what killed runs left on this machine.
///
/// # Errors
/// When a run is going on, the machine cannot be looked at, or something cannot be taken away.
pub fn clean_up() -> Result<Cleaned> {
    let host = Host::check(Path::new("/"), 0)?;
    let _alone = Alone::take()?;
    clean::clean(&Runc::new(host.runc.clone(), clean::runtime_state()), &host.cgroups)
}

/// Runs the lab until the lives asked for have ended, or `stop` is set. A run that was cut off goes on.
///
/// # Errors
/// When the machine cannot run it, the folder holds something else, or the disk is full. Whatever the end, no
/// container, cgroup or mount stays.
pub fn run(options: &LabOptions, stop: &AtomicBool, watcher: &dyn Watcher) -> Result<Record> {
    let host = Host::check(&options.out, options.concurrency)?;
    let _alone = Alone::take()?;
    let runc = Runc::new(host.runc.clone(), clean::runtime_state());
    let cleaned = clean::clean(&runc, &host.cgroups)?;
    if !cleaned.is_nothing() {
        watcher.cleaned(&cleaned);
    }
    std::fs::create_dir_all(&options.out).map_err(io(&options.out, "create the folder of the run"))?;
    let _ = std::fs::remove_dir_all(volumes(&options.out));
    let digest = options.families.digest();
    let mut record = match Record::read(&options.out)? {
        Some(record) => {
            record.agree(&options.out, options.seed, &digest)?;
            record
        }
        None => fresh(options, digest)?,
    };
    let (journal, lives) = Journal::open(&options.out)?;
    let cut: Vec<&Life> = lives.iter().filter(|life| life.ending.is_none()).collect();
    for life in &cut {
        journal.add(&Life { ending: Some(Ending::Lost), ..(*life).clone() })?;
    }
    let mut standing = Standing { wanted: options.lives, ..Standing::default() };
    for life in &lives {
        standing.count(life);
    }
    let next = lives.iter().map(|life| life.index + 1).max().unwrap_or(0);
    if standing.ended < standing.wanted {
        // Before an error or a panic of the sitting is told: nothing may stay.
        let sat = catch_unwind(AssertUnwindSafe(|| {
            sit(options, &host, &runc, &record, &journal, standing, next, stop, watcher)
        }));
        let swept = clean::clean(&runc, &host.cgroups);
        let _ = std::fs::remove_dir_all(volumes(&options.out));
        record.sittings.push(sat.unwrap_or_else(|panic| resume_unwind(panic))?);
        record.write(&options.out)?;
        swept?;
    }
    Ok(record)
}

fn fresh(options: &LabOptions, digest: String) -> Result<Record> {
    let mut entries = std::fs::read_dir(&options.out).map_err(io(&options.out, "list the folder of the run"))?;
    if entries.next().is_some() {
        return Err(LabError::Run {
            path: options.out.clone(),
            reason: "is not empty and holds no run of the lab; give another --out".to_owned(),
        });
    }
    let started = Clock::start().now();
    let run = format!("r{:x}-{started:x}", options.seed);
    let record = Record::new(run, options.seed, options.families.text().to_owned(), digest);
    record.write(&options.out)?;
    Ok(record)
}

/// Where the volumes of a run's pods lie while they live.
fn volumes(out: &Path) -> PathBuf {
    out.join("volumes")
}

/// Ends the other threads of a sitting, also where this one panics: they would be waited for for ever.
struct Finish<'a>([&'a AtomicBool; 2]);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// What the threads of a sitting share.
struct Shared<'a> {
    machine: Machine<'a>,
    families: &'a Families,
    seed: u64,
    run: &'a str,
    nodes: Vec<Arc<Node>>,
    pods: Mutex<Vec<Arc<Pod>>>,
    next: AtomicU64,
    /// Problems without a pod in between that went well.
    in_a_row: AtomicU64,
    problems: Mutex<Vec<String>>,
    fatal: Mutex<Option<LabError>>,
    watcher: &'a dyn Watcher,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::too_many_arguments, reason = "the parts of one run, each made where it can fail")]
fn sit(
    options: &LabOptions,
    host: &Host,
    runc: &Runc,
    record: &Record,
    journal: &Journal,
    standing: Standing,
    next: u64,
    stop: &AtomicBool,
    watcher: &dyn Watcher,
) -> Result<Sitting> {
    let clock = Clock::start();
    let began = Instant::now();
    let waited = || Proc::of_host().pressure().cpu.map_or(0.0, |stall| stall.some);
    let waited_before = waited();
    let root = root_file_system()?;
    let images = volumes(&options.out);
    std::fs::create_dir_all(&images).map_err(io(&images, "create the folder of the volumes"))?;
    let plan = options.families.nodes();
    let per_node = usize::try_from(plan.pods).unwrap_or(8).max(1);
    let nodes: Vec<Arc<Node>> = (0..options.concurrency.div_ceil(per_node))
        .map(|number| Arc::new(Node::new(&record.run, number, plan.clone())))
        .collect();
    for node in &nodes {
        host.cgroups.make_node(&node.cgroup, plan.memory, plan.cpu)?;
    }
    let newest = Newest::default();
    let exporter = options.exporter.map(|address| Exporter::start(address, newest.clone())).transpose()?;
    if let Some(exporter) = &exporter {
        watcher.listening(exporter.address);
    }
    let over = AtomicBool::new(false);
    let stopped = AtomicBool::new(false);
    let standing = Mutex::new(standing);
    let ended = |life: &Life| {
        let mut standing = lock(&standing);
        standing.count(life);
        if standing.ended >= standing.wanted {
            over.store(true, Ordering::Relaxed);
        }
    };
    let script = |plan: &PodPlan, run: u32| match run {
        0 => plan.script.clone(),
        _ => options.families.script(options.seed, plan, run),
    };
    let shared = Shared {
        machine: Machine {
            script: &script,
            runc,
            cgroups: &host.cgroups,
            clock,
            journal,
            root: &root,
            images: &images,
            over: &over,
            stopped: &stopped,
            ended: &ended,
        },
        families: &options.families,
        seed: options.seed,
        run: &record.run,
        nodes,
        pods: Mutex::default(),
        next: AtomicU64::new(next),
        in_a_row: AtomicU64::new(0),
        problems: Mutex::default(),
        fatal: Mutex::default(),
        watcher,
    };
    let mut sampler = Sampler::open(&options.out.join("lake"), &host.cgroups, newest)?;
    let done = AtomicBool::new(false);
    let measured = std::thread::scope(|scope| {
        let _finish = Finish([&stopped, &done]);
        let slots: Vec<_> = (0..options.concurrency)
            .map(|slot| {
                let (shared, node) = (&shared, shared.nodes[slot / per_node].clone());
                scope.spawn(move || shared.slot(slot, &node))
            })
            .collect();
        scope.spawn(|| shared.watch_nodes(&host.cgroups, &done));
        let samples = scope.spawn(|| {
            // Lives that nobody looks at are of no use.
            let _finish = Finish([&stopped, &stopped]);
            let sampled = sampler.every_second(clock, &shared.nodes, &|| lock(&shared.pods).clone(), &done);
            if sampled.is_err() {
                stopped.store(true, Ordering::Relaxed);
            }
            sampled
        });
        while slots.iter().any(|slot| !slot.is_finished()) {
            if stop.load(Ordering::Relaxed) {
                stopped.store(true, Ordering::Relaxed);
            }
            let mut now = lock(&standing).clone();
            now.alive = lock(&shared.pods).len();
            watcher.changed(&now);
            std::thread::sleep(Duration::from_millis(200));
        }
        // One more look, so that the last ends are seen.
        std::thread::sleep(Duration::from_millis(1_200));
        done.store(true, Ordering::Relaxed);
        samples.join()
    });
    drop(exporter);
    let measuring = measured.map_err(|_| LabError::Host { reason: "the sampler ended in a panic".to_owned() })??;
    host.cgroups.remove(&format!("{}/{}", crate::cgroup::ROOT, record.run))?;
    if let Some(error) = lock(&shared.fatal).take() {
        return Err(error);
    }
    let standing = lock(&standing);
    watcher.changed(&standing);
    Ok(Sitting {
        concurrency: options.concurrency,
        nodes: shared.nodes.len(),
        complete: standing.ended >= standing.wanted,
        started_ms: clock.now() - i64::try_from(began.elapsed().as_millis()).unwrap_or(0),
        seconds: began.elapsed().as_secs_f64(),
        measuring,
        cpu_waiting: (waited() - waited_before) / began.elapsed().as_secs_f64(),
        clock_drift_ms: clock.drift(),
        machine: machine(host, runc),
        problems: std::mem::take(&mut *lock(&shared.problems)),
    })
}

impl Shared<'_> {
    /// One pod after the other.
    fn slot(&self, slot: usize, node: &Arc<Node>) {
        let stagger = STAGGER * u32::try_from(slot).unwrap_or(0);
        let begun = Instant::now();
        while begun.elapsed() < stagger && !self.is_over() {
            std::thread::sleep(Duration::from_millis(50));
        }
        while !self.is_over() {
            // As a scheduler keeps away from a node with the taint memory-pressure:NoSchedule; else whoever comes is evicted.
            if node.pressure.load(Ordering::Relaxed) {
                std::thread::sleep(WATCH);
                continue;
            }
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let plan = self.families.draw(self.seed, index);
            let rolled = plan.end == PlannedEnd::Rollout;
            if !self.pod(plan.clone(), 0, node) || !rolled || self.is_over() {
                continue;
            }
            // What the new revision brings: the same workload with other random numbers, scaled down one day.
            let seed = plan.seed.rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15;
            let mut next = PodPlan { seed, end: PlannedEnd::ScaleDown, ..plan };
            next.script = self.families.script(self.seed, &next, 0);
            self.pod(next, 1, node);
        }
    }

    /// One pod; whether it came to its end.
    fn pod(&self, plan: PodPlan, revision: u32, node: &Arc<Node>) -> bool {
        let folder = Path::new(RUNTIME).join("pods").join(format!("{}-{revision}", plan.index));
        let pod = Arc::new(Pod::new(self.run, plan, revision, node.clone(), self.machine.clock.now(), &folder));
        lock(&self.pods).push(pod.clone());
        let lived = self.machine.live(&pod, &folder);
        lock(&self.pods).retain(|other| !Arc::ptr_eq(other, &pod));
        let Err(error) = lived else {
            self.in_a_row.store(0, Ordering::Relaxed);
            return true;
        };
        let problem = format!("{}: {error}", pod.key());
        self.watcher.problem(&problem);
        lock(&self.problems).push(problem);
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_PROBLEMS {
            lock(&self.fatal).get_or_insert(error);
            self.machine.stopped.store(true, Ordering::Relaxed);
        }
        false
    }

    fn is_over(&self) -> bool {
        self.machine.over.load(Ordering::Relaxed) || self.machine.stopped.load(Ordering::Relaxed)
    }

    /// The kubelets' eye on their nodes' memory.
    fn watch_nodes(&self, cgroups: &Cgroups, done: &AtomicBool) {
        let mut evictions: Vec<Eviction> = self.nodes.iter().map(|_| Eviction::default()).collect();
        while !done.load(Ordering::Relaxed) {
            for (node, eviction) in self.nodes.iter().zip(&mut evictions) {
                let Some(used) = cgroups.working_set(&node.cgroup) else { continue };
                let pods: Vec<Arc<Pod>> = lock(&self.pods)
                    .iter()
                    .filter(|pod| Arc::ptr_eq(&pod.node, node) && pod.state().container.is_some())
                    .cloned()
                    .collect();
                // Read only where it may matter.
                let short = node.plan.memory.saturating_sub(used) < node.plan.eviction_below;
                let of = |pod: &Arc<Pod>| {
                    let container = pod.state().container?;
                    cgroups.working_set(&pod.cgroup(&container))
                };
                let usage: Vec<(u64, u64)> = if short {
                    pods.iter().map(|pod| (of(pod).unwrap_or(0), pod.plan.memory_request)).collect()
                } else {
                    Vec::new()
                };
                if let Some(place) = eviction.look(self.machine.clock.now(), node, used, &usage) {
                    node.evict(&pods[place]);
                }
            }
            std::thread::sleep(WATCH);
        }
    }
}

/// The root file system of all containers: the workload, and where things are mounted.
fn root_file_system() -> Result<PathBuf> {
    let root = Path::new(RUNTIME).join("root");
    for folder in ["proc", "dev", "data", "run/forewarn"] {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder).map_err(io(&folder, "create the containers' root"))?;
    }
    let workload = root.join("workload");
    std::fs::write(&workload, WORKLOAD).map_err(io(&workload, "write the workload"))?;
    std::fs::set_permissions(&workload, PermissionsExt::from_mode(0o755))
        .map_err(io(&workload, "make the workload executable"))?;
    Ok(root)
}

/// On what a run was made, in words that tell no machine's name.
fn machine(host: &Host, runc: &Runc) -> BTreeMap<String, String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    [
        ("kernel", kernel.trim().split('-').next().unwrap_or_default().to_owned()),
        ("cgroups", host.cgroups.version().to_owned()),
        ("cores", cores.to_string()),
        ("runtime", runc.version().unwrap_or_default()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
