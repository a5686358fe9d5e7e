//! Versioned rules from one source's names to the catalogue: an allow-list, data rather than code.
//!
//! A mapping file names its entities once and then has one row per series; `features/mappings/README.md` describes
//! every key for a person who adds a source.
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
//! select = 'container_spec_cpu_quota{container!="",container!="POD"}'
//! id = "cpu.quota"
//! entity = "container"
//! unit = { from = "us" }
//! ```
//!
//! All shipped files are loaded together. Two rows may select the same series only when they mean the same by it:
//! rows of an exporter that did not change between versions are written once, rows that changed stand in a file per
//! version range, and a series is resolved without knowing the version of its exporter.

mod file;
mod missing;
mod overview;
mod rule;
mod selector;
mod unit;

use hashbrown::HashMap;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::catalogue::Catalogue;
use crate::labels::Labels;
use crate::series::Resolution;
use crate::{FeatureError, Result};
use file::{MappingFile, Row};
use rule::Rule;
use selector::Name;

pub use file::Absent;
pub use missing::{Cost, Lack, Offer, missing};
pub use overview::{Family, MetricOverview, SourceRow, families, overview};

/// The mapping files of this build, by source.
pub const SHIPPED: [(&str, &str); 15] = [
    ("cadvisor", include_str!("../mappings/cadvisor.toml")),
    ("kube-state-metrics", include_str!("../mappings/kube-state-metrics.toml")),
    ("kube-state-metrics-before-2.20", include_str!("../mappings/kube-state-metrics-before-2.20.toml")),
    ("kube-state-metrics-2.20", include_str!("../mappings/kube-state-metrics-2.20.toml")),
    ("kubelet", include_str!("../mappings/kubelet.toml")),
    ("node_exporter", include_str!("../mappings/node_exporter.toml")),
    ("node-problem-detector", include_str!("../mappings/node-problem-detector.toml")),
    ("vmware_exporter", include_str!("../mappings/vmware_exporter.toml")),
    ("telegraf-vsphere", include_str!("../mappings/telegraf-vsphere.toml")),
    ("telegraf-docker", include_str!("../mappings/telegraf-docker.toml")),
    ("docker-api", include_str!("../mappings/docker-api.toml")),
    ("otel-vcenter", include_str!("../mappings/otel-vcenter.toml")),
    ("otel-k8s", include_str!("../mappings/otel-k8s.toml")),
    ("libvirt", include_str!("../mappings/libvirt.toml")),
    ("wasmcloud", include_str!("../mappings/wasmcloud.toml")),
];

/// One source of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingSource {
    /// Its name, one per file.
    pub name: String,
    /// The exporter it describes; several sources are versions of one exporter.
    pub exporter: String,
    /// Version of the mapping.
    pub version: u32,
    /// Where its names are documented.
    pub origin: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// How many rows it has.
    pub rows: usize,
    /// How many of them are known from documentation alone, no real exposition having been followed.
    pub unverified: usize,
}

/// Mappings read together; what a series means does not depend on their order.
#[derive(Debug, Clone)]
pub struct MappingSet {
    sources: Vec<MappingSource>,
    rows: Vec<Row>,
    rules: Vec<Rule>,
    /// Rules by the exact name they select.
    by_name: HashMap<String, Vec<usize>>,
    /// Rules that select names by pattern; short, since every unknown name is tried against it.
    patterns: Vec<usize>,
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
    /// When a text is no mapping, a row cannot be used, a source is given twice, or two rows give one series two
    /// meanings; the file, the row and the reason are named.
    pub fn of(texts: &[(&str, &str)], catalogue: &Catalogue) -> Result<Self> {
        let mut set = Self {
            sources: Vec::new(),
            rows: Vec::new(),
            rules: Vec::new(),
            by_name: HashMap::new(),
            patterns: Vec::new(),
        };
        for (name, text) in texts {
            set.add(text, catalogue)
                .map_err(|reason| FeatureError::Mapping { source_name: (*name).to_owned(), reason })?;
        }
        Ok(set)
    }

    fn add(&mut self, text: &str, catalogue: &Catalogue) -> std::result::Result<(), String> {
        let file: MappingFile = toml::from_str(text).map_err(|error| error.to_string())?;
        if self.sources.iter().any(|source| source.name == file.source) {
            return Err(format!("source {:?} is already in the set", file.source));
        }
        let mut source = MappingSource {
            name: file.source.clone(),
            exporter: file.exporter.clone().unwrap_or_else(|| file.source.clone()),
            version: file.version,
            origin: file.origin.clone(),
            sha256: hex::encode(Sha256::digest(text.as_bytes())),
            rows: 0,
            unverified: 0,
        };
        let (rows, rules) = file.compile(self.sources.len(), self.rows.len(), catalogue)?;
        source.rows = rows.len();
        source.unverified = rows.iter().filter(|row| row.unverified).count();
        self.sources.push(source);
        self.rows.extend(rows);
        for rule in rules {
            self.insert(rule)?;
        }
        Ok(())
    }

    /// Takes a rule in, unless one of the same meaning already selects what it selects.
    fn insert(&mut self, rule: Rule) -> std::result::Result<(), String> {
        let candidates: Vec<usize> = match &rule.selector.name {
            Name::Exact(name) => self.by_name.get(name).into_iter().flatten().chain(&self.patterns).copied().collect(),
            Name::Pattern(_) => (0..self.rules.len()).collect(),
        };
        let row = &self.rows[rule.row];
        for other in candidates.into_iter().map(|at| &self.rules[at]) {
            if other.selector.disjoint(&rule.selector) {
                continue;
            }
            let other_row = &self.rows[other.row];
            let clash = |why: &str| {
                Err(format!(
                    "row ({}) selects series that row ({}) of {} selects too, {why}",
                    row.select, other_row.select, self.sources[other_row.source].name
                ))
            };
            if other.row != rule.row && other.meaning != rule.meaning {
                return clash("with another meaning");
            }
            if other.row != rule.row && other_row.absent != row.absent && other_row.same_version(row) {
                return clash("but for it a missing row means something else");
            }
        }
        let at = self.rules.len();
        match &rule.selector.name {
            Name::Exact(name) => self.by_name.entry(name.clone()).or_default().push(at),
            Name::Pattern(_) => self.patterns.push(at),
        }
        self.rules.push(rule);
        Ok(())
    }

    /// Its sources.
    #[must_use]
    pub fn sources(&self) -> &[MappingSource] {
        &self.sources
    }

    /// (source, SHA-256 of its file), in the order of the set.
    #[must_use]
    pub fn digests(&self) -> Vec<(String, String)> {
        self.sources.iter().map(|source| (source.name.clone(), source.sha256.clone())).collect()
    }

    /// Names of source metrics that any row selects, sorted: what to ask a server for. Rows that select names by
    /// pattern are not among them.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn find(&self, labels: &Labels) -> Option<&Rule> {
        let exact = self.by_name.get(labels.name()).into_iter().flatten();
        exact.chain(&self.patterns).map(|&at| &self.rules[at]).find(|rule| rule.selects(labels))
    }

    /// What a series means.
    #[must_use]
    pub fn resolve(&self, labels: &Labels) -> Resolution {
        let Some(rule) = self.find(labels) else { return Resolution::Unmapped };
        match rule.series(labels) {
            Ok((series, transform)) => Resolution::Series(series, transform),
            Err(reason) => {
                let source = &self.sources[self.rows[rule.row].source].name;
                Resolution::Refused(format!("{source} ({labels}): {reason}"))
            }
        }
    }

    /// The selector of the row that decides what a series means, for whoever asks why.
    #[must_use]
    pub fn selected_by(&self, labels: &Labels) -> Option<&str> {
        self.find(labels).map(|rule| self.rows[rule.row].select.as_str())
    }

    /// What it means that a series like this one is not there: `None` when no row selects it, and
    /// [`Absent::Unknown`] when versions of its exporter differ in that.
    #[must_use]
    pub fn absent(&self, labels: &Labels) -> Option<Absent> {
        let exact = self.by_name.get(labels.name()).into_iter().flatten();
        let rules = exact.chain(&self.patterns).map(|&at| &self.rules[at]).filter(|rule| rule.selects(labels));
        rules
            .map(|rule| self.rows[rule.row].absent)
            .reduce(|one, other| if one == other { one } else { Absent::Unknown })
    }
}
