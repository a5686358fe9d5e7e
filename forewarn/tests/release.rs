//! What release 0.1 wrote still opens, verifies and scores the same.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1").join(name)
}

fn forewarn(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_forewarn")).args(arguments).output().expect("the command starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn table(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn its_data_set_opens_and_verifies() {
    let out = forewarn(&["dataset", "verify", text(&fixture("dataset")), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], true, "{out}");
    let described = forewarn(&["dataset", "describe", text(&fixture("dataset")), "--json"]);
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert!(described["counts"]["rows"].as_u64().unwrap() > 0);
}

#[test]
fn its_bundle_scores_its_data_set_as_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let scores = folder.path().join("scores");
    let (dataset, bundle) = (fixture("dataset"), fixture("weibull"));
    let arguments = [
        "score",
        "--dataset",
        text(&dataset),
        "--bundle",
        text(&bundle),
        "--out",
        text(&scores),
        "--as-of",
        "all",
        "--device",
        "cpu",
    ];
    forewarn(&arguments);
    let file = walk(&scores).into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap();
    let (then, now) = (table(&fixture("scores.parquet")), table(&file));
    assert_eq!(then.num_rows(), now.num_rows());
    let mut compared = 0;
    for (index, field) in then.schema().fields().iter().enumerate() {
        let column = now.column_by_name(field.name()).unwrap_or_else(|| panic!("{} is gone", field.name()));
        let before = then.column(index);
        match field.data_type() {
            DataType::Float64 => {
                let pairs = before.as_primitive::<Float64Type>().iter().zip(column.as_primitive::<Float64Type>());
                for (a, b) in pairs {
                    assert!(
                        (a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() <= 1e-9,
                        "{}: {a:?} then, {b:?} now",
                        field.name()
                    );
                    compared += 1;
                }
            }
            DataType::Float32 => {
                let pairs = before.as_primitive::<Float32Type>().iter().zip(column.as_primitive::<Float32Type>());
                for (a, b) in pairs {
                    assert!(
                        (a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() <= 1e-6,
                        "{}: {a:?} then, {b:?} now",
                        field.name()
                    );
                    compared += 1;
                }
            }
            _ => assert_eq!(before.len(), column.len()),
        }
    }
    assert!(compared > 0, "no column of numbers was compared");
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copied(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Written by this release, for those that follow: half an hour of one container and one node, of which the container
/// was killed once for want of memory.
#[test]
fn a_lake_of_format_1_opens_goes_on_and_says_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    copied(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lake-format-1"), &lake);
    forewarn(&["lake", "migrate", text(&lake)]);
    forewarn(&["lake", "verify", text(&lake)]);
    let json = |arguments: &[&str]| -> serde_json::Value { serde_json::from_str(&forewarn(arguments)).unwrap() };
    assert_eq!(json(&["lake", "status", text(&lake), "--json"])["rows"], 259);
    let ask = |query: &str| forewarn(&["sql", "--lake", text(&lake), "--format", "csv", query]);
    let events = ask("select cause, t_high - t_low from events");
    assert!(events.lines().nth(1).is_some_and(|line| line.starts_with("container_oom,")), "{events}");
    assert_eq!(ask("select count(*) from tiles").lines().nth(1), Some("26"));

    // It takes new samples, told by the same series.
    let more = folder.path().join("more.prom");
    std::fs::write(&more, "node_boot_time_seconds{instance=\"worker-1:9100\"} 1794000000 1794901800000\n").unwrap();
    let imported = json(&["ingest", "files", "--format", "exposition", "--lake", text(&lake), text(&more), "--json"]);
    assert_eq!(imported["rows"], 1, "{imported}");
    let compacted = json(&["lake", "compact", text(&lake), "--json"]);
    assert_eq!(compacted["events"]["container"], 1, "{compacted}");
    let status = json(&["lake", "status", text(&lake), "--json"]);
    assert_eq!((&status["rows"], &status["series"]), (&260.into(), &5.into()), "{status}");
    forewarn(&["lake", "verify", text(&lake)]);
}
