//! The catalogue as a person asks for it: who provides a metric, what it foretells, what its lack costs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Absent, MappingSet, Rule};
use crate::catalogue::{Catalogue, MetricId, MetricKind};

/// One way in which a source provides a metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRow {
    /// Which source.
    pub source: String,
    /// Its series.
    pub select: String,
    /// Factor to the canonical unit.
    pub scale: f64,
    /// What a missing row means.
    pub absent: Absent,
    /// First version of the source that has it.
    pub since: Option<String>,
    /// Last version of the source that has it.
    pub until: Option<String>,
    /// Whether the form was seen in a real exposition, not in documentation alone.
    pub verified: bool,
}

/// One canonical metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricOverview {
    /// Its id.
    pub id: String,
    /// Its unit.
    pub unit: String,
    /// Its kind.
    pub kind: MetricKind,
    /// What it foretells.
    pub foretells: String,
    /// Who provides it; none for metrics that only benchmarks or our own readers give.
    pub sources: Vec<SourceRow>,
}

/// Every metric of the catalogue with its sources, in the catalogue's order.
#[must_use]
pub fn overview(catalogue: &Catalogue, mappings: &MappingSet) -> Vec<MetricOverview> {
    let mut by_metric: BTreeMap<MetricId, Vec<&Rule>> = BTreeMap::new();
    for rule in mappings.rules.values().flatten() {
        by_metric.entry(rule.metric).or_default().push(rule);
    }
    let row = |rule: &Rule| SourceRow {
        source: mappings.sources[rule.source].name.clone(),
        select: rule.row.select.clone(),
        scale: rule.row.scale,
        absent: rule.row.absent,
        since: rule.row.since.clone(),
        until: rule.row.until.clone(),
        verified: !rule.row.unverified,
    };
    let definitions = catalogue.definitions().iter().enumerate();
    definitions
        .map(|(index, definition)| {
            let id = MetricId(u16::try_from(index).unwrap_or(u16::MAX));
            let mut sources: Vec<SourceRow> = by_metric.get(&id).into_iter().flatten().map(|rule| row(rule)).collect();
            sources.sort_by(|a, b| (&a.source, &a.select).cmp(&(&b.source, &b.select)));
            MetricOverview {
                id: definition.id.clone(),
                unit: definition.unit.clone(),
                kind: definition.kind,
                foretells: definition.foretells.clone(),
                sources,
            }
        })
        .collect()
}

/// A canonical metric that a server does not offer although it has the source that would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The metric.
    pub id: String,
    /// The source that would provide it and is there.
    pub source: String,
    /// The series it would be.
    pub select: String,
    /// What cannot be foretold without it.
    pub foretells: String,
    /// Causes of failure that cannot be told without it.
    pub causes: Vec<&'static str>,
}

/// Metrics without which failures of these causes leave no label.
const LABELS_NEED: [(&str, &[&str]); 12] = [
    ("restart.count", &["container_oom", "container_crash"]),
    ("terminated.reason", &["container_oom", "container_crash"]),
    ("terminated.time", &[]),
    ("waiting.reason", &["crash_loop", "image_pull"]),
    ("phase", &["evicted"]),
    ("status.reason", &["evicted"]),
    ("probe.count", &["probe_kill"]),
    ("node.condition", &["node_not_ready"]),
    ("boot.time", &["node_reboot", "ha_restart"]),
    ("fs.readonly", &["disk_fail"]),
    ("power.state", &["vm_down"]),
    ("invoke.errors", &["wasm_trap"]),
];

/// What a server lacks, given the names of the series it offers. Sources of which it has nothing are not looked at.
#[must_use]
pub fn missing(catalogue: &Catalogue, mappings: &MappingSet, offered: &BTreeSet<String>) -> Vec<Lack> {
    let present: BTreeSet<usize> = mappings
        .rules
        .iter()
        .filter(|(name, _)| offered.contains(*name))
        .flat_map(|(_, rules)| rules.iter().map(|rule| rule.source))
        .collect();
    let covered: BTreeSet<(MetricId, usize)> = mappings
        .rules
        .iter()
        .filter(|(name, _)| offered.contains(*name))
        .flat_map(|(_, rules)| rules.iter().map(|rule| (rule.metric, rule.source)))
        .collect();
    let mut lacks = Vec::new();
    for rule in mappings.rules.values().flatten() {
        if !present.contains(&rule.source) || covered.contains(&(rule.metric, rule.source)) {
            continue;
        }
        let Some(definition) = catalogue.definition(rule.metric) else { continue };
        let causes = LABELS_NEED.iter().find(|(id, _)| *id == definition.id).map_or(&[][..], |(_, causes)| causes);
        lacks.push(Lack {
            id: definition.id.clone(),
            source: mappings.sources[rule.source].name.clone(),
            select: rule.row.select.clone(),
            foretells: definition.foretells.clone(),
            causes: causes.to_vec(),
        });
    }
    // What costs labels comes first.
    lacks.sort_by(|a, b| (a.causes.is_empty(), &a.source, &a.id).cmp(&(b.causes.is_empty(), &b.source, &b.id)));
    lacks
}
