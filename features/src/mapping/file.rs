//! The text of a mapping file, and what is checked when it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rule::{Choice, Meaning, Part, PartSource, Rule, Value};
use super::selector::{Name, Selector, underscored};
use super::unit;
use crate::catalogue::{Catalogue, MetricDefinition, MetricKind};
use crate::entity::EntityKind;

/// Name of the state that stands for every spelling the catalogue does not know.
const OTHER: &str = "other";

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
pub(super) struct MappingFile {
    pub(super) source: String,
    /// The exporter it belongs to, where several files describe versions of one.
    #[serde(default)]
    pub(super) exporter: Option<String>,
    pub(super) version: u32,
    pub(super) origin: String,
    /// Versions of the exporter for which every row of the file holds.
    #[serde(default)]
    pub(super) since: Option<String>,
    #[serde(default)]
    pub(super) until: Option<String>,
    #[serde(default)]
    pub(super) unverified: bool,
    /// Names with dots are also known as a Prometheus spells them.
    #[serde(default)]
    pub(super) prometheus_names: bool,
    pub(super) entity: BTreeMap<String, EntityText>,
    pub(super) metric: Vec<RowText>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntityText {
    kind: EntityKind,
    key: Vec<String>,
    #[serde(default)]
    incarnation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitText {
    from: String,
    /// The canonical unit, for the reader; checked.
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    scale: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowText {
    pub(super) select: String,
    pub(super) id: String,
    entity: String,
    /// The canonical kind, for rows whose source claims another; checked.
    #[serde(default)]
    kind: Option<MetricKind>,
    #[serde(default)]
    unit: Option<UnitText>,
    #[serde(default)]
    scale: Option<f64>,
    #[serde(default)]
    part: Vec<String>,
    /// Parts that no label says.
    #[serde(default)]
    fixed: BTreeMap<String, String>,
    #[serde(default)]
    info: Vec<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    states: BTreeMap<String, String>,
    #[serde(default)]
    codes: BTreeMap<String, String>,
    #[serde(default)]
    absent: Absent,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    unverified: bool,
}

/// A row as an overview shows it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Index of its source.
    pub(super) source: usize,
    pub(super) select: String,
    /// Factor to the canonical unit.
    pub(super) scale: f64,
    /// Unit of the source, where it is not the canonical one.
    pub(super) unit: Option<String>,
    pub(super) absent: Absent,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
    pub(super) unverified: bool,
}

impl Row {
    /// Whether some version of the exporter has both rows.
    pub(super) fn same_version(&self, other: &Self) -> bool {
        let starts_before = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(since), Some(until)) => version(since) < version(until),
            _ => true,
        };
        starts_before(&self.since, &other.until) && starts_before(&other.since, &self.until)
    }
}

/// A version as numbers, so that 2.9 comes before 2.20.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map_while(|part| part.parse().ok()).collect()
}

impl MappingFile {
    /// The rows and their rules; rules of a twin spelling follow those of their row.
    ///
    /// # Errors
    /// The row that cannot be used, and why.
    pub(super) fn compile(
        self,
        source: usize,
        first_row: usize,
        catalogue: &Catalogue,
    ) -> Result<(Vec<Row>, Vec<Rule>), String> {
        for (name, entity) in &self.entity {
            if entity.key.is_empty() {
                return Err(format!("[entity.{name}] has no key label"));
            }
        }
        let (mut rows, mut rules) = (Vec::with_capacity(self.metric.len()), Vec::with_capacity(self.metric.len()));
        for (number, text) in self.metric.iter().enumerate() {
            let at = |reason: String| format!("row {} ({}): {reason}", number + 1, text.select);
            let (row, rule) = self.row(text, source, first_row + number, catalogue).map_err(at)?;
            if self.prometheus_names {
                let definition = catalogue.definition(rule.meaning.metric);
                rules.extend(definition.into_iter().flat_map(|d| twins(&rule, &row, d)));
            }
            rows.push(row);
            rules.push(rule);
        }
        Ok((rows, rules))
    }

    fn row(&self, text: &RowText, source: usize, row: usize, catalogue: &Catalogue) -> Result<(Row, Rule), String> {
        let selector = Selector::parse(&text.select)?;
        let metric = catalogue.id(&text.id).map_err(|error| error.to_string())?;
        let definition = catalogue.definition(metric).ok_or("metric without a definition")?;
        let entity = self.entity.get(&text.entity).ok_or_else(|| {
            let known: Vec<&str> = self.entity.keys().map(String::as_str).collect();
            format!("no [entity.{}] in this file; there are {}", text.entity, known.join(", "))
        })?;
        if let Some(kind) = text.kind
            && kind != definition.kind
        {
            return Err(format!("kind {kind:?}, but {} is a {:?} in the catalogue", text.id, definition.kind));
        }
        for version_text in [&text.since, &text.until, &self.since, &self.until].into_iter().flatten() {
            if version(version_text).is_empty() {
                return Err(format!("version {version_text:?} is not of the form 2.20"));
            }
        }
        let scale = scale(text, definition)?;
        let key = entity.key.iter().map(|label| Choice::parse(label)).collect::<Result<_, _>>()?;
        let incarnation = entity.incarnation.as_deref().map(Choice::parse).transpose()?;
        let meaning = Meaning {
            metric,
            kind: entity.kind,
            key,
            incarnation,
            parts: parts(text, definition)?,
            value: value(text, definition, scale)?,
        };
        let row_facts = Row {
            source,
            select: text.select.clone(),
            scale,
            unit: text.unit.as_ref().map(|unit| unit.from.clone()),
            absent: text.absent,
            since: text.since.clone().or_else(|| self.since.clone()),
            until: text.until.clone().or_else(|| self.until.clone()),
            unverified: text.unverified || self.unverified,
        };
        Ok((row_facts, Rule { selector, meaning, row, twin: false }))
    }
}

fn scale(text: &RowText, definition: &MetricDefinition) -> Result<f64, String> {
    match (&text.unit, text.scale) {
        (Some(_), Some(_)) => Err("has both unit and scale; write unit = { from, scale }".to_owned()),
        (None, scale) => unit::factor(None, scale, &definition.unit),
        (Some(unit), None) => {
            if let Some(to) = unit.to.as_ref().filter(|to| **to != definition.unit) {
                return Err(format!("unit.to {to:?}, but {} is in {:?}", definition.id, definition.unit));
            }
            unit::factor(Some(&unit.from), unit.scale, &definition.unit)
        }
    }
}

/// Parts of the entity, or the labels an info metric carries; `name=label` renames.
fn parts(text: &RowText, definition: &MetricDefinition) -> Result<Vec<Part>, String> {
    if (definition.kind == MetricKind::Info) == text.info.is_empty() {
        return Err("an info metric, and only one, names the labels it carries (info)".to_owned());
    }
    let labelled = text.part.iter().chain(&text.info).map(|entry| {
        let (name, label) = entry.split_once('=').unwrap_or((entry, entry));
        Part { name: name.to_owned(), from: PartSource::Label(label.to_owned()) }
    });
    let fixed =
        text.fixed.iter().map(|(name, value)| Part { name: name.clone(), from: PartSource::Fixed(value.clone()) });
    let mut parts: Vec<Part> = labelled.chain(fixed).collect();
    parts.sort();
    if let Some(part) = parts.iter().find(|part| part.name.is_empty() || part.name.contains([',', '='])) {
        return Err(format!("part name {:?} is empty or holds a comma or an equals sign", part.name));
    }
    if let Some(twice) = parts.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(format!("part {:?} is given twice", twice[0].name));
    }
    Ok(parts)
}

fn value(text: &RowText, definition: &MetricDefinition, scale: f64) -> Result<Value, String> {
    let index_of = |name: &str| {
        let at = definition.states.iter().position(|state| state == name).and_then(|at| u16::try_from(at).ok());
        at.ok_or_else(|| format!("state {name:?} is not of {}; it has {}", definition.id, definition.states.join(", ")))
    };
    let states = definition.kind == MetricKind::State;
    match (&text.state, text.codes.is_empty()) {
        (Some(_), false) => Err("has both state and codes".to_owned()),
        (None, true) if states => Err(format!("{} is a state metric: it needs state or codes", definition.id)),
        (Some(_), true) if !states => Err(format!("{} is no state metric, so it has no state", definition.id)),
        (None, true) if !text.states.is_empty() => Err("states is for rows that name their state by label".to_owned()),
        (None, true) if definition.kind == MetricKind::Info => Ok(Value::Present),
        (None, true) => Ok(Value::Scaled(scale)),
        (Some(label), true) => {
            let mut indices = BTreeMap::new();
            for name in &definition.states {
                indices.insert(name.clone(), index_of(name)?);
            }
            for (theirs, ours) in &text.states {
                indices.insert(theirs.clone(), index_of(ours)?);
            }
            Ok(Value::State { label: label.clone(), indices, other: index_of(OTHER).ok() })
        }
        (None, false) => {
            let mut codes = Vec::with_capacity(text.codes.len());
            for (code, name) in &text.codes {
                let number = code.parse::<i64>().map_err(|_| format!("code {code:?} is not a whole number"))?;
                let index = if states {
                    index_of(name)?
                } else {
                    name.parse::<u16>().map_err(|_| format!("code {code:?} = {name:?}: not a small whole number"))?
                };
                codes.push((number, index));
            }
            Ok(Value::Coded(codes.into()))
        }
    }
}

/// The spellings of a row's name that a Prometheus may have: dots to underscores, with and without the unit's word and
/// the suffix of counters, as collectors differ in what they add.
fn twins(rule: &Rule, row: &Row, definition: &MetricDefinition) -> Vec<Rule> {
    let Name::Exact(name) = &rule.selector.name else { return Vec::new() };
    if !name.contains('.') {
        return Vec::new();
    }
    let base = underscored(name);
    // The parts of a histogram keep their suffix behind the unit.
    let (stem, suffix) = ["_sum", "_count"]
        .into_iter()
        .find_map(|suffix| base.strip_suffix(suffix).map(|stem| (stem.to_owned(), suffix)))
        .unwrap_or((base, ""));
    let word = unit::word(row.unit.as_deref().unwrap_or(&definition.unit));
    // Prometheus names no unit of counts: "ratio" is for gauges that are shares.
    let word = if word == "ratio" && definition.kind != MetricKind::Gauge { "" } else { word };
    let with_unit = if word.is_empty() { stem.clone() } else { format!("{stem}_{word}") };
    let mut names = BTreeSet::from([format!("{stem}{suffix}"), format!("{with_unit}{suffix}")]);
    if suffix.is_empty() && definition.kind == MetricKind::Counter {
        names.extend([format!("{stem}_total"), format!("{with_unit}_total")]);
    }
    names.retain(|twin| twin != name);
    names.into_iter().map(|twin| rule.underscored(&twin)).collect()
}
