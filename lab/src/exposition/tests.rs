use std::collections::BTreeSet;

use super::*;
use crate::cgroup::{Pressure, Stall, Usage};
use crate::proc::Interface;

const UID: &str = "3f1c2d7e-8a4b-4c5d-9e6f-0a1b2c3d4e5f";

fn usage() -> Usage {
    Usage {
        memory: Some(3_854_336),
        rss: Some(1_724_416),
        cache: Some(835_584),
        inactive_file: Some(49_152),
        working_set: Some(3_805_184),
        memory_peak: Some(4_980_736),
        memory_limit: Some(16_777_216),
        limit_hits: Some(7),
        oom_kills: Some(0),
        major_faults: Some(12),
        cpu_seconds: Some(16.807_762),
        cpu_user_seconds: Some(15.82),
        cpu_system_seconds: Some(0.98),
        cpu_periods: Some(723),
        cpu_throttled_periods: Some(18),
        cpu_throttled_seconds: Some(1.724_314),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        pids: Some(24),
        pids_limit: Some(64),
        pressure: Pressure {
            cpu: Some(Stall { some: 0.25, full: Some(0.0) }),
            memory: Some(Stall { some: 2.5, full: Some(0.5) }),
            io: Some(Stall { some: 1.5, full: Some(0.75) }),
        },
        read_bytes: Some(4_096),
        written_bytes: Some(8_192),
    }
}

fn container() -> ContainerView {
    ContainerView {
        namespace: "leak".to_owned(),
        pod: "api-6d5f7c9b8-x2x7q".to_owned(),
        pod_uid: UID.to_owned(),
        container: "app".to_owned(),
        container_id: "5b1e9d0c".to_owned(),
        node: "n1".to_owned(),
        image: "workload:1".to_owned(),
        cgroup: format!("/forewarn-lab/r/n1/pod{UID}/5b1e9d0c"),
        usage: Some(usage()),
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
        cpu_request: Some(0.1),
        restarts: 3,
        running: true,
        ready: true,
        waiting: None,
        last_terminated: Some(Termination { reason: "OOMKilled".to_owned(), exit_code: 137, time: 1_790_000_000.0 }),
        liveness: Some(Probes { successful: 40, failed: 2, seconds: 3.5 }),
    }
}

fn pod() -> PodView {
    PodView {
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
        phase: "Running".to_owned(),
        reason: None,
        deletion_time: None,
    }
}

fn node() -> NodeView {
    NodeView {
        name: "n1".to_owned(),
        usage: Some(usage()),
        memory_total: 1 << 30,
        cpu_idle_seconds: 4_609.67,
        oom_kills: 5,
        ready: Condition::True,
        memory_pressure: Condition::False,
        unschedulable: false,
        evictions: 1,
        boot_time: 1_789_990_000.0,
        pressure: usage().pressure,
    }
}

fn text(containers: Vec<ContainerView>, pods: Vec<PodView>, nodes: Vec<NodeView>) -> String {
    let mut out = String::new();
    write(&mut out, &Fleet { nodes, pods, containers });
    out
}

/// Names of samples, sorted.
fn names(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| &line[..line.find(['{', ' ']).unwrap()]).collect()
}

#[test]
fn one_pod_is_written_as_committed() {
    let seen = text(vec![container()], vec![pod()], vec![node()]);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exposition.prom");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &seen).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (seen, committed)) in seen.lines().zip(committed.lines()).enumerate() {
        assert_eq!(seen, committed, "line {} of {path:?}; BLESS=1 writes it anew", number + 1);
    }
    assert_eq!(seen.lines().count(), committed.lines().count(), "{path:?}; BLESS=1 writes it anew");
}

#[test]
fn families_stand_together_and_are_announced_before_their_samples() {
    let mut other = container();
    other.pod = "other".to_owned();
    let seen = text(vec![container(), other], vec![pod()], vec![node()]);
    let mut announced = BTreeSet::new();
    let mut family = "";
    for line in seen.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(announced.insert(family), "{family} comes twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split(' ').next().unwrap(), family);
        } else {
            let name = &line[..line.find(['{', ' ']).unwrap()];
            let ending = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} stands in {family}"));
            assert!(["", "_bucket", "_sum", "_count"].contains(&ending), "{line} stands in {family}");
        }
    }
    let samples: Vec<&str> = seen.lines().filter(|line| !line.starts_with('#')).collect();
    let series: BTreeSet<&str> = samples.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(series.len(), samples.len(), "no series comes twice");
}

#[test]
fn a_container_without_a_cgroup_is_shown_by_the_api_alone() {
    let waiting = ContainerView {
        usage: None,
        running: false,
        ready: false,
        waiting: Some("CrashLoopBackOff".to_owned()),
        ..container()
    };
    let seen = text(vec![waiting], vec![pod()], Vec::new());
    assert!(names(&seen).iter().all(|name| !name.starts_with("container_")), "{seen}");
    assert!(seen.contains("reason=\"CrashLoopBackOff\"} 1\n"), "{seen}");
    assert!(seen.contains("prober_probe_total{"), "its counts stay: {seen}");
}

#[test]
fn rows_that_depend_on_a_limit_or_a_count_are_left_out_without() {
    let plain = ContainerView {
        usage: Some(Usage { cpu_quota_us: None, memory_limit: None, pressure: Pressure::default(), ..usage() }),
        liveness: Some(Probes { successful: 3, failed: 0, seconds: 0.5 }),
        last_terminated: None,
        memory_limit: None,
        cpu_limit: None,
        ..container()
    };
    let calm = NodeView { evictions: 0, pressure: Pressure::default(), ..node() };
    let seen = text(vec![plain], vec![PodView { ready_time: None, ..pod() }], vec![calm]);
    let names = names(&seen);
    for gone in [
        "container_spec_cpu_quota",
        "container_cpu_cfs_periods_total",
        "container_pressure_cpu_waiting_seconds_total",
        "kube_pod_container_resource_limits",
        "kube_pod_container_status_last_terminated_reason",
        "kube_pod_container_status_waiting_reason",
        "kube_pod_deletion_timestamp",
        "kube_pod_status_ready_time",
        "kubelet_evictions",
        "node_pressure_cpu_waiting_seconds_total",
    ] {
        assert!(!names.contains(gone), "{gone} in {seen}");
        assert!(!seen.contains(gone), "{gone} is announced in {seen}");
    }
    assert!(!seen.contains("result=\"failed\""), "{seen}");
    let limit = seen.lines().find(|line| line.starts_with("container_spec_memory_limit_bytes{")).unwrap();
    assert!(limit.ends_with(" 0"), "{limit}");
}

#[test]
fn an_evicted_pod_has_one_reason_and_one_phase() {
    let evicted = PodView {
        phase: "Failed".to_owned(),
        reason: Some("Evicted".to_owned()),
        owner: String::new(),
        deletion_time: Some(1_790_000_100.0),
        ..pod()
    };
    let seen = text(Vec::new(), vec![evicted], Vec::new());
    let rows =
        |name: &str| -> Vec<&str> { seen.lines().filter(|line| line.starts_with(&format!("{name}{{"))).collect() };
    for (name, label) in
        [("kube_pod_status_reason", "reason=\"Evicted\""), ("kube_pod_status_phase", "phase=\"Failed\"")]
    {
        let rows = rows(name);
        assert_eq!(rows.len(), 5);
        let set: Vec<&&str> = rows.iter().filter(|row| row.ends_with(" 1")).collect();
        assert!(set.len() == 1 && set[0].contains(label), "{rows:?}");
        assert_eq!(rows.iter().filter(|row| row.ends_with(" 0")).count(), 4);
    }
    assert!(
        rows("kube_pod_owner")[0]
            .contains("owner_kind=\"<none>\",owner_name=\"<none>\",owner_is_controller=\"<none>\"")
    );
    assert!(rows("kube_pod_deletion_timestamp")[0].ends_with(" 1790000100"));
}

#[test]
fn a_condition_of_a_node_has_three_rows_one_of_them_set() {
    let seen = text(Vec::new(), Vec::new(), vec![NodeView { ready: Condition::Unknown, ..node() }]);
    for row in [
        "kube_node_status_condition{node=\"n1\",condition=\"Ready\",status=\"unknown\"} 1",
        "kube_node_status_condition{node=\"n1\",condition=\"Ready\",status=\"true\"} 0",
        "kube_node_status_condition{node=\"n1\",condition=\"MemoryPressure\",status=\"false\"} 1",
    ] {
        assert!(seen.lines().any(|line| line == row), "{row} in {seen}");
    }
    assert_eq!(names(&seen).len(), 12, "{:?}", names(&seen));
}

#[test]
fn idle_time_never_falls() {
    let mut idle = Idle::default();
    assert!((idle.after(0.5, 10.0, 1.0) - 4.0).abs() < 1e-12);
    assert!((idle.after(0.5, 10.1, 1.2) - 4.0).abs() < 1e-12, "more was used than the quota gave");
    assert!((idle.after(0.5, 12.0, 1.4) - 4.6).abs() < 1e-12);
    assert!(Idle::default().after(0.5, 1.0, 0.7) >= 0.0);
}
