//! A lake on a slower clock: the same samples at other times, and moments among the values moved with them.

use std::collections::BTreeMap;
use std::path::Path;

use datasets::lake::{LakeRow, Scan, stretch};
use datasets::lake_source::events_of;
use datasets::{Lake, LakeOptions, LakeWriter, Silent};
use features::sample::STALE_NAN_BITS;
use features::{CanonicalSeries, Catalogue, Entity, EntityKind};

const DAY: i64 = 86_400_000;
/// A little after ten in the morning.
const START: i64 = 20_775 * DAY + 36_500_000;
const FACTOR: i64 = 60;

/// Where a time of the lake comes to lie.
fn mapped(time: i64) -> i64 {
    mapped_by(FACTOR, time)
}

fn mapped_by(factor: i64, time: i64) -> i64 {
    let origin = 20_775 * DAY;
    origin + (time - origin) * factor
}

#[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
fn seconds(time: i64) -> f64 {
    time as f64 / 1000.0
}

fn stale() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

struct Lab {
    writer: LakeWriter,
    catalogue: Catalogue,
}

impl Lab {
    fn new(dir: &Path) -> Self {
        Self { writer: LakeWriter::open(dir, LakeOptions::default()).unwrap(), catalogue: Catalogue::standard() }
    }

    /// Stores samples of one series, each known 200 milliseconds after its time.
    fn put(&self, kind: EntityKind, key: &str, metric: &str, part: &str, samples: &[(i64, f64)]) {
        let series = CanonicalSeries {
            entity: Entity::try_new(kind, key, "uid").unwrap(),
            metric: self.catalogue.id(metric).unwrap(),
            part: part.to_owned(),
        };
        let series = self.writer.register(&series).unwrap();
        for &(time, value) in samples {
            self.writer.append(time + 200, &[LakeRow { series, time, value }]).unwrap();
        }
    }
}

/// Entity, metric and part.
type Name = (String, String, String);

/// Time, bits of the value and moment known of every row of a kind.
fn content(dir: &Path, kind: EntityKind) -> BTreeMap<Name, Vec<(i64, u64, i64)>> {
    let lake = Lake::open(dir).unwrap();
    lake.verify(&Silent).unwrap();
    let catalogue = Catalogue::standard();
    let mut content = BTreeMap::new();
    lake.scan(&Scan::all(kind), &mut |run| {
        let key = lake.tables().entities()[usize::try_from(run.entity).unwrap()].key.clone();
        let part = lake.tables().series()[run.series as usize].part.to_string();
        let rows = run.times.iter().zip(run.values).zip(run.known_at);
        let rows = rows.map(|((&time, value), &known_at)| (time, value.to_bits(), known_at)).collect();
        content.insert((key, catalogue.name(run.metric).to_owned(), part), rows);
        Ok(())
    })
    .unwrap();
    content
}

fn name(key: &str, metric: &str, part: &str) -> Name {
    (key.to_owned(), metric.to_owned(), part.to_owned())
}

#[test]
fn samples_and_the_moments_they_carry_lie_so_many_times_as_far_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("lab"), folder.path().join("cluster"));
    let lab = Lab::new(&from);
    let times: Vec<i64> = (0..120).map(|second| START + 1000 * second).collect();
    let each = |value: &dyn Fn(i64) -> f64| times.iter().map(|&time| (time, value(time))).collect::<Vec<_>>();
    let (container, pod) = ("leak/w0-6f7d8c9b5-abcde/app", "leak/w0-6f7d8c9b5-abcde");
    let begun = START - 2750;
    lab.put(EntityKind::Container, container, "mem.working_set", "", &each(&|time| 1e8 + seconds(time - START)));
    lab.put(EntityKind::Container, container, "cpu.time", "", &each(&|time| seconds(time - begun) / 4.0));
    lab.put(EntityKind::Container, container, "start.time", "", &each(&|_| seconds(begun)));
    lab.put(EntityKind::Container, container, "fs.used", "device=loop0", &each(&|_| 5e6));
    lab.put(EntityKind::Pod, pod, "created.time", "", &each(&|_| seconds(begun - 500)));
    // A machine up for a month: before the moment that stays where it is.
    lab.put(EntityKind::Node, "lab-0", "boot.time", "", &each(&|_| seconds(START - 30 * DAY)));
    lab.writer.close().unwrap();

    let report = stretch(&from, &to, FACTOR).unwrap();
    assert_eq!((report.origin, report.series, report.rows), (20_775 * DAY, 6, 720));
    assert_eq!(report.times, (mapped(START), mapped(START + 119_000)));
    for kind in [EntityKind::Container, EntityKind::Pod, EntityKind::Node] {
        let (before, after) = (content(&from, kind), content(&to, kind));
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        for (name, rows) in before {
            let is_time = name.1.ends_with(".time") && name.1 != "cpu.time";
            let expected: Vec<_> = rows.iter().map(|row| (mapped(row.0), mapped(row.2))).collect();
            assert_eq!(after[&name].iter().map(|row| (row.0, row.2)).collect::<Vec<_>>(), expected, "{name:?}");
            for (row, stretched) in rows.iter().zip(&after[&name]) {
                if is_time {
                    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
                    let milliseconds = |bits: u64| (f64::from_bits(bits) * 1000.0).round() as i64;
                    assert_eq!(milliseconds(stretched.1), mapped(milliseconds(row.1)), "{name:?}");
                } else {
                    assert_eq!(stretched.1, row.1, "{name:?}");
                }
            }
        }
    }
    let (old, new) = (Lake::open(&from).unwrap(), Lake::open(&to).unwrap());
    assert_eq!(old.tables().series(), new.tables().series(), "series keep their ids");
    let days = new.status().unwrap().days;
    assert!(days["container"].len() == 1 && !days["container"].contains_key("2026-11-18"), "{days:?}");
}

#[test]
fn marks_of_the_end_keep_their_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("lab"), folder.path().join("cluster"));
    let lab = Lab::new(&from);
    for metric in ["mem.rss", "start.time"] {
        lab.put(EntityKind::Container, "ns/a/app", metric, "", &[(START, seconds(START)), (START + 1000, stale())]);
    }
    lab.writer.close().unwrap();
    stretch(&from, &to, FACTOR).unwrap();
    let content = content(&to, EntityKind::Container);
    for metric in ["mem.rss", "start.time"] {
        let rows = &content[&name("ns/a/app", metric, "")];
        assert_eq!((rows.len(), rows[1].0, rows[1].1), (2, mapped(START + 1000), STALE_NAN_BITS), "{metric}");
    }
}

#[test]
fn the_shipped_rules_tell_in_the_copy_what_happened_in_the_lab() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("lab"), folder.path().join("cluster"));
    let lab = Lab::new(&from);
    let key = "stuck/w0-6f7d8c9b5-abcde/app";
    let put = |metric: &str, part: &str, samples: &[(i64, f64)]| {
        lab.put(EntityKind::Container, key, metric, part, samples);
    };
    let second = |number: i64| START + 1000 * number;
    // It ends between two scrapes, after probes failed three times two seconds apart; another end, twenty seconds after the
    // last of them, is a crash. Ten times as slow these are scrapes and probes as a cluster has them.
    let ends = [second(60) + 300, second(80) + 400];
    let counted = |time: i64| ends.iter().filter(|&&end| end < time).count();
    let times = (0..120).map(second);
    let counts: Vec<(i64, f64)> =
        times.clone().map(|time| (time, f64::from(u8::try_from(counted(time)).unwrap()))).collect();
    put("restart.count", "", &counts);
    let over: Vec<i64> = times.filter(|&time| counted(time) > 0).collect();
    let error = 1.0;
    put("terminated.reason", "", &over.iter().map(|&time| (time, error)).collect::<Vec<_>>());
    let ended: Vec<(i64, f64)> = over.iter().map(|&time| (time, seconds(ends[counted(time) - 1]))).collect();
    put("terminated.time", "", &ended);
    let failed: Vec<(i64, f64)> = (54..120)
        .map(|number| (second(number), f64::from(u8::try_from(((number - 52) / 2).min(3)).unwrap())))
        .collect();
    put("probe.failures", "probe_type=Liveness", &failed);
    lab.writer.close().unwrap();

    stretch(&from, &to, 10).unwrap();
    let events = events_of(&Lake::open(&to).unwrap(), EntityKind::Container).unwrap();
    let told: Vec<(&str, i64, i64)> =
        events.iter().map(|event| (event.cause.as_str(), event.t_low, event.t_high)).collect();
    let [killed, crashed] = ends.map(|end| mapped_by(10, end));
    assert_eq!(told, [("probe_kill", killed, killed), ("container_crash", crashed, crashed)]);
}

#[test]
fn what_cannot_be_stretched_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("lab"), folder.path().join("cluster"));
    let left = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let refused = |factor: i64| stretch(&from, &to, factor).unwrap_err().to_string();
    assert!(refused(FACTOR).contains("not found"), "{}", refused(FACTOR));
    let lab = Lab::new(&from);
    lab.put(EntityKind::Container, "ns/a/app", "mem.rss", "", &[(START, 1.0)]);
    // What waits in the log is not there yet.
    assert!(refused(FACTOR).contains("no samples"), "{}", refused(FACTOR));
    lab.writer.close().unwrap();
    assert!(refused(0).contains("stretched by 0"), "{}", refused(0));
    assert!(refused(10_000_000).contains("beyond the year 9999"), "{}", refused(10_000_000));
    assert!(refused(i64::MAX).contains("beyond the year 9999"), "{}", refused(i64::MAX));
    assert_eq!(left(), ["lab"]);

    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("mine"), "kept").unwrap();
    let message = refused(FACTOR);
    assert!(message.contains("cluster: already there and a copy replaces nothing"), "{message}");
    assert_eq!(std::fs::read_to_string(to.join("mine")).unwrap(), "kept");
    assert_eq!(left(), ["cluster", "lab"]);
}
