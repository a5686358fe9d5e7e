//! Rivals that know only the monthly figures: nothing at all, the last one, their mean, their smoothed mean.
//!
//! Figures are shares of the part of a month that is forecast (the whole month, or what is left of it at mid-month); what
//! was spent before is known to everybody and added.

use survival::renewal::{DowntimeForecast, Window};

use super::forecaster::{AvailabilityForecaster, NodeForecast};
use super::past::{Ask, Past};
use crate::error::Result;

/// Months from which the smoothing constant is chosen.
const SMOOTHING_MONTHS: usize = 24;
/// Constants tried.
const CONSTANTS: [f64; 9] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9];

/// Which of the monthly figures are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naive {
    /// No downtime, ever: the control that needs no data.
    AlwaysUp,
    /// The month before comes again.
    LastValue,
    /// The mean of all months before.
    MeanSoFar,
}

fn total(window: Window, share: f64) -> f64 {
    window.spent + share * window.left()
}

impl AvailabilityForecaster for Naive {
    fn name(&self) -> &str {
        match self {
            Self::AlwaysUp => "always-up",
            Self::LastValue => "last-value",
            Self::MeanSoFar => "mean-so-far",
        }
    }

    fn fit(&mut self, _past: &Past<'_>) -> Result<()> {
        Ok(())
    }

    fn forecast(&self, past: &Past<'_>, asks: &[Ask], budgets: &[f64]) -> Result<Vec<NodeForecast>> {
        asks.iter()
            .map(|ask| {
                let months = past.nodes[ask.node].monthly;
                let share = match self {
                    Self::AlwaysUp => 0.0,
                    Self::LastValue => months.last().copied().unwrap_or(0.0),
                    Self::MeanSoFar if months.is_empty() => 0.0,
                    Self::MeanSoFar => months.iter().sum::<f64>() / months.len() as f64,
                };
                NodeForecast::point(ask.window, total(ask.window, share), budgets)
            })
            .collect()
    }
}

/// Simple exponential smoothing of each node's figures, and of its breaches for their probability; one constant for the
/// fleet, the best one-step forecast by squared error over the last two years.
#[derive(Debug, Clone, Copy, Default)]
pub struct Smoothing {
    constant: Option<f64>,
}

/// The level after the last month.
fn level(values: impl Iterator<Item = f64>, constant: f64) -> f64 {
    let mut level = None;
    for value in values {
        level = Some(level.map_or(value, |before: f64| before + constant * (value - before)));
    }
    level.unwrap_or(0.0)
}

impl AvailabilityForecaster for Smoothing {
    fn name(&self) -> &str {
        "smoothing"
    }

    fn fit(&mut self, past: &Past<'_>) -> Result<()> {
        let error = |constant: f64| {
            let mut sum = 0.0;
            for node in &past.nodes {
                let Some((&first, rest)) = node.monthly.split_first() else { continue };
                let skipped = rest.len().saturating_sub(SMOOTHING_MONTHS);
                let mut level = first;
                for (month, value) in rest.iter().enumerate() {
                    if month >= skipped {
                        sum += (value - level).powi(2);
                    }
                    level += constant * (value - level);
                }
            }
            sum
        };
        self.constant = CONSTANTS.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b)));
        Ok(())
    }

    fn forecast(&self, past: &Past<'_>, asks: &[Ask], budgets: &[f64]) -> Result<Vec<NodeForecast>> {
        let constant = self.constant.unwrap_or(CONSTANTS[0]);
        asks.iter()
            .map(|ask| {
                let months = past.nodes[ask.node].monthly;
                let share = level(months.iter().copied(), constant);
                let downtime = DowntimeForecast::from_draws(ask.window, vec![total(ask.window, share)])?;
                let breached = |budget: f64, share: f64| f64::from(u8::from(total(ask.window, share) > budget));
                let breach = budgets.iter().map(|&budget| level(months.iter().map(|&s| breached(budget, s)), constant));
                Ok(NodeForecast { breach: breach.collect(), downtime })
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
    fn each_rival_says_what_its_name_says() {
        // A day down in January, nothing in February and March.
        let read = fleet(&[&[(10.0, 24.0)], &[]]);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2003, month: 4 }).unwrap();
        let asks: Vec<Ask> = fleet.judged(&past, 2, 0).unwrap().into_iter().map(|j| j.ask).collect();
        let mut smoothing = Smoothing::default();
        smoothing.fit(&past).unwrap();
        let availability = |forecaster: &dyn AvailabilityForecaster| {
            let forecasts = forecaster.forecast(&past, &asks, &[0.1]).unwrap();
            (1.0 - forecasts[0].downtime.mean_availability(), forecasts[0].breach[0])
        };
        let close = |(share, breach): (f64, f64), expected: (f64, f64)| {
            assert!((share - expected.0).abs() < 1e-9 && (breach - expected.1).abs() < 1e-9, "{share} {breach}");
        };
        close(availability(&Naive::AlwaysUp), (0.0, 0.0));
        close(availability(&Naive::LastValue), (0.0, 0.0));
        close(availability(&Naive::MeanSoFar), (1.0 / 3.0 / 31.0, 1.0));
        // The best constant forgets January fastest.
        close(availability(&smoothing), (0.01 / 31.0, 0.01));
    }
}
