//! What was observed after a cut: failures in gaps, gaps without one, and moments of which nobody can say.

use std::collections::BTreeMap;

use features::label::{Exclusion, Label, observe};
use features::{Entity, EntityHistory, EntityKind, FailureEvent, TimeAxis};
use survival::{CensorReason, Outcome, TimeUnit};

const MINUTES: TimeAxis = TimeAxis { unit: TimeUnit::Minutes, ticks_per_unit: 1 };

/// Watched over `[0, 100]`.
fn history(events: &[(i64, i64)], gaps: &[(i64, i64)]) -> EntityHistory {
    let event = |&(low, high): &(i64, i64)| FailureEvent::try_new("a", "broke", low, high, "seen").unwrap();
    EntityHistory {
        entity: Entity::try_new(EntityKind::Node, "a", "").unwrap(),
        group: "a".to_owned(),
        nodes: Vec::new(),
        attributes: BTreeMap::new(),
        born: None,
        observed_from: 0,
        observed_until: 100,
        end: CensorReason::EndOfObservation,
        samples: Vec::new(),
        tiles: None,
        events: events.iter().map(event).collect(),
        gaps: gaps.into(),
    }
}

/// Duration, how long known alive, and the reason of a censoring.
fn seen(history: &EntityHistory, as_of: i64) -> Result<(f64, f64, Option<CensorReason>), Exclusion> {
    match observe(history, MINUTES, &["broke".to_owned()], as_of).unwrap() {
        Label::Excluded(exclusion) => Err(exclusion),
        Label::Observed { observation, known_alive } => {
            let reason = match observation.outcome() {
                Outcome::Failed(_) => None,
                Outcome::Censored(reason) => Some(reason),
            };
            Ok((observation.duration(), known_alive, reason))
        }
    }
}

#[test]
fn a_failure_inside_a_gap_is_a_failure() {
    // Nothing was seen from 30 to 50; the first sample after it shows the failure, or says when it was.
    assert_eq!(seen(&history(&[(30, 50)], &[(30, 50)]), 10), Ok((40.0, 20.0, None)));
    assert_eq!(seen(&history(&[(44, 44)], &[(30, 50)]), 10), Ok((34.0, 34.0, None)));
    // Told by a series that was scraped a little later than the first one.
    assert_eq!(seen(&history(&[(28, 53)], &[(30, 50)]), 10), Ok((43.0, 18.0, None)));
    assert_eq!(seen(&history(&[(30, 50)], &[(30, 50)]), 40), Err(Exclusion::InsideEvent));
}

#[test]
fn a_gap_censors_what_comes_after_it() {
    let gap = Some(CensorReason::Gap);
    assert_eq!(seen(&history(&[(70, 71)], &[(30, 50)]), 10), Ok((20.0, 20.0, gap)));
    assert_eq!(seen(&history(&[(70, 71)], &[(30, 50)]), 55), Ok((16.0, 15.0, None)));
    assert_eq!(seen(&history(&[], &[(30, 50)]), 10), Ok((20.0, 20.0, gap)));
    assert_eq!(seen(&history(&[], &[(30, 50)]), 40), Err(Exclusion::InsideGap));
    // A failure before the gap is not touched by it.
    assert_eq!(seen(&history(&[(20, 21)], &[(30, 50)]), 10), Ok((11.0, 10.0, None)));
}

#[test]
fn failures_of_other_lives_of_the_key_are_not_this_ones() {
    let mut watched = history(&[(5, 6), (40, 41), (170, 171)], &[]);
    watched.observed_from = 10;
    watched.observed_until = 90;
    assert_eq!(seen(&watched, 20), Ok((21.0, 20.0, None)));
    assert_eq!(seen(&watched, 50), Ok((40.0, 40.0, Some(CensorReason::EndOfObservation))));
    assert_eq!(seen(&watched, 5), Err(Exclusion::NotWatched));
    assert_eq!(watched.own_events().map(FailureEvent::t_high).collect::<Vec<_>>(), [41]);
}
