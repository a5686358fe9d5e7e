//! One slope and one shift per cause on the logits of the hazards, fitted where nothing else was.
//!
//! Platt's scaling carried to discrete hazards: z′_jc = a_c·z_jc + b_c keeps every law of a curve and, for
//! a > 0, the order of rows within a cause. It is applied to every model alike, neural or classical.

use serde::{Deserialize, Serialize};
use survival::{Observation, SurvivalCurve};

use crate::network::logits_from_curve;
use crate::{ModelError, Result};

/// Slopes and shifts per cause; slope 1 and shift 0 is no change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// a_c, above 0.
    pub slope: Vec<f64>,
    /// b_c.
    pub shift: Vec<f64>,
}

impl Calibration {
    /// The calibration that changes nothing; of no causes, it changes nothing of any number of them.
    #[must_use]
    pub fn identity(causes: usize) -> Self {
        Self { slope: vec![1.0; causes], shift: vec![0.0; causes] }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::identity(self.slope.len())
    }

    /// Minimises the discrete-time likelihood of the calibration part; a weak prior holds slopes near 1.
    ///
    /// # Errors
    /// When curves and observations differ in number, or a slope would turn the order of rows round.
    pub fn fit(curves: &[SurvivalCurve], observations: &[Observation]) -> Result<Self> {
        let Some(first) = curves.first() else {
            return Err(ModelError::Survival(survival::SurvivalError::Empty { what: "calibration part" }));
        };
        if curves.len() != observations.len() {
            return Err(ModelError::Survival(survival::SurvivalError::Shape {
                what: "calibration observations",
                expected: curves.len(),
                got: observations.len(),
            }));
        }
        let (grid, causes) = (first.grid().clone(), first.causes());
        let logits: Vec<Vec<f64>> = curves.iter().map(logits_from_curve).collect();
        let mut calibration = Self::identity(causes);
        // Each cause against "anything else" is a logistic regression in two parameters: Newton, alternating over causes.
        for _ in 0..20 {
            let mut moved = 0.0_f64;
            for cause in 0..causes {
                let mut gradient = [0.0_f64; 2];
                let mut hessian = [PRIOR, 0.0, PRIOR_SHIFT];
                gradient[0] -= PRIOR * (calibration.slope[cause] - 1.0);
                gradient[1] -= PRIOR_SHIFT * calibration.shift[cause];
                for (row, observation) in logits.iter().zip(observations) {
                    let survived = grid.intervals_survived(observation.duration().min(grid.last_edge()));
                    let failed =
                        observation.cause().and_then(|c| grid.interval_of(observation.duration()).map(|j| (j, c)));
                    let at_risk = failed.map_or(survived, |(j, _)| j + 1);
                    for interval in 0..at_risk {
                        let z = &row[interval * causes..(interval + 1) * causes];
                        let share = calibration.share(z, cause);
                        let hit = failed.is_some_and(|(j, c)| j == interval && usize::from(c.0) == cause);
                        let residual = f64::from(u8::from(hit)) - share;
                        let weight = share * (1.0 - share);
                        gradient[0] += residual * z[cause];
                        gradient[1] += residual;
                        hessian[0] += weight * z[cause] * z[cause];
                        hessian[1] += weight * z[cause];
                        hessian[2] += weight;
                    }
                }
                let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
                if determinant <= 0.0 {
                    continue;
                }
                let step = [
                    (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
                    (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
                ];
                // Newton may overshoot far from the optimum; logits beyond a unit step mean nothing new.
                let scale = 1.0 / step.iter().fold(1.0_f64, |top, s| top.max(s.abs()));
                calibration.slope[cause] = (calibration.slope[cause] + scale * step[0]).clamp(0.05, 20.0);
                calibration.shift[cause] += scale * step[1];
                moved = moved.max(step[0].abs()).max(step[1].abs());
            }
            if moved < 1e-8 {
                break;
            }
        }
        Ok(calibration)
    }

    /// The calibrated curve.
    ///
    /// # Errors
    /// When the curve has another number of causes.
    pub fn apply(&self, curve: &SurvivalCurve) -> Result<SurvivalCurve> {
        if self.is_identity() {
            return Ok(curve.clone());
        }
        let causes = self.slope.len();
        if curve.causes() != causes {
            return Err(ModelError::Survival(survival::SurvivalError::Shape {
                what: "calibrated causes",
                expected: causes,
                got: curve.causes(),
            }));
        }
        let logits = logits_from_curve(curve);
        let hazards: Vec<Vec<f64>> =
            logits.chunks_exact(causes).map(|z| (0..causes).map(|cause| self.share(z, cause)).collect()).collect();
        Ok(SurvivalCurve::from_hazards(curve.grid().clone(), &hazards)?)
    }

    /// Probability of `cause` in an interval with logits `z`.
    fn share(&self, z: &[f64], cause: usize) -> f64 {
        let scaled = |c: usize| self.slope[c] * z[c] + self.shift[c];
        let top = (0..z.len()).map(scaled).fold(0.0_f64, f64::max);
        let total = (-top).exp() + (0..z.len()).map(|c| (scaled(c) - top).exp()).sum::<f64>();
        (scaled(cause) - top).exp() / total
    }
}

/// Pseudo-observations that hold a slope at 1.
const PRIOR: f64 = 10.0;
/// Pseudo-observations that hold a shift at 0.
const PRIOR_SHIFT: f64 = 1.0;
