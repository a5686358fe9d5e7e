//! Canonical metrics: id, unit, kind, what is possible, what it foretells.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{FeatureError, Result};

/// What a metric's value means over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A level now.
    Gauge,
    /// Accumulated since some start; may reset.
    Counter,
    /// One of a named set; the value is the index of the state that holds.
    State,
    /// A point in time carried as a value, in seconds.
    Time,
    /// Growth since the last report (OTLP delta temporality).
    Delta,
    /// Labels with the value 1; the labels are the series' part, written `name=value,name=value`.
    Info,
}

/// How the parts of an entity (its disks, its mount points) become one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The largest part: errors, load, temperature.
    #[default]
    Max,
    /// The smallest part: free space.
    Min,
    /// The sum of the parts: bytes, counts.
    Sum,
}

impl Combine {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands a reference")]
    fn is_default(&self) -> bool {
        *self == Self::Max
    }
}

/// Storage id of a metric inside one catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricId(pub u16);

/// One canonical metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricDefinition {
    /// Dotted lower-case id, stable for ever.
    pub id: String,
    /// UCUM base unit: `By`, `s`, `1`, `Cel` …
    pub unit: String,
    /// Gauge, counter, state or time.
    pub kind: MetricKind,
    /// Names of the states, for `kind = "state"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// Whether a negative value is possible; it is not for bytes, counts and times.
    #[serde(default)]
    pub signed: bool,
    /// How parts of an entity become one number.
    #[serde(default, skip_serializing_if = "Combine::is_default")]
    pub combine: Combine,
    /// What it foretells or is used for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub foretells: String,
}

/// A set of canonical metrics, addressed by [`MetricId`] in the hot path and by name elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<MetricDefinition>", into = "Vec<MetricDefinition>")]
pub struct Catalogue {
    definitions: Vec<MetricDefinition>,
    by_name: HashMap<String, MetricId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    metric: Vec<MetricDefinition>,
}

impl PartialEq for Catalogue {
    fn eq(&self, other: &Self) -> bool {
        self.definitions == other.definitions
    }
}

impl TryFrom<Vec<MetricDefinition>> for Catalogue {
    type Error = FeatureError;
    fn try_from(definitions: Vec<MetricDefinition>) -> Result<Self> {
        Self::try_new(definitions)
    }
}

impl From<Catalogue> for Vec<MetricDefinition> {
    fn from(catalogue: Catalogue) -> Self {
        catalogue.definitions
    }
}

impl Catalogue {
    /// A catalogue of these metrics, ids given in order.
    ///
    /// # Errors
    /// When a name is empty or given twice, or a state metric names no states.
    pub fn try_new(definitions: Vec<MetricDefinition>) -> Result<Self> {
        let mut by_name = HashMap::with_capacity(definitions.len());
        for (index, definition) in definitions.iter().enumerate() {
            let id = u16::try_from(index)
                .map_err(|_| FeatureError::Spec { reason: format!("more than {} metrics", u16::MAX) })?;
            if definition.id.is_empty() || by_name.insert(definition.id.clone(), MetricId(id)).is_some() {
                return Err(FeatureError::Spec {
                    reason: format!("metric id {:?} is empty or given twice", definition.id),
                });
            }
            if definition.kind == MetricKind::State && definition.states.is_empty() {
                return Err(FeatureError::Spec { reason: format!("state metric {:?} names no states", definition.id) });
            }
        }
        Ok(Self { definitions, by_name })
    }

    /// The canonical metrics of virtual machines, containers, pods and nodes that this build knows.
    ///
    /// # Panics
    /// Never on input: the catalogue is part of the program and a test reads it.
    #[must_use]
    pub fn standard() -> Self {
        let file: CatalogueFile =
            toml::from_str(include_str!("../catalogue.toml")).expect("the shipped catalogue parses (tested)");
        Self::try_new(file.metric).expect("the shipped catalogue is consistent (tested)")
    }

    /// The id of a metric.
    ///
    /// # Errors
    /// When the catalogue does not hold it.
    pub fn id(&self, name: &str) -> Result<MetricId> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| FeatureError::UnknownMetric { metric: name.to_owned(), known: self.definitions.len() })
    }

    /// The definition behind an id of this catalogue.
    #[must_use]
    pub fn definition(&self, id: MetricId) -> Option<&MetricDefinition> {
        self.definitions.get(usize::from(id.0))
    }

    /// The name behind an id, for messages.
    #[must_use]
    pub fn name(&self, id: MetricId) -> &str {
        self.definition(id).map_or("?", |definition| definition.id.as_str())
    }

    /// All definitions, in id order.
    #[must_use]
    pub fn definitions(&self) -> &[MetricDefinition] {
        &self.definitions
    }

    /// SHA-256 over the definitions, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(&self.definitions).unwrap_or_default();
        hex::encode(Sha256::digest(text))
    }
}
