//! What was seen of one life: how long, how it ended, and from when it was watched.

use serde::{Deserialize, Serialize};

use crate::{Result, SurvivalError};

/// Index of a cause in the data set's list of cause names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause(pub u16);

/// Why an observation ended without the failure having been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CensorReason {
    /// Observation ended with the entity alive.
    EndOfObservation,
    /// Deleted without a failed reason.
    PlannedEnd,
    /// Desired replicas fell.
    ScaleDown,
    /// The owner or image changed.
    Rollout,
    /// The job finished its work.
    Completed,
    /// Its node was drained.
    Drain,
    /// Maintenance mode or a guest-initiated shutdown.
    Maintenance,
    /// An action taken because of a prediction; never a negative.
    Intervention,
    /// A gap longer than the rule allows: cut at the last sample.
    Gap,
    /// The series ended for an unknown reason.
    Lost,
}

impl CensorReason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::EndOfObservation,
        Self::PlannedEnd,
        Self::ScaleDown,
        Self::Rollout,
        Self::Completed,
        Self::Drain,
        Self::Maintenance,
        Self::Intervention,
        Self::Gap,
        Self::Lost,
    ];

    /// The name used in Parquet, JSON and cards.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EndOfObservation => "end_of_observation",
            Self::PlannedEnd => "planned_end",
            Self::ScaleDown => "scale_down",
            Self::Rollout => "rollout",
            Self::Completed => "completed",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
            Self::Intervention => "intervention",
            Self::Gap => "gap",
            Self::Lost => "lost",
        }
    }

    /// What it says to a reader of a data card.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::EndOfObservation => "alive when watching ended",
            Self::PlannedEnd => "deleted without a reason that is a failure",
            Self::ScaleDown => "deleted and nothing put in its place",
            Self::Rollout => "deleted while another revision of its workload began",
            Self::Completed => "ended by itself with success",
            Self::Drain => "moved off its node: evicted through the API, tainted, or the node cordoned shortly before",
            Self::Maintenance => "in maintenance, or shut down because somebody asked for it",
            Self::Intervention => "acted upon because of a prediction; neither failure nor success",
            Self::Gap => "nothing seen for longer than the gap rule allows; censored at its last sample",
            Self::Lost => "its series ended for a reason nobody saw; neither failure nor success",
        }
    }

    /// The reason with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// How an observation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Failed, of this cause.
    Failed(Cause),
    /// Still alive when last seen, for this reason.
    Censored(CensorReason),
}

/// One life as seen: at risk on `(entry, duration]`, ended by `outcome` at `duration`.
///
/// Times are in the unit of the data set's [`TimeGrid`](crate::TimeGrid), counted from `as_of`
/// (or from birth, for age-based estimators). At equal times failures come before censorings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    duration: f64,
    entry: f64,
    outcome: Outcome,
}

impl Observation {
    /// An observation from time 0.
    ///
    /// # Errors
    /// When `duration` is not positive and finite.
    pub fn try_new(duration: f64, outcome: Outcome) -> Result<Self> {
        Self::try_with_entry(duration, 0.0, outcome)
    }

    /// An observation that joined the risk set late, at `entry` (left truncation).
    ///
    /// # Errors
    /// When `duration` is not positive and finite, or `entry` is outside `[0, duration)`.
    pub fn try_with_entry(duration: f64, entry: f64, outcome: Outcome) -> Result<Self> {
        if !(duration.is_finite() && duration > 0.0) {
            return Err(SurvivalError::Duration { duration });
        }
        if !(entry >= 0.0 && entry < duration) {
            return Err(SurvivalError::Entry { entry, duration });
        }
        Ok(Self { duration, entry, outcome })
    }

    /// Time of failure or censoring.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.duration
    }

    /// Time from which the entity was watched; 0 unless left-truncated.
    #[must_use]
    pub fn entry(&self) -> f64 {
        self.entry
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether it ended in a failure.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// The cause, when it ended in a failure.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.outcome {
            Outcome::Failed(cause) => Some(cause),
            Outcome::Censored(_) => None,
        }
    }
}
