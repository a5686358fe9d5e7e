//! Pods come and go on their slots, their containers fail and restart, and are scraped all the while.

use std::collections::BTreeMap;
use std::sync::Arc;

use features::{Catalogue, Entity, EntityHistory, EntityKind, FailureEvent};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use survival::{CensorReason, TimeGrid};

use super::exposition::Exposition;
use super::life::{Pod, lives, outages, seconds};
use super::signal::Limits;
use super::world::{World, normal};
use super::{HOUR, SimulatorConfig};
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Each, Truth};

/// 2026-01-05T00:00:00Z, a Monday, in milliseconds.
const ORIGIN: i64 = 1_767_571_200_000;
/// Mean life of a pod in hours, ended by its owner.
const MEAN_POD_HOURS: f64 = 160.0;
/// Memory of a node in bytes.
pub(super) const NODE_MEMORY: f64 = 64.0 * 1024.0 * 1024.0 * 1024.0;
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
pub(super) struct Fleet<'a> {
    pub(super) config: &'a SimulatorConfig,
    pub(super) catalogue: &'a Catalogue,
    pub(super) grid: Arc<TimeGrid>,
    pub(super) longest_gap: i64,
    pub(super) exposition: Exposition,
    /// Per node, available memory at its scrapes.
    pub(super) nodes: Vec<Vec<(i64, f64)>>,
    pub(super) end: i64,
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

    fn slot(
        &self,
        workload: usize,
        slot: usize,
        flipped: bool,
        random: &mut ChaCha8Rng,
        each: &mut Each<'_>,
    ) -> Result<()> {
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
                nodes: Vec::new(),
                entity: Entity::try_new(EntityKind::Container, pod.key.as_str(), incarnation)
                    .map_err(DatasetError::feature("simulator"))?,
                group: group.to_owned(),
                attributes: attributes.clone(),
                born: Some(life.start),
                observed_from: life.start,
                observed_until: until,
                end: pod.end_reason,
                tiles: None,
                samples: self.samples(pod, life, times, &signals, random)?,
                events: failures[..known].into(),
                gaps: times
                    .windows(2)
                    .filter(|pair| pair[1] - pair[0] > self.longest_gap)
                    .map(|p| (p[0], p[1]))
                    .collect(),
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
}

fn between(times: &[i64], from: i64, until: i64) -> &[i64] {
    let start = times.partition_point(|&time| time < from);
    &times[start..times.partition_point(|&time| time < until)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;
    use crate::simulator::Simulator;
    use crate::simulator::plan::CAUSES;

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
}
