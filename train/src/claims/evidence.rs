//! Results of other benchmarks, read from the files they write: one per section, claims by their id.
//!
//! ```json
//! {"T2.2": [{"data": "nodes of 20 systems", "effect": {"estimate": 0.004, "low": -0.001, "high": 0.009, "level": 0.95},
//!            "p": 0.12, "margin": 0.002, "note": "absolute error of monthly availability"}],
//!  "T10.1": [{"data": "nodes of 20 systems", "availability": [1.0, 0.9993, 0.97]}]}
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use survival::Interval;

use crate::claims::register::{Margin, Section, Theorem};
use crate::error::{Result, TrainError, io};

/// What another benchmark found about one claim on one data set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExternalEvidence {
    /// Data, in words.
    pub data: String,
    /// The effect, turned so that positive favours the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Interval>,
    /// Two-sided p of it, not adjusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// δ in the unit of the effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Rivals, the one the effect is against first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<String>,
    /// Whether a test of equality with the same δ showed the two equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<bool>,
    /// Exceptions to a claim of "always" or "never".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Exceptions>,
    /// Measured availability per node and month, for T2.1 and T10.1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub availability: Vec<f64>,
    /// One case against the claim, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<String>,
    /// What else a reader should know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Exceptions among cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// Exceptions.
    pub violations: usize,
    /// Cases.
    pub cases: usize,
}

/// Evidence by section and claim.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    sections: BTreeMap<Section, BTreeMap<String, Vec<ExternalEvidence>>>,
}

impl Evidence {
    /// Reads every `<section>.json` in `folder`; a section without a file is absent.
    ///
    /// # Errors
    /// When the folder or a file cannot be read, a claim is no theorem of that section, a number is impossible, or a
    /// margin is not that of the register.
    pub fn read(folder: &Path) -> Result<Self> {
        std::fs::read_dir(folder).map_err(io(folder))?;
        let mut evidence = Self::default();
        for section in Section::ALL {
            let path = folder.join(format!("{}.json", section.name()));
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io(&path)(error)),
            };
            let refuse = |reason: String| TrainError::Config { file: path.display().to_string(), reason };
            let claims: BTreeMap<String, Vec<ExternalEvidence>> =
                serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
            for (id, pieces) in &claims {
                let theorem = Theorem::of(id)
                    .filter(|theorem| theorem.takes(section))
                    .ok_or_else(|| refuse(format!("{id} is no claim that {} can speak of", section.name())))?;
                for piece in pieces {
                    piece.problem(theorem).map_or(Ok(()), |reason| Err(refuse(format!("{id}: {reason}"))))?;
                }
            }
            evidence.sections.insert(section, claims);
        }
        Ok(evidence)
    }

    /// Adds what was found here.
    pub fn add(&mut self, section: Section, id: &str, piece: ExternalEvidence) {
        self.sections.entry(section).or_default().entry(id.to_owned()).or_default().push(piece);
    }

    /// What a section says of a claim.
    #[must_use]
    pub fn of(&self, section: Section, id: &str) -> &[ExternalEvidence] {
        self.sections.get(&section).and_then(|claims| claims.get(id)).map_or(&[], Vec::as_slice)
    }

    /// What every section says of a claim.
    pub fn all(&self, id: &str) -> impl Iterator<Item = &ExternalEvidence> {
        self.sections.values().filter_map(move |claims| claims.get(id)).flatten()
    }
}

impl ExternalEvidence {
    fn problem(&self, theorem: &Theorem) -> Option<String> {
        if self.data.is_empty() {
            return Some("says no data".to_owned());
        }
        let anything = self.effect.is_some()
            || self.counts.is_some()
            || self.counterexample.is_some()
            || !self.availability.is_empty();
        if !anything {
            return Some("holds no effect, no counts, no availability and no counterexample".to_owned());
        }
        if let Some(effect) = &self.effect {
            let finite = [effect.estimate, effect.low, effect.high].iter().all(|value| value.is_finite());
            if !finite || effect.low > effect.high || !(effect.level > 0.0 && effect.level < 1.0) {
                return Some(format!("effect {effect:?} is no interval"));
            }
            let Some(margin) = self.margin.filter(|margin| margin.is_finite() && *margin > 0.0) else {
                return Some("an effect needs a margin above 0".to_owned());
            };
            let Some(registered) = theorem.margin else {
                return Some("the register claims nothing better here, so an effect decides nothing".to_owned());
            };
            if let Margin::Absolute(wanted) = registered
                && (margin - wanted).abs() > 1e-12
            {
                return Some(format!("margin is {margin}, the register has {wanted}"));
            }
            if !self.p.is_some_and(|p| (0.0..=1.0).contains(&p)) {
                return Some("an effect needs a p between 0 and 1".to_owned());
            }
        }
        match self.counts {
            Some(counts) if counts.cases == 0 || counts.violations > counts.cases => {
                Some(format!("counts {} of {}", counts.violations, counts.cases))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str, text: &str) -> Result<Evidence> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{section}.json")), text).unwrap();
        Evidence::read(folder.path())
    }

    #[test]
    fn what_a_file_says_is_found_under_its_claim() {
        let evidence = read(
            "nodes",
            r#"{"T10.2": [{"data": "d", "effect": {"estimate": 0.01, "low": 0.004, "high": 0.02, "level": 0.95},
                "p": 0.01, "margin": 0.002}], "T10.1": [{"data": "d", "availability": [1.0, 0.9]}]}"#,
        )
        .unwrap();
        assert_eq!(evidence.of(Section::Nodes, "T10.2").len(), 1);
        assert_eq!(evidence.all("T10.1").next().unwrap().availability, [1.0, 0.9]);
        assert!(evidence.of(Section::Faults, "T10.2").is_empty());
    }

    #[test]
    fn each_mistake_is_refused_with_the_file_and_the_claim() {
        let effect = r#""effect": {"estimate": 0.01, "low": 0.004, "high": 0.02, "level": 0.95}"#;
        for (section, text, says) in [
            ("nodes", r#"{"T5.3": [{"data": "d", "counterexample": "x"}]}"#.to_owned(), "T5.3"),
            ("nodes", r#"{"T99": []}"#.to_owned(), "T99"),
            ("nodes", r#"{"T10.1": [{"data": "d"}]}"#.to_owned(), "holds no effect"),
            ("nodes", r#"{"T10.1": [{"counts": {"violations": 1, "cases": 2}}]}"#.to_owned(), "no data"),
            ("nodes", r#"{"T10.1": [{"data": "d", "counts": {"violations": 3, "cases": 2}}]}"#.to_owned(), "3 of 2"),
            ("nodes", format!(r#"{{"T10.2": [{{"data": "d", {effect}, "p": 0.1}}]}}"#), "margin above 0"),
            ("nodes", format!(r#"{{"T10.2": [{{"data": "d", {effect}, "margin": 0.002}}]}}"#), "needs a p"),
            ("nodes", format!(r#"{{"T10.2": [{{"data": "d", {effect}, "p": 0.1, "margin": 0.001}}]}}"#), "has 0.002"),
            (
                "quantum",
                format!(r#"{{"T3.3": [{{"data": "d", {effect}, "p": 0.1, "margin": 0.1}}]}}"#),
                "nothing better",
            ),
            ("faults", r#"{"T3.2": [{"data": "d", "efect": 1}]}"#.to_owned(), "efect"),
        ] {
            let message = read(section, &text).unwrap_err().to_string();
            assert!(message.contains(says) && message.contains(section), "{text}: {message}");
        }
        assert!(Evidence::read(Path::new("/nonexistent")).is_err());
    }
}
