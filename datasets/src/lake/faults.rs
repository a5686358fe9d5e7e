//! A disk that fails at every single step: what was acknowledged is there once, and the lake always opens.

use std::collections::BTreeMap;
use std::path::Path;

use features::{CanonicalSeries, Catalogue, Entity, EntityKind};

use super::disk::Disk;
use super::disk::faults::{Fault, Faults};
use super::{Lake, LakeOptions, LakeRow, LakeWriter, Scan};
use crate::error::Result;

const START: i64 = 1_795_000_000_000;
const ROUNDS: i64 = 6;

type Rows = BTreeMap<(String, i64), u64>;

fn series(number: usize) -> CanonicalSeries {
    CanonicalSeries {
        entity: Entity::try_new(EntityKind::Container, format!("ns/pod-{number}/app"), "uid").unwrap(),
        metric: Catalogue::standard().id("mem.working_set").unwrap(),
        part: String::new(),
    }
}

fn options() -> LakeOptions {
    LakeOptions { flush_rows: 100, max_series: 100 }
}

/// Stores rows until the disk refuses for good; `acknowledged` is what the writer said is safe, `offered` all it got.
fn work(disk: Disk, dir: &Path, acknowledged: &mut Rows, offered: &mut Rows) -> Result<()> {
    let writer = LakeWriter::open_on(disk, dir, options())?;
    for round in 0..ROUNDS {
        let mut rows = Vec::new();
        let mut named = Rows::new();
        for number in 0..(2 + usize::try_from(round).unwrap_or(0)) {
            let id = writer.register(&series(number))?;
            let (time, value) = (START + round * 60_000, f64::from(u32::try_from(round).unwrap_or(0)) + 0.5);
            rows.push(LakeRow { series: id, time, value });
            named.insert((format!("ns/pod-{number}/app"), time), value.to_bits());
        }
        let ticket = writer.append(START + round * 60_000 + 5, &rows)?;
        offered.extend(named.clone());
        writer.wait(ticket)?;
        acknowledged.extend(named);
        if round % 2 == 1 {
            writer.flush()?;
        }
    }
    Ok(())
}

fn content(dir: &Path) -> Rows {
    let lake = Lake::open(dir).unwrap();
    let mut rows = Rows::new();
    lake.scan(&Scan::all(EntityKind::Container), &mut |run| {
        let key = &lake.tables().entities()[run.entity as usize].key;
        for (&time, value) in run.times.iter().zip(run.values) {
            assert!(rows.insert((key.clone(), time), value.to_bits()).is_none(), "{key} at {time} is there twice");
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(lake.status().unwrap().rows, rows.len() as u64, "files hold rows twice");
    rows
}

/// Steps of the whole work when nothing fails.
fn steps() -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::new(Fault::DiesAt(u64::MAX));
    work(Disk::with(&faults), &folder.path().join("lake"), &mut Rows::new(), &mut Rows::new()).unwrap();
    faults.steps()
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_that_was_acknowledged() {
    let all = steps();
    assert!(all > 40, "{all} steps are too few to be the whole work");
    let mut died = 0;
    for at in 0..all {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("lake");
        let faults = Faults::new(Fault::DiesAt(at));
        let (mut acknowledged, mut offered) = (Rows::new(), Rows::new());
        died += u64::from(work(Disk::with(&faults), &dir, &mut acknowledged, &mut offered).is_err());
        faults.cut_power();

        let writer = LakeWriter::open(&dir, options()).unwrap_or_else(|error| panic!("after step {at}: {error}"));
        writer.flush().unwrap();
        drop(writer);
        let found = content(&dir);
        for (key, value) in &acknowledged {
            assert_eq!(found.get(key), Some(value), "{key:?} was acknowledged before step {at}");
        }
        for (key, value) in &found {
            assert_eq!(offered.get(key), Some(value), "{key:?} was never sent, seen after step {at}");
        }
        Lake::open(&dir).unwrap().verify(&crate::Silent).unwrap();
    }
    assert!(died > all / 2, "only {died} of {all} cuts stopped the work");
}

#[test]
fn a_full_disk_refuses_by_name_and_goes_on_when_there_is_room() {
    let all = steps();
    let mut refused = 0;
    for from in 0..all {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("lake");
        let faults = Faults::new(Fault::FullFrom(from, from + 3));
        let (mut acknowledged, mut offered) = (Rows::new(), Rows::new());
        // A sender tries again after a refusal, as Prometheus does, and so repeats what it sent.
        let mut tries = 0;
        while let Err(error) = work(Disk::with(&faults), &dir, &mut acknowledged, &mut offered) {
            assert!(error.to_string().contains("full"), "a full disk at step {from} was told as: {error}");
            refused += 1;
            tries += 1;
            assert!(tries < 8, "step {from}: still refusing with room on the disk: {error}");
        }
        let writer = LakeWriter::open(&dir, options()).unwrap();
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(content(&dir), acknowledged, "after a disk full at step {from}");
    }
    assert!(refused > all / 2, "only {refused} of {all} full disks were refused");
}
