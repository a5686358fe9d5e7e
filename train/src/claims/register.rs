//! The 29 theorems of the theory, and one sentence of it that is a claim of its own (T3.2b), as data.
//!
//! A theorem is a hypothesis here: it is restated so that it can fail, with the endpoint, the rivals and the margin that
//! decide, and with what was expected beforehand. What no quantity or no data can decide says what is missing.

use std::fmt;

use serde::{Deserialize, Serialize};

mod rows;

pub use rows::THEOREMS;

/// A protocol of another benchmark whose results are read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Outages of nodes: availability, forecasts of it, service levels.
    Nodes,
    /// Fault episodes: type, root cause, policy.
    Faults,
    /// Simulated quantum circuits.
    Quantum,
    /// Maintenance policies replayed.
    Maintenance,
    /// Containers run to failure.
    Lab,
}

impl Section {
    /// Every section.
    pub const ALL: [Self; 5] = [Self::Nodes, Self::Faults, Self::Quantum, Self::Maintenance, Self::Lab];

    /// Its name; the file is `<name>.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Faults => "faults",
            Self::Quantum => "quantum",
            Self::Maintenance => "maintenance",
            Self::Lab => "lab",
        }
    }
}

/// By how much a claim of "better" must win.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Margin {
    /// In the unit of the endpoint.
    Absolute(f64),
    /// As a share of the rival's value.
    Relative(f64),
}

impl Margin {
    /// In the unit of the endpoint, against a rival with this value.
    #[must_use]
    pub fn against(self, rival: f64) -> f64 {
        match self {
            Self::Absolute(margin) => margin,
            Self::Relative(share) => share * rival.abs(),
        }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(margin) => write!(f, "{margin}"),
            Self::Relative(share) => write!(f, "{} %", (1e6 * share).round() / 1e4),
        }
    }
}

/// How a theorem is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Cases are generated and counted.
    Law(Law),
    /// One case against it suffices.
    Counterexample(Law),
    /// One family against others on the curves of a benchmark.
    Comparison(Score),
    /// Another benchmark decides; its file of this section is read.
    External(Section),
    /// Nothing decides it.
    NotTestable {
        /// What is missing.
        missing: &'static str,
    },
}

/// Which law of [`super::laws`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// T1.1.
    CurvesNeverRise,
    /// T1.2.
    HazardGivesCurve,
    /// T2.1.
    AvailabilityInRange,
    /// T3.1.
    ToleratedFaults,
    /// T4.1.
    HealingTime,
    /// T6.1.
    SeriesThreshold,
    /// T8.1.
    MoreNodes,
}

/// What a comparison is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Integrated Brier score; lower is better.
    IntegratedBrier,
    /// RMSE of the restricted mean against the capped life; lower is better.
    RulRmse,
    /// Brier score at one horizon; lower is better.
    Brier,
    /// Average precision at one horizon; higher is better.
    AveragePrecision,
}

impl Score {
    /// As a table says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IntegratedBrier => "integrated Brier score",
            Self::RulRmse => "RMSE of remaining life",
            Self::Brier => "Brier score at the horizon",
            Self::AveragePrecision => "average precision at the horizon",
        }
    }

    /// Whether it is read at one horizon.
    #[must_use]
    pub fn at_horizon(self) -> bool {
        matches!(self, Self::Brier | Self::AveragePrecision)
    }

    /// Whether a larger value is better.
    #[must_use]
    pub fn higher_is_better(self) -> bool {
        self == Self::AveragePrecision
    }
}

/// One theorem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theorem {
    /// `T1.1` and so on.
    pub id: &'static str,
    /// What it says, in one line.
    pub claim: &'static str,
    /// The same so that it can fail.
    pub restated: &'static str,
    /// What is measured.
    pub endpoint: &'static str,
    /// What it is measured against; empty for a law.
    pub rivals: &'static str,
    /// Test.
    pub test: &'static str,
    /// Data.
    pub data: &'static str,
    /// δ, where it claims something better.
    pub margin: Option<Margin>,
    /// What was expected before any test.
    pub prior: &'static str,
    /// How it is decided.
    pub evaluation: Evaluation,
    /// Sections whose files may hold further evidence of it.
    pub also: &'static [Section],
}

impl Theorem {
    /// The theorem of this name.
    #[must_use]
    pub fn of(id: &str) -> Option<&'static Self> {
        THEOREMS.iter().find(|theorem| theorem.id == id)
    }

    /// Whether a file of this section may speak of it.
    #[must_use]
    pub fn takes(&self, section: Section) -> bool {
        self.evaluation == Evaluation::External(section) || self.also.contains(&section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_29_theorems_and_one_claim_beside_them() {
        let ids: BTreeSet<&str> = THEOREMS.iter().map(|theorem| theorem.id).collect();
        assert_eq!((ids.len(), THEOREMS.len()), (30, 30));
        assert!(ids.contains("T3.2b"));
        // As many as the theory counts in each of its ten chapters.
        let of_chapter = |chapter: usize| {
            let name = format!("T{chapter}.");
            ids.iter().filter(|id| id.starts_with(&name) && !id.ends_with('b')).count()
        };
        assert_eq!((1..=10).map(of_chapter).collect::<Vec<_>>(), [2, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn every_row_says_what_would_decide_it() {
        for theorem in &THEOREMS {
            let texts = [theorem.claim, theorem.restated, theorem.endpoint, theorem.test, theorem.data, theorem.prior];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", theorem.id);
            match theorem.evaluation {
                Evaluation::Comparison(_) => {
                    assert!(theorem.margin.is_some() && !theorem.rivals.is_empty(), "{}", theorem.id);
                }
                Evaluation::NotTestable { missing } => assert!(missing.len() > 20, "{}", theorem.id),
                _ => {}
            }
        }
    }

    #[test]
    fn a_relative_margin_is_a_share_of_the_rival() {
        assert!((Margin::Relative(0.01).against(0.2) - 0.002).abs() < 1e-15);
        assert_eq!(
            (Margin::Relative(0.01).to_string(), Margin::Absolute(0.5).to_string()),
            ("1 %".into(), "0.5".into())
        );
    }
}
