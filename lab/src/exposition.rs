//! The lab as its exporters would show it: Prometheus text of version 0.0.4, under the names and labels of cAdvisor,
//! kube-state-metrics, the kubelet and node_exporter.
//!
//! Each exporter has a file of its own; this one holds what they are told. Only families that `features/mappings` reads
//! are written, and the few beside them without which a histogram or a state would be half told. Rows of a node carry
//! its name in `node`, where a scrape's relabelling would put it.

mod cadvisor;
mod kubelet;
mod kubernetes;
mod machine;
mod text;
mod view;

pub use view::{Condition, ContainerView, FileSystemView, Fleet, Idle, NodeView, PodView, Probes, Termination};

use text::Text;

/// Appends the whole exposition to `out`. Keep `out` and clear it: it has some 12 KiB per container.
pub fn write(out: &mut String, fleet: &Fleet) {
    let mut text = Text::new(out);
    cadvisor::write(&mut text, &fleet.containers);
    kubernetes::write(&mut text, fleet);
    kubelet::write(&mut text, fleet);
    machine::write(&mut text, &fleet.nodes);
}

#[cfg(test)]
mod tests;
