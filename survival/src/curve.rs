//! S at each edge and cumulative incidence per cause: what every predictor answers with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Cause, Result, SurvivalError, TimeGrid};

/// How far incidences + S may stray from 1, or S rise, before a curve is refused (f32 logits give about 1e-6).
const TOLERANCE: f64 = 1e-5;

/// A survival curve on a [`TimeGrid`] with cumulative incidence per cause.
///
/// S(0) = 1, S never rises, every F_c never falls and Σ_c F_c + S = 1 at every edge
/// (discrete hazards: S_j = ∏_{i≤j}(1 − Σ_c h_ic), F_c(j) = Σ_{i≤j} S_{i−1} h_ic).
/// Between edges S and every F_c are interpolated linearly, so the sum stays 1 everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "CurveParts", into = "CurveParts")]
pub struct SurvivalCurve {
    grid: Arc<TimeGrid>,
    survival: Vec<f64>,
    incidence: Vec<Vec<f64>>,
}

#[derive(Serialize, Deserialize)]
struct CurveParts {
    grid: TimeGrid,
    survival: Vec<f64>,
    incidence: Vec<Vec<f64>>,
}

impl TryFrom<CurveParts> for SurvivalCurve {
    type Error = SurvivalError;
    fn try_from(parts: CurveParts) -> Result<Self> {
        Self::try_new(Arc::new(parts.grid), parts.survival, parts.incidence)
    }
}

impl From<SurvivalCurve> for CurveParts {
    fn from(curve: SurvivalCurve) -> Self {
        Self { grid: (*curve.grid).clone(), survival: curve.survival, incidence: curve.incidence }
    }
}

impl SurvivalCurve {
    /// A curve from S at the K + 1 edges and, per cause, F_c at the same edges.
    ///
    /// # Errors
    /// When a shape differs from the grid or a law is broken by more than 1e-5.
    pub fn try_new(grid: Arc<TimeGrid>, survival: Vec<f64>, incidence: Vec<Vec<f64>>) -> Result<Self> {
        let edges = grid.edges().len();
        if survival.len() != edges {
            return Err(SurvivalError::Shape {
                what: "survival values per edge",
                expected: edges,
                got: survival.len(),
            });
        }
        if incidence.is_empty() {
            return Err(SurvivalError::Empty { what: "list of causes" });
        }
        for cause in &incidence {
            if cause.len() != edges {
                return Err(SurvivalError::Shape {
                    what: "incidence values per edge",
                    expected: edges,
                    got: cause.len(),
                });
            }
        }
        for edge in 0..edges {
            let s = survival[edge];
            if !(s.is_finite() && (-TOLERANCE..=1.0 + TOLERANCE).contains(&s)) {
                return Err(curve_error(format!("S is {s} at edge {edge}")));
            }
            if edge > 0 && s > survival[edge - 1] + TOLERANCE {
                return Err(curve_error(format!("S rises from {} to {s} at edge {edge}", survival[edge - 1])));
            }
            for (cause, f) in incidence.iter().enumerate() {
                if !f[edge].is_finite() || (edge > 0 && f[edge] < f[edge - 1] - TOLERANCE) {
                    return Err(curve_error(format!("incidence of cause {cause} is {} at edge {edge}", f[edge])));
                }
            }
            let total: f64 = s + incidence.iter().map(|f| f[edge]).sum::<f64>();
            if (total - 1.0).abs() > TOLERANCE {
                return Err(curve_error(format!("incidences + S = {total} at edge {edge}")));
            }
        }
        if (survival[0] - 1.0).abs() > TOLERANCE {
            return Err(curve_error(format!("S(0) = {}", survival[0])));
        }
        Ok(Self { grid, survival, incidence })
    }

    /// A curve from cause-specific discrete hazards, `hazards[interval][cause]`, each in [0, 1] with row sums ≤ 1.
    ///
    /// # Errors
    /// When the shape differs from the grid or a hazard is not a probability.
    pub fn from_hazards(grid: Arc<TimeGrid>, hazards: &[Vec<f64>]) -> Result<Self> {
        if hazards.len() != grid.intervals() {
            return Err(SurvivalError::Shape {
                what: "hazards per interval",
                expected: grid.intervals(),
                got: hazards.len(),
            });
        }
        let causes = hazards[0].len();
        let mut survival = Vec::with_capacity(hazards.len() + 1);
        let mut incidence = vec![vec![0.0]; causes];
        let mut alive = 1.0;
        survival.push(alive);
        for (interval, row) in hazards.iter().enumerate() {
            if row.len() != causes {
                return Err(SurvivalError::Shape { what: "hazards per cause", expected: causes, got: row.len() });
            }
            let total: f64 = row.iter().sum();
            if !(row.iter().all(|h| (0.0..=1.0).contains(h)) && total <= 1.0 + TOLERANCE) {
                return Err(curve_error(format!("hazards {row:?} of interval {interval} are not probabilities")));
            }
            for (f, h) in incidence.iter_mut().zip(row) {
                let before = f[interval];
                f.push(before + alive * h);
            }
            alive *= (1.0 - total).max(0.0);
            survival.push(alive);
        }
        Self::try_new(grid, survival, incidence)
    }

    /// A single-cause curve from S at the K + 1 edges.
    ///
    /// # Errors
    /// When the shape differs from the grid or a law is broken.
    pub fn from_survival(grid: Arc<TimeGrid>, survival: Vec<f64>) -> Result<Self> {
        let incidence = vec![survival.iter().map(|s| 1.0 - s).collect()];
        Self::try_new(grid, survival, incidence)
    }

    /// The weighted mean of curves on one grid: S and every F_c are means, so every law is kept.
    ///
    /// # Errors
    /// When there is no curve, a weight is negative, weights do not sum to 1, or grids or causes differ.
    pub fn mixture(members: &[(f64, &Self)]) -> Result<Self> {
        let Some((_, first)) = members.first() else { return Err(SurvivalError::Empty { what: "mixture of curves" }) };
        let total: f64 = members.iter().map(|(weight, _)| weight).sum();
        if members.iter().any(|(weight, _)| weight.is_nan() || *weight < 0.0) || (total - 1.0).abs() > 1e-9 {
            return Err(SurvivalError::Domain {
                what: "sum of weights",
                value: total,
                domain: "1, of weights at least 0",
            });
        }
        let mut survival = vec![0.0; first.survival.len()];
        let mut incidence = vec![vec![0.0; first.survival.len()]; first.causes()];
        for (weight, curve) in members {
            let same_grid = Arc::ptr_eq(&curve.grid, &first.grid) || curve.grid == first.grid;
            if !same_grid || curve.causes() != first.causes() {
                return Err(curve_error("a member has another grid or other causes".to_owned()));
            }
            for (sum, s) in survival.iter_mut().zip(&curve.survival) {
                *sum += weight * s;
            }
            for (sums, values) in incidence.iter_mut().zip(&curve.incidence) {
                for (sum, f) in sums.iter_mut().zip(values) {
                    *sum += weight * f;
                }
            }
        }
        Ok(Self { grid: Arc::clone(&first.grid), survival, incidence })
    }

    /// The grid this curve lives on.
    #[must_use]
    pub fn grid(&self) -> &Arc<TimeGrid> {
        &self.grid
    }

    /// S at the K + 1 edges.
    #[must_use]
    pub fn survival(&self) -> &[f64] {
        &self.survival
    }

    /// F_c at the K + 1 edges, one row per cause.
    #[must_use]
    pub fn incidence(&self) -> &[Vec<f64>] {
        &self.incidence
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.incidence.len()
    }

    /// S(t), for 0 ≤ t ≤ τ_K.
    ///
    /// # Errors
    /// When `time` is negative, NaN, or beyond the grid.
    pub fn survival_at(&self, time: f64) -> Result<f64> {
        self.interpolate(&self.survival, time)
    }

    /// p(h) = 1 − S(h).
    ///
    /// # Errors
    /// When `horizon` is negative, NaN, or beyond the grid.
    pub fn failure_probability(&self, horizon: f64) -> Result<f64> {
        Ok((1.0 - self.survival_at(horizon)?).clamp(0.0, 1.0))
    }

    /// F_c(h): probability of failing from `cause` by `horizon` while other causes compete.
    ///
    /// # Errors
    /// When `horizon` is negative, NaN, or beyond the grid, or the cause is unknown.
    pub fn cumulative_incidence(&self, cause: Cause, horizon: f64) -> Result<f64> {
        let values = self.incidence.get(usize::from(cause.0)).ok_or(SurvivalError::Domain {
            what: "cause index",
            value: f64::from(cause.0),
            domain: "below the number of causes",
        })?;
        self.interpolate(values, horizon)
    }

    /// RUL quantile inf{t : S(t) ≤ 1 − q}; `None` when S(τ_K) > 1 − q, that is, beyond the grid.
    ///
    /// # Errors
    /// When `q` is outside (0, 1).
    pub fn quantile(&self, q: f64) -> Result<Option<f64>> {
        if !(q > 0.0 && q < 1.0) {
            return Err(SurvivalError::Domain {
                what: "quantile level",
                value: q,
                domain: "between 0 and 1, exclusive",
            });
        }
        let target = 1.0 - q;
        let edges = self.grid.edges();
        let Some(after) = self.survival.iter().position(|&s| s <= target) else {
            return Ok(None);
        };
        // S(0) = 1 > target, so there is always an edge before.
        let (s0, s1) = (self.survival[after - 1], self.survival[after]);
        let share = if s0 > s1 { (s0 - target) / (s0 - s1) } else { 1.0 };
        Ok(Some(edges[after - 1] + share * (edges[after] - edges[after - 1])))
    }

    /// RMST(τ) = ∫₀^τ S: mean remaining life restricted to the next `until` units.
    ///
    /// # Errors
    /// When `until` is not positive or lies beyond the grid.
    pub fn restricted_mean(&self, until: f64) -> Result<f64> {
        let at_end = self.survival_at(until)?;
        if until <= 0.0 {
            return Err(SurvivalError::Domain { what: "restriction time", value: until, domain: "positive" });
        }
        let edges = self.grid.edges();
        let mut area = 0.0;
        for interval in 0..self.grid.intervals() {
            let (left, right) = (edges[interval], edges[interval + 1]);
            if right <= until {
                area += 0.5 * (self.survival[interval] + self.survival[interval + 1]) * (right - left);
            } else {
                area += 0.5 * (self.survival[interval] + at_end) * (until - left);
                break;
            }
        }
        Ok(area)
    }

    /// The cause with the largest incidence at `horizon`, and its share of the failure probability there.
    ///
    /// # Errors
    /// When `horizon` is negative, NaN, or beyond the grid.
    pub fn most_likely_cause(&self, horizon: f64) -> Result<(Cause, f64)> {
        let mut best = (Cause(0), f64::NEG_INFINITY);
        let mut total = 0.0;
        for index in 0..self.incidence.len() {
            let cause = Cause(u16::try_from(index).unwrap_or(u16::MAX));
            let f = self.cumulative_incidence(cause, horizon)?;
            total += f;
            if f > best.1 {
                best = (cause, f);
            }
        }
        let share = if total > 0.0 { best.1 / total } else { 0.0 };
        Ok((best.0, share))
    }

    fn interpolate(&self, values: &[f64], time: f64) -> Result<f64> {
        let edges = self.grid.edges();
        if time.is_nan() || time < 0.0 {
            return Err(SurvivalError::Domain { what: "time", value: time, domain: "at least 0" });
        }
        if time > self.grid.last_edge() {
            return Err(SurvivalError::BeyondGrid { horizon: time, last_edge: self.grid.last_edge() });
        }
        let right = edges.partition_point(|&edge| edge < time);
        if right == 0 {
            return Ok(values[0]);
        }
        let share = (time - edges[right - 1]) / (edges[right] - edges[right - 1]);
        Ok(values[right - 1] + share * (values[right] - values[right - 1]))
    }
}

fn curve_error(reason: String) -> SurvivalError {
    SurvivalError::Curve { reason }
}
