//! The spec as people write it, specs of earlier builds, and what is refused, in which words.

mod common;

use std::path::PathBuf;

use features::spec::{FeatureSpec, FlatSource, KERNEL_VERSION, Statistic};
use features::{Catalogue, EntityTiles, RowAssembler, TileKernel};

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
    for name in ["container", "node", "pod", "vm"] {
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
    assert!(complete.contains(&"container"), "complete: {complete:?}");
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

    let words = "kernel_version is 1, this build computes 2; rebuild the data set";
    for refused in [
        RowAssembler::try_new(&spec, &catalogue).err(),
        TileKernel::try_new(&spec, &catalogue).err(),
        EntityTiles::build(&spec, &catalogue, "one", &[]).err(),
    ] {
        let refused = refused.unwrap().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let mut today = spec;
    today.kernel_version = KERNEL_VERSION;
    RowAssembler::try_new(&today, &catalogue).unwrap();
    for unknown in [0, KERNEL_VERSION + 1] {
        today.kernel_version = unknown;
        let refused = today.validate(&catalogue).unwrap_err().to_string();
        assert!(refused.contains("this build knows 1 to 2"), "{refused}");
    }
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
