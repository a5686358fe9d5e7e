//! From a lake of a small cluster to a data set: lives, failures, and every way of ending without one.

use std::collections::BTreeMap;
use std::path::Path;

use datasets::lake::LakeRow;
use datasets::lake_source::{LakeBuildConfig, LakeSource, events_of, refresh_events, rows_at};
use datasets::{Dataset, Lake, LakeOptions, LakeWriter, Silent, build};
use features::{CanonicalSeries, Catalogue, Entity, EntityKind};

const START: i64 = 1_795_000_200_000;
const SCRAPE: i64 = 30_000;
const HOURS: i64 = 3_600_000;

/// Writes samples of one entity after the other.
struct Cluster {
    writer: LakeWriter,
    catalogue: Catalogue,
}

#[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
fn seconds(time: i64) -> f64 {
    time as f64 / 1000.0
}

fn at(hours: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a few days")]
    let after = (hours * 3_600_000.0) as i64;
    START + after / SCRAPE * SCRAPE
}

impl Cluster {
    fn new(dir: &Path) -> Self {
        Self { writer: LakeWriter::open(dir, LakeOptions::default()).unwrap(), catalogue: Catalogue::standard() }
    }

    fn put(
        &self,
        (kind, key, incarnation): (EntityKind, &str, &str),
        metric: &str,
        part: &str,
        samples: impl Iterator<Item = (i64, f64)>,
    ) {
        let series = CanonicalSeries {
            entity: Entity::try_new(kind, key, incarnation).unwrap(),
            metric: self.catalogue.id(metric).unwrap(),
            part: part.to_owned(),
        };
        let id = self.writer.register(&series).unwrap();
        for (time, value) in samples {
            let ticket = self.writer.append(time + 200, &[LakeRow { series: id, time, value }]).unwrap();
            let _ = ticket;
        }
    }

    fn state(&self, metric: &str, state: &str) -> f64 {
        let states = &self.catalogue.definition(self.catalogue.id(metric).unwrap()).unwrap().states;
        f64::from(u32::try_from(states.iter().position(|name| name == state).unwrap()).unwrap())
    }

    /// A pod with one container from `from` to `until` hours; its end is what the caller adds.
    fn pod(&self, name: &str, owner: &str, node: &str, from: f64, until: f64) {
        let pod = format!("shop/{name}");
        let container = format!("{pod}/app");
        let uid = format!("uid-{name}");
        let times = || (0..).map(|n| at(from) + n * SCRAPE).take_while(|&time| time < at(until));
        let p = (EntityKind::Pod, pod.as_str(), uid.as_str());
        let c = (EntityKind::Container, container.as_str(), uid.as_str());
        let running = self.state("phase", "Running");
        self.put(p, "phase", "", times().map(|time| (time, running)));
        self.put(p, "created.time", "", times().map(|time| (time, seconds(at(from) - 20_000))));
        self.put(p, "owner", &format!("owner_kind=ReplicaSet,owner_name={owner}"), times().map(|time| (time, 1.0)));
        self.put(
            p,
            "pod.info",
            &format!("created_by_kind=ReplicaSet,created_by_name={owner},node={node}"),
            times().map(|time| (time, 1.0)),
        );
        self.put(c, "mem.working_set", "", times().map(|time| (time, 1e8 + seconds(time - START))));
        self.put(c, "mem.limit", "", times().map(|time| (time, 4e8)));
    }

    fn restarts(&self, name: &str, from: f64, until: f64, ends: &[(f64, &str)]) {
        let container = format!("shop/{name}/app");
        let uid = format!("uid-{name}");
        let c = (EntityKind::Container, container.as_str(), uid.as_str());
        let times = || (0..).map(|n| at(from) + n * SCRAPE).take_while(|&time| time < at(until));
        let seen = |time: i64| ends.iter().filter(|(end, _)| at(*end) < time).count();
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        self.put(c, "restart.count", "", times().map(|time| (time, seen(time) as f64)));
        let reasons = times().filter(|&time| seen(time) > 0);
        self.put(
            c,
            "terminated.reason",
            "",
            reasons.map(|time| (time, self.state("terminated.reason", ends[seen(time) - 1].1))),
        );
    }

    fn pod_state(&self, name: &str, metric: &str, value: f64, time: f64) {
        let (pod, uid) = (format!("shop/{name}"), format!("uid-{name}"));
        self.put((EntityKind::Pod, &pod, &uid), metric, "", std::iter::once((at(time), value)));
    }
}

/// Two days of a shop: every pod of it ends in another way.
fn shop(dir: &Path) {
    let cluster = Cluster::new(dir);
    // Ten that run through, with two failures each: material for every part.
    for n in 0..10 {
        let name = format!("web{n}-6f7d8c9b5-abcde");
        let owner = format!("web{n}-6f7d8c9b5");
        cluster.pod(&name, &owner, "node-1", 0.0, 48.0);
        let first = 9.0 + f64::from(n);
        cluster.restarts(&name, 0.0, 48.0, &[(first, "OOMKilled"), (first + 17.0, "Error")]);
    }
    // A rollout: deleted while pods of another revision begin.
    cluster.pod("cart-11111aaaa1-aaaaa", "cart-11111aaaa1", "node-1", 0.0, 20.0);
    cluster.pod_state("cart-11111aaaa1-aaaaa", "deletion.time", seconds(at(19.99)), 19.98);
    cluster.pod("cart-22222bbbb2-bbbbb", "cart-22222bbbb2", "node-1", 20.05, 48.0);
    // Scaled down: deleted, and nothing comes.
    cluster.pod("mail-33333cccc3-ccccc", "mail-33333cccc3", "node-1", 0.0, 21.0);
    cluster.pod_state("mail-33333cccc3-ccccc", "deletion.time", seconds(at(20.99)), 20.98);
    // Replaced by its like.
    cluster.pod("auth-44444dddd4-ddddd", "auth-44444dddd4", "node-1", 0.0, 22.0);
    cluster.pod_state("auth-44444dddd4-ddddd", "deletion.time", seconds(at(21.99)), 21.98);
    cluster.pod("auth-44444dddd4-eeeee", "auth-44444dddd4", "node-1", 22.02, 48.0);
    // Drained: evicted through the API.
    cluster.pod("pay-55555eeee5-fffff", "pay-55555eeee5", "node-1", 0.0, 23.0);
    let drained = cluster.state("disruption.reason", "EvictionByEvictionAPI");
    cluster.pod_state("pay-55555eeee5-fffff", "disruption.reason", drained, 22.99);
    // Drained: its node was cordoned a little before.
    cluster.pod("find-66666ffff6-ggggg", "find-66666ffff6", "node-2", 0.0, 24.0);
    let node = (EntityKind::Node, "node-2", "");
    cluster.put(node, "node.cordoned", "", (0..2880).map(|n| (at(0.0) + n * SCRAPE, f64::from(u8::from(n > 2850)))));
    // A job that is done.
    cluster.pod("once-77777aaaa7-hhhhh", "once-77777aaaa7", "node-1", 0.0, 18.0);
    let done = cluster.state("phase", "Succeeded");
    cluster.pod_state("once-77777aaaa7-hhhhh", "phase", done, 18.0);
    // Gone without a word.
    cluster.pod("gone-88888bbbb8-iiiii", "gone-88888bbbb8", "node-1", 0.0, 26.0);
    // Evicted by its kubelet, preempted by the scheduler: failures of the pod end its container.
    cluster.pod("batch-99999cccc9-jjjjj", "batch-99999cccc9", "node-1", 0.0, 27.0);
    let failed = cluster.state("phase", "Failed");
    cluster.pod_state("batch-99999cccc9-jjjjj", "phase", failed, 27.0);
    let evicted = cluster.state("status.reason", "Evicted");
    cluster.pod_state("batch-99999cccc9-jjjjj", "status.reason", evicted, 27.0);
    cluster.pod("low-10101dddd1-kkkkk", "low-10101dddd1", "node-1", 0.0, 28.0);
    let preempted = cluster.state("disruption.reason", "PreemptionByScheduler");
    cluster.pod_state("low-10101dddd1-kkkkk", "disruption.reason", preempted, 28.0);
    // Restarted because somebody acted on a prediction.
    cluster.pod("acted-12121eeee1-lllll", "acted-12121eeee1", "node-1", 0.0, 48.0);
    cluster.restarts("acted-12121eeee1-lllll", 0.0, 48.0, &[(30.05, "Error")]);
    cluster.writer.flush().unwrap();
}

const SPEC: &str = r#"
name = "shop"
kind = "container"
[cuts]
first = "1h"
every = "1h"
[labels]
causes = ["container_oom", "container_crash", "evicted", "preempted"]
actions = "actions.jsonl"
[split]
by = "group"
[features]
file = "features.toml"
"#;

const FEATURES: &str = r#"
unit = "hours"
tile = "5m"
ingest_lag = "1m"
scrape_interval = "30s"
[[family]]
metric = "mem.working_set"
windows = ["1h"]
statistics = ["mean", "slope"]
[[column]]
name = "workload.mem.count"
from = "neighbour"
within = "workload"
column = "mem.working_set.mean.1h"
pooled = "count"
[[column]]
name = "node.mem.count"
from = "neighbour"
within = "node"
column = "mem.working_set.mean.1h"
pooled = "count"
"#;

fn config(dir: &Path) -> LakeBuildConfig {
    let acted = chrono::DateTime::from_timestamp_millis(at(30.0)).unwrap().to_rfc3339();
    let line = format!(
        "{{\"time\":\"{acted}\",\"kind\":\"pod\",\"key\":\"shop/acted-12121eeee1-lllll\",\"action\":\"restart\"}}\n"
    );
    std::fs::write(dir.join("actions.jsonl"), line).unwrap();
    std::fs::write(dir.join("features.toml"), FEATURES).unwrap();
    std::fs::write(dir.join("spec.toml"), SPEC).unwrap();
    LakeBuildConfig::read(&dir.join("spec.toml")).unwrap()
}

#[test]
fn every_way_of_ending_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let mut source = LakeSource::open(&lake, config(folder.path())).unwrap();
    let out = folder.path().join("dataset");
    let built = build(&mut source, &out, &Silent).unwrap();
    let counts = &built.manifest.counts;
    let causes: BTreeMap<&str, u64> = counts.events_by_cause.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    assert_eq!(
        causes,
        BTreeMap::from([("container_oom", 10), ("container_crash", 10), ("evicted", 1), ("preempted", 1)])
    );
    for reason in
        ["rollout", "scale_down", "planned_end", "drain", "completed", "lost", "intervention", "end_of_observation"]
    {
        assert!(counts.ends_by_reason.contains_key(reason), "{reason} is missing of {:?}", counts.ends_by_reason);
        assert!(counts.rows_by_censor_reason.contains_key(reason), "{reason}: {:?}", counts.rows_by_censor_reason);
    }
    assert_eq!(counts.ends_by_reason["drain"], 2);
    assert_eq!(counts.excluded.get("failure_after_intervention"), Some(&1));
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    for words in ["deleted and nothing put in its place", "acted upon because of a prediction", "evicted"] {
        assert!(card.contains(words), "{words:?} is missing of the card:\n{card}");
    }
    let rules = built.manifest.inputs.iter().find(|input| input.name == "event rules").unwrap();
    assert_eq!(rules.sha256, features::event::EventRules::shipped().digest());

    let dataset = Dataset::open(&out).unwrap();
    let report = dataset.verify(&Silent).unwrap();
    drop(report);
    let rows = dataset.rows().unwrap();
    let column = |name: &str| dataset.spec().flat.iter().position(|column| column.name == name).unwrap();
    let (workload, node) = (column("workload.mem.count"), column("node.mem.count"));
    for row in 0..rows.rows() {
        let entity = rows.features.entities()[row].key().to_owned();
        let flat = rows.features.flat_row(row);
        assert_eq!(rows.groups[row].split('/').next(), Some("shop"));
        assert!(flat[workload] <= 1.0, "{entity}: no workload has more than two pods at a time");
        if entity.starts_with("shop/find") {
            assert!(flat[node].abs() < 0.5, "alone on its node");
        } else {
            assert!(flat[node] >= 10.0, "{entity}: {} neighbours on node-1", flat[node]);
        }
    }

    let description = dataset.describe().unwrap();
    assert_eq!(description.events.len(), 5);
    let page = description.page(dataset.manifest());
    for part in ["Failures over time", "Kaplan–Meier", "Audit", "restart.count 0 -&gt; 1", "end_of_observation"] {
        assert!(page.contains(part), "{part:?} is missing of the page");
    }
    let croissant: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("croissant.json")).unwrap()).unwrap();
    assert_eq!(croissant["conformsTo"], "http://mlcommons.org/croissant/1.0");
}

#[test]
fn the_same_lake_gives_the_same_data_set_and_compaction_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let config = config(folder.path());
    let mut digests = Vec::new();
    for name in ["first", "again", "compacted"] {
        if name == "compacted" {
            let options = datasets::lake::CompactOptions {
                open_days: true,
                ..datasets::lake::CompactOptions::at(START + 49 * HOURS)
            };
            datasets::lake::compact(&lake, &options, &Silent).unwrap();
        }
        let mut source = LakeSource::open(&lake, config.clone()).unwrap();
        let built = build(&mut source, &folder.path().join(name), &Silent).unwrap();
        let rows = built.manifest.files.iter().find(|file| file.path.starts_with("rows/")).unwrap();
        digests.push(rows.sha256.clone());
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn the_samples_held_at_a_time_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let config = config(folder.path());
    let mut files = Vec::new();
    for (name, most) in [("whole", u64::MAX), ("units", 20_000), ("small", 1)] {
        let mut source = LakeSource::open(&lake, config.clone()).unwrap().with_most_samples(most).unwrap();
        let units = datasets::Source::units(&source);
        assert_eq!(units > 1, most != u64::MAX, "{units} units");
        let built = build(&mut source, &folder.path().join(name), &Silent).unwrap();
        let rows = built.manifest.files.iter().filter(|file| file.path.ends_with(".parquet"));
        files.push((
            rows.map(|file| (file.path.clone(), file.sha256.clone())).collect::<Vec<_>>(),
            built.manifest.counts,
        ));
    }
    assert_eq!(files[0], files[1]);
    assert_eq!(files[0], files[2]);
}

#[test]
fn who_is_down_is_not_at_risk_and_who_comes_back_is() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    {
        let cluster = Cluster::new(&lake);
        let times = || (0..).map(|n| at(0.0) + n * SCRAPE).take_while(|&time| time < at(48.0));
        // Listed as failed for a day after its eviction, with the working set it had.
        cluster.pod("stays-6f7d8c9b5-abcde", "stays-6f7d8c9b5", "node-1", 0.0, 20.0);
        let pod = (EntityKind::Pod, "shop/stays-6f7d8c9b5-abcde", "uid-stays-6f7d8c9b5-abcde");
        let container = (EntityKind::Container, "shop/stays-6f7d8c9b5-abcde/app", "uid-stays-6f7d8c9b5-abcde");
        let failed = cluster.state("phase", "Failed");
        let after = || times().filter(|&time| time >= at(20.0));
        cluster.put(pod, "phase", "", after().map(|time| (time, failed)));
        let evicted = cluster.state("status.reason", "Evicted");
        cluster.put(pod, "status.reason", "", after().map(|time| (time, evicted)));
        cluster.put(container, "mem.working_set", "", after().map(|time| (time, 1e8)));
        // Waits for an image from hour 10 to hour 16, then runs.
        let name = "waits-6f7d8c9b5-abcde";
        cluster.pod(name, "waits-6f7d8c9b5", "node-1", 0.0, 48.0);
        cluster.restarts(name, 0.0, 48.0, &[]);
        let waits = (EntityKind::Container, "shop/waits-6f7d8c9b5-abcde/app", "uid-waits-6f7d8c9b5-abcde");
        let pull = cluster.state("waiting.reason", "ImagePullBackOff");
        let waiting = times().filter(|&time| time >= at(10.0) && time < at(16.0));
        cluster.put(waits, "waiting.reason", "", waiting.map(|time| (time, pull)));
        // Two crashes that one scrape shows at once, and one later on.
        let name = "twice-6f7d8c9b5-abcde";
        cluster.pod(name, "twice-6f7d8c9b5", "node-1", 0.0, 48.0);
        cluster.restarts(name, 0.0, 48.0, &[(12.0, "Error"), (12.0, "OOMKilled"), (30.0, "Error")]);
        cluster.writer.flush().unwrap();
    }
    let mut config = config(folder.path());
    config.labels.causes =
        ["container_oom", "container_crash", "evicted", "image_pull", "unknown"].map(str::to_owned).into();
    let out = folder.path().join("dataset");
    let built = build(&mut LakeSource::open(&lake, config).unwrap(), &out, &Silent).unwrap();
    let causes = &built.manifest.counts.events_by_cause;
    let of = |cause: &str| causes.get(cause).copied().unwrap_or(0);
    assert_eq!((of("evicted"), of("image_pull"), of("container_oom"), of("unknown")), (1, 1, 1, 1), "{causes:?}");
    let rows = Dataset::open(&out).unwrap().rows().unwrap();
    let cuts = |name: &str| -> Vec<f64> {
        let of = (0..rows.rows()).filter(|&row| rows.features.entities()[row].key().contains(name));
        #[expect(clippy::cast_precision_loss, reason = "hours of two days")]
        of.map(|row| (rows.features.as_of()[row] - START) as f64 / 3_600_000.0).collect()
    };
    assert!(cuts("stays").iter().all(|&hour| hour < 20.0), "{:?}", cuts("stays"));
    let waits = cuts("waits");
    assert!(waits.iter().all(|&hour| !(10.0..17.0).contains(&hour)), "{waits:?}");
    assert!(waits.iter().any(|&hour| hour > 40.0), "it came back: {waits:?}");
}

#[test]
fn a_pruned_lake_gives_the_rows_it_gave_before() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let config = config(folder.path());
    let now = START + 80 * HOURS;
    datasets::lake::compact(&lake, &datasets::lake::CompactOptions::at(now), &Silent).unwrap();
    let rows = |name: &str| {
        let out = folder.path().join(name);
        let built = build(&mut LakeSource::open(&lake, config.clone()).unwrap(), &out, &Silent).unwrap();
        (Dataset::open(&out).unwrap().rows().unwrap(), built.manifest)
    };
    let (whole, manifest) = rows("whole");
    assert_eq!(manifest.raw_since, None);
    let needed = features::event::metrics(&Catalogue::standard());
    let options = datasets::lake::CompactOptions::at(now);
    let report = datasets::lake::prune(&lake, 36 * HOURS, &needed, false, &options, &Silent).unwrap();
    assert!(report.days > 0 && report.rows.1 < report.rows.0, "{report:?}");
    let (pruned, manifest) = rows("pruned");
    assert!(manifest.raw_since.is_some_and(|since| since > START));
    assert!(manifest.notes.iter().any(|note| note.contains("5-minute tiles")), "{:?}", manifest.notes);
    assert_eq!(whole.rows(), pruned.rows());
    assert_eq!(whole.observations, pruned.observations);
    let bits = |rows: &features::LabeledBatch| rows.features.flat().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&whole), bits(&pruned));
}

#[test]
fn a_lake_keeps_a_table_of_its_failures() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let counts = refresh_events(&lake, START + 49 * HOURS).unwrap();
    // The shipped rules know nothing of the action log: that restart is a crash here.
    assert_eq!(counts, BTreeMap::from([("container".to_owned(), 23), ("node".to_owned(), 0), ("pod".to_owned(), 2)]));
    refresh_events(&lake, START + 50 * HOURS).unwrap();
    let opened = Lake::open(&lake).unwrap();
    opened.verify(&Silent).unwrap();
    let files =
        opened.snapshot().files.iter().filter(|file| file.kind == "container" && file.path.starts_with("events"));
    assert_eq!(files.count(), 1, "told anew, not told twice");
    let events = events_of(&opened, EntityKind::Container).unwrap();
    assert!(events.iter().all(|event| event.t_low <= event.t_high && !event.evidence.is_empty()));
}

#[test]
fn a_night_scores_who_is_alive_with_the_columns_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let config = config(folder.path());
    let mut source = LakeSource::open(&lake, config.clone()).unwrap();
    let out = folder.path().join("dataset");
    build(&mut source, &out, &Silent).unwrap();
    let dataset = Dataset::open(&out).unwrap();
    let trained = dataset.rows().unwrap();
    let moment = START - START.rem_euclid(HOURS) + 12 * HOURS;
    let night = rows_at(&lake, EntityKind::Container, dataset.spec(), dataset.causes(), Some(moment)).unwrap();
    let mut compared = 0;
    for row in 0..night.rows.rows() {
        let entity = &night.rows.entities()[row];
        let same = (0..trained.rows()).find(|&at| {
            trained.features.entities()[at].key() == entity.key() && trained.features.as_of()[at] == moment
        });
        let Some(same) = same else { continue };
        let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(night.rows.flat_row(row)), bits(trained.features.flat_row(same)), "{}", entity.key());
        compared += 1;
    }
    assert!(compared > 10, "only {compared} rows of the night were rows of the data set");

    // Which files the samples lie in is nobody's business: the same night after a compaction is the same night.
    let options =
        datasets::lake::CompactOptions { open_days: true, ..datasets::lake::CompactOptions::at(START + 49 * HOURS) };
    datasets::lake::compact(&lake, &options, &Silent).unwrap();
    let again = rows_at(&lake, EntityKind::Container, dataset.spec(), dataset.causes(), Some(moment)).unwrap();
    assert_eq!(again.digest, night.digest);
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    shop(&lake);
    let refused = |config: LakeBuildConfig| LakeSource::open(&lake, config).unwrap_err().to_string();
    let good = config(folder.path());
    std::fs::write(folder.path().join("rules.toml"), "version = 3\n").unwrap();
    let mut other = good.clone();
    other.labels.rules = Some(folder.path().join("rules.toml"));
    let message = refused(other);
    assert!(message.contains("rules.toml") && message.contains("join"), "{message}");
    std::fs::write(folder.path().join("actions.jsonl"), "{\"time\":\"yesterday\"}\n").unwrap();
    let message = refused(good.clone());
    assert!(message.contains("actions.jsonl") && message.contains('1'), "{message}");
    std::fs::write(folder.path().join("actions.jsonl"), "\n").unwrap();
    let mut other = good;
    other.kind = EntityKind::Vm;
    let message = refused(other);
    assert!(message.contains("kind"), "{message}");
}

#[cfg(feature = "sql")]
mod sql {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use datasets::sql::{SqlContext, SqlSources, SqlWriter};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn ask(sources: &SqlSources, query: &str) -> Result<Vec<String>, String> {
        let sink = Sink::default();
        let context = SqlContext::open(sources).await.map_err(|error| error.to_string())?;
        context.run(query, SqlWriter::csv(Box::new(sink.clone()))).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        Ok(text.lines().map(str::to_owned).collect())
    }

    #[tokio::test]
    async fn a_lake_and_its_data_set_answer_together() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        shop(&lake);
        refresh_events(&lake, START + 49 * HOURS).unwrap();
        let out = folder.path().join("dataset");
        build(&mut LakeSource::open(&lake, config(folder.path())).unwrap(), &out, &Silent).unwrap();
        let sources = SqlSources {
            lake: Some(lake.clone()),
            datasets: vec![(None, out.clone()), (Some("fleet".to_owned()), out)],
            memory_mib: 512,
        };
        let causes = ask(
            &sources,
            "select cause, count(*) as n from events where kind = 'container' group by cause order by cause",
        );
        assert_eq!(
            causes.await.unwrap(),
            ["cause,n", "container_crash,11", "container_oom,10", "evicted,1", "preempted,1"]
        );
        let rows = ask(&sources, "select count(*) as n from rows").await.unwrap();
        let named = ask(&sources, "select count(*) as n from fleet.rows").await.unwrap();
        assert_eq!(rows, named);
        let counted = Lake::open(&lake).unwrap().status().unwrap().rows;
        assert_eq!(ask(&sources, "select count(*) as n from samples").await.unwrap()[1], counted.to_string());
        let hosts = ask(
            &sources,
            "select parent from relations where child = 'shop/find-66666ffff6-ggggg' order by relation desc",
        );
        assert_eq!(hosts.await.unwrap(), ["parent", "node-2", "ReplicaSet/find-66666ffff6"]);
        let labels = ask(
            &sources,
            "select horizon, count(*) as n, sum(event_within) as failed, count(event_within) as known from labels \
             where cause = 'container_oom' group by horizon order by horizon",
        );
        let labels = labels.await.unwrap();
        assert_eq!(labels.len(), 4, "three horizons: {labels:?}");
        let number = |line: usize, at: usize| labels[line].split(',').nth(at).unwrap().parse::<f64>().unwrap();
        for line in 1..4 {
            assert!(
                number(line, 2) > 0.0 && number(line, 3) < number(line, 1),
                "some censored, some failed: {labels:?}"
            );
        }
        let scrapes = ask(
            &sources,
            "select count(*) as n from samples_named where key = 'shop/gone-88888bbbb8-iiiii/app' and metric = 'mem.limit'",
        );
        assert_eq!(scrapes.await.unwrap()[1], (26 * 120).to_string());
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        shop(&lake);
        let sources = SqlSources { lake: Some(lake), datasets: Vec::new(), memory_mib: 64 };
        let message = ask(&sources, "select * from sample").await.unwrap_err();
        assert!(message.contains("sample"), "{message}");
        for query in ["drop table samples", "copy samples to 'x.csv'", "create table t as select 1", "select"] {
            assert!(ask(&sources, query).await.is_err(), "{query} was run");
        }
        let nowhere = SqlSources { lake: Some(folder.path().join("none")), datasets: Vec::new(), memory_mib: 64 };
        assert!(ask(&nowhere, "select 1").await.unwrap_err().contains("none"));
    }
}
