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

use crate::catalogue::{Catalogue, MetricDefinition, MetricId, MetricKind};
use crate::entity::EntityKind;
use crate::sample::{Reading, Sample};
use crate::{FeatureError, Result};
pub use notice::Notice;
pub use rules::EventRules;
pub use trace::Trace;
use trace::{Born, Traces};

/// A failure that happened in `(t_low, t_high]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureEvent {
    cause: String,
    t_low: i64,
    t_high: i64,
    /// Events written before this was kept have none; [`FailureEvent::shown_at`] is never before `t_high`.
    #[serde(default = "not_kept")]
    shown_at: i64,
    evidence: String,
}

fn not_kept() -> i64 {
    i64::MIN
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
        Ok(Self { cause, t_low, t_high, shown_at: t_high, evidence: evidence.into() })
    }

    /// The same, shown by a sample of time `at` only: an exporter may give an exact moment long after it.
    #[must_use]
    pub fn shown(mut self, at: i64) -> Self {
        self.shown_at = at.max(self.t_high);
        self
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

    /// Time of the sample that showed it, not before `t_high`: earlier nobody could know of it.
    #[must_use]
    pub fn shown_at(&self) -> i64 {
        self.shown_at.max(self.t_high)
    }

    /// What it was derived from, in words.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }

    /// Takes in what another source says of the same failure.
    fn join(&mut self, other: &Self) {
        // Whoever showed it first made it known.
        let shown = self.shown_at().min(other.shown_at());
        if other.t_high - other.t_low < self.t_high - self.t_low {
            (self.t_low, self.t_high) = (other.t_low, other.t_high);
        }
        self.shown_at = shown.max(self.t_high);
        self.evidence = format!("{}; {}", self.evidence, other.evidence);
    }

    /// Time between two events that do not overlap, and between their ends.
    fn distance(&self, other: &Self) -> (i64, i64) {
        let apart = self.t_low.max(other.t_low).saturating_sub(self.t_high.min(other.t_high));
        (apart.max(0), self.t_high.saturating_sub(other.t_high).saturating_abs())
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
    /// Stretches in which the entity was seen to be down, in order and apart: from the first sample that shows it to
    /// the first that does not, [`i64::MAX`] where none came. Nothing is at risk of failing there.
    pub down: Vec<(i64, i64)>,
}

/// A failure as one source tells it.
struct Sighting {
    event: FailureEvent,
    source: &'static str,
}

/// What the rules of one kind tell of an entity, before it is joined and sorted.
struct Telling<'a> {
    key: &'a str,
    failures: Vec<Sighting>,
    breaks: Vec<Break>,
    down: Vec<(i64, i64)>,
}

impl Telling<'_> {
    /// A failure in `(gap.0, gap.1]`, told by `source` from a sample of time `shown`.
    fn failure(
        &mut self,
        source: &'static str,
        cause: &str,
        gap: (i64, i64),
        shown: i64,
        evidence: String,
    ) -> Result<()> {
        let (low, high) = gap;
        let event = FailureEvent::try_new(self.key, cause, low.min(high), high, evidence)?.shown(shown);
        self.failures.push(Sighting { event, source });
        Ok(())
    }

    /// Joins, sorts, and leaves out failures that share their gap with a planned end.
    fn settle(self, join_within: i64) -> Told {
        let Self { failures, mut breaks, mut down, .. } = self;
        let mut failures = joined(failures, join_within);
        let before = failures.len();
        failures
            .retain(|event| !breaks.iter().any(|planned| event.t_low < planned.t_high && planned.t_low < event.t_high));
        let ambiguous = (before - failures.len()) as u64;
        failures.sort_by(|a, b| (a.t_high, a.t_low, &a.cause).cmp(&(b.t_high, b.t_low, &b.cause)));
        breaks.sort_by_key(|planned| (planned.t_high, planned.t_low));
        down.sort_unstable();
        down.dedup_by(|later, kept| {
            let touching = later.0 <= kept.1;
            kept.1 = if touching { kept.1.max(later.1) } else { kept.1 };
            touching
        });
        Told { failures, breaks, ambiguous, down }
    }
}

/// One failure that several sources tell is one event: the narrowest interval, the evidence of all. What one source
/// tells apart stays apart: each restart it counts is a failure of its own, however soon the next one comes.
fn joined(mut sightings: Vec<Sighting>, within: i64) -> Vec<FailureEvent> {
    sightings.sort_by_key(|sighting| (sighting.event.t_high, sighting.event.t_low, sighting.source));
    let mut kept: Vec<(FailureEvent, Vec<&'static str>)> = Vec::new();
    for Sighting { event, source } in sightings {
        let nearest = kept
            .iter()
            .enumerate()
            .filter(|(_, (other, sources))| other.cause == event.cause && !sources.contains(&source))
            .map(|(at, (other, _))| (other.distance(&event), at))
            .filter(|&((apart, _), _)| apart <= within)
            .min();
        if let Some((_, at)) = nearest {
            let (other, sources) = &mut kept[at];
            other.join(&event);
            sources.push(source);
        } else {
            kept.push((event, vec![source]));
        }
    }
    kept.into_iter().map(|(event, _)| event).collect()
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
    /// When it came to life, if known: a state that its first scrape shows began no earlier.
    pub born: Option<i64>,
    /// What an engine or vCenter said of it, by time.
    pub notices: &'a [Notice],
}

/// Failures and planned ends of one incarnation. Times are milliseconds.
///
/// A first value says nothing of what happened before it, and a fall of a count is a reset, not an event. `target.up`
/// alone never is a failure: it may be the exporter or the network. A failure that several sources tell is one event.
///
/// # Errors
/// Never for series in time order.
pub fn extract(rules: &EventRules, catalogue: &Catalogue, subject: &Subject<'_>) -> Result<Told> {
    let traces = Traces { catalogue, all: subject.traces };
    let born = subject.born.map(|at| Born { at, within: rules.born.within.0 });
    let mut told = Telling { key: subject.key, failures: Vec::new(), breaks: Vec::new(), down: Vec::new() };
    match subject.kind {
        EntityKind::Container => container::tell(rules, traces, born, &mut told)?,
        EntityKind::Pod => pod::tell(rules, traces, subject.seen, born, &mut told)?,
        EntityKind::Node => node::tell(rules, traces, &mut told)?,
        EntityKind::Vm => vm::tell(rules, traces, subject.notices, &mut told)?,
        EntityKind::DockerContainer => docker::tell(rules, traces, subject.notices, born, &mut told)?,
        EntityKind::WasmModule => wasm::tell(rules, traces, &mut told)?,
        EntityKind::Machine | EntityKind::Run => {}
    }
    Ok(told.settle(rules.join.window.0))
}

/// Levels and counters that the rules read.
const COUNTED: [&str; 22] = [
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
    "probe.failures",
    "oom.events",
    "oom.killed",
    "eviction.count",
    "invoke.errors",
    "wasm.deadline_traps",
    "health.failing_streak",
];

/// Metrics the rules read; their raw samples outlive every pruning, so that events can be told anew by other rules.
#[must_use]
pub fn metrics(catalogue: &Catalogue) -> Vec<MetricId> {
    let definitions = catalogue.definitions().iter().zip(0_u16..);
    definitions.filter(|(definition, _)| is_read(definition)).map(|(_, id)| MetricId(id)).collect()
}

fn is_read(definition: &MetricDefinition) -> bool {
    matches!(definition.kind, MetricKind::State | MetricKind::Time | MetricKind::Info)
        || COUNTED.contains(&definition.id.as_str())
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
    let kind = EntityKind::Container;
    let subject = Subject { kind, key: entity, traces: &traces, seen: &[], born: None, notices: &[] };
    Ok(extract(&EventRules::shipped(), catalogue, &subject)?.failures)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
