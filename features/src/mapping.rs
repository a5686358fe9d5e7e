//! Versioned rules from one source's names to the catalogue: an allow-list, data rather than code.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::entity::{Entity, EntityKind};
use crate::{FeatureError, Result};

/// One row of a text exposition, a remote write or an export: a series and one of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRow<'a> {
    /// Metric name as the source spells it.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its value, in the source's unit.
    pub value: f64,
}

/// What a source row means: which entity, which canonical metric, which value in canonical units.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The entity.
    pub entity: Entity,
    /// The canonical metric.
    pub metric: MetricId,
    /// Value in the canonical unit; for a state metric the index of the state.
    pub value: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    source: String,
    version: u32,
    metric: Vec<MappingRow>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingRow {
    select: String,
    id: String,
    kind: EntityKind,
    key: Vec<String>,
    #[serde(default)]
    incarnation: Option<String>,
    #[serde(default = "unit_scale")]
    scale: f64,
    /// Label that names the state, for state metrics: the row holding 1 is the state.
    #[serde(default)]
    state: Option<String>,
}

/// A unit that is already canonical.
fn unit_scale() -> f64 {
    1.0
}

#[derive(Debug, Clone)]
struct Rule {
    row: MappingRow,
    matchers: Vec<Matcher>,
    metric: MetricId,
    states: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Matcher {
    label: String,
    equal: bool,
    value: String,
}

/// A loaded mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    source: String,
    version: u32,
    rules: BTreeMap<String, Vec<Rule>>,
}

impl Mapping {
    /// Reads a mapping file against a catalogue.
    ///
    /// # Errors
    /// When the text is no mapping, names an unknown metric, or two rows of it select the same series.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self> {
        let file: MappingFile = toml::from_str(text)
            .map_err(|error| FeatureError::Mapping { source_name: "file".to_owned(), reason: error.to_string() })?;
        let refuse = |reason: String| FeatureError::Mapping { source_name: file.source.clone(), reason };
        let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        for row in &file.metric {
            let (name, matchers) = parse_selector(&row.select).map_err(refuse)?;
            let metric = catalogue.id(&row.id)?;
            let states = catalogue.definition(metric).map(|d| d.states.clone()).unwrap_or_default();
            let is_state = catalogue.definition(metric).is_some_and(|d| d.kind == MetricKind::State);
            if is_state != row.state.is_some() {
                return Err(refuse(format!(
                    "row {:?}: a state metric, and only one, names its state label",
                    row.select
                )));
            }
            if !(row.scale.is_finite() && row.scale > 0.0) {
                return Err(refuse(format!("row {:?}: scale {} must be above 0", row.select, row.scale)));
            }
            let siblings = rules.entry(name).or_default();
            if siblings.iter().any(|other| !disjoint(&other.matchers, &matchers)) {
                return Err(refuse(format!("row {:?} selects series that another row selects too", row.select)));
            }
            siblings.push(Rule { row: row.clone(), matchers, metric, states });
        }
        Ok(Self { source: file.source, version: file.version, rules })
    }

    /// Name of the source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Version of the mapping.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What a row means, or `None` when the mapping does not select it (or the state it names does not hold).
    ///
    /// # Errors
    /// When a selected row lacks a key label or names an unknown state.
    pub fn map(&self, row: &SourceRow<'_>) -> Result<Option<Mapped>> {
        let Some(rules) = self.rules.get(row.name) else { return Ok(None) };
        let Some(rule) = rules.iter().find(|rule| rule.matchers.iter().all(|m| m.holds(row.labels))) else {
            return Ok(None);
        };
        let label = |name: &String| {
            row.labels.get(name).filter(|value| !value.is_empty()).ok_or_else(|| FeatureError::Mapping {
                source_name: self.source.clone(),
                reason: format!("{}: label {name:?} is missing, needed as a key of {}", row.name, rule.row.id),
            })
        };
        let key = rule.row.key.iter().map(label).collect::<Result<Vec<_>>>()?;
        let key = key.into_iter().map(String::as_str).collect::<Vec<_>>().join("/");
        let incarnation =
            rule.row.incarnation.as_ref().and_then(|name| row.labels.get(name)).cloned().unwrap_or_default();
        let value = match &rule.row.state {
            Some(state_label) => {
                if row.value < 0.5 {
                    return Ok(None);
                }
                let state = label(state_label)?;
                match rule.states.iter().position(|known| known == state) {
                    Some(index) => f64::from(u32::try_from(index).unwrap_or(u32::MAX)),
                    None => {
                        return Err(FeatureError::Mapping {
                            source_name: self.source.clone(),
                            reason: format!("{}: unknown state {state:?}; known: {}", row.name, rule.states.join(", ")),
                        });
                    }
                }
            }
            None => row.value * rule.row.scale,
        };
        Ok(Some(Mapped { entity: Entity::try_new(rule.row.kind, key, incarnation)?, metric: rule.metric, value }))
    }
}

impl Matcher {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        // As in PromQL, a label that is not there is the empty string.
        let value = labels.get(&self.label).map_or("", String::as_str);
        (value == self.value) == self.equal
    }
}

/// Whether no series can match both lists: some label must equal two values, or equal what it must not.
fn disjoint(a: &[Matcher], b: &[Matcher]) -> bool {
    a.iter().any(|x| {
        b.iter().any(|y| {
            x.label == y.label
                && match (x.equal, y.equal) {
                    (true, true) => x.value != y.value,
                    (true, false) | (false, true) => x.value == y.value,
                    (false, false) => false,
                }
        })
    })
}

/// `name{label="value",other!="value"}` with equality matchers only.
fn parse_selector(text: &str) -> std::result::Result<(String, Vec<Matcher>), String> {
    let text = text.trim();
    let (name, rest) = match text.split_once('{') {
        None => (text, None),
        Some((name, rest)) => {
            (name.trim(), Some(rest.strip_suffix('}').ok_or(format!("selector {text:?}: no closing brace"))?))
        }
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')) {
        return Err(format!("selector {text:?}: {name:?} is not a metric name"));
    }
    let mut matchers = Vec::new();
    for part in rest.into_iter().flat_map(|rest| rest.split(',')).map(str::trim).filter(|part| !part.is_empty()) {
        let (label, equal, value) = match part.split_once("!=") {
            Some((label, value)) => (label, false, value),
            None => match part.split_once('=') {
                Some((label, value)) => (label, true, value),
                None => return Err(format!("selector {text:?}: {part:?} is no matcher")),
            },
        };
        let value = value.trim().strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let value =
            value.ok_or(format!("selector {text:?}: value of {label:?} is not quoted (only = and != are known)"))?;
        matchers.push(Matcher { label: label.trim().to_owned(), equal, value: value.to_owned() });
    }
    Ok((name.to_owned(), matchers))
}
