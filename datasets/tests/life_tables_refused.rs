//! What the readers of public life tables refuse, and what they make of odd rows. Every table here is made up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use datasets::benchmark::backblaze_drives::BackblazeDrivesConfig;
use datasets::benchmark::survival_tables::{Covariates, SurvivalTable, SurvivalTablesConfig};
use datasets::benchmark::titan_gpu::{Places, TitanGpuConfig};
use datasets::benchmark::{BackblazeDrives, SurvivalTables, TitanGpu};
use datasets::{Dataset, DatasetError, Silent, Source, build};
use features::{EntityHistory, Split};

fn histories(source: &mut dyn Source) -> BTreeMap<String, EntityHistory> {
    let mut seen = BTreeMap::new();
    source
        .histories(&mut |history, truth| {
            assert!(truth.is_none());
            seen.insert(history.entity.key().to_owned(), history);
            Ok(())
        })
        .unwrap();
    seen
}

fn write(folder: &Path, file: &str, header: &str, lines: &[String]) {
    fs::write(folder.join(file), format!("{header}\n{}\n", lines.join("\n"))).unwrap();
}

// ---- survival tables

const VETERAN: &str = "pid,event,time,num_karno,fac_celltype";
const WHAS: &str = "x0,x1,time,event";

fn open(folder: &Path, table: SurvivalTable, complete_cases: bool) -> Result<SurvivalTables, DatasetError> {
    let config =
        SurvivalTablesConfig { from: folder.to_owned(), table, covariates: Covariates::Reference, complete_cases };
    SurvivalTables::open(&config)
}

/// 60 patients that die on days 1 to 60, then these.
fn veteran(folder: &Path, more: &[&str]) -> Result<SurvivalTables, DatasetError> {
    let mut lines: Vec<String> = (1..=60).map(|day| format!("{day},1,{day},{day},{}", ["b", "a"][day % 2])).collect();
    lines.extend(more.iter().map(|&line| line.to_owned()));
    write(folder, "veteran.csv", VETERAN, &lines);
    open(folder, SurvivalTable::Veteran, false)
}

#[test]
fn tables_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let message = open(folder, SurvivalTable::Veteran, false).unwrap_err().to_string();
    assert!(message.contains("veteran.csv: not found"), "{message}");
    let refused = |line: &str| veteran(folder, &[line]).unwrap_err().to_string();
    for (line, problem) in [
        ("99,2,5,1,a", "line 62: column \"event\" is \"2\", expected 0 or 1"),
        ("99,,5,1,a", "column \"event\" is \"\", expected 0 or 1"),
        ("99,1,-5,1,a", "column \"time\" is -5, it cannot be negative"),
        ("99,1,,1,a", "column \"time\" is empty, expected a number"),
        ("99,1,inf,1,a", "column \"time\" is inf, expected a finite number"),
        ("99,1,5.5,1,a", "column \"time\" is 5.5, which is no multiple of 1/1 day"),
        ("99,1,1e300,1,a", "column \"time\" is 1000"),
        ("99,1,5,NaN,a", "column \"num_karno\" is NaN, expected a finite number"),
        ("99,1,5,old,a", "column \"num_karno\" is \"old\", expected a number"),
        ("60,1,5,1,a", "column \"pid\" is empty or given twice"),
        (",1,5,1,a", "column \"pid\" is empty or given twice"),
        ("99,1,5", "line 62"),
    ] {
        let message = refused(line);
        assert!(message.contains("veteran.csv") && message.contains(problem), "{line}: {message}");
    }
    write(folder, "veteran.csv", "pid,event,num_karno", &["1,1,5".to_owned()]);
    let message = open(folder, SurvivalTable::Veteran, false).unwrap_err().to_string();
    assert!(message.contains("column \"time\" is missing"), "{message}");
    write(folder, "veteran.csv", "pid,event,time", &["1,1,5".to_owned()]);
    let message = open(folder, SurvivalTable::Veteran, false).unwrap_err().to_string();
    assert!(message.contains("no covariates"), "{message}");
    write(folder, "flchain.csv", "pid,event,time,num_age,num_kappa,fac_sex", &["1,1,5,1,1,F".to_owned()]);
    let message = open(folder, SurvivalTable::Flchain, false).unwrap_err().to_string();
    assert!(message.contains("column \"num_lambda\" is missing"), "{message}");
}

#[test]
fn tables_without_failures_or_without_time_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |lines: Vec<String>| write(folder.path(), "veteran.csv", VETERAN, &lines);
    write((1..=60).map(|day| format!("{day},0,{day},1,a")).collect());
    let message = open(folder.path(), SurvivalTable::Veteran, false).unwrap_err().to_string();
    assert!(message.contains("0 of") && message.contains("training rows end in a failure"), "{message}");
    write((1..=60).map(|day| format!("{day},1,0,1,a")).collect());
    let message = open(folder.path(), SurvivalTable::Veteran, false).unwrap_err().to_string();
    assert!(message.contains("no rows of time above 0"), "{message}");
}

#[test]
fn odd_rows_of_a_table_are_kept_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let odd = ["zero,1,0,1,a", "hole,0,70,,c", "level,1,80,1,"];
    let mut source = veteran(folder.path(), &odd).unwrap();
    assert_eq!(source.skipped(), [("time_zero".to_owned(), 1)].into());
    let seen = histories(&mut source);
    assert_eq!(seen.len(), 62);
    let hole = &seen["veteran/hole"];
    assert!(hole.attributes["num_karno"].is_nan());
    let levels = |history: &EntityHistory| ["b", "c"].map(|level| history.attributes[&format!("fac_celltype_{level}")]);
    assert_eq!(levels(hole).map(f64::to_bits), [0.0, 1.0].map(f64::to_bits));
    assert_eq!(
        levels(&seen["veteran/1"]).map(f64::to_bits),
        [0.0, 0.0].map(f64::to_bits),
        "the first level is all zeros"
    );
    assert!(levels(&seen["veteran/level"]).iter().all(|level| level.is_nan()));
    assert!(hole.events.is_empty() && hole.observed_until == 70);
    assert_eq!(seen["veteran/60"].events[0].t_high(), 60);

    let mut complete = open(folder.path(), SurvivalTable::Veteran, true).unwrap();
    assert_eq!(complete.skipped()["missing_covariate"], 2);
    assert_eq!(histories(&mut complete).len(), 60);

    build(&mut source, &folder.path().join("set"), &Silent).unwrap();
    let dataset = Dataset::open(folder.path().join("set")).unwrap();
    assert_eq!(dataset.manifest().counts.excluded, [("time_zero".to_owned(), 1)].into());
    let rows = dataset.rows().unwrap();
    let row = rows.groups.iter().position(|group| group == "veteran/hole").unwrap();
    let karno = dataset.spec().flat.iter().position(|column| column.name == "num_karno").unwrap();
    assert!(rows.features.flat_row(row)[karno].is_nan(), "a missing value is missing in the row");
    assert!((rows.observations[row].duration() - 70.0).abs() < 1e-12 && !rows.observations[row].failed());
}

fn whas(folder: &Path, train: &[&str], test: &[&str]) -> Result<SurvivalTables, DatasetError> {
    let mut lines: Vec<String> = (1..=60).map(|day| format!("{day}.0,1.0,{day}.25,1")).collect();
    lines.extend(train.iter().map(|&line| line.to_owned()));
    write(folder, "deepsurv_whas_train.csv", WHAS, &lines);
    let test: Vec<String> = test.iter().map(|&line| line.to_owned()).collect();
    write(folder, "deepsurv_whas_test.csv", WHAS, &test);
    open(folder, SurvivalTable::DeepsurvWhas, false)
}

#[test]
fn a_published_split_is_kept_and_its_repeated_rows_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = ["5.0,1.0,5.25,1", "5.0,1.0,5.25,1", "5.0,2.0,5.25,1"];
    let mut source = whas(folder, &train, &["7.0,1.0,7.25,1", "7.5,1.0,7.25,0"]).unwrap();
    let groups: BTreeMap<String, String> =
        histories(&mut source).into_iter().map(|(key, history)| (key, history.group)).collect();
    assert_eq!(groups["train/row-00060"], groups["train/row-00004"], "equal rows are one group");
    assert_eq!(groups["train/row-00061"], groups["train/row-00004"]);
    assert_ne!(groups["train/row-00062"], groups["train/row-00004"]);
    let split = &source.plan().split;
    for (key, group) in &groups {
        assert_eq!(split.part(group, 0) == Some(Split::Test), key.starts_with("test/"), "{key}");
    }
    let notes = source.plan().notes.join("\n");
    assert!(notes.contains("1 of the 2 published test rows also stand"), "{notes}");
    fs::remove_file(folder.join("deepsurv_whas_test.csv")).unwrap();
    let message = open(folder, SurvivalTable::DeepsurvWhas, false).unwrap_err().to_string();
    assert!(message.contains("deepsurv_whas_test.csv"), "{message}");
}

#[test]
fn times_that_would_become_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |train: &[&str], test: &[&str]| whas(folder.path(), train, test).map(|_| ()).map_err(|error| error.to_string());
    let message = refused(&["1.0,1.0,0.5000001,1"], &["1.0,1.0,0.5000004,1"]).unwrap_err();
    assert!(message.contains("times 0.5000001 and 0.5000004 fall on one tick"), "{message}");
    let message = refused(&["1.0,1.0,0.0000001,1"], &["1.0,1.0,2.0,1"]).unwrap_err();
    assert!(message.contains("times 0 and 0.0000001 fall on one tick"), "{message}");
    // The same 32-bit number, written twice.
    refused(&["1.0,1.0,1234.5677,1"], &["1.0,1.0,1234.56770001,1"]).unwrap();
}

// ---- Titan

const STAYS: &str = "SN,location,insert,remove,duration,out,event";
const SUMMARY: &str = "SN,time,col,row,cage,slot,node,batch,out,dead,dead_otb,dead_dbe";

/// 60 GPUs that die of a double-bit error on days 1 to 60, each in a cabinet of its own; then these.
fn titan(folder: &Path, stays: &[&str], summary: &[&str], places: Places) -> Result<TitanGpu, DatasetError> {
    let (mut stay_lines, mut lines) = (Vec::new(), Vec::new());
    for day in 1..=60 {
        let (seconds, col, row) = (day * 86_400, day % 25, day / 25);
        stay_lines
            .push(format!("g{day},c{col}-{row}c1s2n3,2014-01-21 10:00:00,2014-03-01 10:00:00,{seconds}.0,True,DBE"));
        lines.push(format!("g{day},{seconds},{col},{row},1,2,3,old,True,True,False,True"));
    }
    stay_lines.extend(stays.iter().map(|&line| line.to_owned()));
    lines.extend(summary.iter().map(|&line| line.to_owned()));
    write(folder, "gpu_intervals.csv", STAYS, &stay_lines);
    write(folder, "gpu_summary.csv", SUMMARY, &lines);
    TitanGpu::open(&TitanGpuConfig { from: folder.to_owned(), places })
}

#[test]
fn gpus_end_as_their_last_event_says() {
    let folder = tempfile::tempdir().unwrap();
    let stays = [
        // Moved after a day; then an event beside the stay that ended later by the other one.
        "moved,c0-0c0s0n0,2014-01-21 10:00:00,2014-01-22 10:00:00,86400.0,False,",
        "moved,c9-7c2s7n1,2015-01-22 10:00:00,2015-02-23 10:00:00,86400.0,True,OTB",
        "moved,c9-7c2s7n1,,2015-02-22 10:00:00,,,DBE",
        "beside,c1-1c1s1n1,2014-01-21 10:00:00,2014-01-22 10:00:00,86400.0,True,DBE",
        "beside,c1-1c1s1n1,,2014-01-22 10:05:00,,,OTB",
        "tie,c1-1c1s1n1,2014-01-21 10:00:00,2014-01-22 10:00:00,86400.0,True,OTB",
        "tie,c1-1c1s1n1,,2014-01-22 10:00:00,,,DBE",
        "out,c1-1c1s1n1,2014-01-21 10:00:00,2014-01-22 10:00:00,86400.0,True,",
        "alive,c1-1c1s1n1,2014-01-21 10:00:00,2019-08-01 10:00:00,86400.0,False,",
    ];
    let summary = [
        "moved,172800,9,7,2,7,1,new,True,True,True,True",
        "beside,86400,1,1,1,1,1,old,True,True,True,True",
        "tie,86400,1,1,1,1,1,old,True,True,True,True",
        "out,86400,1,1,1,1,1,old,True,False,False,False",
        "alive,86400,1,1,1,1,1,old,False,False,False,False",
    ];
    let seen = histories(&mut titan(folder.path(), &stays, &summary, Places::Summary).unwrap());
    let cause = |name: &str| seen[name].events.first().map(|event| event.cause().to_owned());
    assert_eq!(cause("gpu-moved").as_deref(), Some("otb"));
    assert_eq!(cause("gpu-beside").as_deref(), Some("otb"));
    assert_eq!(cause("gpu-tie").as_deref(), Some("otb"), "the event that ended the stay");
    assert_eq!((cause("gpu-out"), seen["gpu-out"].end.name()), (None, "planned_end"));
    assert_eq!((cause("gpu-alive"), seen["gpu-alive"].end.name()), (None, "end_of_observation"));
    let moved = &seen["gpu-moved"];
    assert_eq!((moved.observed_until, moved.group.as_str()), (172_800, "c9-7"), "days out of the machine do not count");
    let is = |history: &EntityHistory, name: &str| history.attributes[name] > 0.5;
    assert!(is(moved, "cage_2") && is(moved, "node_1") && !is(moved, "cage_1") && !is(moved, "batch_old"));
    let first = histories(&mut titan(folder.path(), &stays, &summary, Places::Intervals).unwrap());
    let moved = &first["gpu-moved"];
    assert_eq!(moved.group, "c0-0");
    assert!(!is(moved, "cage_2") && !is(moved, "node_1"));
}

#[test]
fn titan_tables_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let stay = "x,c1-1c1s1n1,2014-01-21 10:00:00,2014-01-22 10:00:00,86400.0,True,DBE";
    let row = "x,86400,1,1,1,1,1,old,True,True,False,True";
    titan(folder.path(), &[stay], &[row], Places::Summary).unwrap();
    let refused =
        |stays: &[&str], row: &str| titan(folder.path(), stays, &[row], Places::Summary).unwrap_err().to_string();
    for (line, problem) in [
        (stay.replace("c1-1c1s1n1", "rack 5"), "column \"location\" is \"rack 5\""),
        (stay.replace("c1-1c1s1n1", "c1-9c1s1n1"), "column \"location\" is \"c1-9c1s1n1\""),
        (stay.replace("2014-01-21 10", "21.01.2014 10"), "column \"insert\" is \"21.01.2014 10:00:00\""),
        (stay.replace("2014-01-22 10", "soon "), "column \"remove\" is \"soon :00:00\""),
        (stay.replace("86400.0", "-1"), "column \"duration\" is -1, it cannot be negative"),
        (stay.replace("86400.0", ""), "column \"duration\" is empty"),
        (stay.replace("DBE", "XID"), "column \"event\" is \"XID\""),
        (
            stay.replace("86400.0", "86401.0"),
            "column \"time\" is 86400, expected above 0 and the sum of its stays (86401)",
        ),
        (stay.replace("x,", "y,"), "x has no stay in gpu_intervals.csv"),
        (stay.replace("2014-01-21 10:00:00", ""), "an event of x, which has no stay"),
    ] {
        let message = refused(&[&line], row);
        assert!(message.contains("line 62") && message.contains(problem), "{line}: {message}");
    }
    for (line, problem) in [
        (row.replace("old", "older"), "column \"batch\" is \"older\", expected old or new"),
        (
            row.replace("True,True,False,True", "True,Yes,False,True"),
            "column \"dead\" is \"Yes\", expected True or False",
        ),
        (row.replace("True,True,False,True", "True,True,False,False"), "contradict each other"),
        (row.replace("True,True,False,True", "True,False,False,True"), "contradict each other"),
        (row.replace("1,1,1,1,1", "1,1,3,1,1"), "col, row, cage, slot, node are [1, 1, 3, 1, 1]"),
        (row.replace("x,", "g1,"), "column \"SN\" is empty or given twice"),
        (row.replace("86400", "0"), "column \"time\" is 0"),
    ] {
        let message = refused(&[stay], &line);
        assert!(message.contains("gpu_summary.csv, line 62") && message.contains(problem), "{line}: {message}");
    }
    fs::remove_file(folder.path().join("gpu_summary.csv")).unwrap();
    let config = TitanGpuConfig { from: folder.path().to_owned(), places: Places::Summary };
    let message = TitanGpu::open(&config).unwrap_err().to_string();
    assert!(message.contains("gpu_summary.csv: not found"), "{message}");
}

// ---- Backblaze

const DRIVES: &str = "serial_number,model,capacity_bytes,installed,status,event,time_days,failed,removed,first_seen,last_seen,seen_after_failure_days";

/// 28 drives that fail on days 1 to 28 of a month, then these.
fn drives(folder: &Path, more: &[&str]) -> Result<BackblazeDrives, DatasetError> {
    let mut lines: Vec<String> = (1..=28)
        .map(|day| {
            format!("s{day},A,4e12,2014-01-01,failed,1,{},2014-02-{day:02},,2014-01-01,2014-02-{day:02},0.0", 30 + day)
        })
        .collect();
    lines.extend(more.iter().map(|&line| line.to_owned()));
    write(folder, "drives.csv", DRIVES, &lines);
    BackblazeDrives::open(&BackblazeDrivesConfig { from: folder.to_owned() })
}

#[test]
fn drives_end_as_their_status_and_dates_say() {
    let folder = tempfile::tempdir().unwrap();
    let odd = [
        "negative,A,4e12,2014-03-01,failed,1,-1,2014-02-28,,2014-02-28,2015-01-01,300.0",
        "zero,A,4e12,2014-03-01,removed,0,0,,2014-03-01,2014-03-01,2014-03-01,",
        "lingers,A,4e12,2014-03-01,failed,1,1,2014-03-02,,2014-03-01,2014-03-09,7.0",
        "back,A,4e12,2014-03-01,failed,1,1,2014-03-02,,2014-03-01,2014-03-10,8.0",
        "removed,B,-1,2014-03-01,removed,0,2,,2014-03-03,2014-03-01,2014-03-03,",
        "active,B,8e12,2014-03-02,active,0,3,,,2014-03-02,2014-03-05,",
    ];
    let mut source = drives(folder.path(), &odd).unwrap();
    assert_eq!(source.skipped(), [("time_negative".to_owned(), 1), ("time_zero".to_owned(), 1)].into());
    let notes = source.plan().notes.join("\n");
    assert!(notes.contains("1 drives were seen again more than 7 days"), "{notes}");
    let seen = histories(&mut source);
    assert_eq!(seen.len(), 28 + 4);
    let end = |name: &str| (seen[name].events.len(), seen[name].end.name());
    assert_eq!(end("drive-lingers").0, 1);
    assert_eq!(end("drive-back"), (0, "maintenance"));
    assert_eq!(end("drive-removed"), (0, "planned_end"));
    assert_eq!(end("drive-active"), (0, "end_of_observation"));
    let active = &seen["drive-active"];
    assert_eq!(active.observed_until - active.observed_from, 3);
    assert_eq!(active.observed_from, 16_131, "2014-03-02 in days since 1970");
    assert_eq!(active.born, Some(16_131));
    assert_eq!(seen["drive-removed"].born, None, "there on the first day of its model");
    assert!(seen["drive-removed"].attributes["capacity_terabytes"].is_nan());
    assert!((active.attributes["capacity_terabytes"] - 8.0).abs() < 1e-12 && active.attributes["model_B"] > 0.5);
    assert!((active.attributes["installed_year"] - 2014.166).abs() < 1e-3);
}

#[test]
fn drive_tables_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let line = "x,A,4e12,2014-03-01,failed,1,1,2014-03-02,,2014-03-01,2014-03-02,0.0";
    drives(folder.path(), &[line]).unwrap();
    for (line, problem) in [
        (line.replace("failed", "burnt"), "column \"status\" is \"burnt\", expected failed, removed or active"),
        (line.replace("failed,1", "failed,0"), "column \"event\" is \"0\", its status says 1"),
        (line.replace("1,1,2014", "1,9,2014"), "column \"time_days\" is 9, its dates say 1"),
        (line.replace("1,1,2014", "1,1.5,2014"), "column \"time_days\" is 1.5, expected a whole number"),
        (line.replace("2014-03-01,failed", "2014-02-30,failed"), "column \"installed\" is \"2014-02-30\""),
        (line.replace("2014-03-02,,", ",,"), "column \"failed\" is \"\", expected YYYY-MM-DD"),
        (line.replace("4e12", "inf"), "column \"capacity_bytes\" is inf"),
        (line.replace("x,A", "x,"), "column \"model\" is empty"),
        (line.replace("x,", "s1,"), "column \"serial_number\" is empty or given twice"),
        (line.replace("0.0", "never"), "column \"seen_after_failure_days\" is \"never\""),
    ] {
        let message = drives(folder.path(), &[&line]).unwrap_err().to_string();
        assert!(message.contains("drives.csv, line 30") && message.contains(problem), "{line}: {message}");
    }
    write(folder.path(), "drives.csv", "serial_number,model", &["x,A".to_owned()]);
    let config = BackblazeDrivesConfig { from: folder.path().to_owned() };
    let message = BackblazeDrives::open(&config).unwrap_err().to_string();
    assert!(message.contains("column \"capacity_bytes\" is missing"), "{message}");
    let dead = "x,A,4e12,2014-03-01,removed,0,0,,2014-03-01,2014-03-01,2014-03-01,";
    write(folder.path(), "drives.csv", DRIVES, &[dead.to_owned()]);
    let message = BackblazeDrives::open(&config).unwrap_err().to_string();
    assert!(message.contains("no drives of a duration above 0"), "{message}");
}
