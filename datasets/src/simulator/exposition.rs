//! Series under the names of their exporters, mapped to the catalogue as a real scrape would be.

use std::collections::BTreeMap;

use features::mapping::{MappingSet, SHIPPED};
use features::{Catalogue, Labels, MetricId, Resolution, Transform};

use crate::error::{DatasetError, Result};

/// Sources that the simulated fleet shows itself through.
pub(super) const SOURCES: [&str; 3] = ["cadvisor", "kube-state-metrics", "node_exporter"];

/// A series whose meaning is settled: only values flow from here on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Series {
    pub(super) metric: MetricId,
    /// From the exporter's unit to the canonical one; for a state series the index of its state.
    pub(super) factor: f64,
}

/// The mappings, read once.
pub(super) struct Exposition {
    mappings: MappingSet,
}

/// The mapping files of [`SOURCES`].
pub(super) fn mappings() -> Vec<(&'static str, &'static str)> {
    SHIPPED.into_iter().filter(|(name, _)| SOURCES.contains(name)).collect()
}

impl Exposition {
    pub(super) fn load(catalogue: &Catalogue) -> Result<Self> {
        let mappings = MappingSet::of(&mappings(), catalogue).map_err(DatasetError::feature("mappings"))?;
        Ok(Self { mappings })
    }

    /// What a series of `key` means.
    pub(super) fn resolve(&self, name: &str, labels: &BTreeMap<String, String>, key: &str) -> Result<Series> {
        let refuse = |reason: String| Err(DatasetError::config(format!("series {name}"), reason));
        let mut pairs: Vec<_> = labels.clone().into_iter().collect();
        pairs.push(("__name__".to_owned(), name.to_owned()));
        let labels = Labels::try_new(pairs)
            .map_err(|twice| DatasetError::config(format!("series {name}"), format!("label {twice} given twice")))?;
        match self.mappings.resolve(&labels) {
            Resolution::Unmapped => refuse("no row of a mapping selects it".to_owned()),
            Resolution::Refused(reason) => refuse(reason),
            Resolution::Series(series, _) if series.entity.key() != key => {
                refuse(format!("maps to {:?}, it belongs to {key:?}", series.entity.key()))
            }
            Resolution::Series(series, transform) => {
                let factor = match transform {
                    Transform::Scale(scale) => scale,
                    Transform::State(index) => f64::from(index),
                    Transform::Code(_) | Transform::Present => {
                        return refuse("a number for a state, or labels alone, which a fleet does not show".to_owned());
                    }
                };
                Ok(Series { metric: series.metric, factor })
            }
        }
    }
}

/// A label set.
pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
