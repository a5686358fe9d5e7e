//! The penalised loss of the discrete hazard and its gradient, one pass over observations and their intervals.

use crate::discrete_hazard::HazardOptions;
use crate::person_periods::PersonPeriods;
use crate::table::Standardised;

/// Negative log-likelihood plus penalties over (α `[interval][cause]`, β standardised `[cause][column]`).
pub(crate) struct Loss<'a> {
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
    pub(crate) fn new(
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

    pub(crate) fn start(&self) -> Vec<f64> {
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
    pub(crate) fn diagonal(&self) -> Vec<f64> {
        let mut diagonal: Vec<f64> = self.failures.iter().map(|d| d + 2.0 * self.options.smoothing + 1e-2).collect();
        for cause in 0..self.causes {
            let failed: f64 = self.failures.iter().skip(cause).step_by(self.causes).sum();
            diagonal.resize(diagonal.len() + self.table.columns, failed + self.options.ridge + 1e-2);
        }
        diagonal
    }

    /// The penalties alone.
    pub(crate) fn penalty(&self, point: &[f64]) -> f64 {
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

    pub(crate) fn evaluate(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
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
