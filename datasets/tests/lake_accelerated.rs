//! A lake whose time is accelerated: a sample a second, tiles of five seconds, horizons of minutes, durations in seconds.

use std::collections::BTreeMap;
use std::path::Path;

use datasets::lake::LakeRow;
use datasets::lake_source::{LakeBuildConfig, LakeSource, SplitConfig, rows_at, rows_at_by};
use datasets::{Dataset, LakeOptions, LakeWriter, Silent, Source, SplitRule, build};
use features::event::EventRules;
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, Split};
use survival::TimeUnit;

const START: i64 = 1_795_000_200_000;
/// Seconds that are watched.
const WATCHED: i64 = 600;

fn at(second: i64) -> i64 {
    START + second * 1000
}

#[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
fn seconds(time: i64) -> f64 {
    time as f64 / 1000.0
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

fn folder_of_the_lab() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("lab")
}

fn lab_rules() -> EventRules {
    EventRules::from_toml(&std::fs::read_to_string(folder_of_the_lab().join("event_rules.toml")).unwrap()).unwrap()
}

/// The build spec of the lab, with one family that is only tested.
fn config() -> LakeBuildConfig {
    let mut config = LakeBuildConfig::read(&folder_of_the_lab().join("build.toml")).unwrap();
    if let SplitConfig::Group { test_only, .. } = &mut config.split {
        *test_only = vec!["poison".to_owned()];
    }
    config
}

struct Lab {
    writer: LakeWriter,
    catalogue: Catalogue,
    rows: Vec<(LakeRow, i64)>,
}

impl Lab {
    fn put(
        &mut self,
        (kind, key, uid): (EntityKind, &str, &str),
        metric: &str,
        part: &str,
        samples: impl Iterator<Item = (i64, f64)>,
    ) {
        let series = CanonicalSeries {
            entity: Entity::try_new(kind, key, uid).unwrap(),
            metric: self.catalogue.id(metric).unwrap(),
            part: part.to_owned(),
        };
        let series = self.writer.register(&series).unwrap();
        self.rows.extend(samples.map(|(time, value)| (LakeRow { series, time, value }, time + 200)));
    }

    fn state(&self, metric: &str, state: &str) -> f64 {
        let states = &self.catalogue.definition(self.catalogue.id(metric).unwrap()).unwrap().states;
        count(states.iter().position(|name| name == state).unwrap())
    }

    /// A container that ends 300 ms after these seconds for these reasons, and whose probes fail at those seconds.
    fn container(&mut self, family: &str, number: i64, ends: &[(i64, &str)], failed: &[i64]) {
        let pod = format!("{family}/w{number}-6f7d8c9b5-abcde");
        let (container, uid) = (format!("{pod}/app"), format!("uid-{family}-{number}"));
        let p = (EntityKind::Pod, pod.as_str(), uid.as_str());
        let c = (EntityKind::Container, container.as_str(), uid.as_str());
        let times = || (0..WATCHED).map(at);
        let ended = |time: i64| ends.iter().filter(|(end, _)| at(*end) < time).count();
        let began = |time: i64| ended(time).checked_sub(1).map_or(at(-2), |last| at(ends[last].0) + 500);
        let over = |time: i64| ends.get(ended(time)).map_or(at(2 * WATCHED), |(end, _)| at(*end) + 300);

        let (running, owner) = (self.state("phase", "Running"), format!("w{number}-6f7d8c9b5"));
        self.put(p, "phase", "", times().map(|time| (time, running)));
        self.put(p, "created.time", "", times().map(|time| (time, seconds(at(-3)))));
        let labels = format!("created_by_kind=ReplicaSet,created_by_name={owner},node=lab-0");
        self.put(p, "pod.info", &labels, times().map(|time| (time, 1.0)));
        let labels = format!("owner_kind=ReplicaSet,owner_name={owner}");
        self.put(p, "owner", &labels, times().map(|time| (time, 1.0)));

        // Memory reaches its limit when the life is over.
        let used = |time: i64| 1e8 * (0.2 + 0.8 * seconds(time - began(time)) / seconds(over(time) - began(time)));
        self.put(c, "mem.working_set", "", times().map(|time| (time, used(time))));
        self.put(c, "mem.limit", "", times().map(|time| (time, 1e8)));
        self.put(c, "cpu.time", "", times().map(|time| (time, seconds(time - began(time)) / 100.0)));
        self.put(c, "start.time", "", times().map(|time| (time, seconds(began(time)))));
        self.put(c, "restart.count", "", times().map(|time| (time, count(ended(time)))));
        let reasons: Vec<f64> = ends.iter().map(|(_, reason)| self.state("terminated.reason", reason)).collect();
        let after = || times().filter(|&time| ended(time) > 0);
        self.put(c, "terminated.reason", "", after().map(|time| (time, reasons[ended(time) - 1])));
        let last = |time: i64| seconds(at(ends[ended(time) - 1].0) + 300);
        self.put(c, "terminated.time", "", after().map(|time| (time, last(time))));

        // A probe every two seconds, each of two milliseconds.
        let probes = |time: i64| count(usize::try_from((time - START) / 2000 + 1).unwrap());
        let liveness = "probe_type=Liveness";
        self.put(c, "probe.duration_count", liveness, times().map(|time| (time, probes(time))));
        self.put(c, "probe.duration", liveness, times().map(|time| (time, 0.002 * probes(time))));
        let failures = |time: i64| failed.iter().filter(|second| at(**second) <= time).count();
        let shown = times().filter(|&time| failures(time) > 0);
        self.put(c, "probe.failures", liveness, shown.map(|time| (time, count(failures(time)))));
    }
}

/// Four families of three workloads each.
fn lab(dir: &Path) {
    let writer = LakeWriter::open(dir, LakeOptions::default()).unwrap();
    let mut lab = Lab { writer, catalogue: Catalogue::standard(), rows: Vec::new() };
    for number in 0..3 {
        lab.container("leak", number, &[(200 + 20 * number, "OOMKilled"), (420 + 20 * number, "OOMKilled")], &[]);
        lab.container("fine", number, &[], &[]);
        // Probes that failed a minute before have nothing to do with it, which shipped rules would not know.
        let end = 250 + 30 * number;
        lab.container("poison", number, &[(end, "Error")], &[end - 60, end - 58, end - 56]);
        let end = 300 + 15 * number;
        lab.container("stuck", number, &[(end, "Error")], &[end - 6, end - 4, end - 2]);
    }
    lab.writer.import("lab", "whole", &lab.rows).unwrap();
    lab.writer.close().unwrap();
}

#[test]
fn durations_are_in_the_unit_of_the_spec_from_the_grid_to_the_card() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, out) = (folder.path().join("lake"), folder.path().join("dataset"));
    lab(&lake);
    let mut source = LakeSource::open(&lake, config()).unwrap();
    let plan = source.plan();
    assert_eq!((plan.grid.unit(), plan.spec.tile, plan.spec.longest_gap), (TimeUnit::Seconds, 5000, 5000));
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(near(plan.grid.edges()[1], 10.0) && near(plan.grid.last_edge(), 300.0), "{:?}", plan.grid);
    let horizons = [30.0, 60.0, 120.0, 300.0];
    assert!(plan.readout.horizons.iter().zip(horizons).all(|(&a, b)| near(a, b)), "{:?}", plan.readout);

    let built = build(&mut source, &out, &Silent).unwrap();
    let causes: BTreeMap<&str, u64> =
        built.manifest.counts.events_by_cause.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    assert_eq!(causes, BTreeMap::from([("container_oom", 6), ("container_crash", 3), ("probe_kill", 3)]));
    let rules = built.manifest.inputs.iter().find(|input| input.name == "event rules").unwrap();
    assert_eq!(rules.sha256, lab_rules().digest());
    assert_eq!(built.manifest.counts.late_samples, 0);

    let dataset = Dataset::open(&out).unwrap();
    dataset.verify(&Silent).unwrap();
    let rows = dataset.rows().unwrap();
    assert!(rows.features.as_of().iter().all(|as_of| as_of % 10_000 == 0));
    let row = (0..rows.rows())
        .find(|&row| {
            rows.features.entities()[row].key().starts_with("leak/w0-") && rows.features.as_of()[row] == at(170)
        })
        .unwrap();
    assert!(near(rows.observations[row].duration(), 30.3), "{:?}", rows.observations[row]);
    let value = |name: &str| {
        let column = dataset.spec().flat.iter().position(|column| column.name == name).unwrap();
        f64::from(rows.features.flat_row(row)[column])
    };
    // The last sample is that of a second before.
    assert!((value("mem.time_to_limit.30s") - 31.3).abs() < 0.1, "{}", value("mem.time_to_limit.30s"));
    assert!(near(value("mem.completeness.1m"), 1.0), "{}", value("mem.completeness.1m"));
    assert!(near(value("probe.duration.mean.15s"), 0.002), "{}", value("probe.duration.mean.15s"));
    assert!(near(value("age.life"), 172.0), "{}", value("age.life"));
    assert!((value("cpu.time.rate.15s") - 0.01).abs() < 1e-6, "{}", value("cpu.time.rate.15s"));
    assert!(value("node.mem.others") > 11.0 * 2e7, "{}", value("node.mem.others"));
    assert_eq!(rows.features.steps(), 48);

    let description = dataset.describe().unwrap();
    assert_eq!(description.unit, "s");
    assert!(description.to_string().contains("300 s: "), "{description}");
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    for words in ["Durations are in s, counted from `as_of` (1000 ticks to the s)", "below them: `poison`"] {
        assert!(card.contains(words), "{words:?} is missing of the card:\n{card}");
    }
}

#[test]
fn a_family_that_is_only_tested_has_no_row_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, out) = (folder.path().join("lake"), folder.path().join("dataset"));
    lab(&lake);
    let built = build(&mut LakeSource::open(&lake, config()).unwrap(), &out, &Silent).unwrap();
    let held = ["poison".to_owned()];
    assert!(matches!(&built.manifest.split, SplitRule::ByGroup { test_only, .. } if *test_only == held));
    let rows = Dataset::open(&out).unwrap().rows().unwrap();
    let of = |family: &str| (0..rows.rows()).filter(|&row| rows.groups[row].starts_with(family)).collect::<Vec<_>>();
    assert_eq!(rows.groups[of("poison")[0]].split('/').count(), 2, "a group is family/workload");
    assert!(of("poison").len() > 100 && of("poison").into_iter().all(|row| rows.splits[row] == Split::Test));
    assert!(of("leak").into_iter().chain(of("fine")).chain(of("stuck")).any(|row| rows.splits[row] == Split::Train));
}

#[test]
fn a_moment_of_an_accelerated_lake_is_scored_with_the_columns_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, out) = (folder.path().join("lake"), folder.path().join("dataset"));
    lab(&lake);
    build(&mut LakeSource::open(&lake, config()).unwrap(), &out, &Silent).unwrap();
    let dataset = Dataset::open(&out).unwrap();
    let trained = dataset.rows().unwrap();
    let (spec, causes, kind) = (dataset.spec(), dataset.causes(), EntityKind::Container);
    let night = rows_at_by(&lake, kind, spec, causes, Some(at(400)), lab_rules()).unwrap();
    assert_eq!((night.as_of, night.rows.rows()), (at(400), 12));
    for row in 0..night.rows.rows() {
        let entity = &night.rows.entities()[row];
        let same = |at_row: &usize| {
            let features = &trained.features;
            features.entities()[*at_row].key() == entity.key() && features.as_of()[*at_row] == at(400)
        };
        let same = (0..trained.rows()).find(same).unwrap();
        for (at, (new, old)) in night.rows.flat_row(row).iter().zip(trained.features.flat_row(same)).enumerate() {
            let equal = new.to_bits() == old.to_bits() || new.is_nan() && old.is_nan();
            assert!(equal, "{} {}: {new}, trained {old}", entity.key(), spec.flat[at].name);
        }
    }
    // The newest moment is the last closed tile.
    let newest = rows_at(&lake, kind, spec, causes, None).unwrap();
    assert_eq!(newest.as_of, at(595));
}
