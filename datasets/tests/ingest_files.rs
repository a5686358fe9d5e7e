//! Files of other tools: what their columns mean, what is refused, and that a run that died goes on.

#![cfg(feature = "ingest")]

mod ingest_support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datasets::Silent;
use datasets::ingest::files::{FileKind, FileTarget, TablePlan, import};
use datasets::ingest::{HistoryOptions, HistoryReport, RowStore};
use features::Catalogue;
use features::canonical::Limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use ingest_support::*;
use parquet::arrow::ArrowWriter;

const T: i64 = 1_700_000_000_000;

const WIDE: &str = r#"
ignore = ["note"]
[time]
column = "time"
unit = "s"
[entity]
kind = "container"
key = ["ns", "pod", "container"]
incarnation = "uid"
[[value]]
column = "mem_mib"
metric = "mem.working_set"
scale = 1048576.0
[[value]]
column = "cpu_s"
metric = "cpu.time"
"#;

const WIDE_CSV: &str = "\
time,ns,pod,container,uid,mem_mib,cpu_s,note
1700000000,shop,cart,app,u1,2,10,first
1700000015.5,shop,cart,app,u1,,11.5,\"a gap, and a comma\"
1700000030,shop,till,app,u2,4,0.5,
";

fn target(store: Arc<dyn RowStore>) -> FileTarget {
    let catalogue = Arc::new(Catalogue::standard());
    let mappings = mappings(&catalogue);
    let options = HistoryOptions { known_after: 60_000, ..HistoryOptions::default() };
    FileTarget { store, catalogue, mappings, limits: Limits::default(), options }
}

fn plan(text: &str) -> TablePlan {
    TablePlan::parse(text).unwrap()
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn run(lake: &Path, path: &Path, kind: &FileKind) -> datasets::Result<HistoryReport> {
    import(path, kind, &target(open_lake(lake)), &Silent)
}

fn refusal(path: &Path, kind: &FileKind) -> String {
    let lake = tempfile::tempdir().unwrap();
    run(lake.path(), path, kind).unwrap_err().to_string()
}

fn wide_content() -> Content {
    let bits = |points: &[(i64, f64)]| points.iter().map(|&(time, value)| (time, value.to_bits())).collect::<Vec<_>>();
    Content::from([
        ("container/shop/cart/app mem.working_set".to_owned(), bits(&[(T, 2_097_152.0)])),
        ("container/shop/cart/app cpu.time".to_owned(), bits(&[(T, 10.0), (T + 15_500, 11.5)])),
        ("container/shop/till/app mem.working_set".to_owned(), bits(&[(T + 30_000, 4_194_304.0)])),
        ("container/shop/till/app cpu.time".to_owned(), bits(&[(T + 30_000, 0.5)])),
    ])
}

#[test]
fn a_wide_csv_plain_or_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(WIDE_CSV.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for (name, bytes) in [("a.csv", WIDE_CSV.as_bytes()), ("b.csv.gz", &packed)] {
        let path = write(folder.path(), name, bytes);
        let lake = folder.path().join(format!("lake-{name}"));
        let report = run(&lake, &path, &FileKind::Csv(plan(WIDE))).unwrap();
        assert_eq!((report.rows, report.samples), (5, 5));
        assert_eq!(content(&lake), wide_content());
        let again = run(&lake, &path, &FileKind::Csv(plan(WIDE))).unwrap();
        assert!(again.already_complete && again.rows == 0);
    }
    let torn = write(folder.path(), "c.csv.gz", &packed[..packed.len() - 12]);
    let error = refusal(&torn, &FileKind::Csv(plan(WIDE)));
    assert!(error.contains("c.csv.gz: gzip ends before its end mark"), "{error}");
}

#[test]
fn a_wide_parquet_of_any_time_type() {
    let folder = tempfile::tempdir().unwrap();
    let times = [T, T + 15_500, T + 30_000];
    let text = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.map(|t| t * 1000 + 999).to_vec()));
    let nanos: ArrayRef = Arc::new(Int64Array::from(times.map(|t| t * 1_000_000 + 999_999).to_vec()));
    for (name, time, unit) in [("micros.parquet", micros, ""), ("nanos.parquet", nanos, "unit = \"ns\"")] {
        let batch = RecordBatch::try_from_iter([
            ("time", time),
            ("ns", text(["shop"; 3])),
            ("pod", text(["cart", "cart", "till"])),
            ("container", text(["app"; 3])),
            ("uid", text(["u1", "u1", "u2"])),
            ("mem_mib", Arc::new(Int64Array::from(vec![Some(2), None, Some(4)])) as ArrayRef),
            ("cpu_s", Arc::new(Float64Array::from(vec![10.0, 11.5, 0.5])) as ArrayRef),
            ("note", text(["x"; 3])),
        ])
        .unwrap();
        let path = folder.path().join(name);
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let lake = folder.path().join(format!("lake-{name}"));
        run(&lake, &path, &FileKind::Parquet(plan(&WIDE.replace("unit = \"s\"", unit)))).unwrap();
        assert_eq!(content(&lake), wide_content(), "{name}");
        if unit.is_empty() {
            let error = refusal(&path, &FileKind::Parquet(plan(WIDE)));
            assert!(error.contains("\"time\" is Timestamp") && error.contains("leave the unit out"), "{error}");
        } else {
            let error = refusal(&path, &FileKind::Parquet(plan(&WIDE.replace("unit = \"s\"", ""))));
            assert!(error.contains("\"time\" is Int64; say its unit"), "{error}");
        }
    }
}

/// A table of one container's memory whose times are written one way.
fn table_with(time: ArrayRef, path: &Path) {
    let rows = time.len();
    let text = |value: &str| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("time", time),
        ("pod", text("cart")),
        ("mem", Arc::new(Float64Array::from(vec![1.0; rows])) as ArrayRef),
    ])
    .unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn plan_with(unit: &str) -> TablePlan {
    plan(&format!(
        "[time]\ncolumn = \"time\"\nunit = \"{unit}\"\n[entity]\nkind = \"pod\"\nkey = [\"pod\"]\n\
         [[value]]\ncolumn = \"mem\"\nmetric = \"mem.working_set\"\n"
    ))
}

#[test]
fn a_time_that_is_no_number_is_refused_with_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.parquet");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        table_with(Arc::new(Float64Array::from(vec![1.7e9, 1.7e9 + 0.5, bad])), &path);
        let error = refusal(&path, &FileKind::Parquet(plan_with("s")));
        assert!(error.contains("nan.parquet, line 3") && error.contains("column \"time\""), "{error}");
        assert!(error.contains(&format!("{bad} is no time")), "{error}");
    }
}

#[test]
fn a_time_in_the_wrong_unit_is_refused_and_one_a_little_ahead_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    // Nanoseconds, said to be milliseconds: tens of thousands of years ahead.
    table_with(Arc::new(Int64Array::from(vec![T, T * 1_000_000])), &path);
    let error = refusal(&path, &FileKind::Parquet(plan_with("ms")));
    for part in ["t.parquet, line 2", "column \"time\"", "far in the future", "unit", "Ms"] {
        assert!(error.contains(part), "{error} lacks {part:?}");
    }
    table_with(Arc::new(Float64Array::from(vec![1e300])), &path);
    assert!(refusal(&path, &FileKind::Parquet(plan_with("s"))).contains("far in the future"));
    let csv = write(folder.path(), "t.csv", format!("time,pod,mem\n{T}000000,cart,1\n"));
    assert!(refusal(&csv, &FileKind::Csv(plan_with("ms"))).contains("t.csv, line 2"));

    // An hour is a clock that goes wrong.
    let hour_ahead = datasets::ingest::now() + 3_600_000;
    table_with(Arc::new(Int64Array::from(vec![T, hour_ahead])), &path);
    let lake = folder.path().join("lake");
    let report = run(&lake, &path, &FileKind::Parquet(plan_with("ms"))).unwrap();
    assert_eq!((report.rows, report.dropped.as_slice()), (1, [("far_future", 1)].as_slice()));
    assert!(report.refusal.unwrap().contains("too far ahead"));
    assert_eq!(samples(&lake, "pod/cart mem.working_set"), [(T, 1.0)]);
}

#[test]
fn a_long_table_with_parts_and_states_and_times_of_knowing() {
    let folder = tempfile::tempdir().unwrap();
    let long = r#"
        [time]
        column = "at"
        unit = "rfc3339"
        [entity]
        kind = "node"
        key = ["host"]
        part = ["device"]
        [long]
        metric = "what"
        value = "value"
        ignore = ["humidity"]
        [[long.name]]
        name = "avail_kb"
        metric = "fs.available"
        scale = 1024.0
    "#;
    let text = "\
at,host,device,what,value
2023-11-14T22:13:20Z,h1,sda,avail_kb,3
2023-11-14T23:13:20.500+01:00,h1,sda,avail_kb,4
2023-11-14T22:13:20Z,h1,,node.mem.total,7
2023-11-14T22:13:20Z,h1,,humidity,55
2023-11-14T22:13:20Z,h1,,node.mem.total,NaN
";
    let path = write(folder.path(), "long.csv", text);
    let lake = folder.path().join("lake");
    let report = run(&lake, &path, &FileKind::Csv(plan(long))).unwrap();
    assert_eq!(report.dropped, [("non_finite", 1)]);
    assert_eq!(samples(&lake, "node/h1 fs.available device=sda"), [(T, 3072.0), (T + 500, 4096.0)]);
    assert_eq!(samples(&lake, "node/h1 node.mem.total"), [(T, 7.0)]);
    let path = write(folder.path(), "unknown.csv", text.replace("humidity", "pressure"));
    let error = refusal(&path, &FileKind::Csv(plan(long)));
    assert!(
        error.contains("unknown.csv, line 5") && error.contains("\"pressure\"") && error.contains("long.ignore"),
        "{error}"
    );
}

#[test]
fn states_may_be_words() {
    let folder = tempfile::tempdir().unwrap();
    let states = r#"
        [time]
        column = "t"
        unit = "ms"
        [known_at]
        column = "seen"
        unit = "ms"
        [entity]
        kind = "pod"
        key = ["ns", "pod"]
        [[value]]
        column = "phase"
        metric = "phase"
        states = { dead = "Failed" }
    "#;
    let catalogue = Catalogue::standard();
    let index = |name: &str| {
        let states = &catalogue.definition(catalogue.id("phase").unwrap()).unwrap().states;
        f64::from(u16::try_from(states.iter().position(|state| state == name).unwrap()).unwrap())
    };
    let path = write(
        folder.path(),
        "s.csv",
        format!("t,seen,ns,pod,phase\n{T},{T},n,p,Running\n{},{},n,p,dead\n", T + 1, T + 9),
    );
    let lake = folder.path().join("lake");
    run(&lake, &path, &FileKind::Csv(plan(states))).unwrap();
    assert_eq!(samples(&lake, "pod/n/p phase"), [(T, index("Running")), (T + 1, index("Failed"))]);
    assert_eq!(known_at(&lake), [T, T + 9]);
    let path = write(folder.path(), "bad.csv", format!("t,seen,ns,pod,phase\n{T},{T},n,p,Sleeping\n"));
    let error = refusal(&path, &FileKind::Csv(plan(states)));
    assert!(error.contains("line 2") && error.contains("\"Sleeping\"") && error.contains("Running"), "{error}");
}

/// When the pods' samples became known.
fn known_at(lake: &Path) -> Vec<i64> {
    let mut known = Vec::new();
    let lake = datasets::lake::Lake::open(lake).unwrap();
    lake.scan(&datasets::lake::Scan::all(features::EntityKind::Pod), &mut |run| {
        known.extend_from_slice(run.known_at);
        Ok(())
    })
    .unwrap();
    known
}

#[test]
fn series_as_their_source_names_them_go_through_the_shipped_mappings() {
    let folder = tempfile::tempdir().unwrap();
    let series = r#"
        [time]
        column = "t"
        unit = "ms"
        [series]
        name = "name"
        value = "v"
        labels = ["instance"]
    "#;
    let text = format!("t,name,instance,v\n{T},node_memory_MemAvailable_bytes,a:9100,5\n{T},go_gc,a:9100,5\n");
    let path = write(folder.path(), "series.csv", text);
    let lake = folder.path().join("lake");
    let report = run(&lake, &path, &FileKind::Csv(plan(series))).unwrap();
    assert_eq!(report.dropped, [("unmapped", 1)]);
    assert_eq!(samples(&lake, "node/a node.mem.available"), [(T, 5.0)]);
}

#[test]
fn columns_without_a_meaning_and_meanings_without_a_column_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let csv = |text: &str| refusal(&write(folder.path(), "x.csv", text), &FileKind::Csv(plan(WIDE)));
    for (text, parts) in [
        (WIDE_CSV.replace("note", "remark"), ["column \"remark\"", "no meaning", "ignore"]),
        (WIDE_CSV.replacen("cpu_s", "mem_mib", 1), ["column \"mem_mib\"", "is there twice", "x.csv"]),
        (
            WIDE_CSV.replace(",uid", "").replace(",u1", "").replace(",u2", ""),
            ["column \"uid\"", "is missing", "mem_mib"],
        ),
        (WIDE_CSV.replace("1700000030", "noon"), ["line 4", "\"noon\"", "S"]),
        (WIDE_CSV.replace(",4,0.5", ",four,0.5"), ["line 4", "\"four\" is no number", "mem_mib"]),
        (WIDE_CSV.replace("till,app,u2,4,0.5,", "till,app,u2"), ["line 4", "5 cells", "8"]),
    ] {
        let error = csv(&text);
        assert!(parts.iter().all(|part| error.contains(part)), "{error} lacks one of {parts:?}");
    }
    let catalogue = Catalogue::standard();
    for (text, part) in [
        (WIDE.replace("mem.working_set", "mem.sparkle"), "mem.sparkle"),
        (WIDE.replace("scale = 1048576.0", "scale = -1.0"), "-1"),
        (WIDE.replace("key = [\"ns\", \"pod\", \"container\"]", "key = []"), "entity.key"),
        (WIDE.replace("column = \"cpu_s\"", "column = \"mem_mib\""), "two meanings"),
        (format!("{WIDE}\n[series]\nname = \"n\"\nvalue = \"v\"\nlabels = []"), "exactly one"),
    ] {
        let error = plan(&text).validate(&catalogue).unwrap_err().to_string();
        assert!(error.contains(part), "{error} lacks {part}");
    }
    assert!(TablePlan::parse(&WIDE.replace("kind =", "sort =")).unwrap_err().to_string().contains("sort"));
}

#[test]
fn an_import_that_died_goes_on_and_stores_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "time,ns,pod,container,uid,mem_mib,cpu_s,note\n".to_owned();
    for at in 0..50_000 {
        text += &format!("{},shop,cart,app,u1,{at},{at},\n", 1_700_000_000 + at);
    }
    let path = write(folder.path(), "big.csv", text);
    let lines = write(
        folder.path(),
        "big.jsonl",
        (0..40_000)
            .map(|at| {
                let labels = "\"__name__\":\"node_memory_MemAvailable_bytes\",\"instance\":\"a:9100\"";
                format!("{{\"metric\":{{{labels}}},\"values\":[{at}],\"timestamps\":[{}]}}\n", T + at)
            })
            .collect::<String>(),
    );
    for (path, kind, rows) in [(path, FileKind::Csv(plan(WIDE)), 100_000), (lines, FileKind::VmLines, 40_000)] {
        let store = Arc::new(TestStore::default());
        let mut target = target(store.clone());
        target.options.max_rows = 5000;
        store.fail_imports_after(Some(2));
        let error = import(&path, &kind, &target, &Silent).unwrap_err().to_string();
        assert!(error.contains("disk full"), "{error}");
        let half = store.rows().len();
        assert!(half > 0 && half < rows, "{half}");
        store.fail_imports_after(None);
        let report = import(&path, &kind, &target, &Silent).unwrap();
        assert!(report.resumed);
        let mut stored: Vec<_> = store.rows().iter().map(|row| (row.series, row.time)).collect();
        assert_eq!(stored.len(), rows);
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored.len(), rows, "every sample once");
        assert_eq!(report.rows as usize, rows - half);
    }
}

/// Counters of many hosts, each with its start, of one family that is much longer than a piece. Times are whole seconds:
/// only the end mark says that they are no milliseconds.
fn open_metrics(hosts: usize) -> String {
    let mut text = "# TYPE node_disk_read_time_seconds counter\n".to_owned();
    let job = "j".repeat(400);
    for host in 0..hosts {
        let labels = format!("{{device=\"sda\",instance=\"host-{host}:9100\",job=\"{job}\"}}");
        text += &format!("node_disk_read_time_seconds_total{labels} 5 1700000000\n");
        text += &format!("node_disk_read_time_seconds_created{labels} 1699999000\n");
    }
    text + "# EOF\n"
}

#[test]
fn an_exposition_means_the_same_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = 5000;
    let text = open_metrics(hosts);
    assert!(text.len() > 4 << 20, "several pieces");
    let path = write(folder.path(), "big.om", &text);
    let kind = FileKind::Exposition { at: None };
    let whole = Arc::new(TestStore::default());
    let report = import(&path, &kind, &target(whole.clone()), &Silent).unwrap();
    assert_eq!((report.samples, report.rows, report.bad_lines), (hosts as u64, 2 * hosts as u64, 0));
    let times: std::collections::BTreeSet<i64> = whole.rows().iter().map(|row| row.time).collect();
    assert_eq!(times.into_iter().collect::<Vec<_>>(), [1_699_999_000_000, T], "a start and a value of every host");

    // The same for a run that died between two pieces.
    let store = Arc::new(TestStore::default());
    let mut target = target(store.clone());
    target.options.max_rows = 1000;
    store.fail_imports_after(Some(2));
    import(&path, &kind, &target, &Silent).unwrap_err();
    store.fail_imports_after(None);
    let report = import(&path, &kind, &target, &Silent).unwrap();
    assert!(report.resumed && report.bad_lines == 0);
    assert_eq!(store.rows().len(), 2 * hosts);
    let rows = |store: &TestStore| {
        let mut rows: Vec<_> = store.rows().iter().map(|row| (row.series, row.time, row.value.to_bits())).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(rows(&store), rows(&whole));
}

#[test]
fn a_bad_type_line_is_counted_once_and_lines_keep_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let sample = |at: i64| format!("node_memory_MemTotal_bytes{{instance=\"a:9100\"}} 4e9 {}\n", T + at);
    for (first, bad) in
        [("# TYPE node_memory_MemTotal_bytes gauge\n", 1), ("# TYPE node_memory_MemTotal_bytes level\n", 2)]
    {
        let mut text = first.to_owned();
        text.extend((0..40_000).map(sample));
        text += "node_memory_MemTotal_bytes{ 4e9\n";
        assert!(text.len() > 2 << 20, "several pieces");
        let path = write(folder.path(), "types.prom", &text);
        let store = Arc::new(TestStore::default());
        let report = import(&path, &FileKind::Exposition { at: None }, &target(store), &Silent).unwrap();
        assert_eq!((report.rows, report.bad_lines), (40_000, bad));
        let line = if bad == 1 { "line 40002," } else { "line 1," };
        assert!(report.refusal.as_deref().unwrap().starts_with(line), "{:?}", report.refusal);
    }
}

#[test]
fn expositions_and_export_lines_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
# HELP node_memory_MemAvailable_bytes x
node_memory_MemAvailable_bytes{instance=\"a:9100\"} 1e9 1700000000000
node_memory_MemAvailable_bytes{instance=\"a:9100\" 2e9 1700000001000
node_memory_MemTotal_bytes{instance=\"a:9100\"} 4e9 1700000000000
";
    let path = write(folder.path(), "a.prom", text);
    let lake = folder.path().join("lake");
    let report = run(&lake, &path, &FileKind::Exposition { at: None }).unwrap();
    assert_eq!(report.bad_lines, 1);
    assert!(report.refusal.unwrap().contains("line 3"));
    assert_eq!(samples(&lake, "node/a node.mem.available"), [(T, 1e9)]);
    assert_eq!(samples(&lake, "node/a node.mem.total"), [(T, 4e9)]);

    let timeless = write(folder.path(), "b.prom", "node_memory_MemAvailable_bytes{instance=\"a:9100\"} 3\n");
    assert!(refusal(&timeless, &FileKind::Exposition { at: None }).contains("without a time"));
    run(&lake, &timeless, &FileKind::Exposition { at: Some(T + 7) }).unwrap();
    let open =
        write(folder.path(), "c.om", "node_memory_MemAvailable_bytes{instance=\"a:9100\"} 4 1700000000.008\n# EOF\n");
    run(&lake, &open, &FileKind::Exposition { at: None }).unwrap();
    assert_eq!(samples(&lake, "node/a node.mem.available"), [(T, 1e9), (T + 7, 3.0), (T + 8, 4.0)]);

    let torn =
        write(folder.path(), "d.jsonl", "{\"metric\":{\"__name__\":\"x\"},\"values\":[1],\"timestamps\":[1]}\n{\"met");
    let error = refusal(&torn, &FileKind::VmLines);
    assert!(error.contains("d.jsonl, line 2"), "{error}");
    let missing = folder.path().join("nothing.csv");
    assert!(refusal(&missing, &FileKind::VmLines).contains("nothing.csv: not found"));
}
