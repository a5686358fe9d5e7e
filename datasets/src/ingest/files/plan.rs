//! What the columns of a table mean: a small TOML file beside the data.
//!
//! ```toml
//! ignore = ["note"]                    # columns that are left out; any other column must have a meaning
//!
//! [time]
//! column = "timestamp"
//! unit = "s"                           # s, ms, us, ns, rfc3339; a Parquet timestamp needs none
//!
//! [entity]
//! kind = "container"
//! key = ["namespace", "pod", "container"]
//! incarnation = "pod_uid"
//!
//! [[value]]                            # wide: a column per metric
//! column = "memory_mib"
//! metric = "mem.working_set"
//! scale = 1048576.0
//! ```
//!
//! Instead of `[[value]]` a table may be long (`[long]`: a column names the metric, another holds the value) or hold
//! series as their source names them (`[series]`: name, labels, value; the shipped mappings say what they are).

use std::collections::{BTreeMap, BTreeSet};

use features::canonical::Resolve;
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, Labels, MetricId, MetricKind, Resolution, Transform};
use serde::{Deserialize, Serialize};

use crate::{DatasetError, Result};

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds since the epoch, with or without a fraction.
    S,
    /// Milliseconds since the epoch.
    Ms,
    /// Microseconds since the epoch.
    Us,
    /// Nanoseconds since the epoch.
    Ns,
    /// Text such as `2026-11-23T07:00:00Z`.
    Rfc3339,
}

/// A column of times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeColumn {
    /// Its name.
    pub column: String,
    /// How it is written; may be left out for a Parquet timestamp.
    pub unit: Option<TimeUnit>,
}

/// Columns that say whose a row is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntity {
    /// What kind of thing.
    pub kind: EntityKind,
    /// Columns whose values, joined with `/`, are the stable key.
    pub key: Vec<String>,
    /// Column of the incarnation, such as a pod uid.
    pub incarnation: Option<String>,
    /// Columns that name the part: a disk, a mount point.
    #[serde(default)]
    pub part: Vec<String>,
}

/// One metric of a wide table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueColumn {
    /// Column of the values.
    pub column: String,
    /// Canonical metric.
    pub metric: String,
    /// Times this is the canonical unit.
    #[serde(default = "one")]
    pub scale: f64,
    /// For a state metric written as text: the table's word to the metric's state, where they differ.
    #[serde(default)]
    pub states: BTreeMap<String, String>,
}

/// A table with one value a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongForm {
    /// Column that names the metric.
    pub metric: String,
    /// Column of the values.
    pub value: String,
    /// What the names mean; canonical ids need no entry.
    #[serde(default)]
    pub name: Vec<LongName>,
    /// Names that are left out; any other unknown name is an error.
    #[serde(default)]
    pub ignore: BTreeSet<String>,
}

/// What one name of a long table means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongName {
    /// As the table writes it.
    pub name: String,
    /// Canonical metric.
    pub metric: String,
    /// Times this is the canonical unit.
    #[serde(default = "one")]
    pub scale: f64,
}

/// A table of series as their source names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesForm {
    /// Column of the metric's name.
    pub name: String,
    /// Column of the values, in the source's units.
    pub value: String,
    /// Columns that are labels of the same name.
    pub labels: Vec<String>,
}

/// What the columns of a table mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablePlan {
    /// When a value was measured.
    pub time: TimeColumn,
    /// When it became known; without it the import's option decides.
    pub known_at: Option<TimeColumn>,
    /// Whose it is; not for tables of series.
    pub entity: Option<PlanEntity>,
    /// Columns of a wide table.
    #[serde(default)]
    pub value: Vec<ValueColumn>,
    /// A long table.
    pub long: Option<LongForm>,
    /// A table of series.
    pub series: Option<SeriesForm>,
    /// Columns that are left out.
    #[serde(default)]
    pub ignore: BTreeSet<String>,
}

fn one() -> f64 {
    1.0
}

fn refuse(reason: impl Into<String>) -> DatasetError {
    DatasetError::Config { subject: "mapping file".to_owned(), reason: reason.into() }
}

impl TablePlan {
    /// Reads a plan from TOML.
    ///
    /// # Errors
    /// When the text is no plan.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| refuse(error.to_string()))
    }

    /// Refuses a plan that contradicts itself or the catalogue.
    ///
    /// # Errors
    /// Naming the key or column.
    pub fn validate(&self, catalogue: &Catalogue) -> Result<()> {
        let forms = [!self.value.is_empty(), self.long.is_some(), self.series.is_some()];
        if forms.into_iter().filter(|&is| is).count() != 1 {
            return Err(refuse("exactly one of [[value]], [long] and [series] says where the values are"));
        }
        match (&self.entity, &self.series) {
            (None, None) => return Err(refuse("[entity] is missing: which columns say whose a row is?")),
            (Some(_), Some(_)) => {
                return Err(refuse("[series] leaves it to the shipped mappings whose a row is; drop [entity]"));
            }
            (Some(entity), None) if entity.key.is_empty() => return Err(refuse("entity.key names no columns")),
            _ => {}
        }
        let metrics = self.value.iter().map(|value| (&value.metric, value.scale));
        let names = self.long.iter().flat_map(|long| &long.name).map(|name| (&name.metric, name.scale));
        for (metric, scale) in metrics.chain(names) {
            catalogue.id(metric).map_err(DatasetError::feature("mapping file"))?;
            if !(scale.is_finite() && scale > 0.0) {
                return Err(refuse(format!("scale {scale} of {metric} must be above 0")));
            }
        }
        for value in &self.value {
            let id = catalogue.id(&value.metric).map_err(DatasetError::feature("mapping file"))?;
            let known = catalogue.definition(id).map(|definition| definition.states.as_slice()).unwrap_or_default();
            if let Some(state) = value.states.values().find(|state| !known.contains(state)) {
                return Err(refuse(format!(
                    "column {:?}: {state:?} is no state of {}; known: {}",
                    value.column,
                    value.metric,
                    known.join(", ")
                )));
            }
        }
        let mut seen = BTreeSet::new();
        match self.columns().find(|column| !seen.insert(*column)) {
            Some(column) => Err(refuse(format!("column {column:?} is given two meanings"))),
            None => Ok(()),
        }
    }

    /// Every column with a meaning.
    fn columns(&self) -> impl Iterator<Item = &str> {
        let times = std::iter::once(&self.time).chain(&self.known_at).map(|time| &time.column);
        let values = self.value.iter().map(|value| &value.column);
        let long = self.long.iter().map(|long| &long.value);
        let series = self.series.iter().map(|series| &series.value);
        times
            .chain(values)
            .chain(long)
            .chain(series)
            .map(String::as_str)
            .chain(self.text_columns())
            .chain(self.ignore.iter().map(String::as_str))
    }

    /// Columns read as text, in the order in which rows carry them.
    pub(super) fn text_columns(&self) -> impl Iterator<Item = &str> {
        let entity =
            self.entity.iter().flat_map(|entity| entity.key.iter().chain(&entity.incarnation).chain(&entity.part));
        let long = self.long.iter().map(|long| &long.metric);
        let series = self.series.iter().flat_map(|series| std::iter::once(&series.name).chain(&series.labels));
        entity.chain(long).chain(series).map(String::as_str)
    }

    /// Columns of values: one per metric of a wide table, otherwise a single one.
    pub(super) fn value_columns(&self) -> Vec<&str> {
        if let Some(long) = &self.long {
            return vec![&long.value];
        }
        if let Some(series) = &self.series {
            return vec![&series.value];
        }
        self.value.iter().map(|value| value.column.as_str()).collect()
    }

    /// Where the metric's name is among the text columns, if a column says it.
    pub(super) fn name_column(&self) -> Option<usize> {
        let name = self.long.as_ref().map(|long| &long.metric).or(self.series.as_ref().map(|series| &series.name))?;
        self.text_columns().position(|column| column == name)
    }

    /// Compares a table's columns with the plan: all that are there have a meaning, all with a meaning are there.
    pub(super) fn check_columns<'a>(
        &self,
        path: &std::path::Path,
        there: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<()> {
        let meant: BTreeSet<&str> = self.columns().collect();
        let refuse = |column: &str, problem: String| {
            Err(DatasetError::Column { path: path.to_owned(), column: column.to_owned(), problem })
        };
        if let Some(unknown) = there.clone().find(|column| !meant.contains(column)) {
            return refuse(
                unknown,
                "has no meaning in the mapping file; give it one or list it under ignore".to_owned(),
            );
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = there.clone().find(|column| !seen.insert(*column)) {
            return refuse(twice, "is there twice".to_owned());
        }
        match meant.into_iter().find(|column| !seen.contains(column) && !self.ignore.contains(*column)) {
            Some(missing) => {
                refuse(missing, format!("is missing; columns are {}", there.collect::<Vec<_>>().join(", ")))
            }
            None => Ok(()),
        }
    }

    /// What the rows of this plan are, unless the shipped mappings say it.
    pub(super) fn resolver(&self, catalogue: &Catalogue) -> Option<PlanResolver> {
        let entity = self.entity.clone()?;
        let mut metrics = BTreeMap::new();
        for value in &self.value {
            metrics.insert(value.column.clone(), (catalogue.id(&value.metric).ok()?, value.scale));
        }
        if let Some(long) = &self.long {
            for definition in catalogue.definitions() {
                metrics.insert(definition.id.clone(), (catalogue.id(&definition.id).ok()?, 1.0));
            }
            for name in &long.name {
                metrics.insert(name.name.clone(), (catalogue.id(&name.metric).ok()?, name.scale));
            }
        }
        Some(PlanResolver { entity, metrics })
    }

    /// The index of a state written as text in a wide column.
    pub(super) fn state(&self, column: usize, catalogue: &Catalogue, word: &str) -> Option<Result<f64, String>> {
        let metric = &self.value.get(column)?.metric;
        let definition = catalogue.definition(catalogue.id(metric).ok()?)?;
        if definition.kind != MetricKind::State {
            return None;
        }
        let state = self.value[column].states.get(word).map_or(word, String::as_str);
        let index = definition.states.iter().position(|known| known == state);
        Some(index.and_then(|index| u16::try_from(index).ok()).map(f64::from).ok_or_else(|| {
            format!(
                "{word:?} is no state of {metric} (known: {}); translate it under states",
                definition.states.join(", ")
            )
        }))
    }
}

/// Says what a table's series are, from their columns.
pub(super) struct PlanResolver {
    entity: PlanEntity,
    metrics: BTreeMap<String, (MetricId, f64)>,
}

impl Resolve for PlanResolver {
    fn resolve(&self, labels: &Labels) -> Resolution {
        let Some(&(metric, scale)) = self.metrics.get(labels.name()) else { return Resolution::Unmapped };
        if let Some(missing) = self.entity.key.iter().find(|column| labels.get(column).is_empty()) {
            return Resolution::Refused(format!("column {missing:?} of the key is empty"));
        }
        let key = self.entity.key.iter().map(|column| labels.get(column)).collect::<Vec<_>>().join("/");
        let incarnation = self.entity.incarnation.as_deref().map_or("", |column| labels.get(column));
        let part =
            self.entity.part.iter().map(|column| (column, labels.get(column))).filter(|(_, value)| !value.is_empty());
        let part = part.map(|(column, value)| format!("{column}={value}")).collect::<Vec<_>>().join(",");
        match Entity::try_new(self.entity.kind, key, incarnation) {
            Ok(entity) => Resolution::Series(CanonicalSeries { entity, metric, part }, Transform::Scale(scale)),
            Err(error) => Resolution::Refused(error.to_string()),
        }
    }
}
