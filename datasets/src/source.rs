//! What a data set is made from: a plan, and histories one entity at a time.

use std::collections::BTreeMap;
use std::path::Path;

use features::split::{Shares, Split, TimeBorders, is_named};
use features::{Catalogue, EntityHistory, FeatureSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use survival::{Readout, SurvivalCurve, TimeGrid};

use crate::error::{DatasetError, Result};

/// The true curve of a simulated entity at a cut, `None` where there is none. Kept out of every feature.
pub type Truth = Box<dyn Fn(i64) -> Option<SurvivalCurve>>;

/// Takes one history, with its truth where the source is simulated.
pub type Each<'a> = dyn FnMut(EntityHistory, Option<Truth>) -> Result<()> + 'a;

/// Where histories come from.
pub trait Source {
    /// Short name, also used in messages.
    fn name(&self) -> &str {
        &self.plan().name
    }

    /// How its histories become rows.
    fn plan(&self) -> &BuildPlan;

    /// How many histories there will be, if known; for progress only.
    fn entities(&self) -> Option<u64>;

    /// Pieces its histories come in: a build that was killed goes on behind the last one it finished.
    fn units(&self) -> usize {
        1
    }

    /// Hands every history of a unit to `each`, always the same ones in the same order.
    ///
    /// # Errors
    /// When the source cannot be read, or `each` refuses.
    fn unit(&mut self, unit: usize, each: &mut Each<'_>) -> Result<()>;

    /// Hands every history to `each`, unit by unit.
    ///
    /// # Errors
    /// When the source cannot be read, or `each` refuses.
    fn histories(&mut self, each: &mut Each<'_>) -> Result<()> {
        (0..self.units()).try_for_each(|unit| self.unit(unit, each))
    }

    /// First tick from which the source still holds every raw sample, so that another spec can be built from there;
    /// `None` where it does not say, or never drops any.
    fn raw_since(&self) -> Option<i64> {
        None
    }

    /// What the source itself left out of the unit handed over last, by rule.
    fn skipped(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}

/// Something a data set was made from, pinned by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// File name, or `config` and `mapping …` of a simulator.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

impl Input {
    /// Pins these bytes under a name.
    #[must_use]
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

/// At which moments of a history rows are made; every moment sits on a tile edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cuts {
    /// Ticks that are `phase` modulo `every`, at least `first` ticks after watching began.
    Every {
        /// Ticks between the start of watching and the first cut.
        first: i64,
        /// Ticks between cuts.
        every: i64,
        /// Remainder of a cut modulo `every`.
        phase: i64,
    },
    /// These many ticks after watching began.
    After(Vec<i64>),
}

impl Cuts {
    /// Moments for something watched over `[from, until]`; those outside are left to the censoring rules.
    #[must_use]
    pub fn moments(&self, from: i64, until: i64) -> Vec<i64> {
        match self {
            Self::Every { first, every, phase } => {
                let earliest = from + first;
                let start = earliest + (phase - earliest).rem_euclid(*every);
                let mut moments = Vec::new();
                let mut at = start;
                while at <= until {
                    moments.push(at);
                    at += every;
                }
                moments
            }
            Self::After(offsets) => offsets.iter().map(|offset| from + offset).collect(),
        }
    }
}

/// Which part a row goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitRule {
    /// By hash of the group; a group is never in two parts.
    ///
    /// Such a split says nothing of time: rows of one moment stand in every part, and columns about neighbours of a
    /// training row may have been read from a group of the test part. What is judged is how well a group is foretold
    /// that was never learned from, under the conditions learned from; for what comes later, split by time.
    ByGroup {
        /// Text hashed before the group's name; another salt is another split.
        salt: String,
        /// Shares of the groups.
        shares: Shares,
        /// Groups that are test whatever their hash, each by its name or by a beginning of it up to a `/`: a namespace
        /// stands for its workloads. Nothing of them is ever fitted, chosen by or calibrated on, so the test part also
        /// shows what becomes of kinds of groups that training has not seen. The shares are those of the other groups.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        test_only: Vec<String>,
    },
    /// By the moment of the cut, with rows before each border left out.
    ByTime(TimeBorders),
}

impl SplitRule {
    /// The part of a row, or `None` when it is purged.
    #[must_use]
    pub fn part(&self, group: &str, as_of: i64) -> Option<Split> {
        match self {
            Self::ByGroup { test_only, .. } if is_named(group, test_only) => Some(Split::Test),
            Self::ByGroup { salt, shares, .. } => Some(shares.by_group(salt, group)),
            Self::ByTime(borders) => borders.by_time(as_of),
        }
    }
}

/// Everything that decides what a data set looks like, besides the histories themselves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuildPlan {
    /// Short name: letters, digits, `-` and `_`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Licence of the source, in words.
    pub licence: String,
    /// Where it comes from, whom to cite.
    pub source_text: String,
    /// What it was made from.
    pub inputs: Vec<Input>,
    /// Metrics of the samples.
    pub catalogue: Catalogue,
    /// What a row is made of.
    pub spec: FeatureSpec,
    /// Interval edges, in the unit of `spec.time`.
    pub grid: TimeGrid,
    /// Names of the causes of failure.
    pub causes: Vec<String>,
    /// What to read from a curve.
    pub readout: Readout,
    /// When rows are made.
    pub cuts: Cuts,
    /// Which part they go to.
    pub split: SplitRule,
    /// Seed of a shuffle of the outcomes between rows of one part: a control nothing can be learned from.
    pub permute_labels: Option<u64>,
    /// Traps of the source and how each is treated, for the card.
    pub notes: Vec<String>,
}

impl BuildPlan {
    /// Checks the parts against each other.
    ///
    /// # Errors
    /// One message naming the key, its value and what it contradicts.
    pub fn check(&self) -> Result<()> {
        let refuse = |reason: String| Err(DatasetError::config(format!("plan of {:?}", self.name), reason));
        if self.name.is_empty() || !self.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return refuse("name must be letters, digits, - and _".to_owned());
        }
        self.spec.validate(&self.catalogue).map_err(DatasetError::feature(&self.name))?;
        if self.grid.unit() != self.spec.time.unit {
            return refuse(format!("grid is in {:?}, the spec's time in {:?}", self.grid.unit(), self.spec.time.unit));
        }
        let distinct: std::collections::BTreeSet<&String> = self.causes.iter().collect();
        if self.causes.is_empty() || distinct.len() != self.causes.len() || self.causes.iter().any(String::is_empty) {
            return refuse(format!("causes {:?} must be at least one, named, and each once", self.causes));
        }
        let last = self.grid.last_edge();
        if self.readout.horizons.is_empty()
            || !self.readout.horizons.is_sorted_by(|a, b| a < b)
            || self.readout.horizons.iter().any(|&h| h <= 0.0 || h > last)
        {
            return refuse(format!("horizons {:?} must increase inside (0, {last}]", self.readout.horizons));
        }
        if self.readout.restricted_to <= 0.0 || self.readout.restricted_to > last {
            return refuse(format!("restricted_to ({}) must lie in (0, {last}]", self.readout.restricted_to));
        }
        let tile = self.spec.tile;
        match &self.cuts {
            Cuts::Every { first, every, phase } => {
                if *every <= 0 || every % tile != 0 || phase % tile != 0 || *first < 0 {
                    return refuse(format!(
                        "cuts: every ({every}) and phase ({phase}) must be multiples of tile ({tile}), first ({first}) not negative"
                    ));
                }
            }
            Cuts::After(offsets) => {
                if offsets.is_empty() || offsets.iter().any(|&offset| offset < 0) {
                    return refuse(format!("cuts after {offsets:?} ticks: give at least one, none negative"));
                }
            }
        }
        if let SplitRule::ByGroup { shares, test_only, .. } = &self.split {
            if !shares.valid() {
                return refuse(format!("shares {shares:?} must leave train above 0 and not pass 100"));
            }
            if let Some(name) = test_only.iter().find(|name| name.is_empty() || name.ends_with('/')) {
                return refuse(format!(
                    "test_only names {name:?}; give a group such as \"shop/cart\", or \"shop\" for all below it"
                ));
            }
        }
        Ok(())
    }

    /// SHA-256 over the plan and the version of this code: equal digests mean equal data sets.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(&(env!("CARGO_PKG_VERSION"), crate::manifest::SCHEMA_VERSION, self));
        hex::encode(Sha256::digest(text.unwrap_or_default()))
    }
}

/// Quantiles read at their nominal levels until somebody calibrates them.
#[must_use]
pub fn readout(horizons: &[f64], quantiles: &[f64], restricted_to: f64) -> Readout {
    Readout {
        horizons: horizons.to_vec(),
        quantiles: quantiles.to_vec(),
        quantile_levels: quantiles.to_vec(),
        restricted_to,
    }
}

/// The whole content of a file, unpacked when its name ends in `.gz`, and its digest as it lies on disk.
///
/// # Errors
/// When it is missing, cannot be read, or its gzip is cut short or corrupt.
pub fn read_text(path: &Path) -> Result<(String, Input)> {
    use std::io::Read;
    let bytes = std::fs::read(path).map_err(DatasetError::io(path, "read the file"))?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let input = Input::of(name, &bytes);
    let text = if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).map_err(|error| {
            let problem = if error.kind() == std::io::ErrorKind::UnexpectedEof {
                "ends before its end mark".to_owned()
            } else {
                format!("is corrupt: {error}")
            };
            DatasetError::Gzip { path: path.to_owned(), problem }
        })?;
        text
    } else {
        bytes
    };
    let text = String::from_utf8(text).map_err(|error| DatasetError::Line {
        path: path.to_owned(),
        line: 0,
        problem: format!("not UTF-8 text ({error})"),
    })?;
    if text.trim().is_empty() {
        return Err(DatasetError::Empty { path: path.to_owned(), what: "lines" });
    }
    Ok((text, input))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(test_only: &[&str]) -> SplitRule {
        SplitRule::ByGroup {
            salt: "salt ".to_owned(),
            shares: Shares { train: 60, validation: 20, calibration: 20 },
            test_only: test_only.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn groups_that_are_only_tested_leave_the_others_where_they_were() {
        let (plain, held) = (rule(&[]), rule(&["leak", "shop/cart"]));
        let mut parts = std::collections::BTreeSet::new();
        for number in 0..200 {
            let (kept, out) = (format!("web/app-{number}"), format!("leak/app-{number}"));
            assert_eq!(held.part(&kept, 0), plain.part(&kept, 0));
            assert_eq!(held.part(&out, 0), Some(Split::Test));
            parts.extend(plain.part(&out, 0));
        }
        assert!(!parts.contains(&Split::Test), "by their hashes none of them was test: {parts:?}");
        assert_eq!(held.part("shop/cart", 0), Some(Split::Test));
        assert_eq!(held.part("leaky/app", 0), plain.part("leaky/app", 0));
    }

    #[test]
    fn a_rule_without_such_groups_is_written_as_before() {
        let before = r#"{"by_group":{"salt":"salt ","shares":{"train":60,"validation":20,"calibration":20}}}"#;
        assert_eq!(serde_json::from_str::<SplitRule>(before).unwrap(), rule(&[]));
        assert_eq!(serde_json::to_string(&rule(&[])).unwrap(), before);
        let held = rule(&["leak"]);
        let text = serde_json::to_string(&held).unwrap();
        assert!(text.contains(r#""test_only":["leak"]"#), "{text}");
        assert_eq!(serde_json::from_str::<SplitRule>(&text).unwrap(), held);
    }
}
