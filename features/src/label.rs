//! From a history and a moment to what was observed after it. The censoring rules live here alone.

use survival::{Cause, CensorReason, Observation, Outcome};

use crate::history::EntityHistory;
use crate::spec::TimeAxis;
use crate::{FeatureError, Result};

/// Why a cut cannot be labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exclusion {
    /// `as_of` lies before the first or at/after the last moment of watching.
    NotWatched,
    /// `as_of` lies inside an event's interval: it may already have failed.
    InsideEvent,
    /// `as_of` lies inside a gap.
    InsideGap,
}

impl Exclusion {
    /// The name used in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotWatched => "not_watched",
            Self::InsideEvent => "inside_event",
            Self::InsideGap => "inside_gap",
        }
    }
}

/// A label, or the reason there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label {
    /// What was observed after `as_of`.
    Observed {
        /// Duration from `as_of`, and how it ended.
        observation: Observation,
        /// Duration to the last time the entity was known alive.
        known_alive: f64,
    },
    /// Left out, and counted.
    Excluded(Exclusion),
}

/// What was observed of `history` after `as_of`.
///
/// The first failure after `as_of` ends the observation at its `t_high`, the first time it was certain;
/// otherwise a gap does (censored, at its last sample), otherwise the end of watching. At equal times
/// failures come before censorings.
///
/// # Errors
/// When an event's cause is not in `causes`.
pub fn observe(history: &EntityHistory, axis: TimeAxis, causes: &[String], as_of: i64) -> Result<Label> {
    if as_of < history.observed_from || as_of >= history.observed_until {
        return Ok(Label::Excluded(Exclusion::NotWatched));
    }
    if history.events.iter().any(|event| as_of >= event.t_low() && as_of < event.t_high()) {
        return Ok(Label::Excluded(Exclusion::InsideEvent));
    }
    if history.gaps.iter().any(|&(from, until)| as_of > from && as_of < until) {
        return Ok(Label::Excluded(Exclusion::InsideGap));
    }
    let failure = history.events.iter().find(|event| event.t_high() > as_of);
    let gap = history.gaps.iter().map(|&(from, _)| from).find(|&from| from >= as_of);
    let (censored_at, reason) = match gap {
        Some(from) if from < history.observed_until => (from, CensorReason::Gap),
        _ => (history.observed_until, history.end),
    };
    let (end, alive, outcome) = match failure {
        Some(event) if event.t_high() <= censored_at => {
            let index = causes.iter().position(|cause| cause == event.cause()).ok_or_else(|| FeatureError::Spec {
                reason: format!("event of cause {:?}, the data set declares {causes:?}", event.cause()),
            })?;
            let cause = Cause(u16::try_from(index).unwrap_or(u16::MAX));
            (event.t_high(), event.t_low(), Outcome::Failed(cause))
        }
        _ => (censored_at, censored_at, Outcome::Censored(reason)),
    };
    if end <= as_of {
        return Ok(Label::Excluded(Exclusion::InsideGap));
    }
    Ok(Label::Observed {
        observation: Observation::try_new(axis.units(end - as_of), outcome)?,
        known_alive: axis.units((alive - as_of).max(0)),
    })
}
