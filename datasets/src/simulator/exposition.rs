//! Series under the names of their exporters, mapped to the catalogue as a real scrape would be.

use std::collections::BTreeMap;

use features::mapping::{Mapping, SourceRow};
use features::{Catalogue, MetricId};

use crate::error::{DatasetError, Result};

/// The shipped mapping files, by name.
pub(super) const MAPPINGS: [(&str, &str); 3] = [
    ("cadvisor", include_str!("../../../features/mappings/cadvisor.toml")),
    ("kube-state-metrics", include_str!("../../../features/mappings/kube-state-metrics.toml")),
    ("node_exporter", include_str!("../../../features/mappings/node_exporter.toml")),
];

/// Where a series comes from, as an index into [`MAPPINGS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exporter {
    Cadvisor = 0,
    KubeState = 1,
    Node = 2,
}

/// A series whose meaning is settled: only values flow from here on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Series {
    pub(super) metric: MetricId,
    /// From the exporter's unit to the canonical one; for a state series the index of its state.
    pub(super) factor: f64,
}

/// The mappings, read once.
pub(super) struct Exposition {
    mappings: Vec<Mapping>,
}

impl Exposition {
    pub(super) fn load(catalogue: &Catalogue) -> Result<Self> {
        let mappings = MAPPINGS
            .iter()
            .map(|(name, text)| {
                Mapping::parse(text, catalogue).map_err(DatasetError::feature(format!("mapping {name}")))
            })
            .collect::<Result<_>>()?;
        Ok(Self { mappings })
    }

    /// What a series of `key` means, asked with the value 1.
    pub(super) fn resolve(
        &self,
        exporter: Exporter,
        name: &str,
        labels: &BTreeMap<String, String>,
        key: &str,
    ) -> Result<Series> {
        let named = DatasetError::feature(name);
        let mapped = self.mappings[exporter as usize].map(&SourceRow { name, labels, value: 1.0 }).map_err(&named)?;
        let refuse = |reason: String| Err(DatasetError::config(format!("series {name}"), reason));
        match mapped {
            None => refuse("no row of its mapping selects it".to_owned()),
            Some(mapped) if mapped.entity.key() != key => {
                refuse(format!("maps to {:?}, it belongs to {key:?}", mapped.entity.key()))
            }
            Some(mapped) => Ok(Series { metric: mapped.metric, factor: mapped.value }),
        }
    }
}

/// A label set.
pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
