//! Log-likelihood of an accelerated-life model with its exact gradient and Hessian, and Newton's method on it.
//!
//! With μ = b₀ + xβ, u = ρ(ln t − μ) at the end and v the same at entry, a row adds
//! δ(ln ρ − ln t + ln f₀(u)) + (1 − δ) ln S₀(u) − ln S₀(v). The derivatives of u are −ρ in μ and u in ln ρ.

use crate::aft::AftOptions;
use crate::aft_law::{AftLaw, Term};
use crate::linear::{Cholesky, Gram, packed_index};
use crate::table::Standardised;
use crate::{Observation, Result, SurvivalError};

/// Penalty on ln ρ that comes with a ridge: the weight of about half a failure.
///
/// With as many columns as failures the times can be fitted exactly and ρ would run to infinity.
const SHAPE_RIDGE: f64 = 1.0;

/// Beyond this the failures of units alike would all fall within a millionth of their age: no life does.
const LARGEST_SHAPE: f64 = 1e6;

/// Log-likelihood over (b₀, β standardised, ln ρ), with ln t shifted by its mean so that the three are of like size.
pub(crate) struct Likelihood<'a> {
    law: AftLaw,
    table: &'a Standardised,
    log_stop: Vec<f64>,
    /// `None` for rows watched from time 0.
    log_entry: Vec<Option<f64>>,
    events: &'a [bool],
    pub(crate) log_time_mean: f64,
    ridge: f64,
    shape_ridge: f64,
}

struct Evaluation {
    /// Without the penalty.
    value: f64,
    penalised: f64,
    gradient: Vec<f64>,
    /// Packed upper triangle of the negative Hessian.
    information: Vec<f64>,
}

impl<'a> Likelihood<'a> {
    pub(crate) fn new(
        law: AftLaw,
        table: &'a Standardised,
        observations: &[Observation],
        events: &'a [bool],
        ridge: f64,
    ) -> Self {
        let n = observations.len() as f64;
        let log_time_mean = observations.iter().map(|o| o.duration().ln()).sum::<f64>() / n;
        Self {
            law,
            table,
            log_stop: observations.iter().map(|o| o.duration().ln() - log_time_mean).collect(),
            log_entry: observations.iter().map(|o| (o.entry() > 0.0).then(|| o.entry().ln() - log_time_mean)).collect(),
            events,
            log_time_mean,
            ridge,
            shape_ridge: if ridge > 0.0 { SHAPE_RIDGE } else { 0.0 },
        }
    }

    /// Newton's method with step halving, from the exponential law without covariates: parameters, ℓ, steps.
    pub(crate) fn maximise(&self, options: &AftOptions) -> Result<(Vec<f64>, f64, usize)> {
        let columns = self.table.columns;
        let mut parameters = vec![0.0; columns + 2];
        parameters[0] = self.exponential_log_scale();
        let mut current = self.evaluate(&parameters);
        let mut gain = f64::INFINITY;
        for iteration in 1..=options.max_iterations {
            let step = self.ascent_step(&current, columns + 2)?;
            gain = 0.5 * current.gradient.iter().zip(&step).map(|(g, s)| g * s).sum::<f64>();
            let mut share = 1.0;
            let mut accepted = None;
            for _ in 0..60 {
                let candidate: Vec<f64> = parameters.iter().zip(&step).map(|(p, s)| p + share * s).collect();
                let evaluation = self.evaluate(&candidate);
                if evaluation.penalised >= current.penalised - 1e-12 * current.penalised.abs() {
                    accepted = Some((candidate, evaluation));
                    break;
                }
                share *= 0.5;
            }
            let Some((candidate, evaluation)) = accepted else { break };
            (parameters, current) = (candidate, evaluation);
            let shape = parameters[columns + 1].exp();
            if shape > LARGEST_SHAPE {
                return Err(SurvivalError::Domain {
                    what: "fitted shape of an accelerated-life law",
                    value: shape,
                    domain: "below 1e6; the columns fit the failures exactly: drop some or set a ridge above 0",
                });
            }
            if gain <= options.tolerance {
                return Ok((parameters, current.value, iteration));
            }
        }
        Err(SurvivalError::NoConvergence {
            what: self.law.regression(),
            iterations: options.max_iterations,
            last_step: gain,
        })
    }

    /// ln(exposure per failure): the optimum of the exponential law without covariates.
    fn exponential_log_scale(&self) -> f64 {
        let failures = self.events.iter().filter(|&&e| e).count() as f64;
        let exposure: f64 =
            self.log_stop.iter().zip(&self.log_entry).map(|(t, e)| t.exp() - e.map_or(0.0, f64::exp)).sum();
        (exposure / failures).ln()
    }

    /// Newton's direction; far from the optimum the Hessian may bend the wrong way, and is then lifted until it does not.
    fn ascent_step(&self, at: &Evaluation, size: usize) -> Result<Vec<f64>> {
        let largest = (0..size).map(|i| at.information[packed_index(size, i, i)].abs()).fold(1e-8, f64::max);
        let mut lift = 0.0;
        for _ in 0..60 {
            if let Ok(factor) = Cholesky::factor(&at.information, size, lift, 1e-14) {
                return Ok(factor.solve(&at.gradient));
            }
            lift = if lift > 0.0 { lift * 4.0 } else { 1e-6 * largest };
        }
        Err(SurvivalError::NoConvergence { what: self.law.regression(), iterations: 0, last_step: f64::INFINITY })
    }

    fn evaluate(&self, parameters: &[f64]) -> Evaluation {
        let columns = self.table.columns;
        let size = columns + 2;
        let (beta, log_shape) = (&parameters[1..=columns], parameters[columns + 1]);
        let shape = log_shape.exp();
        let mut value = 0.0;
        let mut gradient = vec![0.0; size];
        // Location derivatives share the design (1, x); the shape's row and column are summed beside it.
        let mut gram = Gram::new(columns + 1);
        let mut design = vec![1.0; columns + 1];
        let mut cross = vec![0.0; columns + 1];
        let mut shape_information = 0.0;
        for (row, &log_stop) in self.log_stop.iter().enumerate() {
            let x = self.table.row(row);
            design[1..].copy_from_slice(x);
            let location = parameters[0] + x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>();
            let u = shape * (log_stop - location);
            let end = if self.events[row] {
                value += log_shape - (log_stop + self.log_time_mean);
                gradient[columns + 1] += 1.0;
                self.law.failed(u)
            } else {
                self.law.survived(u)
            };
            // As the entry goes to 0 these all go to 0, so rows watched from the start leave them there.
            let (mut start, mut v) = (Term::default(), 0.0);
            if let Some(log_entry) = self.log_entry[row] {
                v = shape * (log_entry - location);
                start = self.law.survived(v);
            }
            value += end.value - start.value;
            let slope = end.slope - start.slope;
            let turned = u * end.slope - v * start.slope;
            gradient[columns + 1] += turned;
            shape_information -= turned + u * u * end.bend - v * v * start.bend;
            let mixed = shape * (slope + u * end.bend - v * start.bend);
            for ((g, c), d) in gradient.iter_mut().zip(&mut cross).zip(&design) {
                *g -= shape * slope * d;
                *c += mixed * d;
            }
            gram.add(shape * shape * (start.bend - end.bend), &design);
        }
        let mut penalty = 0.0;
        for (g, b) in gradient[1..=columns].iter_mut().zip(beta) {
            *g -= self.ridge * b;
            penalty += 0.5 * self.ridge * b * b;
        }
        gradient[columns + 1] -= self.shape_ridge * log_shape;
        shape_information += self.shape_ridge;
        penalty += 0.5 * self.shape_ridge * log_shape * log_shape;
        if !self.law.has_shape() {
            // A direction without slope and without ties to the others: Newton's step leaves ln ρ at 0.
            gradient[columns + 1] = 0.0;
            cross.fill(0.0);
            shape_information = 1.0;
        }
        let location_information = gram.finish();
        let mut information = Vec::with_capacity(size * (size + 1) / 2);
        for (a, mixed) in cross.iter().enumerate() {
            for b in a..=columns {
                let own = if a == b && a > 0 { self.ridge } else { 0.0 };
                information.push(location_information[packed_index(columns + 1, a, b)] + own);
            }
            information.push(*mixed);
        }
        information.push(shape_information);
        Evaluation { value, penalised: value - penalty, gradient, information }
    }
}
