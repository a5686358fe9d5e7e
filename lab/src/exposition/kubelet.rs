//! The kubelet's `/metrics` and `/metrics/probes`. It creates a series with its first count.
//!
//! <https://kubernetes.io/docs/reference/instrumentation/metrics/>

use super::text::{Kind, Labels, Text};
use super::view::{ContainerView, Fleet, Probes};

pub(super) fn write(text: &mut Text<'_>, fleet: &Fleet) {
    let mut evictions =
        text.family("kubelet_evictions", Kind::Counter, "Cumulative number of pod evictions by eviction signal");
    for node in fleet.nodes.iter().filter(|node| node.evictions > 0) {
        let labels = Labels::of(&[("eviction_signal", "memory.available"), ("node", &node.name)]);
        evictions.sample(&[labels.text()], node.evictions);
    }
    write_durations(text, &fleet.containers);
    write_counts(text, &fleet.containers);
}

fn probed(containers: &[ContainerView]) -> impl Iterator<Item = (&ContainerView, Probes)> {
    containers.iter().filter_map(|container| container.liveness.map(|probes| (container, probes)))
}

/// Of the buckets only the one of all probes: how they spread is not counted.
fn write_durations(text: &mut Text<'_>, containers: &[ContainerView]) {
    let mut family =
        text.family("prober_probe_duration_seconds", Kind::Histogram, "Duration in seconds for a probe response.");
    for (container, probes) in probed(containers) {
        let count = probes.successful + probes.failed;
        if count == 0 {
            continue;
        }
        let ContainerView { namespace, pod, container, .. } = container;
        let labels =
            [("container", container.as_str()), ("namespace", namespace), ("pod", pod), ("probe_type", "Liveness")];
        let labels = Labels::of(&labels);
        family.part("_bucket", &[labels.text(), "le=\"+Inf\""], count);
        family.part("_sum", &[labels.text()], probes.seconds);
        family.part("_count", &[labels.text()], count);
    }
}

fn write_counts(text: &mut Text<'_>, containers: &[ContainerView]) {
    let help = "Cumulative number of a liveness, readiness or startup probe for a container by result.";
    let mut family = text.family("prober_probe_total", Kind::Counter, help);
    for (container, probes) in probed(containers) {
        let ContainerView { namespace, pod, container, pod_uid, .. } = container;
        for (result, count) in [("failed", probes.failed), ("successful", probes.successful)] {
            if count == 0 {
                continue;
            }
            let labels = Labels::of(&[
                ("container", container),
                ("namespace", namespace),
                ("pod", pod),
                ("pod_uid", pod_uid),
                ("probe_type", "Liveness"),
                ("result", result),
            ]);
            family.sample(&[labels.text()], count);
        }
    }
}
