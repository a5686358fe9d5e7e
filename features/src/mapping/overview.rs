//! The catalogue as a person asks for it: what a metric is, who provides it, which features live on it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Absent, MappingSet, Rule};
use crate::catalogue::{Catalogue, MetricDefinition, MetricId, MetricKind};
use crate::entity::EntityKind;

/// One way in which a source provides a metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRow {
    /// Which source.
    pub source: String,
    /// Its series.
    pub select: String,
    /// The kind of entity they belong to.
    pub entity: EntityKind,
    /// Unit of the source, where the mapping names it.
    pub unit: Option<String>,
    /// Factor to the canonical unit.
    pub scale: f64,
    /// What a missing row means.
    pub absent: Absent,
    /// First version of the exporter that has it.
    pub since: Option<String>,
    /// First version of the exporter that no longer has it.
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
    /// Feature families that are made from it.
    pub families: Vec<Family>,
    /// Who provides it; none for metrics that only benchmarks or our own readers give.
    pub sources: Vec<SourceRow>,
}

impl MappingSet {
    /// SHA-256 of the files that provide any of these metrics, by source.
    #[must_use]
    pub fn digests_of(&self, metrics: &[MetricId]) -> BTreeMap<String, String> {
        let provide = self.rules.iter().filter(|rule| metrics.contains(&rule.meaning.metric));
        let sources: BTreeSet<usize> = provide.map(|rule| self.rows[rule.row].source).collect();
        sources.into_iter().map(|at| (self.sources[at].name.clone(), self.sources[at].sha256.clone())).collect()
    }
}

/// Every metric of the catalogue with its sources, in the catalogue's order.
#[must_use]
pub fn overview(catalogue: &Catalogue, mappings: &MappingSet) -> Vec<MetricOverview> {
    let mut by_metric: BTreeMap<MetricId, Vec<&Rule>> = BTreeMap::new();
    for rule in mappings.rules.iter().filter(|rule| !rule.twin) {
        by_metric.entry(rule.meaning.metric).or_default().push(rule);
    }
    let source_row = |rule: &Rule| {
        let row = &mappings.rows[rule.row];
        SourceRow {
            source: mappings.sources[row.source].name.clone(),
            select: row.select.clone(),
            entity: rule.meaning.kind,
            unit: row.unit.clone(),
            scale: row.scale,
            absent: row.absent,
            since: row.since.clone(),
            until: row.until.clone(),
            verified: !row.unverified,
        }
    };
    let definitions = catalogue.definitions().iter().enumerate();
    definitions
        .map(|(index, definition)| {
            let id = MetricId(u16::try_from(index).unwrap_or(u16::MAX));
            let rules = by_metric.get(&id).into_iter().flatten();
            let mut sources: Vec<SourceRow> = rules.map(|rule| source_row(rule)).collect();
            sources.sort_by(|a, b| (&a.source, &a.select).cmp(&(&b.source, &b.select)));
            MetricOverview {
                id: definition.id.clone(),
                unit: definition.unit.clone(),
                kind: definition.kind,
                foretells: definition.foretells.clone(),
                families: families(definition),
                sources,
            }
        })
        .collect()
}

/// Families of features, by what they are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Last, mean, extremes and spread of a level.
    Level,
    /// Slopes and the time to a limit.
    Trend,
    /// Increases, resets and rates of counters.
    Counters,
    /// Use over limit, throttled over all periods, share of time stalled.
    Saturation,
    /// Time since and number of restarts, kills, probe failures, unready spells.
    History,
    /// Age of entity, incarnation and node.
    Age,
    /// The state of the node and the siblings.
    Neighbours,
    /// Distance from the same hour of day and week.
    Season,
    /// Limits, requests and owner, known at the cut.
    Config,
}

impl Family {
    /// The name used in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Trend => "trend",
            Self::Counters => "counters",
            Self::Saturation => "saturation",
            Self::History => "history",
            Self::Age => "age",
            Self::Neighbours => "neighbours",
            Self::Season => "season",
            Self::Config => "config",
        }
    }
}

/// Numerators and denominators of saturation: without one of a pair there is no ratio.
const SATURATION: [&str; 37] = [
    "mem.working_set",
    "mem.used",
    "mem.limit",
    "mem.request",
    "cpu.time",
    "cpu.limit",
    "cpu.request",
    "cpu.quota",
    "cpu.period",
    "cpu.periods",
    "cpu.throttled_periods",
    "cpu.throttled_time",
    "psi.mem.full",
    "psi.mem.some",
    "psi.cpu.some",
    "psi.io.full",
    "node.psi.mem.full",
    "node.psi.io.full",
    "node.psi.cpu.some",
    "node.mem.available",
    "node.mem.total",
    "fs.used",
    "fs.limit",
    "fs.available",
    "fs.size",
    "volume.available",
    "volume.capacity",
    "conntrack.used",
    "conntrack.limit",
    "raid.disks_active",
    "raid.disks_required",
    "instance.active",
    "instance.limit",
    "wasm.mem.used",
    "wasm.mem.limit",
    "cpu.ready",
    "cpu.idle",
];
/// What episodes and counts of the past are read from.
const HISTORY: [&str; 16] = [
    "restart.count",
    "terminated.reason",
    "terminated.exit_code",
    "terminated.time",
    "waiting.reason",
    "container.reason",
    "probe.count",
    "probe.failures",
    "oom.events",
    "oom.killed",
    "ready",
    "node.condition",
    "health.status",
    "health.failing_streak",
    "power.state",
    "invoke.errors",
];
/// Beginnings.
const AGE: [&str; 5] = ["start.time", "created.time", "boot.time", "ready.time", "uptime"];
/// What binds entities to each other.
const RELATIONS: [&str; 3] = ["owner", "pod.info", "vm.info"];
/// What is configured rather than measured.
const CONFIG: [&str; 8] =
    ["mem.limit", "mem.request", "cpu.limit", "cpu.request", "cpu.quota", "cpu.period", "instance.limit", "owner"];

/// The families that are made from a metric.
#[must_use]
pub fn families(definition: &MetricDefinition) -> Vec<Family> {
    let id = definition.id.as_str();
    let mut families = match definition.kind {
        MetricKind::Gauge => vec![Family::Level, Family::Trend, Family::Season],
        MetricKind::Counter | MetricKind::Delta => vec![Family::Counters],
        MetricKind::State | MetricKind::Time | MetricKind::Info => Vec::new(),
    };
    let lists: [(&[&str], Family); 5] = [
        (&SATURATION, Family::Saturation),
        (&HISTORY, Family::History),
        (&AGE, Family::Age),
        (&RELATIONS, Family::Neighbours),
        (&CONFIG, Family::Config),
    ];
    families.extend(lists.into_iter().filter(|(list, _)| list.contains(&id)).map(|(_, family)| family));
    if id.starts_with("node.") && definition.kind != MetricKind::State {
        families.push(Family::Neighbours);
    }
    families.sort_unstable();
    families.dedup();
    families
}

#[cfg(test)]
mod tests {
    use super::{AGE, CONFIG, HISTORY, RELATIONS, SATURATION};
    use crate::catalogue::Catalogue;

    #[test]
    fn every_listed_metric_is_in_the_catalogue() {
        let catalogue = Catalogue::standard();
        for id in SATURATION.iter().chain(&HISTORY).chain(&AGE).chain(&RELATIONS).chain(&CONFIG) {
            assert!(catalogue.id(id).is_ok(), "{id}");
        }
    }
}
