//! What the event rules told from the metrics, beside what really happened: what a user's labels suffer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use datasets::lake::StoredEvent;
use serde::{Deserialize, Serialize};

use crate::truth::{Ending, Life};

/// Where no rule told anything.
const NONE: &str = "nothing";
/// The event of a container that is restarted again and again; it comes beside the crashes themselves.
const CRASH_LOOP: &str = "crash_loop";

/// How a lake's time stands to the lab's: `origin + (t − origin) · factor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeScale {
    /// Milliseconds since the epoch.
    pub origin: i64,
    /// How many times slower.
    pub factor: i64,
}

impl TimeScale {
    /// The lab's own time.
    pub const OWN: Self = Self { origin: 0, factor: 1 };

    fn at(self, time: i64) -> i64 {
        self.origin + (time - self.origin) * self.factor
    }
}

/// What became of the deaths of one true cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Deaths {
    /// How many there were.
    pub deaths: usize,
    /// By the cause that the rules told; `nothing` where they told none.
    pub told: BTreeMap<String, usize>,
    /// Not shown to anybody: a death is told by the restart after it, and the lab ended, or the pod was evicted, before
    /// there was one. Not among `deaths`.
    pub not_shown: usize,
    /// Told as what it was: a kill for memory, a crash, a kill after missed probes, an eviction.
    pub right: usize,
    /// Absolute distance of `t_high` from the death, milliseconds, of those told: median, 95th per cent, largest.
    pub error_ms: Option<[i64; 3]>,
    /// Share of told events whose interval `(t_low, t_high]` holds the death, the clock's resolution allowed for.
    pub inside: Option<f64>,
}

/// What became of the events of one cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// How many there were.
    pub events: usize,
    /// That stand for a death of the kind.
    pub right: usize,
    /// That stand for a death of another kind.
    pub other: usize,
    /// That stand for no death.
    pub of_nothing: usize,
}

/// Pods whose container waited out a back-off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CrashLoops {
    /// Pods in which it happened.
    pub pods: usize,
    /// Of these, with an event.
    pub told: usize,
    /// Pods with an event in which it did not happen.
    pub of_nothing: usize,
}

/// The comparison of one rule file's events with a run's truth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The rules, in words.
    pub rules: String,
    /// Times the lab's time was slowed for them.
    pub factor: i64,
    /// By true cause.
    pub causes: BTreeMap<String, Deaths>,
    /// By the cause that the rules told.
    pub events: BTreeMap<String, Told>,
    /// Crash loops, pod by pod.
    pub crash_loops: CrashLoops,
    /// Some of what went wrong, for people.
    pub examples: Vec<String>,
}

/// The event that tells of a death.
#[must_use]
pub fn expected(ending: Ending) -> Option<&'static str> {
    match ending {
        Ending::Oom => Some("container_oom"),
        Ending::Exit => Some("container_crash"),
        Ending::Probe => Some("probe_kill"),
        Ending::Evicted => Some("evicted"),
        _ => None,
    }
}

/// Examples kept.
const MOST_EXAMPLES: usize = 40;

/// Compares. An event stands for the death of its container that is nearest, no further than `within` milliseconds (of
/// the lake's time) away; each stands for one.
#[must_use]
pub fn compare(rules: &str, lives: &[Life], events: &[StoredEvent], scale: TimeScale, within: i64) -> Comparison {
    let mut comparison = Comparison { rules: rules.to_owned(), factor: scale.factor, ..Comparison::default() };
    let mut by_key: HashMap<&str, Vec<&StoredEvent>> = HashMap::new();
    for event in events.iter().filter(|event| event.cause != CRASH_LOOP) {
        by_key.entry(&event.key).or_default().push(event);
    }
    let mut deaths: Vec<(&Life, i64, &str)> = lives
        .iter()
        .filter_map(|life| Some((life, scale.at(life.ended_ms?), life.ending.and_then(expected)?)))
        .collect();
    deaths.sort_by_key(|&(life, at, _)| (&life.key, at));
    let mut errors: BTreeMap<&str, Vec<(i64, bool)>> = BTreeMap::new();
    let example = |text: String, examples: &mut Vec<String>| {
        if examples.len() < MOST_EXAMPLES {
            examples.push(text);
        }
    };
    let starts: HashSet<(&str, u32)> = lives.iter().map(|life| (life.uid.as_str(), life.run)).collect();
    for (life, at, kind) in deaths {
        let cause = life.cause.as_deref().unwrap_or("?");
        let row = comparison.causes.entry(cause.to_owned()).or_default();
        if life.ending != Some(Ending::Evicted) && !starts.contains(&(life.uid.as_str(), life.run + 1)) {
            row.not_shown += 1;
            continue;
        }
        row.deaths += 1;
        let open = by_key.entry(&life.key).or_default();
        let nearest = (0..open.len()).min_by_key(|&place| (open[place].t_high - at).abs());
        let told = nearest.filter(|&place| (open[place].t_high - at).abs() <= within).map(|place| open.remove(place));
        let name = told.map_or(NONE, |event| &event.cause);
        *row.told.entry(name.to_owned()).or_default() += 1;
        let right = name == kind;
        row.right += usize::from(right);
        if let Some(event) = told {
            let told = comparison.events.entry(event.cause.clone()).or_default();
            told.events += 1;
            if right {
                told.right += 1;
            } else {
                told.other += 1;
            }
            // A scrape is a moment, and the kernel's second is cut off.
            let inside = event.t_low - 1_000 <= at && at <= event.t_high + 1_000;
            errors.entry(cause).or_default().push(((event.t_high - at).abs(), inside));
        }
        if !right {
            let evidence = told.map_or("", |event| &event.evidence);
            let ending = life.ending.map_or("?", Ending::name);
            let text = format!("{} of {cause} ({ending}) at {at}: told {name} {evidence}", life.key);
            example(text, &mut comparison.examples);
        }
    }
    for event in by_key.into_values().flatten() {
        let told = comparison.events.entry(event.cause.clone()).or_default();
        told.events += 1;
        told.of_nothing += 1;
        let text =
            format!("{}: {} at {} stands for no death: {}", event.key, event.cause, event.t_high, event.evidence);
        example(text, &mut comparison.examples);
    }
    comparison.examples.sort();
    for (cause, mut seen) in errors {
        seen.sort_unstable();
        let at = |share: usize| seen[(seen.len() - 1) * share / 100].0;
        let row = comparison.causes.entry(cause.to_owned()).or_default();
        row.error_ms = Some([at(50), at(95), at(100)]);
        let inside = seen.iter().filter(|(_, inside)| *inside).count();
        row.inside = Some(share(inside, seen.len()));
    }
    comparison.crash_loops = crash_loops(lives, events);
    comparison
}

fn crash_loops(lives: &[Life], events: &[StoredEvent]) -> CrashLoops {
    let told: std::collections::BTreeSet<&str> =
        events.iter().filter(|event| event.cause == CRASH_LOOP).map(|event| event.key.as_str()).collect();
    let real: std::collections::BTreeSet<&str> =
        lives.iter().filter(|life| life.backed_off).map(|life| life.key.as_str()).collect();
    CrashLoops { pods: real.len(), told: real.intersection(&told).count(), of_nothing: told.difference(&real).count() }
}

#[expect(clippy::cast_precision_loss, reason = "counts of lives")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

impl Comparison {
    /// As a table in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut told: Vec<&str> = self
            .causes
            .values()
            .flat_map(|row| row.told.keys())
            .map(String::as_str)
            .filter(|name| *name != NONE)
            .collect();
        told.sort_unstable();
        told.dedup();
        told.push(NONE);
        let mut text = String::new();
        let head: Vec<String> = told.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            text,
            "| true cause | deaths | {} | recall | error of the time, s: median, 95 %, largest |",
            head.join(" | ")
        );
        let _ = writeln!(text, "|---|---|{}---|---|", "---|".repeat(told.len()));
        for (cause, row) in &self.causes {
            let cells: Vec<String> =
                told.iter().map(|name| row.told.get(*name).map_or_else(String::new, usize::to_string)).collect();
            let error = row.error_ms.map_or_else(
                || "–".to_owned(),
                |error| error.map(|ms| format!("{:.1}", crate::clock::seconds(ms))).join(", "),
            );
            let recall = share(row.right, row.deaths);
            let _ = writeln!(text, "| {cause} | {} | {} | {recall:.3} | {error} |", row.deaths, cells.join(" | "));
        }
        let _ = writeln!(text, "\n| told | events | of such a death | of another | of no death | precision |");
        let _ = writeln!(text, "|---|---|---|---|---|---|");
        for (cause, row) in &self.events {
            let precision = share(row.right, row.events);
            let _ = writeln!(
                text,
                "| `{cause}` | {} | {} | {} | {} | {precision:.3} |",
                row.events, row.right, row.other, row.of_nothing
            );
        }
        let loops = &self.crash_loops;
        let _ = writeln!(
            text,
            "\n`crash_loop`: {} pods waited out a back-off, {} of them are told; {} are told of pods that did not.",
            loops.pods, loops.told, loops.of_nothing
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::tests::life;

    fn event(index: u64, cause: &str, t_high: i64) -> StoredEvent {
        StoredEvent {
            kind: "container".to_owned(),
            key: life(index, None).key,
            incarnation: String::new(),
            cause: cause.to_owned(),
            t_low: t_high - 1_000,
            t_high,
            evidence: "restart.count".to_owned(),
        }
    }

    /// The run after a death, by which it is told.
    fn after(life: &Life) -> Life {
        Life { run: life.run + 1, started_ms: 3_000, ended_ms: None, ending: None, cause: None, ..life.clone() }
    }

    #[test]
    fn a_death_without_a_restart_is_shown_to_nobody() {
        let died = life(0, Some(Ending::Oom));
        let comparison = compare("test", std::slice::from_ref(&died), &[], TimeScale::OWN, 10_000);
        assert_eq!((comparison.causes["memory_leak"].not_shown, comparison.causes["memory_leak"].deaths), (1, 0));
        let evicted = life(0, Some(Ending::Evicted));
        let comparison = compare("test", &[after(&died), died, evicted], &[], TimeScale::OWN, 10_000);
        assert_eq!((comparison.causes["memory_leak"].not_shown, comparison.causes["memory_leak"].deaths), (0, 1));
        assert_eq!(comparison.causes["node_pressure"].told["nothing"], 1);
    }

    #[test]
    fn every_death_has_one_event_at_most_and_every_event_one_death() {
        let mut looping = life(4, Some(Ending::Exit));
        (looping.cause, looping.backed_off) = (Some("poison".to_owned()), true);
        let lives = [
            life(0, Some(Ending::Oom)),
            life(1, Some(Ending::Oom)),
            life(2, Some(Ending::Oom)),
            life(3, Some(Ending::Planned)),
            looping,
        ];
        let next: Vec<Life> = lives.iter().map(after).collect();
        let lives = [lives.to_vec(), next].concat();
        let events = [
            event(0, "container_oom", 2_300),
            event(0, "container_oom", 2_900),
            event(1, "container_crash", 2_100),
            event(2, "container_oom", 60_000),
            event(4, "container_crash", 1_900),
            event(4, "crash_loop", 3_000),
            event(3, "crash_loop", 3_000),
        ];
        let comparison = compare("test", &lives, &events, TimeScale::OWN, 10_000);
        let leaks = &comparison.causes["memory_leak"];
        assert_eq!((leaks.deaths, leaks.right), (3, 1));
        assert_eq!(leaks.told["nothing"], 1);
        assert_eq!(leaks.told["container_crash"], 1);
        assert_eq!(leaks.error_ms, Some([100, 100, 300]));
        let oom = &comparison.events["container_oom"];
        assert_eq!((oom.events, oom.right, oom.of_nothing), (3, 1, 2), "a second of one death, one too far away");
        assert_eq!(comparison.events["container_crash"].other, 1);
        assert_eq!(comparison.crash_loops, CrashLoops { pods: 1, told: 1, of_nothing: 1 });
        assert!(comparison.table().contains("| memory_leak | 3 |"), "{}", comparison.table());
    }

    #[test]
    fn times_of_a_slowed_copy_are_compared_as_they_stand_there() {
        let died = life(0, Some(Ending::Oom));
        let lives = [after(&died), died];
        let scale = TimeScale { origin: 1_000, factor: 60 };
        let comparison = compare("slowed", &lives, &[event(0, "container_oom", 61_000)], scale, 60_000);
        assert_eq!(comparison.causes["memory_leak"].error_ms, Some([0, 0, 0]));
    }
}
