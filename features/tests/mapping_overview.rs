//! What a person is told of the catalogue, and of what a server lacks.

use features::Catalogue;
use features::mapping::{Family, Lack, MappingSet, Offer, missing, overview};

fn lacks(offer: &Offer) -> Vec<Lack> {
    let catalogue = Catalogue::standard();
    missing(&catalogue, &MappingSet::standard(&catalogue), offer)
}

fn names(names: &[&str]) -> Offer {
    Offer::of_names(names.iter().map(|&name| name.to_owned()))
}

fn lack<'a>(lacks: &'a [Lack], exporter: &str, id: &str) -> Option<&'a Lack> {
    lacks.iter().find(|lack| lack.exporter == exporter && lack.id == id)
}

#[test]
fn a_metric_lists_its_sources_units_and_families() {
    let catalogue = Catalogue::standard();
    let metrics = overview(&catalogue, &MappingSet::standard(&catalogue));
    assert_eq!(metrics.len(), catalogue.definitions().len());
    let metric = |id: &str| metrics.iter().find(|metric| metric.id == id).unwrap();
    let quota = &metric("cpu.quota").sources[0];
    assert_eq!((quota.source.as_str(), quota.unit.as_deref()), ("cadvisor", Some("us")));
    assert!((quota.scale - 1e-6).abs() < 1e-18);
    let restarts: Vec<&str> = metric("restart.count").sources.iter().map(|row| row.source.as_str()).collect();
    assert_eq!(restarts, ["docker-api", "kube-state-metrics", "otel-k8s", "otel-k8s", "telegraf-docker"]);
    assert_eq!(metric("restart.count").families, [Family::Counters, Family::History]);
    assert_eq!(
        metric("mem.limit").families,
        [Family::Level, Family::Trend, Family::Saturation, Family::Season, Family::Config]
    );
    let reason = &metric("status.reason").sources;
    let before = reason.iter().find(|row| row.source == "kube-state-metrics-before-2.20").unwrap();
    assert_eq!((before.until.as_deref(), before.verified), (Some("2.20"), true));
}

#[test]
fn unverified_rows_are_counted_by_source() {
    let catalogue = Catalogue::standard();
    let set = MappingSet::standard(&catalogue);
    let rows = overview(&catalogue, &set);
    for source in set.sources() {
        let of_source = rows.iter().flat_map(|metric| &metric.sources).filter(|row| row.source == source.name);
        let (mut all, mut unverified) = (0, 0);
        for row in of_source {
            all += 1;
            unverified += usize::from(!row.verified);
        }
        assert_eq!((source.rows, source.unverified), (all, unverified), "{}", source.name);
    }
    let docker = set.sources().iter().find(|source| source.name == "docker-api").unwrap();
    assert_eq!(docker.unverified, docker.rows, "our own names were seen in no exposition");
}

#[test]
fn without_restarts_there_are_no_container_failures() {
    let lacks = lacks(&names(&["kube_pod_info", "kube_pod_container_status_last_terminated_reason"]));
    let restarts = lack(&lacks, "kube-state-metrics", "restart.count").unwrap();
    assert_eq!(restarts.select, ["kube_pod_container_status_restarts_total"]);
    let causes: Vec<&str> = restarts.costs.iter().map(|cost| cost.cause).collect();
    assert_eq!(causes, ["container_oom", "container_crash", "probe_kill", "docker_exit"]);
    assert!(restarts.costs[0].effect.contains("no such failure"));
    assert_eq!(restarts.families, [Family::Counters, Family::History]);
    assert_eq!(lack(&lacks, "kube-state-metrics", "terminated.reason"), None);
    let time = lack(&lacks, "kube-state-metrics", "terminated.time").unwrap();
    assert_eq!(time.since.as_deref(), Some("2.12"));
    assert!(time.costs.iter().all(|cost| cost.effect.contains("interval")), "{time:?}");
    let first_free = lacks.iter().position(|lack| lack.costs.is_empty()).unwrap();
    assert!(lacks[first_free..].iter().all(|lack| lack.costs.is_empty()), "what costs labels comes first");
}

#[test]
fn exporters_that_are_not_there_are_not_complained_of() {
    let lacks = lacks(&names(&["node_memory_MemTotal_bytes", "up", "go_goroutines"]));
    assert!(!lacks.is_empty());
    assert!(lacks.iter().all(|lack| lack.exporter == "node_exporter"), "{lacks:?}");
    assert_eq!(lack(&lacks, "node_exporter", "node.mem.total"), None);
    assert_eq!(lack(&lacks, "node_exporter", "target.up"), None);
    let catalogue = Catalogue::standard();
    let none = missing(&catalogue, &MappingSet::standard(&catalogue), &names(&["go_goroutines", "up"]));
    assert_eq!(none, []);
}

#[test]
fn a_name_that_two_exporters_share_is_the_older_ones() {
    // As Prometheus spells it, OpenTelemetry's container.memory.working_set is cAdvisor's name.
    let lacks = lacks(&names(&["container_memory_working_set_bytes"]));
    assert!(lacks.iter().all(|lack| lack.exporter == "cadvisor"), "{lacks:?}");
}

#[test]
fn what_another_exporter_gives_costs_nothing() {
    let lacks = lacks(&names(&["container_memory_rss", "kube_pod_container_resource_limits"]));
    let limit = lack(&lacks, "cadvisor", "mem.limit").unwrap();
    assert_eq!(limit.provided_by, ["kube-state-metrics"]);
    assert!(limit.costs.is_empty() && limit.families.is_empty());
    let working_set = lack(&lacks, "cadvisor", "mem.working_set").unwrap();
    assert!(working_set.provided_by.is_empty() && !working_set.families.is_empty());
}

#[test]
fn what_no_rule_reads_costs_no_label() {
    let lacks = lacks(&names(&["vmware_vm_power_state", "kube_node_spec_unschedulable"]));
    for (exporter, id) in [
        ("vmware_exporter", "guest.tools_running"),
        ("vmware_exporter", "host.connected"),
        ("kube-state-metrics", "node.taint"),
    ] {
        assert_eq!(lack(&lacks, exporter, id).unwrap().costs, [], "{id}");
    }
    let causes = |exporter, id| {
        let costs = &lack(&lacks, exporter, id).unwrap().costs;
        costs.iter().map(|cost| cost.cause).collect::<Vec<_>>()
    };
    assert_eq!(causes("vmware_exporter", "boot.time"), ["node_reboot", "ha_restart"]);
    assert_eq!(causes("kube-state-metrics", "pod.info"), ["container_crash"]);
}

#[test]
fn failed_probes_are_a_metric_of_their_own() {
    let catalogue = Catalogue::standard();
    let set = MappingSet::standard(&catalogue);
    let of = |id: &str| {
        let metric = overview(&catalogue, &set).into_iter().find(|metric| metric.id == id).unwrap();
        metric.sources.into_iter().map(|row| row.select).collect::<Vec<_>>()
    };
    assert_eq!(of("probe.failures"), [r#"prober_probe_total{result="failed"}"#]);
    assert_eq!(of("probe.count"), [r#"prober_probe_total{result!="failed"}"#]);
}

#[test]
fn versions_of_one_exporter_are_one_exporter() {
    let lacks = lacks(&names(&["kube_pod_info", "kube_pod_status_reason"]));
    assert_eq!(lack(&lacks, "kube-state-metrics", "status.reason"), None);
    let disruption = lack(&lacks, "kube-state-metrics", "disruption.reason").unwrap();
    assert_eq!(disruption.since.as_deref(), Some("2.20"));
}

#[test]
fn a_metric_without_the_label_it_needs_is_lacking() {
    let all = ["namespace", "pod", "container", "uid"].map(str::to_owned);
    let restarts = "kube_pod_container_status_restarts_total";
    let with = names(&[]).with_labels(restarts, all.clone());
    assert_eq!(lack(&lacks(&with), "kube-state-metrics", "restart.count"), None);
    let without = names(&[]).with_labels(restarts, all.into_iter().filter(|label| label != "container"));
    let lacks = lacks(&without);
    let lack = lack(&lacks, "kube-state-metrics", "restart.count").unwrap();
    assert_eq!(lack.label.as_deref(), Some("exported_container|container"));
}
