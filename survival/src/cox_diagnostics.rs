//! Does a Cox model hold, and how sure is it: score residuals with cluster-robust errors, Schoenfeld residuals with the
//! test of proportional hazards.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::cox::CoxOptions;
use crate::cox_newton::{Total, factor, sort_strata};
use crate::cox_residuals::FailureResidual;
use crate::linear::{Gram, packed_index};
use crate::special::chi_square_survival;
use crate::table::{Standardised, check_width};
use crate::{Cause, CensorReason, KaplanMeier, Observation, Outcome, Result, SurvivalError};

/// Residuals of a fitted Cox model on the rows it was fitted on, in units of the original columns.
#[derive(Debug, Clone, PartialEq)]
pub struct CoxDiagnostics {
    score: Array2<f64>,
    /// Failures by increasing time.
    failure_rows: Vec<usize>,
    failure_times: Vec<f64>,
    /// 1 − Ŝ(t) at each failure, all strata together.
    failed_share: Vec<f64>,
    schoenfeld: Array2<f64>,
    /// Inverse (penalised) information, p × p.
    covariance: Array2<f64>,
}

/// Sandwich errors that allow rows of one cluster to depend on each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobustErrors {
    /// Square roots of the diagonal of I⁻¹(Σ_c U_c U_cᵀ)I⁻¹.
    pub standard_errors: Vec<f64>,
    /// Number of clusters; with hardly more clusters than columns the errors are too small.
    pub clusters: usize,
}

/// The time scale g(t) on which a drift of β is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeTransform {
    /// 1 − Ŝ(t), Kaplan–Meier over all rows: the usual choice, long tails of time weigh little.
    KaplanMeier,
    /// Rank of the failure time among the failures, the mean rank for ties.
    Rank,
    /// t itself.
    Identity,
}

/// Grambsch and Therneau's test that β does not drift with g(t).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProportionalHazardsTest {
    /// The time scale.
    pub transform: TimeTransform,
    /// χ²₁ per covariate.
    pub statistics: Vec<f64>,
    /// P(χ²₁ > statistic) per covariate: small speaks against proportional hazards.
    pub p_values: Vec<f64>,
    /// χ²_p over all covariates together.
    pub global_statistic: f64,
    /// Its p value.
    pub global_p_value: f64,
}

impl CoxDiagnostics {
    /// Residuals at `coefficients`; `members` holds the rows of each stratum.
    pub(crate) fn new(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        members: Vec<Vec<usize>>,
        coefficients: &[f64],
        options: &CoxOptions,
    ) -> Result<Self> {
        check_width(coefficients.len(), x.ncols())?;
        let table = Standardised::new(x, observations)?;
        table.check_events(events, options.ridge)?;
        let p = table.columns;
        let beta: Vec<f64> = coefficients.iter().zip(&table.scales).map(|(b, s)| b * s).collect();
        let strata = sort_strata(&table, observations, events, members);
        let inverse = factor(&Total::new(&strata, &beta, options.ties), p, options.ridge)?.inverse();
        let mut score = vec![0.0; observations.len() * p];
        let mut failures: Vec<FailureResidual> = Vec::new();
        for rows in &strata {
            rows.residuals(&beta, options.ties, &mut score, &mut failures);
        }
        failures.sort_by(|a, b| a.time.total_cmp(&b.time).then(a.row.cmp(&b.row)));
        let anonymous: Vec<Observation> = observations
            .iter()
            .zip(events)
            .map(|(o, &event)| {
                let outcome =
                    if event { Outcome::Failed(Cause(0)) } else { Outcome::Censored(CensorReason::EndOfObservation) };
                Observation::try_with_entry(o.duration(), o.entry(), outcome)
            })
            .collect::<Result<_>>()?;
        let life = KaplanMeier::fit(&anonymous)?;
        let scales = &table.scales;
        Ok(Self {
            score: Array2::from_shape_fn((observations.len(), p), |(i, k)| score[i * p + k] * scales[k]),
            failed_share: failures.iter().map(|f| 1.0 - life.survival_at(f.time)).collect(),
            schoenfeld: Array2::from_shape_fn((failures.len(), p), |(i, k)| failures[i].residual[k] * scales[k]),
            failure_rows: failures.iter().map(|f| f.row).collect(),
            failure_times: failures.iter().map(|f| f.time).collect(),
            covariance: Array2::from_shape_fn((p, p), |(a, b)| inverse[a][b] / (scales[a] * scales[b])),
        })
    }

    /// One row per observation, summing to the gradient of the log partial likelihood.
    #[must_use]
    pub fn score_residuals(&self) -> ArrayView2<'_, f64> {
        self.score.view()
    }

    /// One row per failure, by increasing time: its covariates less those expected of whoever failed then.
    #[must_use]
    pub fn schoenfeld_residuals(&self) -> ArrayView2<'_, f64> {
        self.schoenfeld.view()
    }

    /// Failure times and observation numbers that belong to [`CoxDiagnostics::schoenfeld_residuals`].
    #[must_use]
    pub fn failures(&self) -> (&[f64], &[usize]) {
        (&self.failure_times, &self.failure_rows)
    }

    /// Lin and Wei's sandwich errors; `clusters[i]` names the cluster of row i (the unit, the rack, …).
    ///
    /// # Errors
    /// When there is not one name per row, or only one cluster.
    pub fn robust_errors<C: Ord>(&self, clusters: &[C]) -> Result<RobustErrors> {
        let (rows, p) = self.score.dim();
        if clusters.len() != rows {
            return Err(SurvivalError::Shape { what: "cluster names", expected: rows, got: clusters.len() });
        }
        let mut sums: BTreeMap<&C, Vec<f64>> = BTreeMap::new();
        for (cluster, residual) in clusters.iter().zip(self.score.rows()) {
            let sum = sums.entry(cluster).or_insert_with(|| vec![0.0; p]);
            for (total, value) in sum.iter_mut().zip(residual) {
                *total += value;
            }
        }
        if sums.len() < 2 {
            return Err(SurvivalError::Domain {
                what: "number of clusters",
                value: sums.len() as f64,
                domain: "at least 2 for errors that stay honest within clusters",
            });
        }
        let mut gram = Gram::new(p);
        for sum in sums.values() {
            gram.add(1.0, sum);
        }
        let packed = gram.finish();
        let meat = Array2::from_shape_fn((p, p), |(a, b)| packed[packed_index(p, a.min(b), a.max(b))]);
        let sandwich = self.covariance.dot(&meat).dot(&self.covariance);
        let standard_errors = sandwich.diag().iter().map(|v| v.max(0.0).sqrt()).collect();
        Ok(RobustErrors { standard_errors, clusters: sums.len() })
    }

    /// Grambsch and Therneau's test (Biometrika 81, 1994) with the information spread evenly over the failures, as in
    /// lifelines and in R's survival before version 3: with u = Σ_k (g_k − ḡ)·s_k over the d Schoenfeld residuals s_k
    /// and V the covariance of β̂, χ²₁ = d·(Vu)_j²/(V_jj Σ(g_k − ḡ)²) and χ²_p = d·uᵀVu/Σ(g_k − ḡ)².
    ///
    /// # Errors
    /// When the model has no covariate, or all failures fall on one time.
    pub fn proportional_hazards(&self, transform: TimeTransform) -> Result<ProportionalHazardsTest> {
        let (failures, p) = self.schoenfeld.dim();
        if p == 0 {
            return Err(SurvivalError::Empty { what: "list of covariates to test" });
        }
        let scale = match transform {
            TimeTransform::KaplanMeier => self.failed_share.clone(),
            TimeTransform::Rank => mean_ranks(&self.failure_times),
            TimeTransform::Identity => self.failure_times.clone(),
        };
        let mean = scale.iter().sum::<f64>() / failures as f64;
        let spread: f64 = scale.iter().map(|g| (g - mean).powi(2)).sum();
        let all_at_once = self.failure_times.first() == self.failure_times.last();
        if all_at_once || spread <= 0.0 {
            return Err(SurvivalError::Domain {
                what: "number of distinct failure times",
                value: 1.0,
                domain: "at least 2 to see whether a coefficient drifts",
            });
        }
        let mut drift = vec![0.0; p];
        for (g, residual) in scale.iter().zip(self.schoenfeld.rows()) {
            for (sum, value) in drift.iter_mut().zip(residual) {
                *sum += (g - mean) * value;
            }
        }
        let d = failures as f64;
        let turned: Vec<f64> = (0..p).map(|a| (0..p).map(|b| self.covariance[[a, b]] * drift[b]).sum()).collect();
        let statistics: Vec<f64> =
            turned.iter().enumerate().map(|(j, v)| d * v * v / (self.covariance[[j, j]] * spread)).collect();
        let global_statistic = d * drift.iter().zip(&turned).map(|(u, v)| u * v).sum::<f64>() / spread;
        Ok(ProportionalHazardsTest {
            transform,
            p_values: statistics.iter().map(|&s| chi_square_survival(s, 1.0)).collect(),
            statistics,
            global_p_value: chi_square_survival(global_statistic, p as f64),
            global_statistic,
        })
    }
}

/// Ranks 1, 2, … of an increasing list, ties at their mean.
fn mean_ranks(sorted: &[f64]) -> Vec<f64> {
    sorted
        .iter()
        .map(|&value| {
            let below = sorted.partition_point(|&t| t < value);
            let up_to = sorted.partition_point(|&t| t <= value);
            0.5 * (below + 1 + up_to) as f64
        })
        .collect()
}
