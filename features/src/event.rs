//! Failure events and the rules that derive them from what kube-state-metrics shows.
//!
//! A label cannot be read off a series: an OOM state lives for milliseconds and counters die with their
//! container. So the extractor walks `restart.count` together with the last terminated reason and time.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, MetricId};
use crate::sample::Sample;
use crate::{FeatureError, Result};

/// Version of the rules below; raised whenever a rule or threshold changes, since other rules make another data set.
#[must_use]
pub fn rules_text() -> String {
    "event rules 1".to_owned()
}

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

/// Metrics the container rules read.
struct ContainerMetrics {
    restarts: MetricId,
    reason: MetricId,
    terminated: MetricId,
}

/// Container failures from `restart.count`, `terminated.reason` and `terminated.time`.
///
/// Rules: a rise with reason `OOMKilled` is `container_oom`; with `Error`, `ContainerCannotRun`,
/// `StartError` or `DeadlineExceeded` it is `container_crash`; `Evicted` is `evicted`; `Completed` is not a
/// failure. A fall of the counter is a reset, a first value above 0 an unknown past. Several restarts in
/// one gap give that many events; only the last has a known reason, the others are `unknown`.
///
/// `samples` are sorted by (metric, time). Times are ticks; `ticks_per_second` reads `terminated.time`.
///
/// # Errors
/// When the catalogue lacks one of the three metrics.
pub fn container_failures(
    entity: &str,
    catalogue: &Catalogue,
    samples: &[Sample],
    ticks_per_second: f64,
) -> Result<Vec<FailureEvent>> {
    let metrics = ContainerMetrics {
        restarts: catalogue.id("restart.count")?,
        reason: catalogue.id("terminated.reason")?,
        terminated: catalogue.id("terminated.time")?,
    };
    let reasons = catalogue.definition(metrics.reason).map(|d| d.states.clone()).unwrap_or_default();
    let restarts = series(samples, metrics.restarts);
    let reason_series = series(samples, metrics.reason);
    let time_series = series(samples, metrics.terminated);

    let mut events = Vec::new();
    let mut previous: Option<(i64, f64)> = None;
    for sample in restarts {
        let Some(count) = sample.value() else { continue };
        let time = sample.time();
        if let Some((previous_time, previous_count)) = previous
            && count > previous_count
        {
            let reason = value_at(reason_series, time).and_then(|state| state_name(&reasons, state));
            // terminated.time narrows the interval only when it lies inside it: an older one belongs to an earlier end.
            let exact = value_at(time_series, time)
                .map(|seconds| ticks(seconds * ticks_per_second))
                .filter(|&t| t > previous_time && t <= time);
            let unknown = restarts_between(previous_count, count).saturating_sub(1);
            for _ in 0..unknown {
                let evidence = format!("restart.count {previous_count} -> {count} in one gap; reason not seen");
                events.push(FailureEvent::try_new(entity, "unknown", previous_time, time, evidence)?);
            }
            if let Some(cause) = reason.map_or(Some("unknown"), cause_of) {
                let evidence = format!(
                    "restart.count {previous_count} -> {count}, terminated.reason {}",
                    reason.unwrap_or("not seen")
                );
                let (low, high) = exact.map_or((previous_time, time), |t| (t, t));
                events.push(FailureEvent::try_new(entity, cause, low, high, evidence)?);
            }
        }
        previous = Some((time, count));
    }
    events.sort_by_key(|event| (event.t_high, event.t_low));
    Ok(events)
}

/// The failure a terminated reason means, or `None` when it is no failure.
fn cause_of(reason: &str) -> Option<&'static str> {
    match reason {
        "OOMKilled" => Some("container_oom"),
        "Error" | "ContainerCannotRun" | "StartError" | "DeadlineExceeded" => Some("container_crash"),
        "Evicted" => Some("evicted"),
        "Completed" => None,
        _ => Some("unknown"),
    }
}

fn series(samples: &[Sample], metric: MetricId) -> &[Sample] {
    let start = samples.partition_point(|s| s.metric() < metric);
    let end = samples.partition_point(|s| s.metric() <= metric);
    &samples[start..end]
}

fn value_at(series: &[Sample], time: i64) -> Option<f64> {
    let after = series.partition_point(|s| s.time() <= time);
    series[..after].last().and_then(Sample::value)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "state samples are checked indices")]
fn state_name(names: &[String], state: f64) -> Option<&str> {
    names.get(state as usize).map(String::as_str)
}

#[expect(clippy::cast_possible_truncation, reason = "ticks are milliseconds of this century or cycle counts")]
fn ticks(value: f64) -> i64 {
    value.round() as i64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "restart counts are small and rising here")]
fn restarts_between(previous: f64, next: f64) -> u64 {
    (next - previous).round() as u64
}
