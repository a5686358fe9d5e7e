//! A learned hazard on the history of a node, simulated forward like the classical laws.
//!
//! Anything that turns rows into survival curves plugs in through [`NodeHazards`]: the logistic hazard here, networks and
//! boosted trees elsewhere. The spell that runs now follows the curve of the node as it is; later ones within the month
//! follow the curve it would have just repaired. Repairs are the log-normal law of its system, as for every rival.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use survival::renewal::{AlternatingRenewal, Now};
use survival::spell_law::SpellLaw;
use survival::{DiscreteHazard, HazardOptions, SurvivalCurve, TimeGrid, TimeUnit};

use super::forecaster::{AvailabilityForecaster, NodeForecast, unfitted};
use super::history::{Columns, NodeRows};
use super::past::{Ask, NodePast, Past};
use super::renewal::{by_system, repair_law};
use crate::error::{Result, TrainError};

/// Edges in days; the last lies beyond the longest month with an hour of daylight time.
const EDGES: [f64; 10] = [0.0, 0.25, 1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 23.0, 32.0];

/// Something that learns hazards from rows and answers with curves on [`grid`].
pub trait NodeHazards {
    /// Name in tables.
    fn name(&self) -> &str;

    /// Everything its results depend on.
    fn settings(&self) -> String;

    /// Learns anew.
    ///
    /// # Errors
    /// When nothing can be learned from the rows.
    fn fit(&mut self, rows: &NodeRows) -> Result<()>;

    /// One curve per row, on a grid that reaches a month ahead.
    ///
    /// # Errors
    /// When it was never fitted or a row is of another width.
    fn curves(&self, x: ArrayView2<'_, f64>) -> Result<Vec<SurvivalCurve>>;
}

/// The grid on which curves are asked for: days, finer at its beginning, a month long.
///
/// # Errors
/// Never: its edges are constants.
pub fn grid() -> Result<Arc<TimeGrid>> {
    Ok(Arc::new(TimeGrid::try_new(TimeUnit::Days, EDGES.to_vec())?))
}

/// The logistic hazard of [`survival::DiscreteHazard`].
#[derive(Debug, Clone, Default)]
pub struct Logistic {
    options: HazardOptions,
    fitted: Option<DiscreteHazard>,
}

impl Logistic {
    /// With these options; a ridge above 0 lets systems come and go.
    #[must_use]
    pub fn new(options: HazardOptions) -> Self {
        Self { options, fitted: None }
    }
}

impl NodeHazards for Logistic {
    fn name(&self) -> &str {
        "discrete-hazard"
    }

    fn settings(&self) -> String {
        format!("{:?}", self.options)
    }

    fn fit(&mut self, rows: &NodeRows) -> Result<()> {
        self.fitted = Some(DiscreteHazard::fit(rows.x.view(), &rows.observations, &grid()?, 1, &self.options)?);
        Ok(())
    }

    fn curves(&self, x: ArrayView2<'_, f64>) -> Result<Vec<SurvivalCurve>> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted(self.name()))?;
        Ok(fitted.curves(x)?)
    }
}

/// Hazards learned from rows, simulated forward.
pub struct Learned<H> {
    hazards: H,
    lookback_days: f64,
    repair_lookback_days: f64,
    replicates: usize,
    refit_every: usize,
    fitted: Option<Fitted>,
}

struct Fitted {
    columns: Columns,
    repairs: BTreeMap<u32, SpellLaw>,
    fleet_repairs: SpellLaw,
}

impl<H: NodeHazards> Learned<H> {
    /// Rows reach `lookback_days` back, repairs `repair_lookback_days` (as for the classical rivals); a new fit every
    /// `refit_every` months.
    #[must_use]
    pub fn new(
        hazards: H,
        lookback_days: f64,
        repair_lookback_days: f64,
        replicates: usize,
        refit_every: usize,
    ) -> Self {
        Self { hazards, lookback_days, repair_lookback_days, replicates, refit_every, fitted: None }
    }
}

impl<H: NodeHazards> AvailabilityForecaster for Learned<H> {
    fn name(&self) -> &str {
        self.hazards.name()
    }

    fn settings(&self) -> String {
        format!(
            "{} {} lookback {} d, repairs {} d, {} replicates, every {} months",
            self.hazards.name(),
            self.hazards.settings(),
            self.lookback_days,
            self.repair_lookback_days,
            self.replicates,
            self.refit_every
        )
    }

    fn refit_every(&self) -> usize {
        self.refit_every
    }

    fn fit(&mut self, past: &Past<'_>) -> Result<()> {
        let columns = Columns::of(past);
        let rows = columns.rows(past, self.lookback_days)?;
        self.hazards.fit(&rows)?;
        let begin = past.as_of - self.repair_lookback_days;
        let mut repairs = BTreeMap::new();
        for (system, nodes) in by_system(past) {
            if let Some(law) = repair_law(&nodes, begin)? {
                repairs.insert(system, law);
            }
        }
        let all: Vec<&NodePast<'_>> = past.nodes.iter().collect();
        let fleet_repairs = repair_law(&all, begin)?.ok_or_else(|| TrainError::Data {
            model: self.hazards.name().to_owned(),
            reason: format!("too few repairs before {}", past.month),
        })?;
        self.fitted = Some(Fitted { columns, repairs, fleet_repairs });
        Ok(())
    }

    fn forecast(&self, past: &Past<'_>, asks: &[Ask], budgets: &[f64]) -> Result<Vec<NodeForecast>> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted(self.hazards.name()))?;
        let nodes: Vec<usize> = asks.iter().map(|ask| ask.node).collect();
        let curves = |x: Array2<f64>| -> Result<Vec<SpellLaw>> {
            Ok(self.hazards.curves(x.view())?.into_iter().map(|curve| SpellLaw::Curve(Arc::new(curve))).collect())
        };
        let first = curves(fitted.columns.now(past, &nodes, false)?)?;
        let later = curves(fitted.columns.now(past, &nodes, true)?)?;
        asks.iter()
            .zip(first.into_iter().zip(later))
            .map(|(ask, (first, up))| {
                let node = &past.nodes[ask.node];
                let down = fitted.repairs.get(&node.system()).unwrap_or(&fitted.fleet_repairs).clone();
                let first_up = matches!(node.now(), Now::Up(_)).then_some(first);
                let age = node.until - node.from;
                let renewal = AlternatingRenewal { first_up, up, down, age, frailty: None };
                Ok(NodeForecast::of(renewal.forecast(node.now(), ask.window, self.replicates, ask.seed)?, budgets))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use datasets::benchmark::lanl::Month;

    use super::super::past::{Fleet, tests::fleet};
    use super::*;

    #[test]
    fn a_node_that_fails_often_is_foretold_to_fail_again() {
        let bad: Vec<(f64, f64)> = (0..50).map(|i| (f64::from(i) * 9.0 + 3.0, 2.0 + f64::from(i % 5))).collect();
        let one = [(40.0, 3.0), (300.0, 1.0)];
        let nodes: Vec<&[(f64, f64)]> =
            (0..12).map(|i| if i % 4 == 0 { bad.as_slice() } else { one.as_slice() }).collect();
        let read = fleet(&nodes);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2004, month: 3 }).unwrap();
        let asks: Vec<Ask> = fleet.judged(&past, 2, 0).unwrap().into_iter().map(|j| j.ask).collect();
        let options = HazardOptions { ridge: 1.0, ..HazardOptions::default() };
        let mut model = Learned::new(Logistic::new(options), 400.0, 400.0, 300, 3);
        assert!(model.forecast(&past, &asks, &[]).is_err());
        model.fit(&past).unwrap();
        let forecasts = model.forecast(&past, &asks, &[0.0]).unwrap();
        assert!(forecasts[0].breach[0] > 0.8 && forecasts[1].breach[0] < 0.4, "{forecasts:?}");
    }
}
