//! What failure over time means.
//!
//! Notation: T > 0 is time to failure from `as_of`; S(t) = P(T > t); λ(t) the hazard rate, h_j the
//! discrete hazard of interval j; H = ∫λ; F_c the cumulative incidence of cause c.
//!
//! Start in [`observation`] (what was seen), go on to [`time_grid`] and [`curve`] (what is predicted)
//! and [`prediction`] (what a person reads). Curves come from [`nonparametric`] (no model), [`cox`] and [`weibull`]
//! (the classical rivals) and [`discrete_hazard`] (the linear special case of the network); [`scores`] judges all of
//! them by the same lines, and [`reliability`] turns up and down spells into MTBF, MTTR and availability.

#![expect(clippy::needless_pass_by_value, reason = "an ArrayView2 is a borrowed table, passed like a slice")]

mod competing;
pub mod cox;
mod cox_likelihood;
pub mod cox_predict;
pub mod curve;
pub mod discrete_hazard;
pub mod error;
mod hazard_loss;
mod linear;
pub mod nonparametric;
pub mod observation;
mod optimize;
pub mod person_periods;
pub mod prediction;
pub mod reliability;
mod risk_table;
pub mod scores;
pub mod special;
mod table;
pub mod time_grid;
pub mod weibull;
pub mod weibull_causes;
mod weibull_likelihood;

pub use cox::{CoxModel, CoxOptions, Ties};
pub use cox_predict::CauseSpecificCox;
pub use curve::SurvivalCurve;
pub use discrete_hazard::{DiscreteHazard, HazardOptions};
pub use error::{Result, SurvivalError};
pub use nonparametric::{AalenJohansen, KaplanMeier, NelsonAalen};
pub use observation::{Cause, CensorReason, Observation, Outcome};
pub use person_periods::{PersonPeriods, negative_log_likelihood};
pub use prediction::{Prediction, Readout};
pub use scores::brier::CensoringWeights;
pub use scores::resampling::{ClusterBootstrap, Interval, PairedInterval};
pub use time_grid::{TimeGrid, TimeUnit};
pub use weibull::{AftOptions, WeibullAft};
pub use weibull_causes::CauseSpecificWeibull;
