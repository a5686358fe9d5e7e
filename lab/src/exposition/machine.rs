//! What node_exporter shows of a machine, of a node that is a cgroup.
//!
//! <https://github.com/prometheus/node_exporter>

use super::text::{Kind, Labels, Number, Text};
use super::view::NodeView;
use crate::cgroup::Stall;

/// A family with one sample per node.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// Labels besides the node.
    labels: &'static str,
    value: fn(&NodeView) -> Option<Number>,
}

const METRICS: [Metric; 9] = [
    Metric {
        name: "node_boot_time_seconds",
        kind: Kind::Gauge,
        help: "Node boot time, in unixtime.",
        labels: "",
        value: |node| Some(node.boot_time.into()),
    },
    // All cores are shown as one: what a quota leaves belongs to none of them.
    Metric {
        name: "node_cpu_seconds_total",
        kind: Kind::Counter,
        help: "Seconds the CPUs spent in each mode.",
        labels: "cpu=\"0\",mode=\"idle\"",
        value: |node| Some(node.cpu_idle_seconds.into()),
    },
    // What the kubelet decides evictions by: reclaimable page cache counts as available.
    Metric {
        name: "node_memory_MemAvailable_bytes",
        kind: Kind::Gauge,
        help: "Memory information field MemAvailable_bytes.",
        labels: "",
        value: |node| {
            let used = node.usage.and_then(|usage| usage.working_set)?;
            Some(node.memory_total.saturating_sub(used).into())
        },
    },
    Metric {
        name: "node_memory_MemTotal_bytes",
        kind: Kind::Gauge,
        help: "Memory information field MemTotal_bytes.",
        labels: "",
        value: |node| Some(node.memory_total.into()),
    },
    Metric {
        name: "node_pressure_cpu_waiting_seconds_total",
        kind: Kind::Counter,
        help: "Total time in seconds that processes have waited for CPU time",
        labels: "",
        value: |node| some(node.pressure.cpu),
    },
    Metric {
        name: "node_pressure_io_stalled_seconds_total",
        kind: Kind::Counter,
        help: "Total time in seconds no process could make progress due to IO congestion",
        labels: "",
        value: |node| full(node.pressure.io),
    },
    Metric {
        name: "node_pressure_memory_stalled_seconds_total",
        kind: Kind::Counter,
        help: "Total time in seconds no process could make progress due to memory congestion",
        labels: "",
        value: |node| full(node.pressure.memory),
    },
    Metric {
        name: "node_vmstat_oom_kill",
        kind: Kind::Untyped,
        help: "/proc/vmstat information field oom_kill.",
        labels: "",
        value: |node| Some(node.oom_kills.into()),
    },
    Metric {
        name: "node_vmstat_pgmajfault",
        kind: Kind::Untyped,
        help: "/proc/vmstat information field pgmajfault.",
        labels: "",
        value: |node| node.usage.and_then(|usage| usage.major_faults).map(Number::from),
    },
];

fn some(stall: Option<Stall>) -> Option<Number> {
    stall.map(|stall| stall.some.into())
}

fn full(stall: Option<Stall>) -> Option<Number> {
    stall.and_then(|stall| stall.full).map(Into::into)
}

pub(super) fn write(text: &mut Text<'_>, nodes: &[NodeView]) {
    let shown: Vec<(&NodeView, Labels)> =
        nodes.iter().map(|node| (node, Labels::of(&[("node", &node.name)]))).collect();
    for metric in &METRICS {
        let mut family = text.family(metric.name, metric.kind, metric.help);
        for (node, labels) in &shown {
            if let Some(value) = (metric.value)(node) {
                family.sample(&[metric.labels, labels.text()], value);
            }
        }
    }
}
