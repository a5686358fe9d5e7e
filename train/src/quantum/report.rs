//! What the protocol found, number by number, and as text.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use survival::{Interval, PairedInterval};

use super::kernel::GeometricDifference;
use super::stability::StabilityRow;
use super::task::Settings;

/// Q1–Q3 on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantumReport {
    /// The task, in the words of whoever supplied it.
    pub task: String,
    /// What was asked for.
    pub settings: Settings,
    /// Which rows of the task were used.
    pub rows: Vec<usize>,
    /// Outer fold of each of them.
    pub folds: Vec<usize>,
    /// Distinct groups among them.
    pub groups: usize,
    /// Columns before principal components.
    pub columns: usize,
    /// Weighted share of failures: the AUPRC of no skill.
    pub prevalence: f64,
    /// One per number of qubits.
    pub sizes: Vec<SizeReport>,
    /// Wall clock; the one field that differs between runs of the same input.
    pub runtime_seconds: f64,
}

/// One number of qubits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizeReport {
    /// Qubits, and principal components.
    pub qubits: usize,
    /// Share of variance the components keep, mean over outer folds.
    pub explained_variance: f64,
    /// Every contender, judged out of fold.
    pub contenders: Vec<Contender>,
    /// Quantum against classical, and entangled against not.
    pub comparisons: Vec<Comparison>,
    /// Contenders after labels were shuffled over rows: AUPRC must come back to the prevalence.
    pub shuffled: Vec<Contender>,
    /// Pre-test of each tuned quantum kernel against the tuned Gaussian one on the training part of the first fold.
    pub pretest: Vec<(String, GeometricDifference)>,
    /// What shots and small changes of the inputs do to p(h).
    pub stability: Vec<StabilityRow>,
}

/// What a contender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Entangled quantum model with exact expectation values.
    Quantum,
    /// The same without entangling gates.
    Product,
    /// The same with shot noise.
    Shots,
    /// Rival.
    Classical,
}

/// One contender's scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// Name.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Settings tried per outer fold; 0 for scores given from outside.
    pub trials: usize,
    /// Free parameters, where that is a number fixed beforehand.
    pub parameters: Option<usize>,
    /// The setting chosen in each outer fold.
    pub chosen: Vec<String>,
    /// Area under the precision–recall curve.
    pub auprc: Interval,
    /// Brier score, weighted; `None` for a score that is no probability.
    pub brier: Option<Interval>,
    /// Out-of-fold p(h) of each row.
    pub predictions: Vec<f64>,
}

/// One contender against another on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whose gain is asked about.
    pub contender: String,
    /// Against whom.
    pub rival: String,
    /// Entangled against not, rather than quantum against classical.
    pub ablation: bool,
    /// Contender − rival: above 0 is a gain.
    pub auprc: PairedInterval,
    /// p of the AUPRC difference after Holm over all comparisons of the same sort and size.
    pub auprc_holm: f64,
    /// Contender − rival: below 0 is a gain; `None` where one gives no probability.
    pub brier: Option<PairedInterval>,
    /// By the AUPRC margin of the settings.
    pub verdict: Verdict,
}

/// The words of the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Better by more than the margin: the whole interval lies above it and Holm's p is below 0.05.
    Supported,
    /// Worse by more than the margin, or equal within it.
    Refuted,
    /// Neither.
    Undecided,
}

impl Verdict {
    /// From the interval of a gain.
    #[must_use]
    pub fn of(gain: &PairedInterval, holm: f64, margin: f64) -> Self {
        if gain.low > margin && holm < 0.05 {
            Self::Supported
        } else if gain.high < -margin || (gain.low > -margin && gain.high < margin) {
            Self::Refuted
        } else {
            Self::Undecided
        }
    }
}

/// Holm's step-down p values, in the order given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &place) in order.iter().enumerate() {
        largest = largest.max(((p_values.len() - rank) as f64 * p_values[place]).min(1.0));
        adjusted[place] = largest;
    }
    adjusted
}

impl QuantumReport {
    /// The report as text of fixed width.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let s = &self.settings;
        writeln!(out, "quantum rows on {}", self.task)?;
        writeln!(
            out,
            "{} rows of {} groups, {} columns, prevalence {:.3}; {} outer × {} inner folds by group, {} trials each, seed {}",
            self.rows.len(),
            self.groups,
            self.columns,
            self.prevalence,
            s.outer_folds,
            s.inner_folds,
            s.trials(),
            s.seed
        )?;
        writeln!(out, "a state vector is a classical algorithm: no row can show a quantum advantage")?;
        for size in &self.sizes {
            size.write(out, s)?;
        }
        writeln!(out, "\n{:.1} s", self.runtime_seconds)
    }
}

impl SizeReport {
    fn write(&self, out: &mut String, settings: &Settings) -> std::fmt::Result {
        writeln!(out, "\n{} qubits, {:.0} % of variance", self.qubits, 100.0 * self.explained_variance)?;
        writeln!(out, "  {:<34} {:>22} {:>22} {:>8}", "contender", "AUPRC", "Brier", "shuffled")?;
        let cell = |i: &Interval| format!("{:.3} [{:.3}, {:.3}]", i.estimate, i.low, i.high);
        for c in &self.contenders {
            let shuffled = self.shuffled.iter().find(|other| other.name == c.name);
            let shuffled = shuffled.map_or_else(String::new, |other| format!("{:.3}", other.auprc.estimate));
            let brier = c.brier.as_ref().map_or_else(String::new, cell);
            writeln!(out, "  {:<34} {:>22} {:>22} {:>8}", c.name, cell(&c.auprc), brier, shuffled)?;
        }
        writeln!(
            out,
            "  {:<34} {:<30} {:>25} {:>6}  verdict, margin {}",
            "gain of", "over", "AUPRC", "Holm", settings.margin
        )?;
        for c in &self.comparisons {
            let gain = format!("{:+.3} [{:+.3}, {:+.3}]", c.auprc.difference, c.auprc.low, c.auprc.high);
            writeln!(out, "  {:<34} {:<30} {gain:>25} {:>6.3}  {:?}", c.contender, c.rival, c.auprc_holm, c.verdict)?;
        }
        for (name, g) in &self.pretest {
            writeln!(
                out,
                "  g(Gaussian‖{name}) = {:.2} against √N = {:.1} (λ {}, training {:.3})",
                g.general, g.root_rows, g.ridge, g.training
            )?;
        }
        for row in &self.stability {
            row.write(out)?;
        }
        Ok(())
    }
}
