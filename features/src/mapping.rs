//! Versioned rules from one source's names to the catalogue: an allow-list, data rather than code.
//!
//! A mapping file names its entities once and then has one line per series:
//!
//! ```toml
//! source = "cadvisor"
//! version = 2
//! origin = "google/cadvisor docs/storage/prometheus.md"
//!
//! [entity.container]
//! kind = "container"
//! key = ["namespace", "pod", "container"]   # "a|b": the first of these labels that is there
//! incarnation = "id:pod_uid"                # a label, or the pod uid inside a cgroup path
//!
//! [[metric]]
//! select = 'container_memory_rss{container!="",container!="POD"}'
//! id = "mem.rss"
//! entity = "container"
//! ```
//!
//! Further keys of a metric: `scale` (to the canonical unit), `part` (labels that tell the parts of an entity
//! apart), `state` (label that names the state; the row holding 1 is the state), `states` (spelling of a state to
//! ours), `codes` (number to state), `info` (labels an info metric carries), `absent` (what a missing row means:
//! `unknown`, `zero` or `informative`), `since` and `until` (versions of the source), `unverified` (known from
//! documentation alone).

mod overview;
mod selector;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::entity::{Entity, EntityKind};
use crate::labels::Labels;
use crate::series::{CanonicalSeries, Resolution, Transform};
use crate::{FeatureError, Result};
use selector::Selector;

pub use overview::{Lack, MetricOverview, SourceRow, missing, overview};

/// The mapping files of this build, by source.
pub const SHIPPED: [(&str, &str); 13] = [
    ("cadvisor", include_str!("../mappings/cadvisor.toml")),
    ("kube-state-metrics", include_str!("../mappings/kube-state-metrics.toml")),
    ("kube-state-metrics-2.20", include_str!("../mappings/kube-state-metrics-2.20.toml")),
    ("kubelet", include_str!("../mappings/kubelet.toml")),
    ("node_exporter", include_str!("../mappings/node_exporter.toml")),
    ("node-problem-detector", include_str!("../mappings/node-problem-detector.toml")),
    ("vmware_exporter", include_str!("../mappings/vmware_exporter.toml")),
    ("telegraf-vsphere", include_str!("../mappings/telegraf-vsphere.toml")),
    ("telegraf-docker", include_str!("../mappings/telegraf-docker.toml")),
    ("otel-vcenter", include_str!("../mappings/otel-vcenter.toml")),
    ("otel-k8s", include_str!("../mappings/otel-k8s.toml")),
    ("libvirt", include_str!("../mappings/libvirt.toml")),
    ("wasmcloud", include_str!("../mappings/wasmcloud.toml")),
];

/// What the absence of a row means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// Nothing.
    #[default]
    Unknown,
    /// The value 0: state rows that are only there when set.
    Zero,
    /// Something in itself: a machine that is off shows no counters.
    Informative,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    source: String,
    version: u32,
    origin: String,
    entity: BTreeMap<String, EntityRule>,
    metric: Vec<MetricRule>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityRule {
    kind: EntityKind,
    key: Vec<String>,
    #[serde(default)]
    incarnation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricRule {
    select: String,
    id: String,
    entity: String,
    #[serde(default = "one")]
    scale: f64,
    #[serde(default)]
    part: Vec<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    states: BTreeMap<String, String>,
    #[serde(default)]
    codes: BTreeMap<String, String>,
    #[serde(default)]
    info: Vec<String>,
    #[serde(default)]
    absent: Absent,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    unverified: bool,
}

/// A unit that is already canonical.
fn one() -> f64 {
    1.0
}

/// How the value of a series becomes canonical, settled when the file is read.
#[derive(Debug, Clone, PartialEq)]
enum Reading {
    Scaled(f64),
    /// Label that names the state, and its spellings to our indices.
    State {
        label: String,
        indices: BTreeMap<String, u16>,
        other: Option<u16>,
    },
    Coded(Transform),
}

#[derive(Debug, Clone)]
struct Rule {
    source: usize,
    selector: Selector,
    row: MetricRule,
    entity: EntityRule,
    metric: MetricId,
    reading: Reading,
}

/// One source of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingSource {
    /// Its name.
    pub name: String,
    /// Version of the mapping.
    pub version: u32,
    /// Where its names are documented.
    pub origin: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// Mappings read together; what a series means does not depend on their order.
#[derive(Debug, Clone)]
pub struct MappingSet {
    sources: Vec<MappingSource>,
    rules: HashMap<String, Vec<Rule>>,
}

impl MappingSet {
    /// Every mapping of this build.
    ///
    /// # Panics
    /// Never on input: the files are part of the program and a test reads them.
    #[must_use]
    pub fn standard(catalogue: &Catalogue) -> Self {
        Self::of(&SHIPPED, catalogue).expect("the shipped mappings are consistent (tested)")
    }

    /// Reads mapping files, given as (file name, text).
    ///
    /// # Errors
    /// When a text is no mapping, names an unknown metric or entity, or two rows give one series two meanings.
    pub fn of(texts: &[(&str, &str)], catalogue: &Catalogue) -> Result<Self> {
        let mut set = Self { sources: Vec::new(), rules: HashMap::new() };
        for (name, text) in texts {
            let refuse = |reason: String| FeatureError::Mapping { source_name: (*name).to_owned(), reason };
            let file: MappingFile = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
            let source = set.sources.len();
            set.sources.push(MappingSource {
                name: file.source,
                version: file.version,
                origin: file.origin,
                sha256: hex::encode(Sha256::digest(text.as_bytes())),
            });
            for row in file.metric {
                let selector = Selector::parse(&row.select).map_err(refuse)?;
                let entity = file.entity.get(&row.entity).cloned().ok_or_else(|| {
                    refuse(format!("row {:?}: there is no [entity.{}] in this file", row.select, row.entity))
                })?;
                let metric = catalogue.id(&row.id)?;
                let reading = reading(&row, catalogue, metric).map_err(refuse)?;
                let rule = Rule { source, selector, row, entity, metric, reading };
                let siblings = set.rules.entry(rule.selector.name.clone()).or_default();
                if let Some(other) = siblings.iter().find(|other| !other.selector.disjoint(&rule.selector)) {
                    if other.same_meaning(&rule) {
                        continue;
                    }
                    return Err(refuse(format!(
                        "row {:?} selects series that {:?} selects too, with another meaning",
                        rule.row.select, other.row.select
                    )));
                }
                siblings.push(rule);
            }
        }
        Ok(set)
    }

    /// Its sources.
    #[must_use]
    pub fn sources(&self) -> &[MappingSource] {
        &self.sources
    }

    /// Names of source metrics that any row selects, sorted: what to ask a server for.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rules.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// What a series means.
    #[must_use]
    pub fn resolve(&self, labels: &Labels) -> Resolution {
        let Some(rules) = self.rules.get(labels.name()) else { return Resolution::Unmapped };
        let Some(rule) = rules.iter().find(|rule| rule.selector.holds(labels)) else { return Resolution::Unmapped };
        match rule.series(labels) {
            Ok((series, transform)) => Resolution::Series(series, transform),
            Err(reason) => Resolution::Refused(format!("{} ({}): {reason}", self.sources[rule.source].name, labels)),
        }
    }
}

impl Rule {
    fn same_meaning(&self, other: &Self) -> bool {
        self.metric == other.metric
            && self.entity == other.entity
            && self.reading == other.reading
            && self.row.part == other.row.part
            && self.row.info == other.row.info
            && self.row.select == other.row.select
    }

    fn series(&self, labels: &Labels) -> std::result::Result<(CanonicalSeries, Transform), String> {
        let mut key = String::new();
        for choices in &self.entity.key {
            let value = choices.split('|').map(|name| labels.get(name)).find(|value| !value.is_empty());
            let value = value.ok_or_else(|| {
                format!("label {choices:?} is missing, needed as key of a {}", self.entity.kind.name())
            })?;
            if !key.is_empty() {
                key.push('/');
            }
            key.push_str(value);
        }
        let incarnation = match self.entity.incarnation.as_deref() {
            None => "",
            Some("id:pod_uid") => pod_uid(labels.get("id")).unwrap_or(""),
            Some(name) => labels.get(name),
        };
        // systemd writes the dashes of a uid as underscores in its cgroup paths.
        let incarnation = incarnation.replace('_', "-");
        let entity = Entity::try_new(self.entity.kind, key, incarnation).map_err(|error| error.to_string())?;
        let named = if self.row.info.is_empty() { &self.row.part } else { &self.row.info };
        let mut parts: Vec<String> = Vec::new();
        for name in named {
            // "name:alias" shortens a label's name in the part.
            let (name, alias) = name.split_once(':').unwrap_or((name, name));
            let value = labels.get(name);
            if !value.is_empty() {
                parts.push(format!("{alias}={value}"));
            }
        }
        parts.sort_unstable();
        let transform = match &self.reading {
            Reading::Scaled(scale) => Transform::Scale(*scale),
            Reading::Coded(transform) => transform.clone(),
            Reading::State { label, indices, other } => {
                let state = labels.get(label);
                let index = indices.get(state).copied().or(*other);
                Transform::State(index.ok_or_else(|| {
                    let known: Vec<&str> = indices.keys().map(String::as_str).collect();
                    format!("state {state:?} of label {label:?} is not known; known are {}", known.join(", "))
                })?)
            }
        };
        Ok((CanonicalSeries { entity, metric: self.metric, part: parts.join(",") }, transform))
    }
}

fn reading(row: &MetricRule, catalogue: &Catalogue, metric: MetricId) -> std::result::Result<Reading, String> {
    let refuse = |why: String| Err(format!("row {:?}: {why}", row.select));
    if !(row.scale.is_finite() && row.scale > 0.0) {
        return refuse(format!("scale {} must be above 0", row.scale));
    }
    let Some(definition) = catalogue.definition(metric) else { return refuse("unknown metric".to_owned()) };
    let index_of = |name: &str| {
        let at = definition.states.iter().position(|state| state == name);
        at.and_then(|at| u16::try_from(at).ok())
    };
    match (definition.kind, &row.state, row.codes.is_empty()) {
        (MetricKind::State, Some(label), true) => {
            let mut indices = BTreeMap::new();
            for name in &definition.states {
                indices.insert(name.clone(), index_of(name).unwrap_or(0));
            }
            for (theirs, ours) in &row.states {
                let Some(index) = index_of(ours) else {
                    return refuse(format!(
                        "state {ours:?} is not of {}; it has {}",
                        row.id,
                        definition.states.join(", ")
                    ));
                };
                indices.insert(theirs.clone(), index);
            }
            Ok(Reading::State { label: label.clone(), indices, other: index_of("other") })
        }
        (MetricKind::State, None, false) => {
            let mut codes = Vec::new();
            for (code, name) in &row.codes {
                match (code.parse::<i64>(), index_of(name)) {
                    (Ok(code), Some(index)) => codes.push((code, index)),
                    _ => return refuse(format!("code {code:?} = {name:?} is no number and state of {}", row.id)),
                }
            }
            Ok(Reading::Coded(Transform::Code(codes.into())))
        }
        (MetricKind::State, _, _) => refuse("a state metric needs either state or codes".to_owned()),
        (_, Some(_), _) | (_, _, false) => refuse(format!("{} is no state metric", row.id)),
        (kind, None, true) if (kind == MetricKind::Info) == row.info.is_empty() => {
            refuse("an info metric, and only one, names the labels it carries (info)".to_owned())
        }
        (_, None, true) => Ok(Reading::Scaled(row.scale)),
    }
}

/// The pod uid in a cgroup path, as cgroupfs (`/kubepods/burstable/pod<uid>/…`) and systemd
/// (`…-pod<uid with underscores>.slice/…`) write it.
fn pod_uid(path: &str) -> Option<&str> {
    let start = path.match_indices("pod").map(|(at, _)| at + 3).find(|&at| {
        let before = path[..at - 3].chars().next_back();
        matches!(before, Some('/' | '-')) && path[at..].starts_with(|c: char| c.is_ascii_hexdigit())
    })?;
    let rest = &path[start..];
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || c == '-' || c == '_')).unwrap_or(rest.len());
    (end >= 32).then(|| &rest[..end])
}
