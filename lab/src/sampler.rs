//! A look at the whole fleet every second: read, written as exporters write it, shown, mapped and stored.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use datasets::ingest::Pipeline;
use datasets::{LakeOptions, LakeWriter};
use features::canonical::Limits;
use features::decode::exposition::{self as text_format, Dialect};
use features::mapping::MappingSet;
use features::{Catalogue, decode::SeriesSink};

use crate::cgroup::{Cgroups, Pressure};
use crate::clock::{Clock, seconds};
use crate::error::{LabError, Result};
use crate::exporter::Newest;
use crate::exposition::{
    self, Condition, ContainerView, FileSystemView, Fleet, Idle, NodeView, PodView, Probes, Termination,
};
use crate::node::Node;
use crate::pod::{CONTAINER, Phase, Pod};
use crate::proc::{Proc, file_system};
use crate::record::Measuring;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Name of the containers' image.
const IMAGE: &str = "forewarn.lab/workload:1";
/// What is waiting becomes Parquet at least so often.
const FLUSH: Duration = Duration::from_secs(600);

/// Looks at a fleet and keeps what it sees.
pub(crate) struct Sampler<'a> {
    cgroups: &'a Cgroups,
    proc: Proc,
    newest: Newest,
    writer: Arc<LakeWriter>,
    pipeline: Pipeline,
    flushing: Option<JoinHandle<std::result::Result<(), datasets::DatasetError>>>,
    flushed: Instant,
    text: String,
}

impl<'a> Sampler<'a> {
    /// A sampler into a lake, which is made where there is none.
    ///
    /// # Errors
    /// When the lake cannot be opened.
    pub(crate) fn open(lake: &Path, cgroups: &'a Cgroups, newest: Newest) -> Result<Self> {
        let writer = Arc::new(LakeWriter::open(lake, LakeOptions::default())?);
        let catalogue = Arc::new(Catalogue::standard());
        let mappings = Arc::new(MappingSet::standard(&catalogue));
        let pipeline = Pipeline::new(writer.clone(), catalogue, mappings, Limits::default());
        let proc = Proc::of_host();
        Ok(Self {
            cgroups,
            proc,
            newest,
            writer,
            pipeline,
            flushing: None,
            flushed: Instant::now(),
            text: String::new(),
        })
    }

    /// Looks every second until `done`; then everything seen is Parquet.
    ///
    /// # Errors
    /// When the lake cannot take what was seen: the disk is full, say.
    pub(crate) fn every_second(
        &mut self,
        clock: Clock,
        nodes: &[Arc<Node>],
        pods: &dyn Fn() -> Vec<Arc<Pod>>,
        done: &AtomicBool,
    ) -> Result<Measuring> {
        let mut measuring = Measuring::default();
        let born = clock.now();
        let mut idle = vec![Idle::default(); nodes.len()];
        let mut due = Instant::now();
        let mut looked_at = 0_usize;
        while !done.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now < due {
                std::thread::sleep((due - now).min(Duration::from_millis(50)));
                continue;
            }
            due += EVERY;
            while due < now {
                due += EVERY;
                measuring.missed += 1;
            }
            let at = clock.now();
            let before = cpu();
            let fleet = self.look(at, born, nodes, &mut idle, &pods());
            looked_at += fleet.containers.iter().filter(|container| container.running).count();
            self.text.clear();
            exposition::write(&mut self.text, &fleet);
            let measured = cpu();
            self.newest.set(&self.text);
            measuring.samples += self.keep(at)?;
            measuring.scrapes += 1;
            measuring.cpu_seconds += measured - before;
            measuring.lake_cpu_seconds += cpu() - measured;
        }
        self.join()?;
        self.writer.flush()?;
        #[expect(clippy::cast_precision_loss, reason = "counts of containers and of seconds")]
        if measuring.scrapes > 0 {
            measuring.containers = looked_at as f64 / measuring.scrapes as f64;
        }
        Ok(measuring)
    }

    /// Maps what was seen at a moment and hands it to the lake; how many samples it was.
    fn keep(&mut self, at: i64) -> Result<u64> {
        let mut samples = 0;
        let text = &self.text;
        let taken = self.pipeline.accept(at, usize::MAX, |sink: &mut dyn SeriesSink| {
            let (decoded, bad) = text_format::text(text, Dialect::Text, at, sink);
            samples = decoded.points;
            match bad.first() {
                Some(line) => Err(line.to_string()),
                None => Ok(()),
            }
        });
        let taken = taken.map_err(|rejection| match rejection {
            datasets::ingest::pipeline::Rejection::Store(error) => LabError::Dataset(error),
            datasets::ingest::pipeline::Rejection::Unreadable(line) => {
                LabError::Host { reason: format!("the lab wrote an exposition that cannot be read: {line}") }
            }
            datasets::ingest::pipeline::Rejection::TooMany => {
                LabError::Host { reason: "the lab wrote more samples than a message may hold".to_owned() }
            }
        })?;
        self.pipeline.wait(&taken)?;
        if self.writer.wants_flush() || self.flushed.elapsed() > FLUSH {
            // Beside the looks: writing Parquet takes longer than there is between two of them.
            if self.flushing.as_ref().is_none_or(JoinHandle::is_finished) {
                self.join()?;
                let writer = self.writer.clone();
                self.flushing = Some(std::thread::spawn(move || writer.flush()));
                self.flushed = Instant::now();
            }
        }
        Ok(samples)
    }

    fn join(&mut self) -> Result<()> {
        let Some(flushing) = self.flushing.take() else { return Ok(()) };
        let flushed =
            flushing.join().map_err(|_| LabError::Host { reason: "writing the lake ended in a panic".to_owned() })?;
        Ok(flushed?)
    }

    fn look(&self, at: i64, born: i64, nodes: &[Arc<Node>], idle: &mut [Idle], pods: &[Arc<Pod>]) -> Fleet {
        let mut fleet = Fleet::default();
        let host = self.proc.pressure();
        for (node, idle) in nodes.iter().zip(idle) {
            fleet.nodes.push(self.node(node, at, born, host, idle));
        }
        for pod in pods {
            let state = pod.state();
            fleet.pods.push(pod_view(pod, &state));
            fleet.containers.push(self.container(pod, &state));
        }
        fleet
    }

    fn node(&self, node: &Node, at: i64, born: i64, host: Pressure, idle: &mut Idle) -> NodeView {
        let usage = self.cgroups.read_node(&node.cgroup).ok().flatten();
        let used = usage.and_then(|usage| usage.cpu_seconds).unwrap_or(0.0);
        let when = |holds| if holds { Condition::True } else { Condition::False };
        NodeView {
            name: node.name.clone(),
            memory_total: node.plan.memory,
            cpu_idle_seconds: idle.after(node.plan.cpu, seconds(at - born), used),
            oom_kills: node.oom_kills.load(Ordering::Relaxed),
            ready: Condition::True,
            memory_pressure: when(node.pressure.load(Ordering::Relaxed)),
            unschedulable: false,
            evictions: node.evictions.load(Ordering::Relaxed),
            boot_time: seconds(born),
            pressure: usage.map(|usage| usage.pressure).filter(|pressure| pressure.memory.is_some()).unwrap_or(host),
            usage,
        }
    }

    fn container(&self, pod: &Pod, state: &crate::pod::State) -> ContainerView {
        let plan = &pod.plan;
        let id = state.container.clone().unwrap_or_default();
        let cgroup = pod.cgroup(&id);
        // A container between two runs has no cgroup, one that has just died an empty one.
        let running = state.pid.is_some();
        let usage = if running { self.cgroups.read_container(&cgroup).ok().flatten() } else { None };
        let pids =
            if running { self.cgroups.processes(&cgroup).ok().flatten().unwrap_or_default() } else { Vec::new() };
        let tasks = self.proc.tasks(&pids).ok().filter(|tasks| tasks.processes > 0);
        let room = file_system(&pod.data).ok().filter(|_| running && !state.device.is_empty());
        let network = state.pid.and_then(|pid| self.proc.network(pid).ok().flatten()).unwrap_or_default();
        let probes =
            Probes { successful: state.probes.successful, failed: state.probes.failed, seconds: state.probes.seconds };
        ContainerView {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            pod_uid: pod.uid.clone(),
            container: CONTAINER.to_owned(),
            container_id: id,
            node: pod.node.name.clone(),
            image: IMAGE.to_owned(),
            cgroup,
            usage: usage.filter(|_| tasks.is_some()),
            files: tasks.map(|tasks| tasks.files),
            threads: tasks.map(|tasks| tasks.threads),
            processes: tasks.map(|tasks| tasks.processes),
            file_system: room.map(|room| FileSystemView {
                device: state.device.clone(),
                used: room.used,
                limit: room.size,
            }),
            network,
            start_time: state.started.filter(|_| running).map(seconds),
            memory_limit: plan.memory_limit,
            memory_request: Some(plan.memory_request),
            cpu_limit: plan.cpu_limit,
            cpu_request: Some(plan.cpu_request),
            restarts: u64::from(state.restarts),
            running,
            ready: running && state.ready,
            waiting: state.waiting.map(str::to_owned),
            // Shown of the run before: once there is another one, or the kubelet waits to start it.
            last_terminated: state.terminated.as_ref().filter(|_| state.restarts > 0 || state.waiting.is_some()).map(
                |end| Termination { reason: end.reason.to_owned(), exit_code: end.exit_code, time: seconds(end.at) },
            ),
            liveness: Some(probes),
        }
    }
}

fn pod_view(pod: &Pod, state: &crate::pod::State) -> PodView {
    PodView {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        node: pod.node.name.clone(),
        host_ip: "192.0.2.1".to_owned(),
        pod_ip: format!("198.51.100.{}", pod.plan.index % 250),
        owner: pod.owner.clone(),
        created: seconds(pod.created),
        start_time: Some(seconds(pod.created)),
        ready_time: state.became_ready.filter(|_| state.ready).map(seconds),
        phase: state.phase.word().to_owned(),
        reason: (state.phase == Phase::Failed && state.evicted).then(|| "Evicted".to_owned()),
        deletion_time: state.deleted.map(seconds),
    }
}

/// CPU seconds of this thread.
#[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of a thread's work")]
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
