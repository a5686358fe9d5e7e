//! The lake: what is acknowledged is there once, whatever happens in between.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use datasets::lake::{CompactOptions, LakeRow, Scan, compact, prune};
use datasets::{Lake, LakeOptions, LakeWriter, Silent};
use features::{CanonicalSeries, Catalogue, Entity, EntityKind};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const START: i64 = 1_795_000_000_000;
const DAY: i64 = 86_400_000;

fn series(number: usize) -> CanonicalSeries {
    let catalogue = Catalogue::standard();
    let metric = ["mem.working_set", "restart.count", "cpu.time"][number % 3];
    CanonicalSeries {
        entity: Entity::try_new(EntityKind::Container, format!("ns/pod-{}/app", number / 3), "uid").unwrap(),
        metric: catalogue.id(metric).unwrap(),
        part: String::new(),
    }
}

fn open(dir: &Path) -> LakeWriter {
    LakeWriter::open(dir, LakeOptions { flush_rows: 10_000, max_series: 1000 }).unwrap()
}

fn put(writer: &LakeWriter, known_at: i64, rows: &[(usize, i64, f64)]) {
    let rows: Vec<LakeRow> = rows
        .iter()
        .map(|&(number, time, value)| LakeRow { series: writer.register(&series(number)).unwrap(), time, value })
        .collect();
    let ticket = writer.append(known_at, &rows).unwrap();
    writer.wait(ticket).unwrap();
}

type Content = BTreeMap<(String, String), Vec<(i64, u64)>>;

/// Everything a lake holds, by entity key and metric.
fn content(dir: &Path) -> Content {
    let lake = Lake::open(dir).unwrap();
    let catalogue = Catalogue::standard();
    let mut content = Content::new();
    lake.scan(&Scan::all(EntityKind::Container), &mut |run| {
        let key = lake.tables().entities()[run.entity as usize].key.clone();
        let rows = content.entry((key, catalogue.name(run.metric).to_owned())).or_default();
        rows.extend(run.times.iter().zip(run.values).map(|(&time, value)| (time, value.to_bits())));
        Ok(())
    })
    .unwrap();
    content
}

/// Rows as they lie in the files, duplicates included.
fn stored_rows(dir: &Path) -> u64 {
    Lake::open(dir).unwrap().status().unwrap().rows
}

#[test]
fn what_was_written_is_read_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    put(&writer, START + 5, &[(0, START, 1.0), (1, START, 2.0), (3, START, 3.0)]);
    put(&writer, START + 9, &[(0, START + 7, 1.5), (0, START, 1.0)]);
    writer.flush().unwrap();
    // Once more what is stored, an older one in between, and another day; of two values known at once the larger stays.
    put(&writer, START + 9, &[(0, START, 1.0), (0, START + 7, 9.9), (0, START + 3, 1.2), (0, START + DAY, 4.0)]);
    writer.close().unwrap();

    let lake = Lake::open(dir.path()).unwrap();
    assert_eq!(lake.verify(&Silent).unwrap(), lake.snapshot().files.len() as u64);
    let key = |pod: usize, metric: &str| (format!("ns/pod-{pod}/app"), metric.to_owned());
    let content = content(dir.path());
    let values = |pod, metric| -> Vec<(i64, f64)> {
        content[&key(pod, metric)].iter().map(|&(time, bits)| (time - START, f64::from_bits(bits))).collect()
    };
    assert_eq!(values(0, "mem.working_set"), [(0, 1.0), (3, 1.2), (7, 9.9), (DAY, 4.0)]);
    assert_eq!(values(0, "restart.count"), [(0, 2.0)]);
    assert_eq!(values(1, "mem.working_set"), [(0, 3.0)]);
    assert_eq!(stored_rows(dir.path()), 7, "nothing is stored twice, but a loser stays until the next compaction");
    assert_eq!((lake.snapshot().duplicates, lake.snapshot().conflicts), (2, 1));
}

#[test]
fn of_two_values_for_one_time_the_earlier_known_stays() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    put(&writer, START + 20, &[(0, START, 5.0)]);
    put(&writer, START + 10, &[(0, START, 4.0)]);
    put(&writer, START + 10, &[(0, START, 4.5)]);
    writer.close().unwrap();
    assert_eq!(content(dir.path()).into_values().next().unwrap(), [(START, 4.5_f64.to_bits())]);
}

#[test]
fn a_stale_mark_keeps_its_bits() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let stale = f64::from_bits(features::sample::STALE_NAN_BITS);
    put(&writer, START, &[(0, START, stale)]);
    writer.close().unwrap();
    assert_eq!(content(dir.path()).into_values().next().unwrap(), [(START, features::sample::STALE_NAN_BITS)]);
}

#[test]
fn series_past_the_limit_are_refused_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let writer = LakeWriter::open(dir.path(), LakeOptions { flush_rows: 10_000, max_series: 2 }).unwrap();
    let (first, second) = (writer.register(&series(0)).unwrap(), writer.register(&series(1)).unwrap());
    let message = writer.register(&series(2)).unwrap_err().to_string();
    assert!(message.contains("limit of 2") && message.contains("--max-series"), "{message}");
    assert_eq!(writer.register(&series(0)).unwrap(), first);
    let row = |series| LakeRow { series, time: START, value: 1.0 };
    writer.wait(writer.append(START, &[row(first), row(second)]).unwrap()).unwrap();
    writer.close().unwrap();
    assert_eq!(stored_rows(dir.path()), 2);
}

#[test]
fn rows_that_wait_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let writer = LakeWriter::open(dir.path(), LakeOptions { flush_rows: 100, max_series: 10 }).unwrap();
    let id = writer.register(&series(0)).unwrap();
    let rows: Vec<LakeRow> = (0..100).map(|at| LakeRow { series: id, time: START + at, value: 0.0 }).collect();
    writer.append(START, &rows).unwrap();
    writer.append(START, &rows).unwrap();
    let message = writer.append(START, &rows).unwrap_err().to_string();
    assert!(message.contains("200 rows are waiting"), "{message}");
    writer.flush().unwrap();
    writer.append(START, &rows).unwrap();
}

#[test]
fn a_second_writer_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    let message = LakeWriter::open(dir.path(), LakeOptions::default()).unwrap_err().to_string();
    assert!(message.contains("writer.lock") && message.contains("another process"), "{message}");
}

#[test]
fn another_format_is_refused_and_the_command_named() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let path = dir.path().join("lake.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 9");
    std::fs::write(&path, text).unwrap();
    let message = Lake::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("forewarn lake migrate") && message.contains('9'), "{message}");
}

#[test]
fn a_torn_record_ends_the_newest_segment_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    put(&writer, START, &[(0, START, 1.0)]);
    put(&writer, START, &[(0, START + 1, 2.0)]);
    drop(writer);
    let segment = dir.path().join("wal").join("00000000000000000001.log");
    let bytes = std::fs::read(&segment).unwrap();
    for cut in 1..20 {
        std::fs::write(&segment, &bytes[..bytes.len() - cut]).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for (folder, name) in [("", "lake.json"), ("wal", "00000000000000000001.log")] {
            std::fs::create_dir_all(copy.path().join(folder)).unwrap();
            std::fs::copy(dir.path().join(folder).join(name), copy.path().join(folder).join(name)).unwrap();
        }
        for folder in ["commits", "samples", "series", "metrics"] {
            std::fs::create_dir_all(copy.path().join(folder)).unwrap();
        }
        open(copy.path()).close().unwrap();
        assert_eq!(stored_rows(copy.path()), 1, "{cut} bytes cut off");
    }
    // A bad byte before a later segment is no torn end.
    let mut bad = bytes.clone();
    bad[12] ^= 1;
    std::fs::write(&segment, &bad).unwrap();
    std::fs::write(dir.path().join("wal").join("00000000000000000002.log"), b"").unwrap();
    let message = LakeWriter::open(dir.path(), LakeOptions::default()).unwrap_err().to_string();
    assert!(message.contains("00000000000000000001.log"), "{message}");
}

#[test]
fn compaction_and_pruning_change_files_and_not_content() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    for minute in 0..600_i64 {
        let time = START + minute * 60_000;
        let rows: Vec<_> = (0..30).map(|n| (n, time, (minute * 31 + n as i64) as f64)).collect();
        put(&writer, time + 1000, &rows);
        if minute % 97 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    let before = content(dir.path());
    let old = Lake::open(dir.path()).unwrap();
    let files = old.snapshot().files.len();

    let now = START + 10 * DAY;
    let options = CompactOptions { most_rows: 2000, ..CompactOptions::at(now) };
    let report = compact(dir.path(), &options, &Silent).unwrap();
    assert!(report.merged.0 > report.merged.1 && report.tiles > 0, "{report:?}");
    assert!(Lake::open(dir.path()).unwrap().snapshot().files.len() < files);
    assert_eq!(content(dir.path()), before);
    // Who opened the lake before still reads all of it.
    let mut rows = 0;
    old.scan(&Scan::all(EntityKind::Container), &mut |run| {
        rows += run.times.len();
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, 600 * 30);
    let after_grace = CompactOptions { ..CompactOptions::at(now + DAY) };
    assert_eq!(compact(dir.path(), &after_grace, &Silent).unwrap().deleted, 0, "somebody still reads");
    drop(old);
    assert_eq!(compact(dir.path(), &options, &Silent).unwrap().merged, (0, 0), "a second time there is nothing to do");

    // The receiver goes on beside it.
    put(&writer, START + 10 * DAY, &[(0, START + 10 * DAY, 7.0)]);
    writer.flush().unwrap();
    let needed = features::event::metrics(&Catalogue::standard());
    let report = prune(dir.path(), DAY, &needed, false, &options, &Silent).unwrap();
    assert_eq!((report.without_tiles.len(), report.rows.1), (0, 600 * 10), "{report:?}");
    let after = content(dir.path());
    for (key, rows) in &before {
        match key.1.as_str() {
            "restart.count" => assert_eq!(&after[key], rows),
            _ => assert_eq!(
                after.get(key).map_or(0, Vec::len),
                usize::from(key.0 == "ns/pod-0/app" && key.1 == "mem.working_set")
            ),
        }
    }
    let later = CompactOptions::at(now + DAY);
    assert!(compact(dir.path(), &later, &Silent).unwrap().deleted > 0);
    assert_eq!(content(dir.path()), after);
    Lake::open(dir.path()).unwrap().verify(&Silent).unwrap();
}

#[test]
fn what_is_imported_into_a_day_that_was_compacted_gets_its_tiles_too() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let fill = |number: usize, minutes: std::ops::Range<i64>| {
        let id = writer.register(&series(number)).unwrap();
        let rows: Vec<_> = minutes
            .map(|minute| START + 200_000 + minute * 60_000)
            .map(|time| (LakeRow { series: id, time, value: (time % 977) as f64 }, time + 60_000))
            .collect();
        writer.import(&format!("fill-{number}-{}", rows[0].0.time), "all", &rows).unwrap();
    };
    let tiles = || -> u64 {
        Lake::open(dir.path()).unwrap().snapshot().table(datasets::lake::Table::Tiles).map(|file| file.rows).sum()
    };
    let options = CompactOptions::at(START + 10 * DAY);
    let needed = features::event::metrics(&Catalogue::standard());
    fill(0, 0..600);
    assert_eq!(compact(dir.path(), &options, &Silent).unwrap().tiles, 120);
    // Another source of the same days, after their tiles were written.
    fill(2, 0..600);
    let report = prune(dir.path(), DAY, &needed, false, &options, &Silent).unwrap();
    assert_eq!((report.days, report.without_tiles.len()), (0, 1), "rows no tile knows are not dropped");
    compact(dir.path(), &options, &Silent).unwrap();
    assert_eq!(tiles(), 240);
    assert_eq!(compact(dir.path(), &options, &Silent).unwrap().merged, (0, 0), "it has come to rest");
    let report = prune(dir.path(), DAY, &needed, false, &options, &Silent).unwrap();
    assert_eq!((report.days, report.rows.1), (1, 0), "{report:?}");
    // And another one after the raw samples are gone.
    fill(5, 0..300);
    fill(0, 600..610);
    compact(dir.path(), &options, &Silent).unwrap();
    assert_eq!(tiles(), 240 + 60 + 2);
    let report = prune(dir.path(), DAY, &needed, false, &options, &Silent).unwrap();
    assert_eq!((report.days, report.without_tiles.len()), (1, 0), "{report:?}");
    assert_eq!(tiles(), 240 + 60 + 2);
    Lake::open(dir.path()).unwrap().verify(&Silent).unwrap();
}

#[test]
fn a_large_day_is_compacted_once() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    for minute in 0..200_i64 {
        let time = START + minute * 60_000;
        let rows: Vec<_> = (0..30).map(|n| (n, time, minute as f64)).collect();
        put(&writer, time + 1000, &rows);
        if minute % 50 == 49 {
            writer.flush().unwrap();
        }
    }
    let options = CompactOptions { most_file_rows: 700, most_rows: 2000, ..CompactOptions::at(START + 10 * DAY) };
    let report = compact(dir.path(), &options, &Silent).unwrap();
    assert!(report.merged.1 > 3, "several files: {report:?}");
    let again = compact(dir.path(), &options, &Silent).unwrap();
    assert_eq!((again.merged, again.rows), ((0, 0), 0), "a second time there is nothing to do");
    // A late row among thousands waits for more, or for two days.
    put(&writer, START + 300 * 60_000, &[(0, START + 250 * 60_000, 1.0)]);
    writer.flush().unwrap();
    let soon = CompactOptions { now: START + 2 * DAY, ..options.clone() };
    assert_eq!(compact(dir.path(), &soon, &Silent).unwrap().rows, 0);
    assert!(compact(dir.path(), &options, &Silent).unwrap().rows > 0);
    Lake::open(dir.path()).unwrap().verify(&Silent).unwrap();
}

#[test]
fn an_import_stores_rows_and_progress_together_and_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    put(&writer, START, &[(0, START, 1.0)]);
    let id = |number| writer.register(&series(number)).unwrap();
    let rows: Vec<_> = (0..50)
        .map(|at| (LakeRow { series: id(at % 5), time: START - at as i64, value: 2.0 }, START + 60_000))
        .collect();
    assert_eq!(writer.import_progress("history").unwrap(), None);
    writer.import("history", "half", &rows).unwrap();
    writer.import("history", "all", &rows).unwrap();
    assert_eq!(writer.import_progress("history").unwrap().as_deref(), Some("all"));
    drop(writer);
    // The row of the log says 1.0 for a time that the import has stored as 2.0, and was known a minute earlier: it wins,
    // beside the loser until the next compaction.
    let writer = open(dir.path());
    assert_eq!(writer.stats().replayed, 1);
    writer.close().unwrap();
    assert_eq!(stored_rows(dir.path()), 51);
    let lake = Lake::open(dir.path()).unwrap();
    assert_eq!((lake.snapshot().duplicates, lake.snapshot().conflicts), (50, 1));
    let first = &content(dir.path())[&("ns/pod-0/app".to_owned(), "mem.working_set".to_owned())];
    assert!(first.contains(&(START, 1.0_f64.to_bits())) && !first.contains(&(START, 2.0_f64.to_bits())), "{first:?}");
    lake.verify(&Silent).unwrap();
}

#[test]
fn ranges_cover_every_entity_once() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    for number in 0..300 {
        put(&writer, START, &[(number, START, 1.0), (number, START + 1, 1.0)]);
    }
    writer.close().unwrap();
    let lake = Lake::open(dir.path()).unwrap();
    for most in [1, 7, 50, 10_000] {
        let ranges = lake.ranges(EntityKind::Container, most).unwrap();
        assert_eq!((ranges[0].0, ranges.last().unwrap().1), (0, 99), "{most}");
        assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
    }
    assert_eq!(lake.ranges(EntityKind::Container, 10_000).unwrap().len(), 1);
    assert!(lake.ranges(EntityKind::Container, 60).unwrap().len() >= 10);
}

/// Not a test of its own: the process that the next test kills. It says each batch once it is acknowledged.
#[test]
#[ignore = "is the child process of writers_killed_at_random_lose_and_double_nothing"]
fn writer_to_be_killed() {
    let dir = std::env::var("FOREWARN_KILL_LAKE").unwrap();
    let from: i64 = std::env::var("FOREWARN_KILL_FROM").unwrap().parse().unwrap();
    let writer = open(Path::new(&dir));
    let mut out = std::io::stdout().lock();
    for batch in from.. {
        let rows: Vec<_> = (0..40).map(|n| (n, START + batch * 1000, (batch * 40 + n as i64) as f64)).collect();
        put(&writer, START + batch * 1000, &rows);
        writeln!(out, "batch {batch}").unwrap();
        out.flush().unwrap();
        if batch % 7 == 0 {
            writer.flush().unwrap();
        }
        if batch % 31 == 0 {
            let options = CompactOptions { open_days: true, ..CompactOptions::at(START) };
            compact(Path::new(&dir), &options, &Silent).unwrap();
        }
    }
}

#[test]
fn writers_killed_at_random_lose_and_double_nothing() {
    let kills: usize = std::env::var("FOREWARN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let dir = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut acknowledged = -1_i64;
    for _ in 0..kills {
        // The sender repeats its last batch: it cannot know whether that was stored.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "writer_to_be_killed", "--nocapture"])
            .env("FOREWARN_KILL_LAKE", dir.path())
            .env("FOREWARN_KILL_FROM", acknowledged.max(0).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..random.random_range(1..60) {
            // A child that dies on its own would end the lines and fail the comparison below.
            let Some(Ok(line)) = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("batch "))) else {
                break;
            };
            acknowledged = line.rsplit("batch ").next().unwrap().trim().parse().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_micros(random.random_range(0..20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between our last look and its death counts as well.
        for line in lines.map_while(Result::ok).filter(|line| line.contains("batch ")) {
            acknowledged = line.rsplit("batch ").next().unwrap().trim().parse().unwrap();
        }
    }
    assert!(acknowledged > 10, "only {acknowledged} batches came through");
    open(dir.path()).close().unwrap();
    let lake = Lake::open(dir.path()).unwrap();
    lake.verify(&Silent).unwrap();
    let content = content(dir.path());
    let mut rows = 0;
    for number in 0..40 {
        let (key, metric) =
            (format!("ns/pod-{}/app", number / 3), ["mem.working_set", "restart.count", "cpu.time"][number % 3]);
        let got = &content[&(key, metric.to_owned())];
        rows += got.len() as u64;
        for batch in 0..=acknowledged {
            let value = (batch * 40 + number as i64) as f64;
            assert_eq!(got.get(batch as usize), Some(&(START + batch * 1000, value.to_bits())), "batch {batch}");
        }
    }
    assert_eq!(stored_rows(dir.path()), rows, "nothing is stored twice");
}
