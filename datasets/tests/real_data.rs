//! The public data as it lies beside the project: counts of the READMEs, times, parts. Ignored where it is absent.

mod public_data;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use datasets::benchmark::alibaba_pods::AlibabaPodsConfig;
use datasets::benchmark::cmapss::CmapssConfig;
use datasets::benchmark::prevent::{PreventConfig, run_facts};
use datasets::benchmark::{AlibabaPods, Cmapss, Prevent, lanl};
use datasets::{Dataset, Silent, Source, build};
use features::Split;

use public_data::data;

/// Engines, rows of the training file; engines, rows of the test file; mean and largest true remaining life.
const CMAPSS: [(usize, i64, usize, f64, f64); 4] = [
    (100, 20_631, 100, 75.52, 145.0),
    (260, 53_759, 259, 81.19, 194.0),
    (100, 24_720, 100, 75.32, 145.0),
    (249, 61_249, 248, 86.55, 195.0),
];

fn main() {
    public_data::run(&[
        ("cmapss_has_the_published_engines_rows_and_lives", "cmapss", cmapss_counts),
        ("cmapss_fd001_is_built_with_remaining_life_as_duration", "cmapss", cmapss_fd001),
        ("cmapss_fd004_is_built_per_condition", "cmapss", cmapss_fd004),
        ("alibaba_pods_have_the_published_outcomes", "alibaba_gpu_pods_2023", alibaba),
        ("prevent_has_the_published_runs", "prevent_redis_runs", prevent),
        ("prevent_metrics_follow_the_stated_rule", "prevent_redis_runs", prevent_rule),
        ("lanl_nodes_have_the_published_records", "lanl_node_failures", lanl),
    ]);
}

fn cmapss(subset: u8, cut_every: u32) -> Cmapss {
    Cmapss::open(CmapssConfig { from: data("cmapss"), subset, cut_every }).unwrap()
}

fn built(source: &mut dyn Source) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    build(source, &folder.path().join("set"), &Silent).unwrap();
    let dataset = Dataset::open(folder.path().join("set")).unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    let bytes: u64 = dataset.manifest().files.iter().map(|file| file.bytes).sum();
    println!("{}: {} rows, {bytes} bytes, built in {seconds:.2} s", source.name(), dataset.manifest().counts.rows);
    dataset.verify(&Silent).unwrap();
    (folder, dataset)
}

fn no_group_in_two_parts(dataset: &Dataset) {
    let rows = dataset.rows().unwrap();
    let mut parts = BTreeMap::new();
    for (group, split) in rows.groups.iter().zip(&rows.splits) {
        assert_eq!(parts.entry(group.clone()).or_insert(*split), split, "group {group} is in two parts");
    }
}

fn cmapss_counts() {
    for (subset, (engines, rows, test_engines, mean, largest)) in (1..).zip(CMAPSS) {
        let mut source = cmapss(subset, 1);
        let (mut seen, mut cycles) = (0, 0);
        source
            .histories(&mut |history, _| {
                seen += 1;
                cycles += history.observed_until - 1;
                assert_eq!(history.events.len(), 1);
                Ok(())
            })
            .unwrap();
        assert_eq!((seen, cycles), (engines, rows), "FD00{subset}");
        let test = source.open_test().unwrap();
        assert_eq!((test.features.rows(), test.remaining.len()), (test_engines, test_engines), "FD00{subset}");
        let seen_mean = test.remaining.iter().sum::<f64>() / test_engines as f64;
        assert!((seen_mean - mean).abs() < 0.005, "FD00{subset}: mean {seen_mean}");
        assert!((test.remaining.iter().copied().fold(0.0, f64::max) - largest).abs() < 0.5);
    }
}

fn cmapss_fd001() {
    let (_folder, dataset) = built(&mut cmapss(1, 1));
    let counts = &dataset.manifest().counts;
    assert_eq!(counts.rows, 20_631 - 100);
    assert_eq!(counts.failures, counts.rows, "no engine is censored");
    assert_eq!(counts.excluded, [("not_watched".to_owned(), 100)].into(), "one cut of duration 0 per engine");
    let rows = dataset.rows().unwrap();
    let mut engine = BTreeMap::new();
    for (row, entity) in rows.features.entities().iter().enumerate() {
        let age = f64::from(rows.features.flat_row(row)[0]);
        // Cycles seen so far plus cycles left is the engine's whole life.
        let life = age + rows.observations[row].duration();
        let first = *engine.entry(entity.key().to_owned()).or_insert(life);
        assert!((first - life).abs() < 1e-9);
    }
    assert_eq!(engine.len(), 100);
    // Unit 1, cycle 2 of train_FD001: sensor 2 is 642.15, sensor 1 before it 518.67.
    let row = (0..rows.rows()).find(|&row| rows.features.as_of()[row] == 3).unwrap();
    let window = rows.features.sequence_row(row);
    let newest = &window[39 * 24..];
    assert!((newest[3] - 518.67).abs() < 1e-3 && (newest[4] - 642.15).abs() < 1e-3, "{newest:?}");
    assert!(window[..38 * 24].iter().all(|value| value.is_nan()), "nothing before the first cycle");
    no_group_in_two_parts(&dataset);
}

fn cmapss_fd004() {
    let (_folder, dataset) = built(&mut cmapss(4, 3));
    let rows = dataset.rows().unwrap();
    let train = rows.part(Split::Train);
    let normalizer = features::Normalizer::fit(dataset.spec(), &train.features).unwrap();
    assert_eq!(normalizer.regimes(), 6, "six operating conditions");
}

fn alibaba() {
    let mut source = AlibabaPods::open(&AlibabaPodsConfig { from: data("alibaba_gpu_pods_2023") }).unwrap();
    let (_folder, dataset) = built(&mut source);
    let counts = &dataset.manifest().counts;
    assert_eq!(counts.events_by_cause, [("failed".to_owned(), 1438), ("succeeded".to_owned(), 141)].into());
    assert_eq!(counts.ends_by_reason, [("planned_end".to_owned(), 3579)].into());
    assert_eq!(counts.excluded["pending_never_ran"], 548);
    assert_eq!(counts.entities, 5706 - 548);
    no_group_in_two_parts(&dataset);
    println!("{}", dataset.describe().unwrap());
}

fn prevent() {
    let from = data("prevent_redis_runs");
    let facts = run_facts(&from).unwrap();
    let stated: Vec<_> = facts.iter().map(|f| (f.run.as_str(), f.injection_minute, f.failure_minute, f.rows)).collect();
    let expected = [
        ("e1", 92, 126, 150),
        ("e2", 110, 297, 300),
        ("e4", 32, 105, 120),
        ("e5", 55, 69, 90),
        ("e7", 34, 49, 60),
        ("e8", 43, 140, 150),
    ];
    assert_eq!(stated, expected);
    let (_folder, dataset) = built(&mut Prevent::open(&PreventConfig { from }).unwrap());
    let counts = &dataset.manifest().counts;
    for cause in ["cpu_hog", "memory_leak", "packet_loss"] {
        assert_eq!(counts.events_by_cause[cause], 4, "two runs, two nodes each");
    }
    assert_eq!(counts.entities, 6 * 20 * 2);
    // One cut a minute and node: from the second row to the crash, the injection's own minute beginning the second history.
    let minutes: i64 = facts.iter().map(|f| f.failure_minute - 2).sum();
    assert_eq!(counts.rows, 20 * u64::try_from(minutes).unwrap());
    let pair: i64 = facts.iter().map(|f| 2 * (f.failure_minute - f.injection_minute)).sum();
    assert_eq!(counts.failures, u64::try_from(pair).unwrap());
    let rows = dataset.rows().unwrap();
    for (row, observation) in rows.observations.iter().enumerate() {
        let entity = &rows.features.entities()[row];
        assert!(!observation.failed() || entity.incarnation() == "after", "{entity:?}");
    }
    no_group_in_two_parts(&dataset);
    println!("{}", dataset.describe().unwrap());
}

fn lanl() {
    let read = lanl::read(&data("lanl_node_failures")).unwrap();
    // Counts of the README; zero-length and overlapping rows counted apart with another program.
    assert_eq!((read.records, read.instant, read.merged), (16_804, 86, 226));
    assert_eq!(read.nodes.iter().filter(|node| !node.added).count(), 2_491);
    assert_eq!((read.nodes.len(), read.added), (3_498, 1_007));
    let outages: usize = read.nodes.iter().map(|node| node.outages.len()).sum();
    let records: u32 = read.nodes.iter().flat_map(|node| &node.outages).map(|outage| outage.records).sum();
    assert_eq!((outages + read.merged, records), (16_804, 16_804));
    let seconds: i64 = read.nodes.iter().flat_map(|node| &node.outages).map(|outage| outage.end - outage.start).sum();
    assert_eq!(seconds, 390_699_360, "downtime of all nodes");
    for node in &read.nodes {
        assert!(node.from < node.until && node.added == node.outages.is_empty(), "{}", node.key);
        assert!(node.outages.windows(2).all(|pair| pair[0].end < pair[1].start), "{}", node.key);
    }
    let systems: BTreeSet<u32> = read.nodes.iter().map(|node| node.system).collect();
    assert_eq!(systems.len(), 21);
    let of = |system: u32| read.nodes.iter().filter(|node| node.system == system).count();
    assert_eq!((of(2), of(12), of(20)), (32, 365, 374), "numbers of this part among 49, 512 and 512 nodes");
}

/// The metric list was chosen once; this recomputes which metrics change, and which only rise, before the injection.
fn prevent_rule() {
    let from = data("prevent_redis_runs");
    let mut changing = BTreeSet::new();
    let mut falling = BTreeSet::new();
    for run in run_facts(&from).unwrap() {
        let (text, _) = datasets::source::read_text(&from.join(format!("{}.csv.gz", run.run))).unwrap();
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap().split(',').collect();
        let rows: Vec<Vec<&str>> = lines
            .take(usize::try_from(run.injection_minute - 1).unwrap())
            .map(|line| line.split(',').collect())
            .collect();
        for (column, name) in names.iter().enumerate() {
            let Some((_, metric)) = name.split_once('_').filter(|(_, metric)| metric.starts_with("system.")) else {
                continue;
            };
            let values: Vec<f64> = rows.iter().filter_map(|row| row[column].parse().ok()).collect();
            for pair in values.windows(2) {
                if (pair[1] - pair[0]).abs() > 0.0 {
                    changing.insert(metric.to_owned());
                }
                if pair[1] < pair[0] {
                    falling.insert(metric.to_owned());
                }
            }
        }
    }
    let source = Prevent::open(&PreventConfig { from }).unwrap();
    for channel in &source.plan().spec.channels {
        let metric = channel.name.trim_end_matches(".per_minute");
        assert!(changing.contains(metric), "{metric} never changes before an injection");
        assert_eq!(
            channel.name.ends_with(".per_minute"),
            !falling.contains(metric),
            "{metric} rises only, or does not"
        );
    }
    let used: BTreeSet<&str> =
        source.plan().spec.channels.iter().map(|c| c.name.trim_end_matches(".per_minute")).collect();
    let left_out: Vec<&String> = changing.iter().filter(|metric| !used.contains(metric.as_str())).collect();
    // Near duplicates by name of a metric that is used; nothing else is left out.
    let duplicates =
        ["core.", "cpu.", "load.", "total_size.free", "memory.actual", "memory.free", "memory.used.bytes", "all.count"];
    for metric in left_out {
        assert!(duplicates.iter().any(|part| metric.contains(part)), "{metric} is left out without a reason");
    }
}
