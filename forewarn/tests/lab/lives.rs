//! A run to its end: what happened is what was written, and the event rules tell it from the metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use datasets::lake_source::events_by;
use datasets::{Lake, LakeBuildConfig};
use features::event::EventRules;
use features::{Catalogue, EntityKind};
use lab::publish::{BUILD, EVENT_RULES};
use lab::truth::{self, Ending, Life};
use lab::{TimeScale, compare};
use serde_json::Value;

use super::sitting::{Lab, lab_run};
use super::traces::nothing_is_left;

/// Lives that end. The first ten pods that seed 3 draws bring seven causes of death and three that only look like it,
/// and by then each of the seven has come.
const LIVES: usize = 18;
/// A death is shown by the next restart: after a back-off of two seconds, the start of a container and a look.
const SHOWN_AFTER: i64 = 5_000;
/// An event further away from a death tells of another, milliseconds.
const WITHIN: i64 = 12_000;
/// The clocks of a container and of the lab are read at different moments, milliseconds.
const SLACK: i64 = 1_000;

pub(crate) fn dozen() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let end = Lab::start(lab_run(&out, "quick.toml", LIVES, 10)).end();
    assert_eq!(end.code, Some(0), "{end:?}");
    nothing_is_left(&out);

    let printed: Value = serde_json::from_str(&end.printed).expect(&end.printed);
    let sitting = &printed["run"][0];
    assert_eq!((&sitting["complete"], &sitting["nodes"]), (&true.into(), &2.into()), "{printed}");
    assert_eq!(sitting["problems"].as_array().map(Vec::len), Some(0), "{printed}");
    assert!(printed["dataset"].is_null() && !out.join("dataset").exists(), "none was asked for");

    let lives = truth::read(&out).unwrap();
    lives.iter().for_each(as_written);
    assert!(lives.iter().filter(|life| life.ending != Some(Ending::Alive)).count() >= LIVES, "{lives:#?}");
    let died: BTreeSet<&str> = lives.iter().filter_map(|life| life.cause.as_deref()).collect();
    assert!(died.len() >= 6, "deaths of {died:?} alone: {lives:#?}");
    assert!(lives.iter().any(|life| life.written.is_none()), "not one that only looks like it: {lives:#?}");
    assert!(lives.iter().any(|life| life.run > 0), "nothing was started again: {lives:#?}");
    told(&out, &lives);
}

/// That a life ended as its family is written to, or was taken down before.
fn as_written(life: &Life) {
    let ending = life.ending.expect("no life stays open");
    let death = match life.written.as_deref() {
        None => None,
        Some("memory_leak") => Some(Ending::Oom),
        Some("lock_up" | "cpu_starvation") => Some(Ending::Probe),
        Some(_) => Some(Ending::Exit),
    };
    match ending {
        Ending::Planned | Ending::Alive => {}
        Ending::Completed => assert!(life.script.iter().any(|line| line.starts_with("finish")), "{life:#?}"),
        _ => assert_eq!(Some(ending), death, "{life:#?}"),
    }
    assert_eq!(life.cause.is_some(), ending.failed(), "{life:#?}");
    if !ending.failed() {
        return;
    }
    assert_eq!(life.cause, life.written, "{life:#?}");
    let code = life.exit_code.expect("an exit code");
    match ending {
        Ending::Oom => assert_eq!(code, 137, "{life:#?}"),
        Ending::Exit => assert!(code != 0 && code != 137, "{life:#?}"),
        _ => {}
    }
    // These two come without a word.
    let sudden = matches!(life.written.as_deref(), Some("poison" | "bad_start"));
    let began = life.started_ms - SLACK..life.ended_ms.unwrap() + SLACK;
    assert!(sudden || life.onset_ms.is_some_and(|onset| began.contains(&onset)), "{life:#?}");
}

/// That the rules tell every death from the metrics as what it was, and none that was not.
fn told(out: &Path, lives: &[Life]) {
    let spec = tempfile::tempdir().unwrap();
    fs::write(spec.path().join("build.toml"), BUILD).unwrap();
    fs::write(spec.path().join("event_rules.toml"), EVENT_RULES).unwrap();
    let config = LakeBuildConfig::read(&spec.path().join("build.toml")).unwrap();
    let gap = config.spec(&Catalogue::standard()).unwrap().longest_gap;
    let lake = Lake::open(out.join("lake")).unwrap();
    let (_, last) = lake.times(EntityKind::Container).expect("samples");
    let rules = EventRules::from_toml(EVENT_RULES).unwrap();
    let events = events_by(&lake, EntityKind::Container, rules, gap).unwrap();
    // A death is told by the run after it, so that run stays, without its own end.
    let shown: Vec<Life> = lives
        .iter()
        .map(|life| {
            let early = life.ended_ms.is_some_and(|at| at <= last - SHOWN_AFTER);
            if early { life.clone() } else { Life { ending: None, ended_ms: None, cause: None, ..life.clone() } }
        })
        .collect();
    let early = compare("deaths that were shown", &shown, &events, TimeScale::OWN, WITHIN);
    assert!(early.causes.values().map(|row| row.deaths).sum::<usize>() >= 4, "{}", early.table());
    for (cause, row) in &early.causes {
        assert_eq!(row.right, row.deaths, "{cause}: {:#?}\n{}", early.examples, early.table());
    }
    let all = compare("all deaths", lives, &events, TimeScale::OWN, WITHIN);
    for (cause, row) in &all.events {
        assert_eq!(row.of_nothing, 0, "{cause}: {:#?}\n{}", all.examples, all.table());
    }
}
