//! Which metrics of the Redis nodes are used, and what a row is made of.

use features::catalogue::MetricDefinition;
use features::spec::{Channel, KERNEL_VERSION, Statistic, Summary};
use features::split::Shares;
use features::{Catalogue, FeatureSpec, MetricKind, TimeAxis};
use survival::{TimeGrid, TimeUnit};

use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Input, SplitRule, readout};

/// Steps of the window, in minutes.
const STEPS: usize = 30;
/// Edges in minutes.
const EDGES: [f64; 20] = [
    0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 90.0, 120.0, 150.0, 180.0,
];

/// What a channel shows of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Its value.
    Level,
    /// Its growth since the row before: it only ever rises.
    Growth,
}

/// The metrics used, of the 86 a node ships. The rule looks at rows before the injection alone: text,
/// identifiers and what never changes go; of near duplicates by name (`core` and `cpu` on one core, `pct`
/// and `norm.pct`, bytes and share, free and used, all sockets and TCP) one stays. What only rises in
/// every run is a counter.
pub(super) const METRICS: [(&str, Shown); 28] = [
    ("system.cpu.idle.norm.pct", Shown::Level),
    ("system.cpu.iowait.norm.pct", Shown::Level),
    ("system.cpu.irq.norm.pct", Shown::Level),
    ("system.cpu.softirq.norm.pct", Shown::Level),
    ("system.cpu.system.norm.pct", Shown::Level),
    ("system.cpu.total.norm.pct", Shown::Level),
    ("system.cpu.user.norm.pct", Shown::Level),
    ("system.fsstat.total_size.used", Shown::Level),
    ("system.load.norm.1", Shown::Level),
    ("system.load.norm.5", Shown::Level),
    ("system.load.norm.15", Shown::Level),
    ("system.memory.actual.used.pct", Shown::Level),
    ("system.memory.used.pct", Shown::Level),
    ("system.network.in.bytes", Shown::Growth),
    ("system.network.in.packets", Shown::Growth),
    ("system.network.out.bytes", Shown::Growth),
    ("system.network.out.packets", Shown::Growth),
    ("system.process.summary.idle", Shown::Level),
    ("system.process.summary.running", Shown::Level),
    ("system.process.summary.sleeping", Shown::Level),
    ("system.process.summary.total", Shown::Level),
    ("system.process.summary.unknown", Shown::Level),
    ("system.socket.summary.tcp.all.close_wait", Shown::Level),
    ("system.socket.summary.tcp.all.count", Shown::Level),
    ("system.socket.summary.tcp.all.established", Shown::Level),
    ("system.socket.summary.tcp.all.orphan", Shown::Level),
    ("system.socket.summary.tcp.all.time_wait", Shown::Level),
    ("system.socket.summary.tcp.memory", Shown::Level),
];

pub(super) fn plan(inputs: Vec<Input>, causes: Vec<String>) -> Result<BuildPlan> {
    let name = "prevent-redis-runs".to_owned();
    let named = DatasetError::feature(name.clone());
    let id = |(metric, shown): &(&str, Shown)| match shown {
        Shown::Level => (*metric).to_owned(),
        Shown::Growth => format!("{metric}.per_minute"),
    };
    let definition = |metric: &(&str, Shown)| MetricDefinition {
        id: id(metric),
        unit: if metric.0.ends_with("bytes") || metric.0.ends_with("memory") || metric.0.ends_with("used") {
            "By".to_owned()
        } else {
            "1".to_owned()
        },
        kind: MetricKind::Gauge,
        states: Vec::new(),
        signed: false,
        combine: features::Combine::default(),
        foretells: String::new(),
    };
    let catalogue = Catalogue::try_new(METRICS.iter().map(definition).collect()).map_err(&named)?;
    let spec = FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Minutes, ticks_per_unit: 1 },
        tile: 1,
        ingest_lag: 0,
        longest_gap: 10,
        flat: Vec::new(),
        steps: STEPS,
        step: 1,
        channels: METRICS
            .iter()
            .map(|metric| Channel { name: id(metric), metric: id(metric), statistic: Statistic::Last, divide_by: None })
            .collect(),
        regimes: Vec::new(),
        summaries: vec![
            Summary::Last,
            Summary::Mean { steps: 5 },
            Summary::Mean { steps: 30 },
            Summary::Slope { steps: 10 },
            Summary::Slope { steps: 30 },
            Summary::Change { steps: 5 },
        ],
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue.digest(),
    };
    Ok(BuildPlan {
        title: "PREVENT: nodes of a Redis cluster run to failure under injected faults".to_owned(),
        licence: "none stated (replication package): for evaluation only, cite the paper, do not redistribute".to_owned(),
        source_text: "G. Denaro, R. Heydarov, A. Mohebbi, M. Pezze, \"Prevent: An Unsupervised Approach to Predict Software Failures in Production\", IEEE TSE 2023; usi-star/prevent".to_owned(),
        inputs,
        grid: TimeGrid::try_new(TimeUnit::Minutes, EDGES.to_vec()).map_err(|error| named(error.into()))?,
        causes,
        readout: readout(&[5.0, 15.0, 30.0], &[0.05, 0.5, 0.95], 180.0),
        cuts: Cuts::Every { first: 0, every: 1, phase: 0 },
        split: SplitRule::ByGroup {
            // The first of `forewarn prevent 1 `, `2 `, … that puts a run of each fault type into the training part.
            salt: "forewarn prevent 4 ".to_owned(),
            shares: Shares { train: 50, validation: 16, calibration: 17 },
            test_only: Vec::new(),
        },
        permute_labels: None,
        notes: vec![
            "A handful of runs, one failure each: judge leave one run out (the group is the run) and report each run; a model can memorise a run.".to_owned(),
            "Rows at and after failure_time are after the crash and dropped.".to_owned(),
            "Before the injection nobody knows when a fault will come: that stretch is a history of its own (incarnation `before`), censored at the injection. Not all of it is steady state.".to_owned(),
            "From the injection on (incarnation `after`) the two nodes of the first pair of pairs.csv fail of the run's fault type; the other nodes are lost with the cluster and censored there.".to_owned(),
            "Network bytes and packets only rise before the injection in every run: they are counters and shown as growth per minute. Everything else is a level as shipped.".to_owned(),
            "28 of 86 metrics are used: no text, no identifiers, nothing constant before the injection, one of near duplicates by name. The rule looks at no label.".to_owned(),
            "A minute in which a node reports memory.total = 0 is a minute in which it did not report: its values are missing, and the minute is counted.".to_owned(),
            "e4 has four unnamed columns, and every node one text column (network.name): not used.".to_owned(),
        ],
        name,
        catalogue,
        spec,
    })
}
