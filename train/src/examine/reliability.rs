//! Do predictions come true: before and after calibration, over the whole curve, and per cause.

use serde::{Deserialize, Serialize};
use survival::scores::calibration::{
    ReliabilityTable, d_calibration, failure_probabilities, incidences, reliability_table,
};
use survival::scores::log_likelihood::log_loss_contributions;
use survival::{AalenJohansen, Cause, ClusterBootstrap, Interval, Observation, SurvivalCurve};

use super::Context;
use crate::error::Result;
use crate::evaluate::risk_of;

/// Bins of a reliability table and of D-calibration.
const BINS: usize = 10;
/// Groups by predicted incidence.
const GROUPS: usize = 5;
/// Times at which rows at risk are counted, 0 among them.
const TIMES: usize = 6;

/// How well curves are calibrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationState {
    /// Per horizon; `None` where it cannot be told.
    pub tables: Vec<Option<ReliabilityTable>>,
    /// Integrated Brier score.
    pub integrated_brier: Interval,
    /// Mean −ln likelihood per row.
    pub log_loss: f64,
    /// Rows (in part) per tenth of S at the end of each life, which should all be equal.
    pub d_counts: Vec<f64>,
    /// p of D-calibration.
    pub d_p_value: f64,
}

/// The model's own curves and those that are served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationStudy {
    /// Slopes of the logits, per cause; 1 changes nothing.
    pub slope: Vec<f64>,
    /// Shifts of the logits, per cause; 0 changes nothing.
    pub shift: Vec<f64>,
    /// Before.
    pub before: CalibrationState,
    /// After.
    pub after: CalibrationState,
}

/// Incidence of one cause while the others compete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseIncidence {
    /// The cause.
    pub cause: String,
    /// Rows that end in it.
    pub failures: usize,
    /// Mean predicted F_c at the grid edges.
    pub predicted: Vec<f64>,
    /// Aalen–Johansen at the grid edges.
    pub observed: Vec<f64>,
    /// The last horizon.
    pub horizon: f64,
    /// Fifths of rows by predicted F_c at the last horizon: rows, mean predicted, Aalen–Johansen.
    pub groups: Vec<(usize, f64, f64)>,
}

/// Rows still followed, for under the survival curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtRisk {
    /// Times.
    pub times: Vec<f64>,
    /// All rows.
    pub all: Vec<usize>,
    /// Per quarter of predicted risk, lowest first.
    pub quarters: Vec<Vec<usize>>,
}

impl Context<'_> {
    pub(super) fn calibration(&self, curves: &[SurvivalCurve]) -> Result<CalibrationStudy> {
        let predictor = self.request.bundle.predictor();
        let calibration = predictor.calibration();
        let after = self.state(curves)?;
        let before = if calibration.is_identity() {
            after.clone()
        } else {
            let design = predictor.normalizer().design(&self.rows.features)?;
            self.state(&predictor.model().curves(&design)?)?
        };
        Ok(CalibrationStudy { slope: calibration.slope.clone(), shift: calibration.shift.clone(), before, after })
    }

    fn state(&self, curves: &[SurvivalCurve]) -> Result<CalibrationState> {
        let observations = self.observations();
        let bootstrap = &self.config.bootstrap;
        let bootstrap = ClusterBootstrap::new(&self.rows.groups, bootstrap.replicates, bootstrap.seed)?;
        let mut tables = Vec::new();
        for &horizon in &self.evaluation.horizons {
            let probabilities = failure_probabilities(curves, horizon)?;
            tables.push(reliability_table(observations, &probabilities, horizon, BINS, 0.95).ok());
        }
        let tenths = d_calibration(observations, curves, BINS)?;
        let losses = log_loss_contributions(observations, curves)?;
        #[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
        let log_loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        Ok(CalibrationState {
            tables,
            integrated_brier: bootstrap.interval_of_mean(&self.brier(curves)?)?,
            log_loss,
            d_counts: tenths.counts,
            d_p_value: tenths.p_value,
        })
    }

    pub(super) fn incidence(&self, curves: &[SurvivalCurve]) -> Result<Vec<CauseIncidence>> {
        let observations = self.observations();
        let names = &self.info().causes;
        let table = AalenJohansen::fit(observations, names.len())?;
        let horizon = self.info().alarms.horizon;
        let edges = &self.evaluation.edges;
        let mut found = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let cause = Cause(u16::try_from(index).unwrap_or(u16::MAX));
            let at_horizon = incidences(curves, cause, horizon)?;
            let mut order: Vec<usize> = (0..curves.len()).collect();
            order.sort_by(|&a, &b| at_horizon[a].total_cmp(&at_horizon[b]));
            let mut groups = Vec::with_capacity(GROUPS);
            for rows in order.chunks(order.len().div_ceil(GROUPS).max(1)) {
                let own: Vec<Observation> = rows.iter().map(|&row| observations[row]).collect();
                let observed = AalenJohansen::fit(&own, names.len())?.incidence_at(cause, horizon);
                groups.push((rows.len(), mean(rows.iter().map(|&row| at_horizon[row])), observed));
            }
            found.push(CauseIncidence {
                cause: name.clone(),
                failures: observations.iter().filter(|o| o.cause() == Some(cause)).count(),
                predicted: (0..edges.len())
                    .map(|edge| mean(curves.iter().map(|curve| curve.incidence()[index][edge])))
                    .collect(),
                observed: edges.iter().map(|&time| table.incidence_at(cause, time)).collect(),
                horizon,
                groups,
            });
        }
        Ok(found)
    }

    pub(super) fn at_risk(&self, curves: &[SurvivalCurve]) -> Result<AtRisk> {
        let observations = self.observations();
        let risk = risk_of(curves, self.request.dataset.readout().restricted_to)?;
        let end = self.evaluation.horizons.last().copied().unwrap_or(self.request.dataset.grid().last_edge());
        #[expect(clippy::cast_precision_loss, reason = "a handful of times")]
        let times: Vec<f64> = (0..TIMES).map(|at| end * at as f64 / (TIMES - 1) as f64).collect();
        let count = |rows: &[usize]| -> Vec<usize> {
            let at_risk = |time: f64| {
                let alive = |o: &Observation| o.entry() <= time && o.duration() > time;
                rows.iter().filter(|&&row| alive(&observations[row])).count()
            };
            times.iter().map(|&time| at_risk(time)).collect()
        };
        let mut order: Vec<usize> = (0..risk.len()).collect();
        order.sort_by(|&a, &b| risk[a].total_cmp(&risk[b]));
        let quarters = order.chunks(order.len().div_ceil(4).max(1)).map(&count).collect();
        let all = count(&order);
        Ok(AtRisk { all, quarters, times })
    }
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_usize), |(sum, n), value| (sum + value, n + 1));
    sum / n.max(1) as f64
}
