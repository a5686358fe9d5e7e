//! A lab that is stopped, one that is killed, and one that cannot kill.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use datasets::Lake;
use features::EntityKind;
use lab::Record;
use lab::clean::runtime_state;
use lab::host::Host;
use lab::truth::{self, Ending, Life};

use super::sitting::{Lab, forewarn, lab_run};
use super::traces::{KINDS, nothing_is_left, traces};

fn ended(lives: &[Life]) -> usize {
    lives.iter().filter(|life| life.ending.is_some()).count()
}

pub(crate) fn stopped() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut lab = Lab::start(lab_run(&out, "quick.toml", 1_000, 6));
    lab.until(&out, |lives| ended(lives) >= 2);
    lab.ask_to_stop();
    let end = lab.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.printed.contains("the same command goes on from here"), "{end:?}");
    nothing_is_left(&out);
    let lives = truth::read(&out).unwrap();
    assert_eq!(ended(&lives), lives.len(), "{lives:#?}");
    // Whoever lived then was cut off, and neither died nor was spared.
    let cut: Vec<&Life> = lives.iter().filter(|life| life.ending == Some(Ending::Lost)).collect();
    assert!(!cut.is_empty() && cut.iter().all(|life| life.cause.is_none()), "{lives:#?}");
    let record = Record::read(&out).unwrap().unwrap();
    assert_eq!(record.sittings.iter().map(|sitting| sitting.complete).collect::<Vec<_>>(), [false]);
    assert!(Lake::open(out.join("lake")).unwrap().times(EntityKind::Container).is_some());
}

pub(crate) fn killed() {
    const LIVES: usize = 14;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut first = Lab::start(lab_run(&out, "quick.toml", LIVES, 6));
    first.until(&out, |lives| ended(lives) >= 3);
    first.kill();
    let killed_at = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let before = truth::read(&out).unwrap();
    assert!(ended(&before) < before.len(), "nobody lived on: {before:#?}");
    let there = traces(&out);
    for kind in KINDS {
        assert!(there.iter().any(|trace| trace.starts_with(kind)), "no {kind} is left: {there:#?}");
    }

    let end = Lab::start(lab_run(&out, "quick.toml", LIVES, 6)).end();
    assert_eq!(end.code, Some(0), "{end:?}");
    let told = end.said.lines().find(|line| line.contains("taken away what an earlier run left: ")).expect(&end.said);
    assert!(!told.contains(" 0 "), "containers, mounts, cgroups and folders were left: {told}");
    nothing_is_left(&out);

    let after = truth::read(&out).unwrap();
    for life in &before {
        let now = after.iter().find(|other| (&other.uid, other.run) == (&life.uid, life.run)).expect("it stays");
        if life.ending.is_some() {
            assert_eq!(now, life, "what had ended stays as it was");
        } else {
            assert_eq!((now.ending, &now.cause), (Some(Ending::Lost), &None), "it was cut off: {now:?}");
        }
    }
    // No start is written down twice, and no pod is drawn again.
    let names: BTreeSet<(&str, u32)> = after.iter().map(|life| (life.uid.as_str(), life.run)).collect();
    assert_eq!(names.len(), after.len(), "{after:#?}");
    let drawn: BTreeSet<u64> = before.iter().map(|life| life.index).collect();
    assert!(after[before.len()..].iter().all(|life| !drawn.contains(&life.index)), "{after:#?}");
    assert!(after.iter().filter(|life| !matches!(life.ending, None | Some(Ending::Lost))).count() >= LIVES);
    assert!(after[before.len()..].iter().all(|life| life.ending.is_some_and(|ending| ending != Ending::Lost)));
    let record = Record::read(&out).unwrap().unwrap();
    assert!(record.sittings.last().is_some_and(|sitting| sitting.complete), "{:?}", record.sittings);

    let lake = out.join("lake");
    let (from, last) = Lake::open(&lake).unwrap().times(EntityKind::Container).expect("samples");
    assert!(from < killed_at && killed_at < last, "{from}, {killed_at}, {last}: both sittings are in the lake");
    let verified = Lab::start(forewarn(&["lake", "verify", lake.to_str().unwrap()])).end();
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

pub(crate) fn will_not_die() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // A runtime that says it killed and does not; all else it does.
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let runc = Host::check(folder.path(), 1).unwrap().runc;
    // `--root FOLDER` comes first.
    let text = format!("#!/bin/sh\n[ \"$3\" = kill ] && exit 0\nexec '{}' \"$@\"\n", runc.display());
    fs::write(programs.join("runc"), text).unwrap();
    fs::set_permissions(programs.join("runc"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path))).unwrap();
    let mut command = lab_run(&out, "stubborn.toml", 1, 1);
    command.env("PATH", path);

    let mut lab = Lab::start(command);
    let lives = lab.until(&out, |lives| ended(lives) >= 1);
    let life = &lives[0];
    // Nobody knows what it would have died of, and it counts as no death.
    assert_eq!((life.ending, life.exit_code, &life.cause), (Some(Ending::Lost), None, &None), "{life:?}");
    // Locked after 4 seconds, missed after one more, asked for 1.5 and tried for 20.
    let lasted = life.ended_ms.unwrap() - life.started_ms;
    assert!((24_000..60_000).contains(&lasted), "gone after {lasted} ms: something else killed it");
    let state = runtime_state().join(format!("forewarn-lab-{}-{}", life.uid, life.run));
    assert!(!state.exists(), "the runtime still knows it: {}", state.display());
    // The lab goes on with the next pod, which still hears when it is asked.
    lab.ask_to_stop();
    let end = lab.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    nothing_is_left(&out);
}
