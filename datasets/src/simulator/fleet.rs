//! Pods come and go on their slots, their containers fail and restart, and are scraped all the while.

use std::collections::BTreeMap;
use std::sync::Arc;

use features::{Catalogue, Entity, EntityHistory, EntityKind, FailureEvent, Sample, event};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use survival::{CensorReason, TimeGrid};

use super::exposition::{Exporter, Exposition, Series, labels};
use super::plan::CAUSES;
use super::signal::{Limits, Signal, emit, sample};
use super::world::{Hazard, Levels, World, draw, normal};
use super::{HOUR, SimulatorConfig};
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Each, Truth};

/// 2026-01-05T00:00:00Z, a Monday, in milliseconds.
const ORIGIN: i64 = 1_767_571_200_000;
/// Mean life of a pod in hours, ended by its owner.
const MEAN_POD_HOURS: f64 = 160.0;
/// Mean hours between scrape outages of a pod, and how long they last in minutes.
const MEAN_OUTAGE_HOURS: f64 = 600.0;
const OUTAGE_MINUTES: std::ops::Range<i64> = 20..40;
/// Memory of a node in bytes.
const NODE_MEMORY: f64 = 64.0 * 1024.0 * 1024.0 * 1024.0;
/// Share of workloads whose tenant class turns the sign of the memory x CPU effect.
const FLIPPED_SHARE: f64 = 0.25;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Lets the whole fleet live, slot after slot.
pub(super) fn run(config: &SimulatorConfig, plan: &BuildPlan, each: &mut Each<'_>) -> Result<()> {
    let fleet = Fleet::new(config, plan)?;
    for workload in 0..config.workloads {
        let mut random = fleet.random(1 + workload as u64);
        let flipped = random.random_bool(FLIPPED_SHARE);
        for slot in 0..config.containers_per_workload {
            fleet.slot(workload, slot, flipped, &mut random, each)?;
        }
    }
    Ok(())
}

/// What all pods share.
struct Fleet<'a> {
    config: &'a SimulatorConfig,
    catalogue: &'a Catalogue,
    grid: Arc<TimeGrid>,
    longest_gap: i64,
    exposition: Exposition,
    /// Per node, available memory at its scrapes.
    nodes: Vec<Vec<(i64, f64)>>,
    end: i64,
}

/// One pod on a node, with one container.
struct Pod {
    key: String,
    uid: String,
    name: String,
    start: i64,
    end: i64,
    end_reason: CensorReason,
    limits: Limits,
    node: usize,
}

/// One life of its container.
struct Life {
    start: i64,
    /// Failure, or the pod's end.
    end: i64,
    cause: Option<usize>,
    levels: Levels,
    hazard: Hazard,
}

impl<'a> Fleet<'a> {
    fn new(config: &'a SimulatorConfig, plan: &'a BuildPlan) -> Result<Self> {
        let mut fleet = Self {
            config,
            catalogue: &plan.catalogue,
            grid: Arc::new(plan.grid.clone()),
            longest_gap: plan.spec.longest_gap,
            exposition: Exposition::load(&plan.catalogue)?,
            nodes: Vec::new(),
            end: ORIGIN + i64::from(config.hours) * HOUR,
        };
        for node in 0..config.nodes {
            let mut random = fleet.random(u64::MAX - node as u64);
            let mut share = 0.4;
            let values = fleet.scrapes(ORIGIN, fleet.end, &[], &mut random).into_iter().map(|time| {
                share = (0.99 * share + 0.01 * 0.4 + 0.01 * normal(&mut random)).clamp(0.05, 0.95);
                (time, NODE_MEMORY * share)
            });
            fleet.nodes.push(values.collect());
        }
        Ok(fleet)
    }

    /// Its own random stream for each part of the fleet, so that one part's size leaves the others alone.
    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(stream);
        random
    }

    fn slot(&self, workload: usize, slot: usize, flipped: bool, random: &mut ChaCha8Rng, each: &mut Each<'_>) -> Result<()> {
        let limits = Limits {
            memory: 256.0 * MEBIBYTE * f64::from(1_u32 << random.random_range(0..4)),
            cpu: 0.5 * f64::from(1_u32 << random.random_range(0..4)),
        };
        let mut start = ORIGIN;
        let mut generation = 0;
        while start < self.end {
            let lives_for: f64 = Exp1.sample(random);
            let planned = start + seconds(lives_for * MEAN_POD_HOURS * 3600.0 + 1.0) * 1000;
            let reason = match random.random_range(0..10) {
                0..5 => CensorReason::Rollout,
                5..8 => CensorReason::ScaleDown,
                _ => CensorReason::Completed,
            };
            let name = format!("workload-{workload:03}-{slot}-{generation}");
            let pod = Pod {
                key: format!("fleet/{name}/app"),
                uid: format!("{:016x}", random.random::<u64>()),
                name,
                start,
                end: planned.min(self.end),
                end_reason: if planned < self.end { reason } else { CensorReason::EndOfObservation },
                limits,
                node: random.random_range(0..self.config.nodes),
            };
            self.pod(&pod, &format!("workload-{workload:03}"), flipped, random, each)?;
            // The next pod of the slot comes up a little later.
            start = pod.end + random.random_range(30..600) * 1000;
            generation += 1;
        }
        Ok(())
    }

    fn pod(&self, pod: &Pod, group: &str, flipped: bool, random: &mut ChaCha8Rng, each: &mut Each<'_>) -> Result<()> {
        let lives = lives(self.config.world, flipped, pod, random);
        let outages = outages(pod, random);
        let scrapes = self.scrapes(pod.start, pod.end, &outages, random);
        let failures = self.failures(pod, &lives, &scrapes, random)?;
        let signals = self.signals(pod)?;
        let mut attributes: BTreeMap<String, f64> =
            [("limit.memory".to_owned(), pod.limits.memory), ("limit.cpu".to_owned(), pod.limits.cpu)].into();
        if self.config.world == World::Interaction {
            attributes.insert("tenant.class".to_owned(), f64::from(u8::from(flipped)));
        }
        for (number, life) in lives.iter().enumerate() {
            let known = failures.partition_point(|event| event.t_high() <= life.end);
            let failed_at = failures[..known].last().map(FailureEvent::t_high).filter(|&time| time > life.start);
            let until = failed_at.unwrap_or(life.end);
            let times = between(&scrapes, life.start, until);
            let incarnation = format!("{}:{number}", pod.uid);
            let history = EntityHistory {
                entity: Entity::try_new(EntityKind::Container, pod.key.as_str(), incarnation)
                    .map_err(DatasetError::feature("simulator"))?,
                group: group.to_owned(),
                attributes: attributes.clone(),
                born: Some(life.start),
                observed_from: life.start,
                observed_until: until,
                end: pod.end_reason,
                samples: self.samples(pod, life, times, &signals, random)?,
                events: failures[..known].to_vec(),
                gaps: times.windows(2).filter(|pair| pair[1] - pair[0] > self.longest_gap).map(|p| (p[0], p[1])).collect(),
            };
            let (grid, hazard, born) = (self.grid.clone(), life.hazard, life.start);
            let truth: Truth = Box::new(move |as_of| hazard.curve(&grid, as_of - born));
            each(history, Some(truth))?;
        }
        Ok(())
    }

    /// Regular scrape times of a target, its own phase apart, without outages, and one last at its end.
    fn scrapes(&self, start: i64, end: i64, outages: &[(i64, i64)], random: &mut ChaCha8Rng) -> Vec<i64> {
        let interval = i64::from(self.config.scrape_seconds) * 1000;
        let mut time = start + random.random_range(0..interval);
        let mut times = Vec::new();
        while time < end {
            if !outages.iter().any(|&(from, until)| time >= from && time < until) {
                times.push(time);
            }
            time += interval;
        }
        // The grace period of a deletion leaves room for one more scrape.
        times.push(end);
        times
    }

    /// Failures of a pod's container, as `features::event` sees them in kube-state-metrics.
    fn failures(&self, pod: &Pod, lives: &[Life], scrapes: &[i64], random: &mut ChaCha8Rng) -> Result<Vec<FailureEvent>> {
        let resolve = |name: &str, reason: Option<&str>| {
            let mut labels = pod_labels(pod);
            labels.insert("uid".to_owned(), pod.uid.clone());
            if let Some(reason) = reason {
                labels.insert("reason".to_owned(), reason.to_owned());
            }
            self.exposition.resolve(Exporter::KubeState, name, &labels, &pod.key)
        };
        let count = resolve("kube_pod_container_status_restarts_total", None)?;
        let terminated = resolve("kube_pod_container_status_last_terminated_timestamp", None)?;
        let reasons = ["OOMKilled", "Error"]
            .map(|reason| resolve("kube_pod_container_status_last_terminated_reason", Some(reason)));
        let [oom, error] = reasons;
        let reasons = [oom?, error?];

        let ends: Vec<(i64, usize)> = lives.iter().filter_map(|life| life.cause.map(|cause| (life.end, cause))).collect();
        let mut samples = Vec::with_capacity(3 * scrapes.len());
        for &time in scrapes {
            let seen = ends.partition_point(|&(end, _)| end <= time);
            #[expect(clippy::cast_precision_loss, reason = "a handful of restarts, and seconds of this century")]
            let (restarts, last) = (seen as f64, ends[..seen].last().map(|&(end, cause)| ((end / 1000) as f64, cause)));
            samples.push(sample(self.catalogue, count, time, restarts, random)?);
            if let Some((end, cause)) = last {
                samples.push(sample(self.catalogue, reasons[cause], time, 1.0, random)?);
                samples.push(sample(self.catalogue, terminated, time, end, random)?);
            }
        }
        samples.sort_by_key(|sample| (sample.metric(), sample.time()));
        event::container_failures(&pod.key, self.catalogue, &samples, 1000.0).map_err(DatasetError::feature(&pod.key))
    }

    /// The container's own series, in the order of their metrics.
    fn signals(&self, pod: &Pod) -> Result<Vec<(Signal, Series)>> {
        let container = pod_labels(pod);
        let with = |name: &str, value: &str| {
            let mut labels = container.clone();
            labels.insert(name.to_owned(), value.to_owned());
            labels
        };
        let mut faults = with("failure_type", "pgmajfault");
        faults.insert("scope".to_owned(), "container".to_owned());
        let mut cpu = with("resource", "cpu");
        cpu.insert("unit".to_owned(), "core".to_owned());
        let named = [
            (Signal::WorkingSet, Exporter::Cadvisor, "container_memory_working_set_bytes", &container),
            (Signal::MemoryLimit, Exporter::Cadvisor, "container_spec_memory_limit_bytes", &container),
            (Signal::ResidentSet, Exporter::Cadvisor, "container_memory_rss", &container),
            (Signal::Cache, Exporter::Cadvisor, "container_memory_cache", &container),
            (Signal::MajorFaults, Exporter::Cadvisor, "container_memory_failures_total", &faults),
            (Signal::CpuTime, Exporter::Cadvisor, "container_cpu_usage_seconds_total", &container),
            (Signal::ThrottledPeriods, Exporter::Cadvisor, "container_cpu_cfs_throttled_periods_total", &container),
            (Signal::Descriptors, Exporter::Cadvisor, "container_file_descriptors", &container),
            (Signal::Threads, Exporter::Cadvisor, "container_threads", &container),
            (Signal::CpuLimit, Exporter::KubeState, "kube_pod_container_resource_limits", &cpu),
        ];
        let mut signals = Vec::with_capacity(named.len());
        for (signal, exporter, name, labels) in named {
            signals.push((signal, self.exposition.resolve(exporter, name, labels, &pod.key)?));
        }
        signals.sort_by_key(|(_, series)| series.metric);
        Ok(signals)
    }

    /// Every sample of a life, its node's memory included, sorted by metric and time.
    fn samples(
        &self,
        pod: &Pod,
        life: &Life,
        times: &[i64],
        signals: &[(Signal, Series)],
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Sample>> {
        let mut samples = Vec::with_capacity(times.len() * (signals.len() + 2));
        for &(signal, series) in signals {
            let what = (&life.levels, pod.limits);
            emit(signal, series, what, (life.start, times), self.catalogue, random, &mut samples)?;
        }
        let instance = format!("node-{:02}:9100", pod.node);
        let node = labels([("instance", instance.as_str())]);
        let resolve = |name: &str| self.exposition.resolve(Exporter::Node, name, &node, &instance);
        let (available, total) = (resolve("node_memory_MemAvailable_bytes")?, resolve("node_memory_MemTotal_bytes")?);
        let series = &self.nodes[pod.node];
        let from = series.partition_point(|&(time, _)| time < life.start);
        let until = series.partition_point(|&(time, _)| time < life.end);
        for &(time, value) in &series[from..until] {
            samples.push(sample(self.catalogue, available, time, value, random)?);
        }
        for &(time, _) in &series[from..until] {
            samples.push(sample(self.catalogue, total, time, NODE_MEMORY, random)?);
        }
        Ok(samples)
    }
}

fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    labels([("namespace", "fleet"), ("pod", pod.name.as_str()), ("container", "app")])
}

/// Life after life until the pod ends; each restart draws a new nature.
fn lives(world: World, flipped: bool, pod: &Pod, random: &mut ChaCha8Rng) -> Vec<Life> {
    let mut lives = Vec::new();
    let mut start = pod.start;
    while start < pod.end {
        let (levels, hazard) = draw(world, flipped, random);
        let (ticks, cause) = hazard.draw(random);
        let restart = random.random_range(10..60) * 1000;
        let fails = start + ticks < pod.end;
        let end = if fails { start + ticks } else { pod.end };
        lives.push(Life { start, end, cause: fails.then_some(cause), levels, hazard });
        start = end + restart;
    }
    debug_assert!(lives.iter().all(|life| life.cause.is_none_or(|cause| cause < CAUSES.len())));
    lives
}

fn outages(pod: &Pod, random: &mut ChaCha8Rng) -> Vec<(i64, i64)> {
    let mut outages = Vec::new();
    let mut time = pod.start;
    loop {
        let wait: f64 = Exp1.sample(random);
        time += seconds(wait * MEAN_OUTAGE_HOURS * 3600.0) * 1000;
        if time >= pod.end {
            return outages;
        }
        let until = time + random.random_range(OUTAGE_MINUTES) * 60_000;
        outages.push((time, until));
        time = until;
    }
}

fn between(times: &[i64], from: i64, until: i64) -> &[i64] {
    let start = times.partition_point(|&time| time < from);
    &times[start..times.partition_point(|&time| time < until)]
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by the length of a simulation many times over")]
fn seconds(value: f64) -> i64 {
    value.min(1e9) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;
    use crate::simulator::Simulator;

    fn config(world: World) -> SimulatorConfig {
        SimulatorConfig { world, workloads: 6, containers_per_workload: 4, hours: 240, ..SimulatorConfig::default() }
    }

    #[test]
    fn extracted_failures_are_the_true_failures() {
        for world in [World::LogLinear, World::Interaction] {
            let simulator = Simulator::new(config(world)).unwrap();
            let fleet = Fleet::new(simulator.config(), simulator.plan()).unwrap();
            let mut random = fleet.random(99);
            let mut compared = 0;
            for number in 0..60 {
                let pod = Pod {
                    key: format!("fleet/pod-{number}/app"),
                    uid: format!("uid-{number}"),
                    name: format!("pod-{number}"),
                    start: ORIGIN + 1000 * number,
                    end: ORIGIN + 300 * HOUR,
                    end_reason: CensorReason::EndOfObservation,
                    limits: Limits { memory: MEBIBYTE, cpu: 1.0 },
                    node: 0,
                };
                let lives = lives(world, false, &pod, &mut random);
                let outages = outages(&pod, &mut random);
                let scrapes = fleet.scrapes(pod.start, pod.end, &outages, &mut random);
                let seen = fleet.failures(&pod, &lives, &scrapes, &mut random).unwrap();
                let seen: Vec<_> = seen.iter().map(|e| (e.t_low(), e.t_high(), e.cause().to_owned())).collect();
                let truth: Vec<_> = lives
                    .iter()
                    .filter_map(|life| life.cause.map(|cause| (life.end, life.end, CAUSES[cause].to_owned())))
                    .collect();
                assert_eq!(seen, truth);
                compared += truth.len();
            }
            assert!(compared > 40, "only {compared} failures to compare");
        }
    }

    #[test]
    fn two_failures_never_fall_between_two_scrapes() {
        assert!(super::super::STARTUP > (OUTAGE_MINUTES.end + 5) * 60_000 - 5 * 60_000);
        let simulator = Simulator::new(config(World::Interaction)).unwrap();
        let fleet = Fleet::new(simulator.config(), simulator.plan()).unwrap();
        assert!(super::super::STARTUP < HOUR, "cuts begin after start-up");
        assert_eq!(fleet.nodes.len(), 20);
    }
}
