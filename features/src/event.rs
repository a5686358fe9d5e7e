//! Failure events, and the rules that tell them from what exporters show.
//!
//! A label cannot be read off a series: an OOM state lives for milliseconds and counters die with their container. So
//! [`extract`] walks counts, states and boot times of one incarnation in time order and says what failed, between which
//! moments, and by which samples. Words and thresholds are those of an [`EventRules`] file.

mod container;
mod docker;
mod node;
pub mod notice;
mod pod;
pub mod rules;
pub mod trace;
mod vm;
mod wasm;

use serde::{Deserialize, Serialize};
use survival::CensorReason;

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::entity::EntityKind;
use crate::sample::{Reading, Sample};
use crate::{FeatureError, Result};
pub use notice::Notice;
pub use rules::EventRules;
pub use trace::Trace;
use trace::Traces;

/// A failure that happened in `(t_low, t_high]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureEvent {
    cause: String,
    t_low: i64,
    t_high: i64,
    evidence: String,
}

impl FailureEvent {
    /// An event known to lie in `(t_low, t_high]`; a point in time is `t_low = t_high`.
    ///
    /// # Errors
    /// When the interval ends before it starts.
    pub fn try_new(
        entity: &str,
        cause: impl Into<String>,
        t_low: i64,
        t_high: i64,
        evidence: impl Into<String>,
    ) -> Result<Self> {
        let cause = cause.into();
        if t_low > t_high {
            return Err(FeatureError::EventInterval { entity: entity.to_owned(), cause, t_low, t_high });
        }
        Ok(Self { cause, t_low, t_high, evidence: evidence.into() })
    }

    /// Cause name.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// Last time the entity was known to be alive.
    #[must_use]
    pub fn t_low(&self) -> i64 {
        self.t_low
    }

    /// First time the failure was certain.
    #[must_use]
    pub fn t_high(&self) -> i64 {
        self.t_high
    }

    /// What it was derived from, in words.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }
}

/// A life that ended without failure while its entity lived on: a completed run, a planned reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Last time the life was seen.
    pub t_low: i64,
    /// First time it was over.
    pub t_high: i64,
    /// Why.
    pub reason: CensorReason,
    /// What it was derived from, in words.
    pub evidence: String,
}

/// What [`extract`] has told, each by `t_high`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Failures.
    pub failures: Vec<FailureEvent>,
    /// Planned ends of lives.
    pub breaks: Vec<Break>,
    /// Failures left out because a planned end lies in the same gap: nobody can say which it was.
    pub ambiguous: u64,
}

impl Told {
    fn failure(&mut self, entity: &str, cause: &str, low: i64, high: i64, evidence: String) -> Result<()> {
        self.failures.push(FailureEvent::try_new(entity, cause, low.min(high), high, evidence)?);
        Ok(())
    }

    /// Sorts, and leaves out failures that share their gap with a planned end.
    fn settle(&mut self) {
        let breaks = &self.breaks;
        let before = self.failures.len();
        self.failures
            .retain(|event| !breaks.iter().any(|planned| event.t_low < planned.t_high && planned.t_low < event.t_high));
        self.ambiguous += (before - self.failures.len()) as u64;
        self.failures.sort_by(|a, b| (a.t_high, a.t_low, &a.cause).cmp(&(b.t_high, b.t_low, &b.cause)));
        self.breaks.sort_by_key(|planned| (planned.t_high, planned.t_low));
    }
}

/// One incarnation of an entity, as far as the rules read it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What kind of thing.
    pub kind: EntityKind,
    /// Its key, for messages.
    pub key: &'a str,
    /// Its series; metrics that no rule reads do no harm.
    pub traces: &'a [Trace<'a>],
    /// Moments at which anything of it was seen, increasing.
    pub seen: &'a [i64],
    /// What an engine or vCenter said of it, by time.
    pub notices: &'a [Notice],
}

/// Failures and planned ends of one incarnation. Times are milliseconds.
///
/// A first value says nothing of what happened before it, and a fall of a count is a reset, not an event. `target.up`
/// alone never is a failure: it may be the exporter or the network.
///
/// # Errors
/// Never for series in time order.
pub fn extract(rules: &EventRules, catalogue: &Catalogue, subject: &Subject<'_>) -> Result<Told> {
    let traces = Traces { catalogue, all: subject.traces };
    let mut told = Told::default();
    match subject.kind {
        EntityKind::Container => container::tell(rules, subject.key, traces, &mut told)?,
        EntityKind::Pod => pod::tell(rules, subject.key, traces, subject.seen, &mut told)?,
        EntityKind::Node => node::tell(rules, subject.key, traces, &mut told)?,
        EntityKind::Vm => vm::tell(rules, subject.key, traces, subject.notices, &mut told)?,
        EntityKind::DockerContainer => docker::tell(rules, subject.key, traces, subject.notices, &mut told)?,
        EntityKind::WasmModule => wasm::tell(rules, subject.key, traces, &mut told)?,
        EntityKind::Machine | EntityKind::Run => {}
    }
    told.settle();
    Ok(told)
}

/// Metrics the rules read; their raw samples outlive every pruning, so that events can be told anew by other rules.
#[must_use]
pub fn metrics(catalogue: &Catalogue) -> Vec<MetricId> {
    const COUNTED: [&str; 21] = [
        "restart.count",
        "terminated.exit_code",
        "ready",
        "unschedulable",
        "node.cordoned",
        "fs.readonly",
        "fs.device_error",
        "disk.smart.healthy",
        "raid.disks_failed",
        "raid.disks_active",
        "raid.disks_required",
        "kernel.problem_active",
        "target.up",
        "maintenance",
        "probe.count",
        "oom.events",
        "oom.killed",
        "eviction.count",
        "invoke.errors",
        "wasm.deadline_traps",
        "health.failing_streak",
    ];
    let definitions = catalogue.definitions().iter().zip(0_u16..);
    definitions
        .filter(|(definition, _)| {
            matches!(definition.kind, MetricKind::State | MetricKind::Time | MetricKind::Info)
                || COUNTED.contains(&definition.id.as_str())
        })
        .map(|(_, id)| MetricId(id))
        .collect()
}

/// Failures of a container by the shipped rules, from samples sorted by (metric, time) in milliseconds.
///
/// # Errors
/// As [`extract`].
pub fn container_failures(entity: &str, catalogue: &Catalogue, samples: &[Sample]) -> Result<Vec<FailureEvent>> {
    let columns: Vec<(MetricId, Vec<i64>, Vec<f64>)> = samples
        .chunk_by(|a, b| a.metric() == b.metric())
        .map(|run| {
            let value = |sample: &Sample| match sample.reading() {
                Reading::Value(value) => value,
                Reading::Stale => f64::from_bits(crate::sample::STALE_NAN_BITS),
            };
            (run[0].metric(), run.iter().map(Sample::time).collect(), run.iter().map(value).collect())
        })
        .collect();
    let traces: Vec<Trace<'_>> =
        columns.iter().map(|(metric, times, values)| Trace { metric: *metric, part: "", times, values }).collect();
    let subject = Subject { kind: EntityKind::Container, key: entity, traces: &traces, seen: &[], notices: &[] };
    Ok(extract(&EventRules::shipped(), catalogue, &subject)?.failures)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
