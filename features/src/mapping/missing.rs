//! What a Prometheus lacks of what its exporters could give, and what that costs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::overview::{Family, families};
use super::selector::Name;
use super::{MappingSet, Rule};
use crate::catalogue::{Catalogue, MetricId};

/// What a server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    names: BTreeSet<String>,
    /// Label names by metric name; a metric that is not in here has unknown labels.
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Offer {
    /// A server that offers these metrics; nothing is known of their labels.
    #[must_use]
    pub fn of_names<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self { names: names.into_iter().collect(), labels: BTreeMap::new() }
    }

    /// The same, once the names of a metric's labels have been asked for.
    #[must_use]
    pub fn with_labels<I: IntoIterator<Item = String>>(mut self, metric: &str, labels: I) -> Self {
        self.names.insert(metric.to_owned());
        self.labels.entry(metric.to_owned()).or_default().extend(labels);
        self
    }

    /// The metrics that a rule selects of this offer.
    fn selected<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a str> {
        let exact = match &rule.selector.name {
            Name::Exact(name) => self.names.get(name),
            Name::Pattern(_) => None,
        };
        let pattern = self.names.iter().filter(|name| match &rule.selector.name {
            Name::Exact(_) => false,
            Name::Pattern(matcher) => matcher.is_match(name),
        });
        exact.into_iter().chain(pattern).map(String::as_str)
    }

    /// A label that the rule needs and the metric surely lacks.
    fn lacking_label(&self, rule: &Rule, metric: &str) -> Option<String> {
        let there = self.labels.get(metric)?;
        let needs = rule.needs();
        needs.iter().find(|any| !any.iter().any(|label| there.contains(*label))).map(|any| any.join("|"))
    }
}

/// A cause of failure that suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cost {
    /// Name of the cause.
    pub cause: &'static str,
    /// What becomes of it.
    pub effect: &'static str,
}

/// A canonical metric that a server does not offer although it has the exporter that would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The metric.
    pub id: String,
    /// The exporter that would provide it and is there.
    pub exporter: String,
    /// The series it would be; several where versions or forks spell it differently.
    pub select: Vec<String>,
    /// First version of the exporter that has it, where not all have.
    pub since: Option<String>,
    /// The label without which its series cannot be used, when the metric is there and the label is not.
    pub label: Option<String>,
    /// Other exporters of this server that do provide the metric.
    pub provided_by: Vec<String>,
    /// What cannot be foretold without it.
    pub foretells: String,
    /// Causes of failure that cannot be told, or are told worse, without it.
    pub costs: Vec<Cost>,
    /// Feature families that starve.
    pub families: Vec<Family>,
}

const NO_EVENTS: &str = "no such failure can be labelled";
const NO_CAUSE: &str = "failures are labelled with cause unknown";
const INTERVAL: &str = "the time of a failure is known to one scrape interval only";
const PLANNED: &str = "planned ends cannot be told from failures";
const PART: &str = "seen only through its other sources";
const TRUNCATION: &str = "the time before the first sample is unknown, so entities count as young";

/// Metrics that the event rules and the ends of watching read: metric, cause, effect of its lack. What an engine or a
/// vCenter tells in events of its own is no metric.
const NEEDED: &[(&str, &str, &str)] = &[
    ("restart.count", "container_oom", NO_EVENTS),
    ("restart.count", "container_crash", NO_EVENTS),
    ("restart.count", "probe_kill", NO_EVENTS),
    ("terminated.reason", "container_oom", NO_CAUSE),
    ("terminated.reason", "container_crash", NO_CAUSE),
    ("terminated.exit_code", "container_crash", PART),
    ("terminated.time", "container_oom", INTERVAL),
    ("terminated.time", "container_crash", INTERVAL),
    ("oom.events", "container_oom", PART),
    ("waiting.reason", "crash_loop", NO_EVENTS),
    ("waiting.reason", "image_pull", NO_EVENTS),
    ("container.reason", "crash_loop", PART),
    ("container.reason", "image_pull", PART),
    ("phase", "evicted", NO_EVENTS),
    ("status.reason", "evicted", NO_EVENTS),
    ("disruption.reason", "evicted", PLANNED),
    ("disruption.reason", "preempted", NO_EVENTS),
    ("deletion.time", "container_crash", PLANNED),
    ("owner", "container_crash", PLANNED),
    ("pod.info", "container_crash", PLANNED),
    ("probe.failures", "probe_kill", NO_EVENTS),
    ("created.time", "container_crash", TRUNCATION),
    ("start.time", "container_crash", TRUNCATION),
    ("start.time", "wasm_trap", PART),
    ("node.condition", "node_not_ready", NO_EVENTS),
    ("node.cordoned", "node_not_ready", PLANNED),
    ("node.cordoned", "node_reboot", PLANNED),
    ("boot.time", "node_reboot", NO_EVENTS),
    ("boot.time", "ha_restart", PART),
    ("fs.readonly", "disk_fail", PART),
    ("fs.device_error", "disk_fail", PART),
    ("raid.disks_failed", "disk_fail", PART),
    ("raid.disks_active", "disk_fail", PART),
    ("raid.disks_required", "disk_fail", PART),
    ("disk.smart.healthy", "disk_fail", PART),
    ("kernel.problem_active", "disk_fail", PART),
    ("power.state", "vm_down", NO_EVENTS),
    ("maintenance", "vm_down", PLANNED),
    ("vm.info", "ha_restart", PART),
    ("oom.killed", "docker_oom", PART),
    ("restart.count", "docker_exit", PART),
    ("terminated.exit_code", "docker_exit", PART),
    ("terminated.time", "docker_exit", INTERVAL),
    ("health.status", "docker_unhealthy", PART),
    ("invoke.errors", "wasm_trap", NO_EVENTS),
    ("wasm.deadline_traps", "wasm_trap", PART),
];

fn costs(id: &str) -> Vec<Cost> {
    NEEDED.iter().filter(|row| row.0 == id).map(|&(_, cause, effect)| Cost { cause, effect }).collect()
}

/// What of one metric one exporter would give.
#[derive(Default)]
struct Wanted {
    select: BTreeSet<String>,
    since: BTreeSet<Option<String>>,
    label: Option<String>,
    there: bool,
}

/// What a server lacks. Exporters of which it has nothing are not looked at: they are not installed, and what they
/// would give is the overview's to tell. What costs labels comes first.
#[must_use]
pub fn missing(catalogue: &Catalogue, mappings: &MappingSet, offer: &Offer) -> Vec<Lack> {
    let exporter_of = |rule: &Rule| mappings.sources[mappings.rows[rule.row].source].exporter.as_str();
    let mut present: BTreeSet<&str> = BTreeSet::new();
    let mut wanted: BTreeMap<(&str, MetricId), Wanted> = BTreeMap::new();
    for rule in &mappings.rules {
        let row = &mappings.rows[rule.row];
        let exporter = exporter_of(rule);
        let want = wanted.entry((exporter, rule.meaning.metric)).or_default();
        if !rule.twin {
            want.select.insert(row.select.clone());
            want.since.insert(row.since.clone());
        }
        for name in offer.selected(rule) {
            // A spelling of OpenTelemetry that is another exporter's own name says nothing of OpenTelemetry.
            let owners = mappings.by_name.get(name).into_iter().flatten().map(|&at| &mappings.rules[at]);
            if rule.twin && owners.into_iter().any(|other| !other.twin && exporter_of(other) != exporter) {
                continue;
            }
            match offer.lacking_label(rule, name) {
                None => want.there = true,
                Some(label) => want.label = Some(label),
            }
            // `up` is there whatever is scraped; its rows say nothing of what is installed.
            if name != "up" {
                present.insert(exporter);
            }
        }
    }
    let mut lacks: Vec<Lack> = Vec::new();
    for ((exporter, metric), want) in &wanted {
        if want.there || !present.contains(exporter) {
            continue;
        }
        let Some(definition) = catalogue.definition(*metric) else { continue };
        let others = wanted.iter().filter(|((other, id), want)| id == metric && other != exporter && want.there);
        let provided_by: Vec<String> = others.map(|((other, _), _)| (*other).to_owned()).collect();
        // A metric that every version has is not excused by a version that renamed it.
        let since = if want.since.contains(&None) { None } else { want.since.iter().flatten().next().cloned() };
        lacks.push(Lack {
            id: definition.id.clone(),
            exporter: (*exporter).to_owned(),
            select: want.select.iter().cloned().collect(),
            since,
            label: want.label.clone(),
            costs: if provided_by.is_empty() { costs(&definition.id) } else { Vec::new() },
            families: if provided_by.is_empty() { families(definition) } else { Vec::new() },
            provided_by,
            foretells: definition.foretells.clone(),
        });
    }
    lacks.sort_by(|a, b| {
        let rank = |lack: &Lack| (lack.costs.is_empty(), !lack.provided_by.is_empty());
        (rank(a), &a.exporter, &a.id).cmp(&(rank(b), &b.exporter, &b.id))
    });
    lacks
}

#[cfg(test)]
mod tests {
    use super::NEEDED;
    use crate::catalogue::Catalogue;

    #[test]
    fn every_needed_metric_is_in_the_catalogue() {
        let catalogue = Catalogue::standard();
        for (id, cause, _) in NEEDED {
            assert!(catalogue.id(id).is_ok(), "{id}, needed for {cause}");
        }
    }
}
