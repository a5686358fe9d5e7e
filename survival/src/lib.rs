//! What failure over time means.
//!
//! Notation: T > 0 is time to failure from `as_of`; S(t) = P(T > t); λ(t) the hazard rate, h_j the
//! discrete hazard of interval j; H = ∫λ; F_c the cumulative incidence of cause c.
//!
//! Start in [`observation`] (what was seen), go on to [`time_grid`] and [`curve`] (what is predicted)
//! and [`prediction`] (what a person reads). Curves come from [`nonparametric`] (no model), [`stratified_incidence`]
//! (the same per class), [`cox`] and [`aft`] (the classical rivals; [`weibull`] is one law of the latter) and
//! [`discrete_hazard`] (the linear special case of the network); [`scores`] judges all of them by the same lines,
//! [`compare`] says whether one is better, and [`reliability`] turns up and down spells into MTBF, MTTR and availability.
//! [`trend`] and [`power_law`] ask whether failures come faster or slower, [`gamma_poisson`] tells nodes apart by how
//! often they fail, [`renewal`] simulates the downtime to come from [`spell_law`]s, [`sla`] holds it against an objective.

#![expect(clippy::needless_pass_by_value, reason = "an ArrayView2 is a borrowed table, passed like a slice")]

pub mod aft;
pub mod aft_causes;
pub mod aft_law;
mod aft_likelihood;
mod classes;
pub mod compare;
mod competing;
pub mod cox;
pub mod cox_diagnostics;
mod cox_likelihood;
mod cox_newton;
pub mod cox_predict;
mod cox_residuals;
pub mod cox_strata;
pub mod cox_time_varying;
pub mod curve;
pub mod discrete_hazard;
pub mod error;
pub mod gamma_poisson;
mod hazard_loss;
mod interval_sums;
mod linear;
pub mod log_normal;
pub mod nonparametric;
pub mod observation;
mod optimize;
pub mod person_periods;
pub mod power_law;
pub mod prediction;
mod random;
pub mod reliability;
pub mod renewal;
mod risk_table;
pub mod sample;
pub mod scores;
pub mod sla;
pub mod special;
pub mod special_beta;
pub mod spell_law;
pub mod start_stop;
pub mod stratified_incidence;
mod table;
pub mod time_grid;
pub mod trend;
pub mod weibull;
pub mod weibull_causes;

pub use aft::{AftCandidate, AftModel, AftOptions};
pub use aft_causes::CauseSpecificAft;
pub use aft_law::AftLaw;
pub use cox::{CoxModel, CoxOptions, Ties};
pub use cox_diagnostics::{CoxDiagnostics, ProportionalHazardsTest, RobustErrors, TimeTransform};
pub use cox_newton::Baseline;
pub use cox_predict::CauseSpecificCox;
pub use cox_strata::StratifiedCox;
pub use cox_time_varying::{CauseSpecificTimeVaryingCox, CovariateChange, CovariatePath, TimeVaryingCox};
pub use curve::SurvivalCurve;
pub use discrete_hazard::{DiscreteHazard, HazardOptions};
pub use error::{Result, SurvivalError};
pub use nonparametric::{AalenJohansen, KaplanMeier, NelsonAalen};
pub use observation::{Cause, CensorReason, Observation, Outcome};
pub use person_periods::{PersonPeriods, negative_log_likelihood};
pub use prediction::{Prediction, Readout};
pub use scores::brier::CensoringWeights;
pub use scores::resampling::{ClusterBootstrap, Interval, PairedInterval};
pub use start_stop::StartStopRows;
pub use stratified_incidence::StratifiedAalenJohansen;
pub use time_grid::{TimeGrid, TimeUnit};
pub use weibull::WeibullAft;
pub use weibull_causes::CauseSpecificWeibull;
