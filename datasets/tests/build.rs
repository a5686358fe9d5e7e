//! From histories to a folder and back: whole or not at all, counted, verified, refused by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use datasets::source::{Each, Input, readout};
use datasets::{BuildPlan, Cuts, Dataset, DatasetError, Manifest, Silent, Source, SplitRule, build};
use features::catalogue::MetricDefinition;
use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, Statistic};
use features::split::{Shares, Split};
use features::{
    Catalogue, Entity, EntityHistory, EntityKind, FailureEvent, FeatureSpec, MetricId, MetricKind, Sample, TimeAxis,
};
use survival::{CensorReason, Outcome, TimeGrid, TimeUnit};

const METRIC: MetricId = MetricId(0);

/// Histories handed over as they are.
#[derive(Clone)]
struct Given {
    plan: BuildPlan,
    histories: Vec<EntityHistory>,
}

impl Source for Given {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }
    fn entities(&self) -> Option<u64> {
        Some(self.histories.len() as u64)
    }
    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> datasets::Result<()> {
        self.histories.iter().try_for_each(|history| each(history.clone(), None))
    }
    fn skipped(&self) -> BTreeMap<String, u64> {
        [("never_ran".to_owned(), 2)].into()
    }
}

fn catalogue() -> Catalogue {
    let level = MetricDefinition {
        id: "level".to_owned(),
        unit: "1".to_owned(),
        kind: MetricKind::Gauge,
        states: Vec::new(),
        signed: true,
        combine: features::Combine::default(),
        foretells: String::new(),
    };
    Catalogue::try_new(vec![level]).unwrap()
}

fn plan() -> BuildPlan {
    let catalogue = catalogue();
    let spec = FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Minutes, ticks_per_unit: 1 },
        tile: 1,
        ingest_lag: 2,
        longest_gap: 5,
        flat: vec![FlatColumn { name: "age".to_owned(), source: FlatSource::Age }],
        steps: 3,
        step: 1,
        channels: vec![Channel {
            name: "level".to_owned(),
            metric: "level".to_owned(),
            statistic: Statistic::Last,
            divide_by: None,
        }],
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue.digest(),
    };
    BuildPlan {
        name: "toy".to_owned(),
        title: "Toy".to_owned(),
        licence: "none needed".to_owned(),
        source_text: "made up".to_owned(),
        inputs: vec![Input::of("toy", b"1")],
        catalogue,
        spec,
        grid: TimeGrid::try_new(TimeUnit::Minutes, vec![0.0, 5.0, 10.0, 20.0]).unwrap(),
        causes: vec!["broke".to_owned(), "burnt".to_owned()],
        readout: readout(&[5.0, 10.0], &[0.5], 20.0),
        cuts: Cuts::Every { first: 0, every: 5, phase: 0 },
        split: SplitRule::ByGroup {
            salt: String::new(),
            shares: Shares { train: 100, validation: 0, calibration: 0 },
            test_only: Vec::new(),
        },
        permute_labels: None,
        notes: vec!["a trap".to_owned()],
    }
}

fn sample(time: i64, known_at: i64, value: f64) -> Sample {
    Sample::try_new(&catalogue(), METRIC, time, known_at, value).unwrap()
}

/// Watched over 20 minutes, a sample a minute with the minute as its value.
fn history(key: &str, failed: Option<(&str, i64)>) -> EntityHistory {
    let until = failed.map_or(20, |(_, time)| time);
    EntityHistory {
        nodes: Vec::new(),
        entity: Entity::try_new(EntityKind::Machine, key, "").unwrap(),
        group: key.to_owned(),
        attributes: BTreeMap::new(),
        born: Some(0),
        observed_from: 0,
        observed_until: until,
        end: CensorReason::EndOfObservation,
        tiles: None,
        samples: (0..until).map(|minute| sample(minute, minute, minute as f64)).collect(),
        events: failed
            .into_iter()
            .map(|(cause, time)| FailureEvent::try_new(key, cause, time, time, "seen").unwrap())
            .collect(),
        gaps: [].into(),
    }
}

fn toy() -> Given {
    Given { plan: plan(), histories: vec![history("a", Some(("burnt", 12))), history("b", None)] }
}

fn built(source: &Given, dir: &Path) -> Dataset {
    build(&mut source.clone(), dir, &Silent).unwrap();
    Dataset::open(dir).unwrap()
}

fn refusal(source: &Given, dir: &Path) -> String {
    build(&mut source.clone(), dir, &Silent).unwrap_err().to_string()
}

/// Everything beside and inside a folder, hidden names included.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn rows_hold_what_was_known_and_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = built(&toy(), &folder.path().join("set"));
    let rows = dataset.rows().unwrap();
    let as_of: Vec<(String, i64)> =
        rows.features.entities().iter().zip(rows.features.as_of()).map(|(e, t)| (e.key().to_owned(), *t)).collect();
    let expected = [("a", 0), ("a", 5), ("a", 10), ("b", 0), ("b", 5), ("b", 10), ("b", 15)];
    assert_eq!(as_of, expected.map(|(key, time)| (key.to_owned(), time)));
    // The cut at minute 10 sees minutes 7, 8 and 9 and looks ahead to minute 12.
    assert_eq!(rows.features.sequence_row(2), [7.0, 8.0, 9.0]);
    assert!(rows.features.sequence_row(0).iter().all(|value| value.is_nan()));
    assert!((rows.observations[2].duration() - 2.0).abs() < 1e-12);
    assert!(matches!(rows.observations[2].outcome(), Outcome::Failed(cause) if cause.0 == 1));
    assert!(matches!(rows.observations[6].outcome(), Outcome::Censored(CensorReason::EndOfObservation)));
    let counts = &dataset.manifest().counts;
    assert_eq!((counts.rows, counts.failures, counts.entities, counts.groups), (7, 3, 2, 2));
    // The cut of b at minute 20 lies at the end of watching.
    assert_eq!(counts.excluded, [("never_ran".to_owned(), 2), ("not_watched".to_owned(), 1)].into());
    assert_eq!(counts.events_by_cause, [("burnt".to_owned(), 1)].into());
    let report = dataset.verify(&Silent).unwrap();
    assert_eq!((report.rows, report.unlisted.len()), (7, 0));
    assert!(dataset.truth().unwrap().is_none());
    let description = dataset.describe().unwrap();
    assert_eq!(description.events[0].evidence, "seen");
    assert!(description.to_string().contains("burnt in (12, 12]: seen"), "{description}");
    let card = fs::read_to_string(dataset.dir().join("README.md")).unwrap();
    assert!(card.starts_with("---\npretty_name: \"Toy\"\nconfigs:\n") && card.contains("- a trap"), "{card}");
}

#[test]
fn a_group_that_is_only_tested_is_test_and_the_card_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let card = |dataset: &Dataset| fs::read_to_string(dataset.dir().join("README.md")).unwrap();
    let before = built(&toy(), &folder.path().join("before"));
    assert!(!card(&before).contains("whatever their hash"), "{}", card(&before));
    let mut source = toy();
    if let SplitRule::ByGroup { test_only, .. } = &mut source.plan.split {
        test_only.push("b".to_owned());
    }
    let dataset = built(&source, &folder.path().join("set"));
    let rows = dataset.rows().unwrap();
    let groups = |split| rows.rows_of(split).into_iter().map(|row| rows.groups[row].as_str()).collect::<Vec<_>>();
    assert_eq!((groups(Split::Train), groups(Split::Test)), (vec!["a"; 3], vec!["b"; 4]));
    assert_eq!(dataset.manifest().split, source.plan.split);
    assert!(card(&dataset).contains("with all groups below them: `b`"), "{}", card(&dataset));
    assert_ne!(dataset.manifest().input_digest, before.manifest().input_digest);
}

#[test]
fn nothing_is_made_of_nothing_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    let empty = Given { histories: Vec::new(), ..toy() };
    assert!(refusal(&empty, &set).contains("no rows"), "{}", refusal(&empty, &set));
    let healthy = Given { histories: vec![history("b", None)], ..toy() };
    assert!(refusal(&healthy, &set).contains("none of its 4 rows ends in a failure"), "{}", refusal(&healthy, &set));
    let mut unknown = toy();
    unknown.plan.causes = vec!["broke".to_owned()];
    assert!(refusal(&unknown, &set).contains("burnt"), "{}", refusal(&unknown, &set));
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn duplicates_and_late_samples_are_counted_and_time_travel_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = toy();
    let samples = &mut source.histories[1].samples;
    samples.insert(4, sample(3, 3, 3.0));
    // Minute 7 is known only at minute 30: a tile closes 2 minutes after its end.
    let late = samples.iter().position(|s| s.time() == 7).unwrap();
    samples[late] = sample(7, 30, 7.0);
    let dataset = built(&source, &folder.path().join("set"));
    let counts = &dataset.manifest().counts;
    assert_eq!((counts.duplicate_samples, counts.late_samples), (1, 1));
    let rows = dataset.rows().unwrap();
    let window = rows.features.sequence_row(5);
    assert!(window[0].is_nan() && window[1..] == [8.0, 9.0], "{window:?}");

    let mut twice = toy();
    twice.histories[1].samples.insert(4, sample(3, 3, 99.0));
    let message = refusal(&twice, &folder.path().join("twice"));
    assert!(message.contains("duplicate with another value at 3"), "{message}");
    let mut backwards = toy();
    backwards.histories[1].samples.swap(4, 5);
    let message = refusal(&backwards, &folder.path().join("backwards"));
    assert!(message.contains("time runs backwards at 4"), "{message}");
    assert_eq!(names(folder.path()), ["set"]);
}

#[test]
fn the_same_input_is_left_as_it_is_and_anything_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    assert!(!build(&mut toy(), &set, &Silent).unwrap().reused);
    let written = fs::metadata(set.join("dataset.json")).unwrap().modified().unwrap();
    assert!(build(&mut toy(), &set, &Silent).unwrap().reused);
    assert_eq!(fs::metadata(set.join("dataset.json")).unwrap().modified().unwrap(), written);

    let mut other = toy();
    other.plan.inputs = vec![Input::of("toy", b"2")];
    assert!(refusal(&other, &set).contains("a data set of another input (toy)"));
    fs::remove_file(set.join("events.parquet")).unwrap();
    assert!(refusal(&toy(), &set).contains("incomplete: events.parquet"));
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
    assert!(refusal(&toy(), &foreign).contains("already there"));
    assert_eq!(fs::read_to_string(foreign.join("thesis.txt")).unwrap(), "years of work");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    built(&toy(), &empty);
}

#[test]
fn what_a_dead_run_left_is_removed_and_a_living_run_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join(".set.staging-999999");
    fs::create_dir_all(dead.join("rows")).unwrap();
    fs::write(dead.join("rows/part-00000.parquet"), "half").unwrap();
    fs::write(folder.path().join(".set.staging-999999.lock"), "").unwrap();
    let living = folder.path().join(".set.staging-888888");
    fs::create_dir(&living).unwrap();
    let lock = fs::File::create(folder.path().join(".set.staging-888888.lock")).unwrap();
    lock.try_lock().unwrap();
    built(&toy(), &folder.path().join("set"));
    assert_eq!(names(folder.path()), [".set.staging-888888", ".set.staging-888888.lock", "set"]);

    let own = folder.path().join(format!(".two.staging-{}.lock", std::process::id()));
    let own = fs::File::create(own).unwrap();
    own.try_lock().unwrap();
    assert!(refusal(&toy(), &folder.path().join("two")).contains("another process is at work here"));
}

/// Hands over the first history and never comes back.
struct Hanging(Given, std::path::PathBuf);

impl Source for Hanging {
    fn plan(&self) -> &BuildPlan {
        &self.0.plan
    }
    fn entities(&self) -> Option<u64> {
        None
    }
    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> datasets::Result<()> {
        each(self.0.histories[0].clone(), None)?;
        fs::write(&self.1, "reached").unwrap();
        loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    }
}

#[test]
#[ignore = "run as a child process by a_killed_build_leaves_nothing_that_matters, which kills it"]
fn child_that_hangs() {
    if let Some(folder) = std::env::var_os("FOREWARN_TEST_FOLDER").map(std::path::PathBuf::from) {
        let _ = build(&mut Hanging(toy(), folder.join("reached")), &folder.join("set"), &Silent);
    }
}

/// Runs an ignored test of this file in a process of its own and kills it once it says where it is.
fn killed_where_it_hangs(test: &str, folder: &Path) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env("FOREWARN_TEST_FOLDER", folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !folder.join("reached").exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_build_leaves_nothing_that_matters() {
    let folder = tempfile::tempdir().unwrap();
    killed_where_it_hangs("child_that_hangs", folder.path());
    assert!(refusal(&toy(), &folder.path().join("reached")).contains("no folder"));
    assert!(names(folder.path()).iter().any(|name| name.starts_with(".set.staging-")), "it was killed half-way");
    assert!(!folder.path().join("set").exists(), "nothing half-written is at its place");

    built(&toy(), &folder.path().join("set"));
    built(&toy(), &folder.path().join("undisturbed"));
    assert_eq!(names(folder.path()), ["reached", "set", "undisturbed"]);
    for file in ["rows/part-00000.parquet", "events.parquet", "dataset.json", "README.md"] {
        let read = |name: &str| fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("set") == read("undisturbed"), "{file}");
    }
}

/// One history a unit, units counted as they are asked for; from `hang` on it never comes back.
struct Units {
    given: Given,
    asked: Vec<usize>,
    hang: Option<(usize, std::path::PathBuf)>,
}

impl Source for Units {
    fn plan(&self) -> &BuildPlan {
        &self.given.plan
    }
    fn entities(&self) -> Option<u64> {
        self.given.entities()
    }
    fn units(&self) -> usize {
        self.given.histories.len()
    }
    fn unit(&mut self, unit: usize, each: &mut Each<'_>) -> datasets::Result<()> {
        self.asked.push(unit);
        each(self.given.histories[unit].clone(), None)?;
        if let Some((at, reached)) = &self.hang
            && unit == *at
        {
            fs::write(reached, "reached").unwrap();
            loop {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
        }
        Ok(())
    }
    fn skipped(&self) -> BTreeMap<String, u64> {
        [("seen_twice".to_owned(), 1)].into()
    }
}

fn units(hang: Option<(usize, std::path::PathBuf)>) -> Units {
    let mut given = toy();
    given.histories = (0..5).map(|n| history(&format!("u{n}"), (n != 2).then_some(("burnt", 10 + n)))).collect();
    Units { given, asked: Vec::new(), hang }
}

#[test]
#[ignore = "run as a child process by a_killed_build_goes_on_behind_its_last_unit, which kills it"]
fn child_that_hangs_in_a_unit() {
    if let Some(folder) = std::env::var_os("FOREWARN_TEST_FOLDER").map(std::path::PathBuf::from) {
        let _ = build(&mut units(Some((3, folder.join("reached")))), &folder.join("set"), &Silent);
    }
}

#[test]
fn a_killed_build_goes_on_behind_its_last_unit() {
    let undisturbed = tempfile::tempdir().unwrap();
    let whole = undisturbed.path().join("set");
    build(&mut units(None), &whole, &Silent).unwrap();
    for damaged in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        killed_where_it_hangs("child_that_hangs_in_a_unit", folder.path());
        let staging = names(folder.path()).into_iter().find(|name| name.starts_with(".set.staging-")).unwrap();
        if damaged {
            fs::write(folder.path().join(staging).join("units/00001.parquet"), "half").unwrap();
        }
        let mut again = units(None);
        build(&mut again, &folder.path().join("set"), &Silent).unwrap();
        // A unit whose files are not what its record says is made again, and so is what follows it.
        assert_eq!(again.asked, if damaged { vec![1, 2, 3, 4] } else { vec![3, 4] });
        assert_eq!(names(folder.path()), ["reached", "set"]);
        assert_eq!(names(&folder.path().join("set")), names(&whole));
        for file in ["rows/part-00000.parquet", "events.parquet", "dataset.json", "README.md"] {
            let read = |set: &Path| fs::read(set.join(file)).unwrap();
            assert!(read(&folder.path().join("set")) == read(&whole), "{file}");
        }
        assert_eq!(Dataset::open(&whole).unwrap().manifest().counts.excluded["seen_twice"], 5);
    }
}

#[test]
fn what_another_build_left_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join(".set.staging-999999");
    fs::create_dir_all(dead.join("units")).unwrap();
    let record = r#"{"digest":"another","of":5,"rows":{"path":"units/00000.parquet","sha256":"","bytes":0},
        "events":{"path":"units/00000.events.parquet","sha256":"","bytes":0},"nodes":[],"tally":{},"entities":1}"#;
    fs::write(dead.join("units/00000.json"), record).unwrap();
    let mut source = units(None);
    build(&mut source, &folder.path().join("set"), &Silent).unwrap();
    assert_eq!(source.asked, [0, 1, 2, 3, 4]);
    assert_eq!(names(folder.path()), ["set"]);
}

#[test]
fn one_flipped_byte_is_found_and_its_file_named() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = built(&toy(), &folder.path().join("set"));
    for file in ["rows/part-00000.parquet", "events.parquet", "README.md"] {
        let path = dataset.dir().join(file);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = dataset.verify(&Silent).unwrap_err();
        assert!(matches!(&error, DatasetError::Digest { path: named, .. } if *named == path), "{error}");
        fs::write(&path, &whole[..middle]).unwrap();
        let error = Dataset::open(dataset.dir()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("size in bytes"), "{error}");
        fs::write(&path, &whole).unwrap();
    }
    fs::write(dataset.dir().join("rows/stray.parquet"), "x").unwrap();
    assert_eq!(dataset.verify(&Silent).unwrap().unlisted, ["rows/stray.parquet"]);
}

#[test]
fn a_manifest_of_another_shape_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    built(&toy(), &set);
    let path = set.join("dataset.json");
    let text = fs::read_to_string(&path).unwrap();
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        Manifest::read(&set).unwrap_err().to_string()
    };
    let message = refused(&text.replace("\"title\"", "\"titel\""));
    assert!(message.contains("dataset.json") && message.contains("unknown field `titel`"), "{message}");
    let message = refused(&text.replace("\"schema_version\": 1", "\"schema_version\": 7"));
    assert!(message.contains("schema_version is 7, this build reads 1"), "{message}");
    let message = refused(&text.replace("\"steps\": 3", "\"steps\": 2"));
    assert!(message.contains("hash of the spec"), "{message}");
    let message = refused(&text.replace("events.parquet", "../events.parquet"));
    assert!(message.contains("leaves the data set"), "{message}");
    let message = refused(&text[..text.len() / 2]);
    assert!(message.contains("not JSON"), "{message}");
    fs::remove_file(&path).unwrap();
    let message = Dataset::open(&set).unwrap_err().to_string();
    assert!(message.contains("not found (the manifest"), "{message}");
}

#[test]
fn a_plan_that_contradicts_itself_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    let with = |change: fn(&mut BuildPlan)| {
        let mut source = toy();
        change(&mut source.plan);
        refusal(&source, &set)
    };
    let message = with(|plan| plan.readout.horizons = vec![5.0, 50.0]);
    assert!(message.contains("horizons [5.0, 50.0]"), "{message}");
    let message = with(|plan| plan.causes = vec!["a".to_owned(), "a".to_owned()]);
    assert!(message.contains("each once"), "{message}");
    let message = with(|plan| plan.name = "../toy".to_owned());
    assert!(message.contains("letters, digits"), "{message}");
    let message = with(|plan| {
        if let SplitRule::ByGroup { test_only, .. } = &mut plan.split {
            test_only.push("shop/".to_owned());
        }
    });
    assert!(message.contains("test_only names \"shop/\""), "{message}");
    let message = with(|plan| plan.grid = TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 20.0]).unwrap());
    assert!(message.contains("grid is in Hours"), "{message}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}
