//! Logistic hazard on a time grid: the linear special case of the network, and the f64 reference of its loss.
//!
//! In interval j a unit at risk takes class 0 (survives the interval) or class c (fails of cause c) with logits
//! 0 and α_jc + xβ_c: one intercept per interval and cause, covariate effects shared by all intervals.
//! Person-period rows are never stored: intervals are visited inside the loop over observations.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::nonparametric::check_causes;
use crate::optimize::{Limits, minimise};
use crate::table::{Standardised, check_finite, check_ridge, check_width};
use crate::{Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// How to fit a discrete hazard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HazardOptions {
    /// Penalty ½·ridge·‖β‖² on columns scaled to standard deviation 1.
    pub ridge: f64,
    /// Penalty ½·smoothing·Σ (α_{j+1,c} − α_jc)², and a hundredth of it towards the overall log-odds of the cause.
    /// It gives intervals without failures a finite intercept; with 0 such intervals make the fit fail.
    pub smoothing: f64,
    /// L-BFGS iterations at most.
    pub max_iterations: usize,
    /// Stop when the decrease of the loss still to be had is about this.
    pub tolerance: f64,
}

impl Default for HazardOptions {
    fn default() -> Self {
        Self { ridge: 0.0, smoothing: 0.01, max_iterations: 2000, tolerance: 1e-9 }
    }
}

/// The intervals one observation speaks about: survived `first..last`, then possibly a failure in `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonPeriods {
    /// First interval wholly at risk.
    pub first: usize,
    /// End (exclusive) of the intervals wholly survived.
    pub last: usize,
    /// Cause of a failure inside interval `last`.
    pub failed_of: Option<usize>,
}

impl PersonPeriods {
    /// The intervals of one observation, under the conventions shared by labels, losses and scores.
    ///
    /// - Entry: the first interval is the one that begins at or after the entry time; an interval entered half-way
    ///   is left out, because its hazard is conditional on being alive at its beginning.
    /// - Censored at t: only intervals that end at or before t, all of them survived.
    /// - Failed beyond the grid: censored at the grid's end.
    #[must_use]
    pub fn of(observation: &Observation, grid: &TimeGrid) -> Self {
        let first = grid.edges().partition_point(|&edge| edge < observation.entry());
        match (observation.cause(), grid.interval_of(observation.duration())) {
            (Some(cause), Some(last)) if last >= first => {
                Self { first, last, failed_of: Some(usize::from(cause.0)) }
            }
            // Entered and failed inside one interval: nothing wholly at risk.
            (Some(_), Some(_)) => Self { first, last: first, failed_of: None },
            _ => {
                let survived = grid.intervals_survived(observation.duration());
                Self { first, last: survived.max(first), failed_of: None }
            }
        }
    }
}

/// −Σ_{j=e}^{k−1} ln p_j(survive) − 1[failed of c]·ln p_k(c) for one observation.
///
/// `logits`: K × (C + 1) values laid out `[interval][class]`, class 0 = survive, class c + 1 = cause c.
/// e and k come from [`PersonPeriods::of`]. NaN when `logits` does not fill the grid or lacks the observed cause.
#[must_use]
pub fn negative_log_likelihood(grid: &TimeGrid, logits: &[f64], observation: &Observation) -> f64 {
    let classes = logits.len() / grid.intervals();
    let periods = PersonPeriods::of(observation, grid);
    if classes < 2 || logits.len() != classes * grid.intervals() || periods.failed_of.is_some_and(|c| c + 1 >= classes)
    {
        return f64::NAN;
    }
    let log_probability = |interval: usize, class: usize| {
        let row = &logits[interval * classes..(interval + 1) * classes];
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row[class] - largest - row.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
    };
    let survived: f64 = (periods.first..periods.last).map(|interval| log_probability(interval, 0)).sum();
    let failed = periods.failed_of.map_or(0.0, |cause| log_probability(periods.last, cause + 1));
    -(survived + failed)
}

/// A fitted logistic hazard per interval and cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiscreteHazard {
    grid: Arc<TimeGrid>,
    /// α_jc at x = 0, `[interval][cause]`.
    intercepts: Vec<Vec<f64>>,
    /// β_c, `[cause][column]`.
    coefficients: Vec<Vec<f64>>,
    log_likelihood: f64,
    iterations: usize,
    options: HazardOptions,
}

impl DiscreteHazard {
    /// Fits causes 0..`causes` on an n × p table; memory O(n p), time per iteration O(n (p + intervals at risk) C).
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, nothing failed on the grid, a failure is of an unknown cause,
    /// a column is constant or collinear with `ridge` 0, or the iteration does not settle.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        grid: &Arc<TimeGrid>,
        causes: usize,
        options: &HazardOptions,
    ) -> Result<Self> {
        check_ridge(options.ridge)?;
        check_ridge(options.smoothing)?;
        let table = Standardised::new(x, observations)?;
        check_causes(observations, causes)?;
        if options.ridge <= 0.0 {
            table.refuse_dependent_columns()?;
        }
        let periods: Vec<PersonPeriods> = observations.iter().map(|o| PersonPeriods::of(o, grid)).collect();
        if periods.iter().all(|p| p.failed_of.is_none()) {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        let problem = Loss::new(&table, &periods, grid.intervals(), causes, options);
        let limits = Limits { max_iterations: options.max_iterations, tolerance: options.tolerance };
        let end = minimise(|p, g| problem.evaluate(p, g), problem.start(), &problem.diagonal(), limits);
        if !end.converged {
            return Err(SurvivalError::NoConvergence {
                what: "discrete hazard",
                iterations: end.iterations,
                last_step: end.decrease_left,
            });
        }
        let (alpha, beta) = end.point.split_at(grid.intervals() * causes);
        let coefficients: Vec<Vec<f64>> =
            (0..causes).map(|c| table.unscale(&beta[c * table.columns..(c + 1) * table.columns])).collect();
        let centres: Vec<f64> =
            coefficients.iter().map(|b| b.iter().zip(&table.means).map(|(b, m)| b * m).sum()).collect();
        let intercepts = alpha
            .chunks_exact(causes)
            .map(|row| row.iter().zip(&centres).map(|(a, centre)| a - centre).collect())
            .collect();
        let log_likelihood = problem.penalty(&end.point) - end.value;
        Ok(Self {
            grid: Arc::clone(grid),
            intercepts,
            coefficients,
            log_likelihood,
            iterations: end.iterations,
            options: *options,
        })
    }

    /// The grid it was fitted on.
    #[must_use]
    pub fn grid(&self) -> &Arc<TimeGrid> {
        &self.grid
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.coefficients.len()
    }

    /// α_jc at x = 0, `[interval][cause]`.
    #[must_use]
    pub fn intercepts(&self) -> &[Vec<f64>] {
        &self.intercepts
    }

    /// β_c per unit of the original columns, `[cause][column]`.
    #[must_use]
    pub fn coefficients(&self) -> &[Vec<f64>] {
        &self.coefficients
    }

    /// Log-likelihood of the training observations, without the penalties.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// L-BFGS iterations taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Logits of one row laid out `[interval][class]`, class 0 = survive with logit 0, as
    /// [`negative_log_likelihood`] reads them.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn logits(&self, row: &[f64]) -> Result<Vec<f64>> {
        check_width(self.columns(), row.len())?;
        let effects = self.effects(row);
        Ok(self
            .intercepts
            .iter()
            .flat_map(|alpha| std::iter::once(0.0).chain(alpha.iter().zip(&effects).map(|(a, e)| a + e)))
            .collect())
    }

    /// h_jc: probability of failing of cause c in interval j given alive at its beginning, `[interval][cause]`.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn hazards(&self, row: &[f64]) -> Result<Vec<Vec<f64>>> {
        check_width(self.columns(), row.len())?;
        Ok(self.hazards_from(&self.effects(row)))
    }

    /// S and every F_c for every row of an n × p table.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn curves(&self, x: ArrayView2<'_, f64>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.columns(), x.ncols())?;
        check_finite(x)?;
        x.rows()
            .into_iter()
            .map(|row| SurvivalCurve::from_hazards(Arc::clone(&self.grid), &self.hazards_from(&self.effects(row))))
            .collect()
    }

    fn columns(&self) -> usize {
        self.coefficients.first().map_or(0, Vec::len)
    }

    fn effects<'a>(&self, row: impl IntoIterator<Item = &'a f64> + Clone) -> Vec<f64> {
        self.coefficients.iter().map(|beta| row.clone().into_iter().zip(beta).map(|(x, b)| x * b).sum()).collect()
    }

    fn hazards_from(&self, effects: &[f64]) -> Vec<Vec<f64>> {
        self.intercepts
            .iter()
            .map(|alpha| {
                let logits: Vec<f64> = alpha.iter().zip(effects).map(|(a, e)| a + e).collect();
                let largest = logits.iter().copied().fold(0.0, f64::max);
                let total = (-largest).exp() + logits.iter().map(|l| (l - largest).exp()).sum::<f64>();
                logits.iter().map(|l| (l - largest).exp() / total).collect()
            })
            .collect()
    }
}

/// Negative log-likelihood plus penalties over (α `[interval][cause]`, β standardised `[cause][column]`).
struct Loss<'a> {
    table: &'a Standardised,
    periods: &'a [PersonPeriods],
    intervals: usize,
    causes: usize,
    options: &'a HazardOptions,
    /// Overall log-odds of each cause per interval at risk: where α starts and is gently held.
    base: Vec<f64>,
    /// Person-periods at risk, and failures per cause, of each interval.
    at_risk: Vec<f64>,
    failures: Vec<f64>,
}

impl<'a> Loss<'a> {
    fn new(
        table: &'a Standardised,
        periods: &'a [PersonPeriods],
        intervals: usize,
        causes: usize,
        options: &'a HazardOptions,
    ) -> Self {
        let mut at_risk = vec![0.0; intervals];
        let mut failures = vec![0.0; intervals * causes];
        for period in periods {
            for count in &mut at_risk[period.first.min(intervals)..period.last.min(intervals)] {
                *count += 1.0;
            }
            if let Some(cause) = period.failed_of {
                at_risk[period.last] += 1.0;
                failures[period.last * causes + cause] += 1.0;
            }
        }
        let exposure: f64 = at_risk.iter().sum();
        let per_cause = |c: usize| failures.iter().skip(c).step_by(causes).sum::<f64>();
        let all: f64 = failures.iter().sum();
        // Half a failure added: a cause never seen starts rare, not impossible.
        let base = (0..causes).map(|c| ((per_cause(c) + 0.5) / (exposure - all + 0.5)).ln()).collect();
        Self { table, periods, intervals, causes, options, base, at_risk, failures }
    }

    fn start(&self) -> Vec<f64> {
        let mut point = Vec::with_capacity(self.causes * (self.intervals + self.table.columns));
        for interval in 0..self.intervals {
            let all: f64 = self.failures[interval * self.causes..(interval + 1) * self.causes].iter().sum();
            for (cause, base) in self.base.iter().enumerate() {
                // The life table, drawn towards the overall odds by one pseudo-interval.
                let failed = self.failures[interval * self.causes + cause] + base.exp();
                point.push((failed / (self.at_risk[interval] - all + 1.0)).ln());
            }
        }
        point.resize(self.causes * (self.intervals + self.table.columns), 0.0);
        point
    }

    /// Diagonal of the Hessian near the start: failures per intercept, failures of the cause per coefficient.
    fn diagonal(&self) -> Vec<f64> {
        let mut diagonal: Vec<f64> = self.failures.iter().map(|d| d + 2.0 * self.options.smoothing + 1e-2).collect();
        for cause in 0..self.causes {
            let failed: f64 = self.failures.iter().skip(cause).step_by(self.causes).sum();
            diagonal.resize(diagonal.len() + self.table.columns, failed + self.options.ridge + 1e-2);
        }
        diagonal
    }

    /// The penalties alone.
    fn penalty(&self, point: &[f64]) -> f64 {
        let mut unused = vec![0.0; point.len()];
        self.add_penalty(point, &mut unused)
    }

    fn add_penalty(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        let causes = self.causes;
        let smoothing = self.options.smoothing;
        let (alpha, beta) = point.split_at(self.intervals * causes);
        let mut value = 0.0;
        for (index, a) in alpha.iter().enumerate() {
            let from_base = a - self.base[index % causes];
            value += 0.005 * smoothing * from_base * from_base;
            gradient[index] += 0.01 * smoothing * from_base;
            if index >= causes {
                let rise = a - alpha[index - causes];
                value += 0.5 * smoothing * rise * rise;
                gradient[index] += smoothing * rise;
                gradient[index - causes] -= smoothing * rise;
            }
        }
        for (g, b) in gradient[alpha.len()..].iter_mut().zip(beta) {
            value += 0.5 * self.options.ridge * b * b;
            *g += self.options.ridge * b;
        }
        value
    }

    fn evaluate(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        let (causes, columns) = (self.causes, self.table.columns);
        let (alpha, beta) = point.split_at(self.intervals * causes);
        gradient.fill(0.0);
        let mut value = self.add_penalty(point, gradient);
        let mut effects = vec![0.0; causes];
        let mut residuals = vec![0.0; causes];
        let mut odds = vec![0.0; causes];
        // e^{α + xβ} = e^α·e^{xβ}: one exponential per row and cause instead of one per person-period.
        let alpha_odds: Vec<f64> = alpha.iter().map(|a| a.exp()).collect();
        for (row, period) in self.periods.iter().enumerate() {
            let end = period.last + usize::from(period.failed_of.is_some());
            if period.first >= end {
                continue;
            }
            let x = self.table.row(row);
            for (cause, effect) in effects.iter_mut().enumerate() {
                let b = &beta[cause * columns..(cause + 1) * columns];
                *effect = x.iter().zip(b).map(|(x, b)| x * b).sum::<f64>();
            }
            if let Some(cause) = period.failed_of {
                value -= alpha[period.last * causes + cause] + effects[cause];
                residuals.fill(0.0);
                residuals[cause] = -1.0;
                gradient[period.last * causes + cause] -= 1.0;
            } else {
                residuals.fill(0.0);
            }
            for effect in &mut effects {
                *effect = effect.exp();
            }
            // Σ ln(1 + odds) as the logarithm of a product, renewed before it can overflow.
            let mut product = 1.0_f64;
            for interval in period.first..end {
                let base = interval * causes;
                let mut total = 1.0;
                for ((o, a), e) in odds.iter_mut().zip(&alpha_odds[base..base + causes]).zip(&effects) {
                    *o = a * e;
                    total += *o;
                }
                product *= total;
                if product > 1e200 {
                    value += product.ln();
                    product = 1.0;
                }
                let inverse = 1.0 / total;
                for ((o, r), g) in odds.iter().zip(&mut residuals).zip(&mut gradient[base..base + causes]) {
                    let probability = o * inverse;
                    *r += probability;
                    *g += probability;
                }
            }
            value += product.ln();
            for (cause, residual) in residuals.iter().enumerate() {
                let at = self.intervals * causes + cause * columns;
                for (g, x) in gradient[at..at + columns].iter_mut().zip(x) {
                    *g += residual * x;
                }
            }
        }
        value
    }
}
