//! The spec as people write it, specs of earlier builds, and what is refused, in which words.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use features::mapping::{MappingSet, SHIPPED};
use features::spec::{FeatureSpec, FlatSource, KERNEL_VERSION, Statistic};
use features::{Catalogue, Entity, EntityKind, EntityTiles, Facts, RowAssembler, Sample, TileKernel};

fn read(text: &str) -> Result<FeatureSpec, String> {
    FeatureSpec::from_toml(text, &Catalogue::standard()).map_err(|error| error.to_string())
}

fn columns(spec: &FeatureSpec) -> Vec<&str> {
    spec.flat.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn families_give_every_statistic_of_every_metric_over_every_window() {
    let spec = read(
        r#"
        [[family]]
        metrics = ["mem.working_set", "mem.rss"]
        windows = ["5m", "1h", "24h"]
        statistics = ["last", "slope"]

        [[column]]
        name = "mem.saturation"
        from = "saturation"
        used = "mem.working_set"
        limit = "mem.limit"
        windows = ["15m", "1h"]

        [[column]]
        name = "calm"
        from = "event_decay"
        half_life = "36h"
        "#,
    )
    .unwrap();
    let mut expected = Vec::new();
    for metric in ["mem.working_set", "mem.rss"] {
        for statistic in ["last", "slope"] {
            expected.extend(["5m", "1h", "24h"].map(|window| format!("{metric}.{statistic}.{window}")));
        }
    }
    expected.extend(["mem.saturation.15m", "mem.saturation.1h", "calm"].map(str::to_owned));
    assert_eq!(columns(&spec), expected);
    let tile = |statistic, window| FlatSource::Tile { metric: "mem.rss".to_owned(), statistic, window };
    assert_eq!(spec.flat[7].source, tile(Statistic::Last, 3_600_000));
    assert_eq!(spec.flat[14].source, FlatSource::EventDecay { half_life: 129_600_000, cause: None });
    // What was not said.
    assert_eq!((spec.tile, spec.ingest_lag, spec.longest_gap), (300_000, 60_000, 180_000));
    assert_eq!(spec.rollup, Some(features::spec::Rollup::HOURS));
    assert_eq!(spec.kernel_version, KERNEL_VERSION);
    // A day of hours, ending up to 55 minutes before the moment.
    assert_eq!(spec.lookback(), 86_400_000 + 11 * 300_000);
    RowAssembler::try_new(&spec, &Catalogue::standard()).unwrap();
}

#[test]
fn left_out_windows_and_statistics_are_the_usual_ones_of_the_kind() {
    let spec = read("[[family]]\nmetric = \"cpu.time\"").unwrap();
    let expected = ["increase.1h", "increase.24h", "rate.1h", "rate.24h", "rate_max.1h", "rate_max.24h"];
    assert_eq!(columns(&spec), expected.map(|name| format!("cpu.time.{name}")));
}

#[test]
fn a_spec_survives_json_with_its_hash() {
    let spec = common::spec();
    let text = serde_json::to_string(&spec).unwrap();
    let again: FeatureSpec = serde_json::from_str(&text).unwrap();
    assert_eq!(again, spec);
    assert_eq!(again.hash(), spec.hash());
    let mut other = spec.clone();
    other.rollup = None;
    assert_ne!(other.hash(), spec.hash(), "roll-ups are part of the hash");
}

#[test]
fn mistakes_are_named() {
    let family = |rest: &str| format!("[[family]]\nmetric = \"mem.rss\"\n{rest}");
    let column = |rest: &str| format!("[[column]]\nname = \"c\"\n{rest}");
    for (text, expected) in [
        (family("windows = [\"5 m\"]"), "\"5 m\" is no duration"),
        (family("windows = [\"7m\"]"), "window (420000) must be a multiple of tile (300000)"),
        (family("windows = [\"1505m\"]"), "window (90300000) must be a multiple of rolled-up tiles (3600000)"),
        (family("statistics = [\"median\"]"), "unknown variant `median`"),
        (family("statistics = [\"rate\"]"), "rate means nothing for mem.rss (Gauge); choose of: last, mean, min"),
        (family("statistic = [\"last\"]"), "unknown field `statistic`"),
        ("[[family]]\nwindows = [\"1h\"]".to_owned(), "names no metric"),
        ("[[family]]\nmetric = \"mem.rs\"".to_owned(), "metric \"mem.rs\" is not in the catalogue"),
        (column("from = \"age\"\nwindow = 5"), "column \"c\": window must be a text"),
        (column("from = \"ages\""), "column \"c\": unknown variant `ages`"),
        (column("from = \"present\"\nwindow = \"1h\""), "missing field `metric`"),
        (
            column("from = \"stall_share\"\nmetric = \"mem.rss\"\nwindow = \"1h\""),
            "mem.rss is Gauge, must be one of [Counter]",
        ),
        (
            column("from = \"state_share\"\nmetric = \"terminated.reason\"\nstate = \"Oom\"\nwindow = \"1h\""),
            "terminated.reason has no state \"Oom\"; it has OOMKilled",
        ),
        (
            column("from = \"neighbour\"\nwithin = \"node\"\ncolumn = \"x\"\npooled = \"max\""),
            "pools \"x\", which is no flat column of this spec",
        ),
        (
            format!(
                "rollup = false\n{}",
                column("from = \"season\"\nmetric = \"mem.rss\"\nperiod = \"1d\"\ncycles = 6")
            ),
            "a season is read from roll-ups",
        ),
        (format!("tile = \"7m\"\n{}", family("")), "tile 7m does not divide an hour"),
        (format!("tile = \"0m\"\nrollup = false\n{}", family("")), "tile (0)"),
        (String::new(), "nothing to learn from"),
        (format!("{0}\n{0}", family("windows = [\"1h\"]")), "is empty or given twice"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(expected), "{text}\ngave: {error}\nexpected: {expected}");
    }
}

#[test]
fn shipped_specs_read_with_every_metric_the_catalogue_has() {
    let catalogue = Catalogue::standard();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("specs");
    let mut complete = Vec::new();
    for name in ["container", "node", "pod", "vm", "lab-container"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        match FeatureSpec::from_toml(&text, &catalogue) {
            Ok(spec) => {
                RowAssembler::try_new(&spec, &catalogue).unwrap();
                complete.push(name);
            }
            // A metric the catalogue does not hold yet is the one thing that may be wrong with a shipped spec.
            Err(features::FeatureError::UnknownMetric { metric, .. }) => println!("{name}.toml waits for {metric}"),
            Err(error) => panic!("{name}.toml: {error}"),
        }
    }
    assert!(complete.contains(&"container") && complete.contains(&"lab-container"), "complete: {complete:?}");
    let names: Vec<&str> = features::spec::SHIPPED.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["container", "pod", "node", "vm", "lab-container"]);
}

/// A spec as the previous release wrote it, key for key.
const EARLIER: &str = r#"{"kernel_version":1,"time":{"unit":"hours","ticks_per_unit":3600000},"tile":300000,"ingest_lag":60000,"longest_gap":180000,"flat":[{"name":"age","from":"age"},{"name":"restarts.24h","from":"event_count","window":86400000},{"name":"since_failure","from":"since_event"},{"name":"mem.max.1h","from":"tile","metric":"mem.working_set","statistic":"max","window":3600000}],"steps":0,"step":300000,"channels":[],"regimes":[],"summaries":[],"catalogue_digest":"DIGEST"}"#;

fn earlier() -> FeatureSpec {
    serde_json::from_str(&EARLIER.replace("DIGEST", &Catalogue::standard().digest())).unwrap()
}

#[test]
fn a_spec_of_the_previous_kernel_is_read_with_its_hash_but_not_computed() {
    let spec = earlier();
    let catalogue = Catalogue::standard();
    spec.validate(&catalogue).unwrap();
    // Nothing was added to its text, so it hashes as it did: SHA-256 of the text above with its keys sorted.
    let written: FeatureSpec = serde_json::from_str(EARLIER).unwrap();
    assert_eq!(written.hash(), "c020085c26d3ecf4746afb75d67c017defb82360d29364687d38c773861a25b7");

    let words = &format!("kernel_version is 1, this build computes {KERNEL_VERSION}; rebuild the data set");
    for refused in [
        RowAssembler::try_new(&spec, &catalogue).err(),
        TileKernel::try_new(&spec, &catalogue).err(),
        EntityTiles::build(&spec, &catalogue, "one", &[]).err(),
    ] {
        let refused = refused.unwrap().to_string();
        assert!(refused.contains(words.as_str()), "{refused}");
    }
    let mut today = spec;
    today.kernel_version = KERNEL_VERSION;
    RowAssembler::try_new(&today, &catalogue).unwrap();
    for unknown in [0, KERNEL_VERSION + 1] {
        today.kernel_version = unknown;
        let refused = today.validate(&catalogue).unwrap_err().to_string();
        assert!(refused.contains(&format!("this build knows 1 to {KERNEL_VERSION}")), "{refused}");
    }
}

#[test]
fn a_spec_pins_the_mappings_that_provide_what_it_reads() {
    let catalogue = Catalogue::standard();
    let spec = read("[[family]]\nmetric = \"psi.mem.full\"").unwrap();
    // cAdvisor gives the pressure; where a life began, which a counter needs, others say too.
    assert!(spec.mappings.contains_key("cadvisor") && spec.mappings.contains_key("kube-state-metrics"));
    assert!(!spec.mappings.contains_key("node-problem-detector"), "{:?}", spec.mappings.keys());
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<FeatureSpec>(&text).unwrap().hash(), spec.hash());

    let changed = |source: &str| {
        let texts = SHIPPED.map(|(name, text)| {
            let text = if name == source { format!("{text}\n# another file\n") } else { text.to_owned() };
            (name, text)
        });
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let mappings = MappingSet::of(&texts, &catalogue).unwrap();
        spec.clone().with_mappings(&mappings, &catalogue).unwrap().hash()
    };
    assert_ne!(changed("cadvisor"), spec.hash());
    assert_eq!(changed("node-problem-detector"), spec.hash(), "nothing of it is read");

    // Of a spec whose samples come from elsewhere the hash is what it was.
    let mut unpinned = spec.clone();
    unpinned.mappings = BTreeMap::new();
    assert!(!serde_json::to_string(&unpinned).unwrap().contains("mappings"));
    assert_ne!(unpinned.hash(), spec.hash());
}

/// Flat values of a row of the spec at `as_of` milliseconds, from (metric, second, value) of one container.
fn row(text: &str, samples: &[(&str, u32, f64)], facts: &Facts<'_>, as_of: i64) -> Result<Vec<f32>, String> {
    let catalogue = Catalogue::standard();
    let spec = read(text)?;
    let mut samples: Vec<Sample> = samples
        .iter()
        .map(|&(metric, second, value)| {
            let time = i64::from(second) * 1000;
            Sample::try_new(&catalogue, catalogue.id(metric).unwrap(), time, time, value).unwrap()
        })
        .collect();
    samples.sort_by_key(|sample| (sample.metric(), sample.time()));
    let tiles = EntityTiles::build(&spec, &catalogue, "one", &samples).unwrap();
    let mut assembler = RowAssembler::try_new(&spec, &catalogue).unwrap();
    let entity = Entity::try_new(EntityKind::Container, "one", "").unwrap();
    assembler.push(&entity, facts, &tiles, as_of).map_err(|error| error.to_string())?;
    Ok(assembler.finish().unwrap().flat().to_vec())
}

#[test]
fn the_cpu_limit_is_quota_over_period_where_nothing_shows_it() {
    let text = r#"
        [[column]]
        name = "cpu.saturation"
        from = "load_of_limit"
        metric = "cpu.time"
        limit = "cpu.limit"
        window = "15m"

        [[column]]
        name = "cpu.limit.set"
        from = "present"
        metric = "cpu.limit"
        window = "15m"
    "#;
    let catalogue = Catalogue::standard();
    let read_by = read(text).unwrap().metrics(&catalogue).unwrap();
    for metric in ["cpu.time", "cpu.limit", "cpu.quota", "cpu.period"] {
        assert!(read_by.contains(&catalogue.id(metric).unwrap()), "{metric}");
    }
    let attributes = BTreeMap::new();
    let facts = Facts { born: None, attributes: &attributes, failures: &[], shown: &[], causes: &[] };
    // Half a core is used.
    let used: Vec<(&str, u32, f64)> = (0..30_u32).map(|n| ("cpu.time", 30 * n, f64::from(15 * n))).collect();
    let with = |limits: &[(&'static str, f64)]| {
        let shown = limits.iter().flat_map(|&(metric, value)| (0..30_u32).map(move |n| (metric, 30 * n, value)));
        row(text, &used.iter().copied().chain(shown).collect::<Vec<_>>(), &facts, 900_000).unwrap()
    };
    let close = |got: f32, expected: f32| (got - expected).abs() < 1e-6;
    let quota = with(&[("cpu.quota", 0.2), ("cpu.period", 0.1)]);
    assert!(close(quota[0], 0.25) && close(quota[1], 1.0), "{quota:?}");
    let limit = with(&[("cpu.limit", 4.0), ("cpu.quota", 0.2), ("cpu.period", 0.1)]);
    assert!(close(limit[0], 0.125), "what the API says comes first: {limit:?}");
    for none in [with(&[]), with(&[("cpu.quota", 0.0), ("cpu.period", 0.1)]), with(&[("cpu.quota", 0.2)])] {
        assert!(none[0].is_nan() && close(none[1], 0.0), "{none:?}");
    }
}

#[test]
fn windows_of_failures_are_half_open_and_hold_what_was_shown() {
    let text = r#"
        [[column]]
        name = "failures"
        from = "event_count"
        window = "5m"

        [[column]]
        name = "since"
        from = "since_event"
    "#;
    let attributes = BTreeMap::new();
    let at = |failures: &[i64], shown: &[i64], as_of: i64| {
        let facts = Facts { born: None, attributes: &attributes, failures, shown, causes: &[] };
        row(text, &[("ready", 0, 1.0)], &facts, as_of).map(|row| (row[0], row[1]))
    };
    let counted = |failures: &[i64], shown: &[i64], as_of: i64| at(failures, shown, as_of).unwrap().0;
    assert_eq!(
        counted(&[300_000], &[], 600_000).to_bits(),
        1.0_f32.to_bits(),
        "the window begins with its first moment"
    );
    assert_eq!(counted(&[299_999], &[], 600_000).to_bits(), 0.0_f32.to_bits());
    assert_eq!(counted(&[599_999], &[], 600_000).to_bits(), 1.0_f32.to_bits());
    assert_eq!(counted(&[600_000], &[], 600_000).to_bits(), 0.0_f32.to_bits(), "and ends before the cut");
    // It was over before the cut, but nobody had seen it.
    assert_eq!(counted(&[500_000], &[610_000], 600_000).to_bits(), 0.0_f32.to_bits());
    assert!(at(&[500_000], &[610_000], 600_000).unwrap().1.is_nan());
    assert_eq!(counted(&[400_000, 700_000], &[610_000, 700_000], 900_000).to_bits(), 1.0_f32.to_bits());
    let error = at(&[500_000], &[1, 2], 600_000).unwrap_err();
    assert!(error.contains("moments that showed failures"), "{error}");
}

#[test]
fn errors_of_a_drive_run_on_over_reboots() {
    let text = "[[family]]\nmetric = \"disk.nvme.media_errors\"\nwindows = [\"15m\"]\nstatistics = [\"increase\"]";
    let attributes = BTreeMap::new();
    let facts = Facts { born: None, attributes: &attributes, failures: &[], shown: &[], causes: &[] };
    let mut samples = Vec::new();
    for n in 0..30_u32 {
        samples.push(("disk.nvme.media_errors", 3600 + 30 * n, 7.0));
        // It boots after seven minutes.
        samples.push(("boot.time", 3600 + 30 * n, if n < 15 { 60.0 } else { 4030.0 }));
    }
    let row = row(text, &samples, &facts, 4_500_000).unwrap();
    assert_eq!(row[0].to_bits(), 0.0_f32.to_bits(), "the reboot made no errors");
}

#[test]
fn the_metrics_that_tell_lives_are_named_for_readers_of_counters() {
    let catalogue = Catalogue::standard();
    let counters = read("[[family]]\nmetric = \"cpu.time\"").unwrap();
    assert!(counters.life_metrics(&catalogue).contains(&catalogue.id("start.time").unwrap()));
    assert_eq!(counters.metrics(&catalogue).unwrap(), [catalogue.id("cpu.time").unwrap()]);
    let levels = read("[[family]]\nmetric = \"mem.rss\"").unwrap();
    assert!(levels.life_metrics(&catalogue).is_empty());
}
