//! What the readers of public data refuse, and in which words. Every table here is made up.

use std::fs;
use std::io::Write;
use std::path::Path;

use datasets::benchmark::alibaba_pods::AlibabaPodsConfig;
use datasets::benchmark::cmapss::CmapssConfig;
use datasets::benchmark::prevent::PreventConfig;
use datasets::benchmark::{AlibabaPods, Cmapss, Prevent};
use datasets::{Dataset, DatasetError, Silent, build};

const POD_COLUMNS: &str =
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time";

fn cmapss(folder: &Path) -> Result<Cmapss, DatasetError> {
    Cmapss::open(CmapssConfig { from: folder.to_owned(), subset: 1, cut_every: 1 })
}

fn pods(folder: &Path, lines: &[&str]) -> Result<AlibabaPods, DatasetError> {
    fs::write(folder.join("pods.csv"), format!("{POD_COLUMNS}\n{}\n", lines.join("\n"))).unwrap();
    AlibabaPods::open(&AlibabaPodsConfig { from: folder.to_owned() })
}

/// One engine's cycle: settings of 0.5, sensors of 1.5.
fn cycle(unit: u32, cycle: u32) -> String {
    format!("{unit} {cycle} 0.5 0.5 0.5 {}  ", vec!["1.5"; 21].join(" "))
}

fn write_engines(folder: &Path, lines: &[String]) {
    fs::write(folder.join("train_FD001.txt"), lines.join("\n")).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let messages = [
        cmapss(folder.path()).unwrap_err().to_string(),
        AlibabaPods::open(&AlibabaPodsConfig { from: folder.path().to_owned() }).unwrap_err().to_string(),
        Prevent::open(&PreventConfig { from: folder.path().to_owned() }).unwrap_err().to_string(),
    ];
    for (message, file) in messages.iter().zip(["train_FD001.txt", "pods.csv", "runs.csv"]) {
        assert!(message.contains(file) && message.contains("not found"), "{message}");
    }
}

#[test]
fn a_truncated_or_corrupt_gzip_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for number in 1..2000 {
        writeln!(encoder, "{}", cycle(1, number)).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let path = folder.path().join("train_FD001.txt.gz");
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = cmapss(folder.path()).unwrap_err().to_string();
    assert!(message.contains("train_FD001.txt.gz: gzip ends before its end mark"), "{message}");
    fs::write(&path, b"this is no gzip at all").unwrap();
    let message = cmapss(folder.path()).unwrap_err().to_string();
    assert!(message.contains("gzip is corrupt"), "{message}");
    fs::write(&path, bytes).unwrap();
    cmapss(folder.path()).unwrap();
}

#[test]
fn engine_tables_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |lines: &[String]| {
        write_engines(folder.path(), lines);
        cmapss(folder.path()).unwrap_err().to_string()
    };
    let message = refused(&[cycle(1, 1), "1 2 0.5".to_owned()]);
    assert!(message.contains("line 2: 3 columns, expected 26"), "{message}");
    let message = refused(&[cycle(1, 1).replacen("1.5", "NaN", 1)]);
    assert!(message.contains("line 1: column 6 is NaN, expected a finite number"), "{message}");
    let message = refused(&[cycle(1, 1).replacen("1.5", "inf", 1)]);
    assert!(message.contains("is inf, expected a finite number"), "{message}");
    let message = refused(&[cycle(1, 1), cycle(1, 3)]);
    assert!(message.contains("line 2: cycle 3 of unit 1 follows cycle 1"), "{message}");
    let message = refused(&[cycle(1, 1), cycle(1, 1)]);
    assert!(message.contains("cycle 1 of unit 1 follows cycle 1"), "{message}");
    let message = refused(&[cycle(1, 1), cycle(2, 1), cycle(1, 2)]);
    assert!(message.contains("unit 1 appears in two places"), "{message}");
    let message = refused(&[String::new()]);
    assert!(message.contains("no lines"), "{message}");
    let error = Cmapss::open(CmapssConfig { from: folder.path().to_owned(), subset: 5, cut_every: 1 }).unwrap_err();
    assert!(error.to_string().contains("subset (5)"), "{error}");
}

#[test]
fn a_negative_sensor_is_impossible_and_stops_the_build() {
    let folder = tempfile::tempdir().unwrap();
    write_engines(folder.path(), &[cycle(1, 1), cycle(1, 2).replacen("1.5", "-1.5", 1)]);
    let mut source = cmapss(folder.path()).unwrap();
    let message = build(&mut source, &folder.path().join("set"), &Silent).unwrap_err().to_string();
    assert!(
        message.contains("engine-001") && message.contains("sensor01") && message.contains("negative"),
        "{message}"
    );
    assert!(!folder.path().join("set").exists());
}

#[test]
fn remaining_life_is_the_duration_of_every_cut_but_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> =
        (1..=60).map(|unit| (1..=4).map(|number| cycle(unit, number)).collect::<Vec<_>>().join("\n")).collect();
    write_engines(folder.path(), &lines);
    build(&mut cmapss(folder.path()).unwrap(), &folder.path().join("set"), &Silent).unwrap();
    let rows = Dataset::open(folder.path().join("set")).unwrap().rows().unwrap();
    let seen: Vec<(i64, f64)> =
        rows.features.as_of().iter().zip(&rows.observations).take(3).map(|(time, o)| (*time, o.duration())).collect();
    assert_eq!(seen, [(2, 3.0), (3, 2.0), (4, 1.0)]);
}

#[test]
fn pods_end_as_their_phase_says() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "a,1000,1024,1,500,,LS,Failed,10,130,10.0",
        "b,1000,1024,1,500,,LS,Succeeded,40,5000,45.0",
        "c,1000,1024,1,500,V100,BE,Running,5000,9000,5000.0",
        "d,1000,1024,1,500,,BE,Pending,5000,9000,",
        "e,1000,1024,1,500,,Burstable,Running,0,100,0.0",
    ];
    let mut source = pods(folder.path(), &lines).unwrap();
    // The parts of five pods lie closer together than the purge, so the rows are looked at without building.
    let mut ends = Vec::new();
    datasets::Source::histories(&mut source, &mut |history, truth| {
        assert!(truth.is_none());
        let causes: Vec<String> = history.events.iter().map(|event| event.cause().to_owned()).collect();
        ends.push((history.entity.key().to_owned(), history.group, history.born, causes.join(",")));
        Ok(())
    })
    .unwrap();
    let end = |key: &str, group: &str, born, cause: &str| (key.to_owned(), group.to_owned(), born, cause.to_owned());
    let expected = [
        end("a", "burst-a", Some(10), "failed"),
        end("b", "burst-a", Some(45), "succeeded"),
        end("c", "burst-c", Some(5000), ""),
        end("e", "burst-e", None, ""),
    ];
    assert_eq!(ends, expected);
    assert_eq!(datasets::Source::skipped(&source)["pending_never_ran"], 1);
}

#[test]
fn pod_tables_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |line: &str| pods(folder.path(), &[line]).unwrap_err().to_string();
    let message = refused("a,1000,1024,1,500,,LS,Exploded,10,130,10.0");
    assert!(message.contains("line 2") && message.contains("pod_phase is \"Exploded\""), "{message}");
    let message = refused("a,1000,1024,1,500,,??,Failed,10,130,10.0");
    assert!(message.contains("qos is \"??\""), "{message}");
    let message = refused("a,-5,1024,1,500,,LS,Failed,10,130,10.0");
    assert!(message.contains("\"cpu_milli\" is -5"), "{message}");
    let message = refused("a,1000,inf,1,500,,LS,Failed,10,130,10.0");
    assert!(message.contains("\"memory_mib\" is inf"), "{message}");
    let message = refused("a,1000,1024,1,500,,LS,Failed,10,5,10.0");
    assert!(message.contains("time runs backwards"), "{message}");
    let message = refused("a,1000,1024,1,500,,LS,Failed,10,130,");
    assert!(message.contains("\"scheduled_time\" is empty"), "{message}");
    let message = refused("a,1000,1024,1,500,,LS,Pending,10,130,");
    assert!(message.contains("no pods that ever ran"), "{message}");
    let message = refused("a,1000");
    assert!(message.contains("line 2"), "{message}");
    fs::write(folder.path().join("pods.csv"), "name,qos\na,LS\n").unwrap();
    let message = AlibabaPods::open(&AlibabaPodsConfig { from: folder.path().to_owned() }).unwrap_err().to_string();
    assert!(message.contains("column \"gpu_spec\" is missing; the first columns are name, qos"), "{message}");
    fs::write(folder.path().join("pods.csv"), format!("{POD_COLUMNS}\n")).unwrap();
    let message = AlibabaPods::open(&AlibabaPodsConfig { from: folder.path().to_owned() }).unwrap_err().to_string();
    assert!(message.contains("no rows below the header"), "{message}");
}

#[test]
fn runs_that_contradict_their_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path();
    let header =
        "run,fault_type,pattern,start,injection_time,failure_time,end,injection_minute,failure_minute,rows,columns";
    let run = |injection: u32, failure: u32| {
        let line = format!("e1,memory_leak,linear,2020-04-08 18:52:00,,,,{injection},{failure},3,4");
        fs::write(from.join("runs.csv"), format!("{header}\n{line}\n")).unwrap();
    };
    fs::write(from.join("pairs.csv"), "master,slave\nredis-14,redis-3\n").unwrap();
    let open = || Prevent::open(&PreventConfig { from: from.to_owned() });
    run(3, 2);
    let message = open().unwrap_err().to_string();
    assert!(message.contains("injection_minute (3) and failure_minute (2)"), "{message}");
    run(2, 3);
    let message = open().unwrap_err().to_string();
    assert!(message.contains("e1.csv") && message.contains("not found"), "{message}");

    let built = || build(&mut open().unwrap(), &from.join("set"), &Silent).unwrap_err().to_string();
    let write = |lines: &[&str]| {
        let text = format!("timestamp,redis-14_system.memory.total\n{}\n", lines.join("\n"));
        fs::write(from.join("e1.csv"), text).unwrap();
    };
    write(&["2020-04-08T18:52:00.000Z,1"]);
    let message = built();
    assert!(
        message.contains("number of rows is 1, the manifest says 3 (runs.csv)") || message.contains("number of rows"),
        "{message}"
    );
    write(&["2020-04-08T18:52:00.000Z,1", "2020-04-08T18:53:00.000Z,1", "2020-04-08T18:53:00.000Z,1"]);
    let message = built();
    assert!(
        message.contains("line 4") && message.contains("1 min after the start of the run, expected 2"),
        "{message}"
    );
    write(&["2020-04-08T18:52:00.000Z,1", "2020-04-08T18:53:00.000Z,1", "yesterday,1"]);
    let message = built();
    assert!(message.contains("line 4") && message.contains("yesterday"), "{message}");
    write(&["2020-04-08T18:52:00.000Z,1", "2020-04-08T18:53:00.000Z,1", "2020-04-08T18:54:00.000Z,1"]);
    let message = built();
    assert!(message.contains("column \"redis-14_system.cpu.idle.norm.pct\" is missing"), "{message}");
}
