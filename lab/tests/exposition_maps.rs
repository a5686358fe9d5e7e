//! What the lab shows is read by the mappings like any exporter's text: every row, onto the right entity.

use std::collections::{BTreeMap, BTreeSet};

use features::decode::exposition::{Dialect, strict};
use features::decode::{Collector, Temporality};
use features::mapping::{MappingSet, SHIPPED};
use features::{Catalogue, EntityKind, MetricKind, Resolution};
use lab::cgroup::{Pressure, Stall, Usage};
use lab::exposition::{Condition, ContainerView, FileSystemView, Fleet, NodeView, PodView, Probes, Termination, write};
use lab::proc::Interface;

const UID: &str = "3f1c2d7e-8a4b-4c5d-9e6f-0a1b2c3d4e5f";
const CONTAINER: &str = "leak/api-6d5f7c9b8-x2x7q/app";
const POD: &str = "leak/api-6d5f7c9b8-x2x7q";

/// Exporters that the lab stands for.
const SOURCES: [&str; 5] =
    ["cadvisor", "kube-state-metrics", "kube-state-metrics-before-2.20", "kubelet", "node_exporter"];

/// Shown for people and other readers; no mapping needs them.
const UNMAPPED: [&str; 2] = ["kube_pod_container_status_running", "prober_probe_duration_seconds_bucket"];

/// A node with one pod, with every number there may be.
fn fleet() -> Fleet {
    let stall = |some| Some(Stall { some, full: Some(some / 2.0) });
    let usage = Usage {
        memory: Some(3_854_336),
        rss: Some(1_724_416),
        cache: Some(835_584),
        inactive_file: Some(49_152),
        working_set: Some(3_805_184),
        memory_peak: Some(4_980_736),
        memory_limit: Some(16_777_216),
        limit_hits: Some(7),
        oom_kills: Some(1),
        major_faults: Some(12),
        cpu_seconds: Some(16.5),
        cpu_user_seconds: Some(15.5),
        cpu_system_seconds: Some(1.0),
        cpu_periods: Some(723),
        cpu_throttled_periods: Some(18),
        cpu_throttled_seconds: Some(1.75),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        pids: Some(24),
        pids_limit: Some(64),
        pressure: Pressure { cpu: stall(0.25), memory: stall(2.5), io: stall(1.5) },
        read_bytes: Some(4_096),
        written_bytes: Some(8_192),
    };
    let container = ContainerView {
        namespace: "leak".to_owned(),
        pod: "api-6d5f7c9b8-x2x7q".to_owned(),
        pod_uid: UID.to_owned(),
        container: "app".to_owned(),
        container_id: "5b1e9d0c".to_owned(),
        node: "n1".to_owned(),
        image: "an \"odd\" \\ name\nof two lines".to_owned(),
        cgroup: lab::cgroup::container_path(&lab::cgroup::node_path("r", "n1"), UID, "5b1e9d0c"),
        usage: Some(usage),
        files: Some(57),
        threads: Some(24),
        processes: Some(1),
        file_system: Some(FileSystemView { device: "/dev/loop3".to_owned(), used: 94_208, limit: 16_000_000 }),
        network: vec![Interface {
            name: "eth0".to_owned(),
            receive_errors: 2,
            receive_dropped: 1,
            ..Interface::default()
        }],
        start_time: Some(1_790_000_001.25),
        memory_limit: Some(16_777_216),
        memory_request: Some(8_388_608),
        cpu_limit: Some(0.5),
        cpu_request: Some(0.125),
        restarts: 3,
        running: false,
        ready: false,
        waiting: Some("CrashLoopBackOff".to_owned()),
        last_terminated: Some(Termination { reason: "OOMKilled".to_owned(), exit_code: 137, time: 1.79e9 }),
        liveness: Some(Probes { successful: 40, failed: 2, seconds: 3.5 }),
    };
    let pod = PodView {
        namespace: "leak".to_owned(),
        pod: "api-6d5f7c9b8-x2x7q".to_owned(),
        uid: UID.to_owned(),
        node: "n1".to_owned(),
        host_ip: "10.0.0.1".to_owned(),
        pod_ip: "10.1.0.7".to_owned(),
        owner: "api-6d5f7c9b8".to_owned(),
        created: 1_789_999_000.0,
        start_time: Some(1_789_999_001.0),
        ready_time: Some(1_789_999_002.5),
        phase: "Failed".to_owned(),
        reason: Some("Evicted".to_owned()),
        deletion_time: Some(1_790_000_100.0),
    };
    let node = NodeView {
        name: "n1".to_owned(),
        usage: Some(usage),
        memory_total: 1 << 30,
        cpu_idle_seconds: 4_609.5,
        oom_kills: 5,
        ready: Condition::True,
        memory_pressure: Condition::Unknown,
        unschedulable: true,
        evictions: 1,
        boot_time: 1_789_990_000.0,
        pressure: usage.pressure,
    };
    Fleet { nodes: vec![node], pods: vec![pod], containers: vec![container] }
}

/// A sample as the lake would get it.
struct Mapped {
    name: String,
    kind: EntityKind,
    key: String,
    incarnation: String,
    part: String,
    /// The number, or the name of the state.
    value: String,
    counts: bool,
    temporality: Temporality,
}

fn text() -> String {
    let mut text = String::new();
    write(&mut text, &fleet());
    text
}

/// Every sample by the id of its metric, and the names that no mapping selects.
fn mapped() -> (BTreeMap<String, Vec<Mapped>>, BTreeSet<String>) {
    let catalogue = Catalogue::standard();
    let files: Vec<(&str, &str)> = SHIPPED.into_iter().filter(|(name, _)| SOURCES.contains(name)).collect();
    let mappings = MappingSet::of(&files, &catalogue).unwrap();
    let mut collected = Collector::default();
    strict(&text(), Dialect::Text, 1_790_000_010_000, &mut collected).unwrap();
    assert_eq!(collected.refused, 0, "{:?}", collected.reasons);
    let mut found: BTreeMap<String, Vec<Mapped>> = BTreeMap::new();
    let mut unmapped = BTreeSet::new();
    for series in &collected.series {
        let (canonical, transform) = match mappings.resolve(&series.labels) {
            Resolution::Series(canonical, transform) => (canonical, transform),
            Resolution::Unmapped => {
                unmapped.insert(series.labels.name().to_owned());
                continue;
            }
            Resolution::Refused(reason) => panic!("{reason}"),
        };
        let definition = catalogue.definition(canonical.metric).unwrap();
        let Some(value) = transform.apply(series.points[0].value) else { continue };
        let is_state = definition.kind == MetricKind::State;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let value = if is_state { definition.states[value as usize].clone() } else { value.to_string() };
        found.entry(definition.id.clone()).or_default().push(Mapped {
            name: series.labels.name().to_owned(),
            kind: canonical.entity.kind(),
            key: canonical.entity.key().to_owned(),
            incarnation: canonical.entity.incarnation().to_owned(),
            part: canonical.part,
            value,
            counts: definition.kind == MetricKind::Counter,
            temporality: series.temporality,
        });
    }
    (found, unmapped)
}

#[test]
fn every_row_is_read_by_a_mapping_but_for_those_that_say_so() {
    let (_, unmapped) = mapped();
    assert_eq!(unmapped.iter().map(String::as_str).collect::<Vec<_>>(), UNMAPPED);
}

#[test]
fn rows_belong_to_the_container_the_pod_and_the_node() {
    let (found, _) = mapped();
    for (id, rows) in &found {
        for row in rows {
            let expected = match row.kind {
                EntityKind::Container => CONTAINER,
                EntityKind::Pod => POD,
                EntityKind::Node => "n1",
                other => panic!("{id} of a {}", other.name()),
            };
            assert_eq!(row.key, expected, "{id}");
            // The kubelet tells no uid with durations of probes.
            let untold = row.kind == EntityKind::Node || row.name.starts_with("prober_probe_duration_seconds_");
            assert_eq!(row.incarnation, if untold { "" } else { UID }, "{id}");
        }
    }
}

#[test]
fn what_counts_is_announced_as_counting() {
    let (found, _) = mapped();
    let mut counters = 0;
    for (id, rows) in &found {
        for row in rows.iter().filter(|row| row.counts) {
            counters += 1;
            // node_exporter knows no types of what it takes from /proc/vmstat.
            let untyped = row.name.starts_with("node_vmstat_");
            let expected = if untyped { Temporality::Unknown } else { Temporality::Cumulative };
            assert_eq!(row.temporality, expected, "{id} from {}", row.name);
        }
    }
    assert!(counters >= 20, "{counters}");
}

#[test]
fn values_arrive_in_the_units_of_the_catalogue() {
    let (found, _) = mapped();
    for (id, name, part, value) in [
        ("mem.working_set", "container_memory_working_set_bytes", "", "3805184"),
        ("mem.limit", "container_spec_memory_limit_bytes", "", "16777216"),
        ("mem.limit", "kube_pod_container_resource_limits", "", "16777216"),
        ("cpu.limit", "kube_pod_container_resource_limits", "", "0.5"),
        ("cpu.request", "kube_pod_container_resource_requests", "", "0.125"),
        ("cpu.time", "container_cpu_usage_seconds_total", "", "16.5"),
        ("mem.major_faults", "container_memory_failures_total", "", "12"),
        ("psi.mem.full", "container_pressure_memory_stalled_seconds_total", "", "1.25"),
        ("psi.mem.some", "container_pressure_memory_waiting_seconds_total", "", "2.5"),
        ("psi.cpu.some", "container_pressure_cpu_waiting_seconds_total", "", "0.25"),
        ("psi.io.full", "container_pressure_io_stalled_seconds_total", "", "0.75"),
        ("fd.open", "container_file_descriptors", "", "57"),
        ("thread.count", "container_threads", "", "24"),
        ("fs.used", "container_fs_usage_bytes", "device=/dev/loop3", "94208"),
        ("fs.limit", "container_fs_limit_bytes", "device=/dev/loop3", "16000000"),
        ("net.rx_errors", "container_network_receive_errors_total", "interface=eth0", "2"),
        ("net.rx_dropped", "container_network_receive_packets_dropped_total", "interface=eth0", "1"),
        ("restart.count", "kube_pod_container_status_restarts_total", "", "3"),
        ("terminated.reason", "kube_pod_container_status_last_terminated_reason", "", "OOMKilled"),
        ("terminated.exit_code", "kube_pod_container_status_last_terminated_exitcode", "", "137"),
        ("waiting.reason", "kube_pod_container_status_waiting_reason", "", "CrashLoopBackOff"),
        ("phase", "kube_pod_status_phase", "", "Failed"),
        ("status.reason", "kube_pod_status_reason", "", "Evicted"),
        ("deletion.time", "kube_pod_deletion_timestamp", "", "1790000100"),
        ("probe.count", "prober_probe_total", "probe_type=Liveness,result=successful", "40"),
        ("probe.failures", "prober_probe_total", "probe_type=Liveness", "2"),
        ("probe.duration", "prober_probe_duration_seconds_sum", "probe_type=Liveness", "3.5"),
        ("node.mem.available", "node_memory_MemAvailable_bytes", "", "1069936640"),
        ("cpu.idle", "node_cpu_seconds_total", "cpu=0", "4609.5"),
        ("oom.events", "node_vmstat_oom_kill", "", "5"),
        ("oom.events", "container_oom_events_total", "", "1"),
        ("node.condition", "kube_node_status_condition", "condition=Ready", "true"),
        ("node.condition", "kube_node_status_condition", "condition=MemoryPressure", "unknown"),
        ("node.cordoned", "kube_node_spec_unschedulable", "", "1"),
        ("eviction.count", "kubelet_evictions", "eviction_signal=memory.available", "1"),
    ] {
        let rows = found.get(id).map_or(&[][..], Vec::as_slice);
        let seen: Vec<&str> =
            rows.iter().filter(|row| row.name == name && row.part == part).map(|row| row.value.as_str()).collect();
        assert_eq!(seen, [value], "{id} from {name} [{part}]");
    }
    let close = |id: &str, wanted: f64| {
        let seen: f64 = found[id][0].value.parse().unwrap();
        assert!((seen - wanted).abs() < 1e-9, "{id}: {seen}, not {wanted}");
    };
    close("cpu.quota", 0.05);
    close("cpu.period", 0.1);
}
