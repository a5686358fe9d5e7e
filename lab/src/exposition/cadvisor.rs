//! The kubelet's `/metrics/cadvisor`: what the cgroups of running containers count.
//!
//! <https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md>

use super::text::{Kind, Labels, Number, Text};
use super::view::ContainerView;
use crate::cgroup::{Stall, Usage};

/// A family with one sample per container.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// Labels that all its samples carry besides those of the container.
    labels: &'static str,
    value: fn(&ContainerView, &Usage) -> Option<Number>,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&ContainerView, &Usage) -> Option<Number>,
) -> Metric {
    Metric { name, kind, help, labels: "", value }
}

const METRICS: [Metric; 21] = [
    metric(
        "container_cpu_cfs_periods_total",
        Kind::Counter,
        "Number of elapsed enforcement period intervals.",
        |_, usage| with_quota(usage, usage.cpu_periods),
    ),
    metric(
        "container_cpu_cfs_throttled_periods_total",
        Kind::Counter,
        "Number of throttled period intervals.",
        |_, usage| with_quota(usage, usage.cpu_throttled_periods),
    ),
    metric(
        "container_cpu_cfs_throttled_seconds_total",
        Kind::Counter,
        "Total time duration the container has been throttled.",
        |_, usage| with_quota(usage, usage.cpu_throttled_seconds),
    ),
    Metric {
        labels: "cpu=\"total\"",
        ..metric(
            "container_cpu_usage_seconds_total",
            Kind::Counter,
            "Cumulative cpu time consumed in seconds.",
            |_, usage| usage.cpu_seconds.map(Number::from),
        )
    },
    metric(
        "container_file_descriptors",
        Kind::Gauge,
        "Number of open file descriptors for the container.",
        |container, _| container.files.map(Number::from),
    ),
    metric("container_memory_cache", Kind::Gauge, "Number of bytes of page cache memory.", |_, usage| {
        usage.cache.map(Number::from)
    }),
    metric("container_memory_failcnt", Kind::Counter, "Number of memory usage hits limits", |_, usage| {
        usage.limit_hits.map(Number::from)
    }),
    Metric {
        labels: "failure_type=\"pgmajfault\",scope=\"container\"",
        ..metric(
            "container_memory_failures_total",
            Kind::Counter,
            "Cumulative count of memory allocation failures.",
            |_, usage| usage.major_faults.map(Number::from),
        )
    },
    metric("container_memory_rss", Kind::Gauge, "Size of RSS in bytes.", |_, usage| usage.rss.map(Number::from)),
    metric("container_memory_working_set_bytes", Kind::Gauge, "Current working set in bytes.", |_, usage| {
        usage.working_set.map(Number::from)
    }),
    metric(
        "container_oom_events_total",
        Kind::Counter,
        "Count of out of memory events observed for the container",
        |_, usage| usage.oom_kills.map(Number::from),
    ),
    metric(
        "container_pressure_cpu_waiting_seconds_total",
        Kind::Counter,
        "Total time duration tasks in the container have waited due to CPU congestion.",
        |_, usage| some(usage.pressure.cpu),
    ),
    metric(
        "container_pressure_io_stalled_seconds_total",
        Kind::Counter,
        "Total time duration no tasks in the container could make progress due to IO congestion.",
        |_, usage| full(usage.pressure.io),
    ),
    metric(
        "container_pressure_memory_stalled_seconds_total",
        Kind::Counter,
        "Total time duration no tasks in the container could make progress due to memory congestion.",
        |_, usage| full(usage.pressure.memory),
    ),
    metric(
        "container_pressure_memory_waiting_seconds_total",
        Kind::Counter,
        "Total time duration tasks in the container have waited due to memory congestion.",
        |_, usage| some(usage.pressure.memory),
    ),
    metric("container_processes", Kind::Gauge, "Number of processes running inside the container.", |container, _| {
        container.processes.map(Number::from)
    }),
    metric("container_spec_cpu_period", Kind::Gauge, "CPU period of the container.", |_, usage| {
        usage.cpu_period_us.map(Number::from)
    }),
    metric("container_spec_cpu_quota", Kind::Gauge, "CPU quota of the container.", |_, usage| {
        usage.cpu_quota_us.map(Number::from)
    }),
    // 0 stands for no limit.
    metric("container_spec_memory_limit_bytes", Kind::Gauge, "Memory limit for the container.", |_, usage| {
        Some(usage.memory_limit.unwrap_or(0).into())
    }),
    metric(
        "container_start_time_seconds",
        Kind::Gauge,
        "Start time of the container since unix epoch in seconds.",
        |container, _| container.start_time.map(Number::from),
    ),
    metric("container_threads", Kind::Gauge, "Number of threads running inside the container", |container, _| {
        container.threads.map(Number::from)
    }),
];

/// Shown only of containers that have a quota.
fn with_quota<T: Into<Number>>(usage: &Usage, value: Option<T>) -> Option<Number> {
    usage.cpu_quota_us.and(value).map(Into::into)
}

fn some(stall: Option<Stall>) -> Option<Number> {
    stall.map(|stall| stall.some.into())
}

fn full(stall: Option<Stall>) -> Option<Number> {
    stall.and_then(|stall| stall.full).map(Into::into)
}

/// A running container and the labels of its samples.
struct Shown<'c> {
    container: &'c ContainerView,
    usage: &'c Usage,
    labels: Labels,
}

pub(super) fn write(text: &mut Text<'_>, containers: &[ContainerView]) {
    let shown: Vec<Shown<'_>> = containers
        .iter()
        .filter_map(|container| {
            let usage = container.usage.as_ref()?;
            let ContainerView { container: name, container_id, cgroup, image, namespace, pod, .. } = container;
            let labels = labels([name, cgroup, image, container_id, namespace, pod]);
            Some(Shown { container, usage, labels })
        })
        .collect();
    for metric in &METRICS {
        let mut family = text.family(metric.name, metric.kind, metric.help);
        for Shown { container, usage, labels } in &shown {
            if let Some(value) = (metric.value)(container, usage) {
                family.sample(&[metric.labels, labels.text()], value);
            }
        }
    }
    write_file_systems(text, &shown);
    write_networks(text, &shown);
}

fn labels([container, id, image, name, namespace, pod]: [&str; 6]) -> Labels {
    let pairs = [("container", container), ("id", id), ("image", image), ("name", name), ("namespace", namespace)];
    Labels::of(&[&pairs[..], &[("pod", pod)]].concat())
}

fn write_file_systems(text: &mut Text<'_>, shown: &[Shown<'_>]) {
    let limit = "Number of bytes that can be consumed by the container on this filesystem.";
    let usage = "Number of bytes that are consumed by the container on this filesystem.";
    for (name, help, is_limit) in
        [("container_fs_limit_bytes", limit, true), ("container_fs_usage_bytes", usage, false)]
    {
        let mut family = text.family(name, Kind::Gauge, help);
        for Shown { container, labels, .. } in shown {
            if let Some(held) = &container.file_system {
                let device = Labels::of(&[("device", &held.device)]);
                family.sample(&[device.text(), labels.text()], if is_limit { held.limit } else { held.used });
            }
        }
    }
}

/// Containers of a pod share its network, whose counters stand under the pod's own cgroup, without a container.
fn write_networks(text: &mut Text<'_>, shown: &[Shown<'_>]) {
    let errors = "Cumulative count of errors encountered while receiving";
    let dropped = "Cumulative count of packets dropped while receiving";
    for (name, help, is_errors) in [
        ("container_network_receive_errors_total", errors, true),
        ("container_network_receive_packets_dropped_total", dropped, false),
    ] {
        let mut family = text.family(name, Kind::Counter, help);
        for Shown { container, .. } in shown {
            let pod = container.cgroup.rsplit_once('/').map_or("", |(pod, _)| pod);
            for interface in &container.network {
                let interface_label = Labels::of(&[("interface", &interface.name)]);
                let labels = labels(["", pod, "", "", &container.namespace, &container.pod]);
                let count = if is_errors { interface.receive_errors } else { interface.receive_dropped };
                family.sample(&[interface_label.text(), labels.text()], count);
            }
        }
    }
}
