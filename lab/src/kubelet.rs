//! The life of one pod, as its kubelet drives it: start, probe, restart after a back-off, evict, delete.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab_workload::script::Script;

use crate::cgroup::Cgroups;
use crate::clock::Clock;
use crate::error::{LabError, Result, io};
use crate::families::{PlannedEnd, PodPlan};
use crate::pod::{Phase, Pod, Terminated};
use crate::probe;
use crate::runc::{Container, Runc, write_bundle};
use crate::truth::{Ending, Journal, Life};
use crate::volume::Volume;

/// How often a container is looked at.
const TICK: Duration = Duration::from_millis(20);
/// A container must have started within this, milliseconds.
const START: i64 = 20_000;
/// What a container gets to end by itself, milliseconds.
const GRACE: i64 = 1_500;
/// After a kill nothing may be left after this, milliseconds.
const KILLED: i64 = 20_000;
/// Back-off before a restart: the first restart is at once, then these, milliseconds. The kubelet's are 10 s doubled to
/// five minutes; the lab's time is faster.
const BACK_OFF: [i64; 4] = [2_000, 4_000, 8_000, 16_000];
/// A container that ran for so long is not in a crash loop any more, milliseconds.
const FORGIVEN: i64 = 60_000;
/// A pod that ended for good stays listed for so long, milliseconds.
const LISTED: i64 = 6_000;

/// What every pod's driver needs.
pub(crate) struct Machine<'a> {
    pub(crate) runc: &'a Runc,
    pub(crate) cgroups: &'a Cgroups,
    pub(crate) clock: Clock,
    pub(crate) journal: &'a Journal,
    /// Root file system of all containers.
    pub(crate) root: &'a Path,
    /// Where a pod's image may be written.
    pub(crate) images: &'a Path,
    /// The run is over: pods end where they are.
    pub(crate) over: &'a AtomicBool,
    /// The lab was asked to stop: what ends now was cut off.
    pub(crate) stopped: &'a AtomicBool,
    /// The script of a run of a pod's container.
    pub(crate) script: &'a (dyn Fn(&PodPlan, u32) -> Vec<String> + Sync),
    /// Told after every end.
    pub(crate) ended: &'a (dyn Fn(&Life) + Sync),
}

/// Why a pod's driver ended a run of its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Probe,
    Evict,
    Delete,
    Over,
}

/// How a run of a container ended.
struct Run {
    life: Life,
    /// It ran for so long, milliseconds.
    lasted: i64,
    ending: Ending,
}

impl Machine<'_> {
    /// Drives a pod from its birth to its end; everything it made on the machine is gone afterwards.
    pub(crate) fn live(&self, pod: &Arc<Pod>, folder: &Path) -> Result<()> {
        for made in [folder, &pod.share, &pod.data] {
            std::fs::create_dir_all(made).map_err(io(made, "create a folder of a pod"))?;
        }
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&pod.share, open).map_err(io(&pod.share, "open it to the workload"))?;
        let image = self.images.join(format!("{}.img", pod.uid));
        let volume = Volume::make(&image, &pod.data, pod.plan.volume_bytes)?;
        pod.change(|state| state.device.clone_from(&volume.device));
        let lived = self.runs(pod, folder, &volume);
        // Whatever happened, nothing stays.
        let removed = volume.remove();
        let pods = format!("{}/pod{}", pod.node.cgroup, pod.uid);
        let grouped = self.cgroups.remove(&pods);
        let emptied = std::fs::remove_dir_all(folder).map_err(io(folder, "remove the folder of a pod"));
        lived.and(removed).and(grouped).and(emptied)
    }

    fn runs(&self, pod: &Arc<Pod>, folder: &Path, volume: &Volume) -> Result<()> {
        let mut end_at = pod.created + i64::try_from(pod.plan.life_ms).unwrap_or(i64::MAX / 2);
        let (mut failures, mut delays) = (0, 0_usize);
        for run in 0.. {
            let done = self.one(pod, folder, volume, run, end_at)?;
            let mut life = done.life;
            let again = done.ending.failed() && done.ending != Ending::Evicted && !self.is_over();
            if !again {
                self.settle(pod, done.ending, &mut life)?;
                return Ok(());
            }
            failures += 1;
            if failures >= pod.plan.failures_allowed {
                // It is restarted once more, and somebody takes it away.
                end_at = self.clock.now() + i64::try_from(pod.plan.linger_ms).unwrap_or(0);
            } else {
                end_at = end_at.max(self.clock.now() + i64::try_from(pod.plan.life_ms).unwrap_or(0));
            }
            delays = if done.lasted >= FORGIVEN { 0 } else { delays };
            let delay = if delays == 0 { 0 } else { BACK_OFF[(delays - 1).min(BACK_OFF.len() - 1)] };
            delays += 1;
            life.backed_off = delay > 0;
            self.record(&life)?;
            if delay > 0 {
                pod.change(|state| state.waiting = Some("CrashLoopBackOff"));
                self.wait(pod, delay);
            }
            if self.is_over() || pod.is_to_be_evicted() {
                // It died and was to be started again when everything ended.
                if pod.is_to_be_evicted() {
                    pod.change(|state| (state.phase, state.evicted, state.waiting) = (Phase::Failed, true, None));
                    self.wait(pod, LISTED);
                }
                return Ok(());
            }
            pod.change(|state| {
                state.waiting = None;
                state.restarts += 1;
            });
        }
        Ok(())
    }

    /// After the last run: what stays to be seen of a pod, and for how long.
    fn settle(&self, pod: &Arc<Pod>, ending: Ending, life: &mut Life) -> Result<()> {
        self.record(life)?;
        match ending {
            Ending::Evicted => pod.change(|state| (state.phase, state.evicted) = (Phase::Failed, true)),
            Ending::Completed => pod.change(|state| state.phase = Phase::Succeeded),
            _ => return Ok(()),
        }
        self.wait(pod, LISTED);
        Ok(())
    }

    fn record(&self, life: &Life) -> Result<()> {
        self.journal.add(life)?;
        (self.ended)(life);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.stopped.load(Ordering::Relaxed)
    }

    fn wait(&self, pod: &Pod, milliseconds: i64) {
        let until = self.clock.now() + milliseconds;
        let listed = pod.state().phase != Phase::Running;
        while self.clock.now() < until && !self.is_over() && (listed || !pod.is_to_be_evicted()) {
            std::thread::sleep(TICK);
        }
    }

    /// One run of the container.
    fn one(&self, pod: &Arc<Pod>, folder: &Path, volume: &Volume, run: u32, end_at: i64) -> Result<Run> {
        let plan = &pod.plan;
        let id = format!("forewarn-lab-{}-{run}", pod.uid);
        let mut script = vec![format!("seed {}", plan.seed), format!("run {run}")];
        script.extend((self.script)(plan, run));
        for (name, text) in [("script", script.join("\n") + "\n"), ("report", String::new())] {
            let path = pod.share.join(name);
            std::fs::write(&path, text).map_err(io(&path, "write for the workload"))?;
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            std::fs::set_permissions(&path, open).map_err(io(&path, "open it to the workload"))?;
        }
        let socket = pod.share.join("probe.sock");
        let _ = std::fs::remove_file(&socket);
        let cgroup = pod.cgroup(&id);
        let bundle = folder.join("bundle");
        write_bundle(
            &bundle,
            &Container {
                id: &id,
                host: &pod.name,
                root: self.root,
                data: &pod.data,
                share: &pod.share,
                cgroup: &cgroup,
                memory_limit: plan.memory_limit,
                swap_limited: crate::host::counts_swap(),
                cpu_limit: plan.cpu_limit,
                cpu_request: plan.cpu_request,
                pids: plan.pids_limit,
                open_files: plan.open_files,
                device: volume.numbers,
                read_bps: plan.read_bps,
                write_bps: plan.write_bps,
            },
        )?;
        // A script that the workload refuses would end at once and be taken for a death.
        Script::parse(&(script.join("\n") + "\n"))
            .map_err(|error| LabError::Families { path: plan.family.clone(), reason: error.to_string() })?;
        let pid_file = folder.join("pid");
        let _ = std::fs::remove_file(&pid_file);
        let mut child = self.runc.run(&bundle, &id, &pid_file, &folder.join("runc.log"))?;
        let started = self.clock.now();
        let mut life = Life {
            index: plan.index,
            key: pod.key(),
            uid: pod.uid.clone(),
            node: pod.node.name.clone(),
            family: plan.family.clone(),
            held_out: plan.held_out,
            written: plan.cause.clone(),
            run,
            started_ms: started,
            ready_ms: None,
            onset_ms: None,
            ended_ms: None,
            ending: None,
            exit_code: None,
            cause: None,
            backed_off: false,
            script,
        };
        let pid = self.started(&mut child, &pid_file, started);
        let Some(pid) = pid else {
            let said = std::fs::read_to_string(folder.join("runc.log")).unwrap_or_default();
            let _ = child.kill();
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            let _ = self.runc.delete(&id);
            life.ended_ms = Some(self.clock.now());
            life.ending = Some(Ending::Lost);
            self.journal.add(&life)?;
            return Err(LabError::Program {
                program: format!("runc run {id}"),
                status,
                said: said.trim().chars().take(400).collect(),
            });
        };
        life.started_ms = self.clock.now();
        self.journal.add(&life)?;
        pod.change(|state| {
            state.phase = Phase::Running;
            (state.pid, state.container, state.started) = (Some(pid), Some(id.clone()), Some(life.started_ms));
            state.ready = false;
        });
        let (wish, code) = self.watch(pod, &mut child, &id, &socket, &mut life, end_at)?;
        let ended = self.clock.now();
        let last = self.cgroups.read_container(&cgroup).ok().flatten().unwrap_or_default();
        let kills = last.oom_kills.unwrap_or(0);
        pod.node.oom_kills.fetch_add(kills, Ordering::Relaxed);
        pod.change(|state| (state.pid, state.container, state.ready) = (None, None, false));
        if let Err(error) = self.runc.delete(&id) {
            tracing::warn!(container = id, %error, "cannot be deleted; the end of the run tries again");
        }
        let ending = match (code, wish) {
            (None, _) => Ending::Lost,
            (Some(137), _) if kills > 0 => Ending::Oom,
            (_, Some(Wish::Probe)) => Ending::Probe,
            (_, Some(Wish::Evict)) => Ending::Evicted,
            (_, Some(Wish::Delete)) => Ending::Planned,
            (_, Some(Wish::Over)) if self.stopped.load(Ordering::Relaxed) => Ending::Lost,
            (_, Some(Wish::Over)) => Ending::Alive,
            (Some(0), None) => Ending::Completed,
            (Some(_), None) => Ending::Exit,
        };
        // The kubelet names an end by its exit code, whoever asked for it.
        let reason = match (ending, code) {
            (Ending::Oom, _) => "OOMKilled",
            (_, Some(0)) => "Completed",
            _ => "Error",
        };
        pod.change(|state| {
            state.terminated = Some(Terminated { reason, exit_code: code.unwrap_or(137), at: ended });
        });
        life.ended_ms = Some(ended);
        life.ending = Some(ending);
        life.exit_code = code;
        // With a limit on swap beside it the kernel counts the hits there.
        let full = plan.memory_limit.is_some_and(|limit| last.memory_peak.is_some_and(|peak| peak >= limit / 100 * 99));
        let hits = last.limit_hits.unwrap_or(0).max(u64::from(full));
        life.cause = Life::cause_of(ending, plan.cause.as_deref(), hits);
        life.onset_ms = onset(&pod.share.join("report"), run, plan.cause.as_deref(), life.started_ms);
        Ok(Run { lasted: ended - life.started_ms, life, ending })
    }

    /// The pid of a container that has started.
    fn started(&self, child: &mut Child, pid_file: &Path, from: i64) -> Option<u32> {
        loop {
            if let Some(pid) = std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()) {
                return Some(pid);
            }
            if self.clock.now() - from > START || child.try_wait().ok().flatten().is_some() {
                // It may have come and gone between two looks.
                return std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Until the container ends: why it was made to, and its exit code; no code where it could not be killed.
    fn watch(
        &self,
        pod: &Arc<Pod>,
        child: &mut Child,
        id: &str,
        socket: &Path,
        life: &mut Life,
        end_at: i64,
    ) -> Result<(Option<Wish>, Option<i32>)> {
        let probe = &pod.plan.probe;
        let timeout = Duration::from_millis(probe.timeout_ms);
        let period = i64::try_from(probe.period_ms).unwrap_or(1_000);
        let mut due = life.started_ms + i64::try_from(probe.initial_delay_ms).unwrap_or(0);
        let mut missed = 0;
        loop {
            if let Some(code) = exit_code(child, id)? {
                return Ok((None, Some(code)));
            }
            let now = self.clock.now();
            let wish = if self.is_over() {
                Some(Wish::Over)
            } else if pod.is_to_be_evicted() {
                Some(Wish::Evict)
            } else if missed >= probe.failures {
                Some(Wish::Probe)
            } else if now >= end_at && pod.plan.end != PlannedEnd::Stay {
                Some(Wish::Delete)
            } else {
                None
            };
            if let Some(wish) = wish {
                return self.end(pod, child, id, socket, wish);
            }
            if now >= due {
                due = (due + period).max(now);
                let answered = probe::ask(socket, timeout);
                if answered.is_none()
                    && let Some(code) = exit_code(child, id)?
                {
                    // It was gone: a kubelet would not have asked.
                    return Ok((None, Some(code)));
                }
                missed = if answered.is_some() { 0 } else { missed + 1 };
                let now = self.clock.now();
                if answered.is_some() && life.ready_ms.is_none() {
                    life.ready_ms = Some(now);
                }
                pod.change(|state| {
                    state.ready = answered.is_some();
                    state.probes.seconds += answered.unwrap_or(timeout).as_secs_f64();
                    match answered {
                        Some(_) => state.probes.successful += 1,
                        None => state.probes.failed += 1,
                    }
                    if answered.is_some() {
                        state.became_ready.get_or_insert(now);
                    }
                });
            }
            std::thread::sleep(TICK);
        }
    }

    /// Ends a container: asked first, unless memory is short, then killed.
    fn end(
        &self,
        pod: &Pod,
        child: &mut Child,
        id: &str,
        socket: &Path,
        wish: Wish,
    ) -> Result<(Option<Wish>, Option<i32>)> {
        if wish == Wish::Delete {
            pod.change(|state| state.deleted = Some(self.clock.now()));
        }
        let asked = self.clock.now();
        let grace = if wish == Wish::Evict { 0 } else { GRACE };
        let mut next_ask = asked;
        loop {
            if let Some(code) = exit_code(child, id)? {
                return Ok((Some(wish), Some(code)));
            }
            let now = self.clock.now();
            if now - asked < grace {
                if now >= next_ask {
                    probe::stop(socket);
                    next_ask = now + 500;
                }
            } else if now >= next_ask {
                // It may have gone in between.
                let _ = self.runc.kill(id, "KILL");
                next_ask = now + 1_000;
            }
            if now - asked > grace + KILLED {
                tracing::warn!(container = id, "does not die; its end is recorded as unknown");
                let _ = self.runc.delete(id);
                let _ = child.kill();
                let _ = child.wait();
                return Ok((Some(wish), None));
            }
            std::thread::sleep(TICK);
        }
    }
}

/// The exit code of the runtime in the foreground, which is its container's.
fn exit_code(child: &mut Child, id: &str) -> Result<Option<i32>> {
    let status = child.try_wait().map_err(|source| LabError::Io {
        path: PathBuf::from(id),
        doing: "ask for the end of its runtime".to_owned(),
        source,
    })?;
    Ok(status.map(|status| {
        use std::os::unix::process::ExitStatusExt;
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }))
}

/// When the damage of a run began, as its workload wrote down, on the lab's clock: growth of what its cause grows. Other
/// growth does no harm.
fn onset(report: &Path, run: u32, cause: Option<&str>, started: i64) -> Option<i64> {
    let kinds: &[&str] = match cause? {
        "memory_leak" => &["heap"],
        "fd_leak" => &["files_open"],
        "thread_leak" => &["threads"],
        "disk_full" => &["disk"],
        "cpu_starvation" => &["load", "burn"],
        "lock_up" => &["lock"],
        "cache_thrash" => &["cache"],
        _ => return None,
    };
    let text = std::fs::read_to_string(report).ok()?;
    let lines: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["run"] == run)
        .collect();
    let at = |line: &serde_json::Value| line["at_ms"].as_i64();
    // The workload reads the wall clock, which may be set.
    let begun = lines.iter().find(|line| line["event"] == "started").and_then(at)?;
    let begins = |line: &&serde_json::Value| {
        let detail = line["detail"].as_str().unwrap_or_default();
        line["event"] == "onset" && kinds.iter().any(|kind| detail.split(' ').next() == Some(kind))
    };
    Some(started + lines.iter().find(begins).and_then(at)? - begun)
}
