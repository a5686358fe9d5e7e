//! What the readers of fault episodes refuse, and in which words. Every table here is made up.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datasets::DatasetError;
use datasets::benchmark::faults::{FaultSet, genai, nab, nezha, petshop, rcd, sockshop};
use parquet::arrow::ArrowWriter;

const EVENTS: &str = "timestamp,duration,fault-type,kind,target,start_ts,end_ts,entity\n";

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn whole(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn real(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn text(values: impl IntoIterator<Item = &'static str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Forty minutes of two pods, the second of which works hard from minute 30 on.
fn write_pods(path: &Path) {
    let minutes = || (0..40_i64).flat_map(|minute| [minute, minute]);
    write(
        path,
        vec![
            ("ts", whole(minutes().map(|minute| 6000 + 60 * minute))),
            ("entity", text(minutes().enumerate().map(|(row, _)| ["front-end-1", "cart-1"][row % 2]))),
            (
                "container_cpu_usage_seconds_total",
                real(minutes().enumerate().map(|(row, minute)| if row % 2 == 1 && minute >= 30 { 5.0 } else { 0.1 })),
            ),
            ("container_last_seen", whole(minutes())),
            ("constant", whole(minutes().map(|_| 7))),
        ],
    );
}

fn sockshop(folder: &Path, events: &str) -> Result<FaultSet, DatasetError> {
    fs::write(folder.join("container_chaos_events.csv"), format!("{EVENTS}{events}")).unwrap();
    sockshop::containers(folder)
}

#[test]
fn a_case_holds_the_time_before_and_the_fault_and_neither_clock_nor_constant() {
    let folder = tempfile::tempdir().unwrap();
    write_pods(&folder.path().join("container_chaos_pods.parquet"));
    let set = sockshop(folder.path(), "x,5m,cpu-stress,StressChaos,cart,7800,8100,cart-1\n").unwrap();
    let case = &set.cases[0];
    assert_eq!(case.series.metrics, ["container_cpu_usage_seconds_total"]);
    assert_eq!(case.series.entities, ["cart-1", "front-end-1"]);
    assert_eq!((case.root, case.fault.clone(), case.series.steps), (0, 22..28, 28));
    assert!((case.series.at(21, 0, 0) - 0.1).abs() < 1e-6 && (case.series.at(22, 0, 0) - 5.0).abs() < 1e-6);
    assert_eq!(case.time, 7800);
    // A fault in the eleventh minute has eleven minutes of nothing before its ten.
    let set = sockshop(folder.path(), "x,5m,cpu-stress,StressChaos,cart,6600,6900,cart-1\n").unwrap();
    let column = set.cases[0].series.column(0..22, 0, 0);
    assert_eq!(column.iter().filter(|value| value.is_nan()).count(), 12);
}

#[test]
fn events_that_do_not_fit_the_metrics_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_pods(&folder.path().join("container_chaos_pods.parquet"));
    let refused = |events: &str| sockshop(folder.path(), events).unwrap_err().to_string();
    let message = refused("x,5m,cpu-stress,StressChaos,cart,7800,8100,nobody\n");
    assert!(message.contains("the fault of nobody at 7800 has no metrics"), "{message}");
    let message = refused("x,5m,cpu-stress,StressChaos,cart,99000,99300,cart-1\n");
    assert!(message.contains("at 99000 has no metrics"), "{message}");
    let message = refused("x,5m,cpu-stress,StressChaos,cart,7800,7800,cart-1\n");
    assert!(message.contains("line 2: ends at 7800, not after its start 7800"), "{message}");
    let message = refused("x,5m,,StressChaos,cart,7800,8100,cart-1\n");
    assert!(message.contains("fault-type or entity is empty"), "{message}");
    let message = refused("");
    assert!(message.contains("rows below the header"), "{message}");
}

#[test]
fn long_tables_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("container_chaos_pods.parquet");
    let refused = |columns: Vec<(&str, ArrayRef)>| {
        write(&path, columns);
        sockshop(folder.path(), "x,5m,cpu-stress,StressChaos,cart,7800,8100,cart-1\n").unwrap_err().to_string()
    };
    let message = refused(vec![("ts", whole([0, 60])), ("pod", text(["a", "a"])), ("m", real([1.0, 2.0]))]);
    assert!(message.contains("\"entity\" is missing; columns are ts, pod, m"), "{message}");
    let message = refused(vec![("ts", whole([60, 60])), ("entity", text(["a", "a"])), ("m", real([1.0, 2.0]))]);
    assert!(message.contains("is 60 twice for a, row 2"), "{message}");
    let message = refused(vec![("ts", real([60.0, f64::NAN])), ("entity", text(["a", "a"])), ("m", real([1.0, 2.0]))]);
    assert!(message.contains("is NaN in row 2, expected epoch seconds"), "{message}");
    let message =
        refused(vec![("ts", whole([0, i64::from(i32::MAX)])), ("entity", text(["a", "a"])), ("m", real([1.0, 2.0]))]);
    assert!(message.contains("are they seconds?"), "{message}");
    let message = refused(vec![("ts", whole([0, 60])), ("entity", text(["a", ""])), ("m", real([1.0, 2.0]))]);
    assert!(message.contains("is empty in row 2"), "{message}");
    let message = refused(vec![("ts", whole([0, 60])), ("entity", text(["a", "a"])), ("m", real([1.0, 1.0]))]);
    assert!(message.contains("no metric that ever changes"), "{message}");
    let message = refused(vec![("ts", text(["0", "60"])), ("entity", text(["a", "a"])), ("m", real([1.0, 2.0]))]);
    assert!(message.contains("\"ts\" is text"), "{message}");
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let messages = [
        (sockshop::nodes(path).unwrap_err(), "node_chaos_nodes.parquet"),
        (sockshop::watched(path).unwrap_err(), "normal_pods.parquet"),
        (nezha::day(path, "2022-08-22").unwrap_err(), "pod_metrics.parquet"),
        (rcd::cases(path).unwrap_err(), "cases.parquet"),
        (petshop::issues(path).unwrap_err(), "metrics.csv.gz"),
        (nab::series(path).unwrap_err(), "windows.json"),
        (genai::pods(path).unwrap_err(), "pod_memory_util.parquet"),
    ];
    for (error, file) in messages {
        let message = error.to_string();
        assert!(message.contains(file) && message.contains("not found"), "{message}");
    }
}

#[test]
fn cases_without_both_parts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.parquet");
    let file = |phase: [&'static str; 2], service: &'static str, metric: &str| {
        write(
            &path,
            vec![
                ("case", text(["carts-cpu/1", "carts-cpu/1"])),
                ("service", text([service, service])),
                ("fault", text(["cpu", "cpu"])),
                ("rep", whole([1, 1])),
                ("phase", text(phase)),
                ("time", whole([10, 20])),
                (metric, real([1.0, 2.0])),
            ],
        );
        rcd::cases(folder.path())
    };
    let set = file(["normal", "anomalous"], "carts", "carts_cpu").unwrap();
    assert_eq!((set.cases.len(), set.cases[0].fault.clone()), (1, 1..2));
    let message = file(["anomalous", "anomalous"], "carts", "carts_cpu").unwrap_err().to_string();
    assert!(message.contains("case carts-cpu/1: 0 normal and 2 anomalous rows, need both"), "{message}");
    let message = file(["normal", "odd"], "carts", "carts_cpu").unwrap_err().to_string();
    assert!(message.contains("is \"odd\" in row 2, expected normal or anomalous"), "{message}");
    let message = file(["normal", "anomalous"], "user", "carts_cpu").unwrap_err().to_string();
    assert!(message.contains("service \"user\" has no metrics"), "{message}");
    let message = file(["normal", "anomalous"], "carts", "cpu").unwrap_err().to_string();
    assert!(message.contains("\"cpu\" is not <service>_<metric>"), "{message}");
}

fn nab(folder: &Path, windows: &str, rows: &[&str]) -> Result<usize, DatasetError> {
    use std::io::Write;
    fs::write(folder.join("windows.json"), windows).unwrap();
    let file = fs::File::create(folder.join("cpu.csv.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    write!(encoder, "timestamp,value\n{}\n", rows.join("\n")).unwrap();
    encoder.finish().unwrap();
    Ok(nab::series(folder)?.systems[0].windows.len())
}

#[test]
fn watched_series_and_their_windows_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let rows = ["2014-01-01 00:00:00,1", "2014-01-01 00:05:00,2", "2014-01-01 00:10:00,3"];
    let window = |from: &str, to: &str| format!("{{\"a/cpu.csv\": [[\"{from}\", \"{to}\"]]}}");
    let inside = window("2014-01-01 00:05:00.000000", "2014-01-01 00:10:00.000000");
    assert_eq!(nab(folder.path(), &inside, &rows).unwrap(), 1);
    let refused = |windows: &str, rows: &[&str]| nab(folder.path(), windows, rows).unwrap_err().to_string();
    let message = refused(&window("2015-01-01 00:00:00.0", "2015-01-02 00:00:00.0"), &rows);
    assert!(message.contains("lies outside of the series"), "{message}");
    let message = refused(&window("soon", "later"), &rows);
    assert!(message.contains("\"soon\" is no time"), "{message}");
    let message = refused(&inside, &["2014-01-01 00:05:00,1", "2014-01-01 00:00:00,2"]);
    assert!(message.contains("line 3: time runs backwards"), "{message}");
    let message = refused(&inside, &["2014-01-01 00:05:00,high"]);
    assert!(message.contains("is \"high\", expected a number"), "{message}");
    let message = refused("{}", &rows);
    assert!(message.contains("no series"), "{message}");
    assert!(refused("[", &rows).contains("windows.json"));
}
