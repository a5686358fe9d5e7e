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
/// failures come before censorings, and a gap in which the failure itself lies censors nothing: nobody saw the entity
/// between the last sample and the failure, but that it failed there is known.
///
/// # Errors
/// When an event's cause is not in `causes`.
pub fn observe(history: &EntityHistory, axis: TimeAxis, causes: &[String], as_of: i64) -> Result<Label> {
    if as_of < history.observed_from || as_of >= history.observed_until {
        return Ok(Label::Excluded(Exclusion::NotWatched));
    }
    let later = &history.events[history.events.partition_point(|event| event.t_high() <= as_of)..];
    let failure = later.first().filter(|event| event.t_high() <= history.observed_until);
    let of_watch = later.iter().take_while(|event| event.t_high() <= history.observed_until);
    if of_watch.chain(later.first()).any(|event| as_of >= event.t_low()) {
        return Ok(Label::Excluded(Exclusion::InsideEvent));
    }
    let gaps = &history.gaps[history.gaps.partition_point(|&(_, until)| until <= as_of)..];
    if gaps.first().is_some_and(|&(from, _)| as_of > from) {
        return Ok(Label::Excluded(Exclusion::InsideGap));
    }
    let through = |until: i64| failure.is_some_and(|event| event.t_high() <= until);
    let gap = gaps.iter().find(|&&(from, _)| from >= as_of).filter(|&&(from, until)| {
        // A failure that was going on when the last sample came, or was over by the next, lies in the gap.
        from < history.observed_until && !through(until) && failure.is_none_or(|event| event.t_low() > from)
    });
    let (censored_at, reason) = match gap {
        Some(&(from, _)) => (from, CensorReason::Gap),
        None => (history.observed_until, history.end),
    };
    let (end, alive, outcome) = match failure {
        Some(event) if gap.is_none() || event.t_high() <= censored_at => {
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
