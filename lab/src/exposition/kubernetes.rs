//! kube-state-metrics, as before 2.20: what the API knows of pods, their containers, and nodes.
//!
//! <https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/pod-metrics.md>

use super::text::{Family, Kind, Labels, Text};
use super::view::{Condition, ContainerView, Fleet, NodeView, PodView, Termination};

/// In the order in which they are shown.
const PHASES: [&str; 5] = ["Pending", "Succeeded", "Failed", "Unknown", "Running"];
/// Every reason that is known has a row, at most one of them 1.
const REASONS: [&str; 5] = ["Evicted", "NodeAffinity", "NodeLost", "Shutdown", "UnexpectedAdmissionError"];

pub(super) fn write(text: &mut Text<'_>, fleet: &Fleet) {
    write_pods(text, &fleet.pods);
    let containers: Vec<(&ContainerView, Labels)> = fleet
        .containers
        .iter()
        .map(|container| {
            let ContainerView { namespace, pod, pod_uid, container: name, .. } = container;
            (container, Labels::of(&[("namespace", namespace), ("pod", pod), ("uid", pod_uid), ("container", name)]))
        })
        .collect();
    write_resources(text, &containers);
    write_states(text, &containers);
    write_nodes(text, &fleet.nodes);
}

fn write_pods(text: &mut Text<'_>, pods: &[PodView]) {
    let pods: Vec<(&PodView, Labels)> = pods
        .iter()
        .map(|pod| (pod, Labels::of(&[("namespace", &pod.namespace), ("pod", &pod.pod), ("uid", &pod.uid)])))
        .collect();
    let mut gauge = |name: &'static str, help: &'static str, write: fn(&mut Family<'_>, &PodView, &str)| {
        let mut family = text.family(name, Kind::Gauge, help);
        for (pod, labels) in &pods {
            write(&mut family, pod, labels.text());
        }
    };
    gauge("kube_pod_created", "Unix creation timestamp", |family, pod, labels| family.sample(&[labels], pod.created));
    gauge("kube_pod_deletion_timestamp", "Unix deletion timestamp", |family, pod, labels| {
        at(family, labels, pod.deletion_time);
    });
    gauge("kube_pod_info", "Information about pod.", |family, pod, labels| {
        let (kind, owner) = owner(pod);
        let more = Labels::of(&[
            ("host_ip", &pod.host_ip),
            ("pod_ip", &pod.pod_ip),
            ("node", &pod.node),
            ("created_by_kind", kind),
            ("created_by_name", owner),
        ]);
        family.sample(&[labels, more.text()], true);
    });
    gauge("kube_pod_owner", "Information about the Pod's owner.", |family, pod, labels| {
        let (kind, owner) = owner(pod);
        let controller = if pod.owner.is_empty() { owner } else { "true" };
        let more = [("owner_kind", kind), ("owner_name", owner), ("owner_is_controller", controller)];
        family.sample(&[labels, Labels::of(&more).text()], true);
    });
    gauge("kube_pod_start_time", "Start time in unix timestamp for a pod.", |family, pod, labels| {
        at(family, labels, pod.start_time);
    });
    gauge("kube_pod_status_phase", "The pods current phase.", |family, pod, labels| {
        for phase in PHASES {
            family.sample(&[labels, Labels::of(&[("phase", phase)]).text()], pod.phase == phase);
        }
    });
    gauge(
        "kube_pod_status_ready_time",
        "Readiness achieved time in unix timestamp for a pod.",
        |family, pod, labels| {
            at(family, labels, pod.ready_time);
        },
    );
    gauge("kube_pod_status_reason", "The pod status reasons", |family, pod, labels| {
        for reason in REASONS {
            let is = pod.reason.as_deref() == Some(reason);
            family.sample(&[labels, Labels::of(&[("reason", reason)]).text()], is);
        }
    });
}

/// Kind and name of what made a pod.
fn owner(pod: &PodView) -> (&str, &str) {
    if pod.owner.is_empty() { ("<none>", "<none>") } else { ("ReplicaSet", &pod.owner) }
}

/// A sample only where there is a time.
fn at(family: &mut Family<'_>, labels: &str, time: Option<f64>) {
    if let Some(time) = time {
        family.sample(&[labels], time);
    }
}

fn write_resources(text: &mut Text<'_>, containers: &[(&ContainerView, Labels)]) {
    let limits = "The number of requested limit resource by a container.";
    let requests = "The number of requested request resource by a container.";
    for (name, help, is_limit) in [
        ("kube_pod_container_resource_limits", limits, true),
        ("kube_pod_container_resource_requests", requests, false),
    ] {
        let mut family = text.family(name, Kind::Gauge, help);
        for (container, labels) in containers {
            let (cpu, memory) = if is_limit {
                (container.cpu_limit, container.memory_limit)
            } else {
                (container.cpu_request, container.memory_request)
            };
            let more =
                |resource, unit| Labels::of(&[("node", &container.node), ("resource", resource), ("unit", unit)]);
            if let Some(cores) = cpu {
                family.sample(&[labels.text(), more("cpu", "core").text()], cores);
            }
            if let Some(bytes) = memory {
                family.sample(&[labels.text(), more("memory", "byte").text()], bytes);
            }
        }
    }
}

fn write_states(text: &mut Text<'_>, containers: &[(&ContainerView, Labels)]) {
    let mut family = |name, kind, help, write: fn(&mut Family<'_>, &ContainerView, &str)| {
        let mut family = text.family(name, kind, help);
        for (container, labels) in containers {
            write(&mut family, container, labels.text());
        }
    };
    let mut gauge = |name, help, write| family(name, Kind::Gauge, help, write);
    gauge(
        "kube_pod_container_status_last_terminated_exitcode",
        "Describes the exit code for the last container in terminated state.",
        |family, container, labels| ended(container, |end| family.sample(&[labels], end.exit_code)),
    );
    gauge(
        "kube_pod_container_status_last_terminated_reason",
        "Describes the last reason the container was in terminated state.",
        |family, container, labels| {
            ended(container, |end| family.sample(&[labels, Labels::of(&[("reason", &end.reason)]).text()], true));
        },
    );
    gauge(
        "kube_pod_container_status_last_terminated_timestamp",
        "Last terminated time for a pod container in unix timestamp.",
        |family, container, labels| ended(container, |end| family.sample(&[labels], end.time)),
    );
    gauge(
        "kube_pod_container_status_ready",
        "Describes whether the containers readiness check succeeded.",
        |family, container, labels| family.sample(&[labels], container.ready),
    );
    gauge(
        "kube_pod_container_status_running",
        "Describes whether the container is currently in running state.",
        |family, container, labels| family.sample(&[labels], container.running),
    );
    gauge(
        "kube_pod_container_status_waiting_reason",
        "Describes the reason the container is currently in waiting state.",
        |family, container, labels| {
            if let Some(reason) = &container.waiting {
                family.sample(&[labels, Labels::of(&[("reason", reason)]).text()], true);
            }
        },
    );
    family(
        "kube_pod_container_status_restarts_total",
        Kind::Counter,
        "The number of container restarts per container.",
        |family, container, labels| family.sample(&[labels], container.restarts),
    );
}

fn ended(container: &ContainerView, show: impl FnOnce(&Termination)) {
    if let Some(end) = &container.last_terminated {
        show(end);
    }
}

fn write_nodes(text: &mut Text<'_>, nodes: &[NodeView]) {
    let mut cordoned =
        text.family("kube_node_spec_unschedulable", Kind::Gauge, "Whether a node can schedule new pods.");
    for node in nodes {
        cordoned.sample(&[Labels::of(&[("node", &node.name)]).text()], node.unschedulable);
    }
    let mut conditions = text.family("kube_node_status_condition", Kind::Gauge, "The condition of a cluster node.");
    for node in nodes {
        for (condition, seen) in [("MemoryPressure", node.memory_pressure), ("Ready", node.ready)] {
            for (status, meant) in
                [("true", Condition::True), ("false", Condition::False), ("unknown", Condition::Unknown)]
            {
                let labels = Labels::of(&[("node", &node.name), ("condition", condition), ("status", status)]);
                conditions.sample(&[labels.text()], seen == meant);
            }
        }
    }
}
