//! Fit, evaluate, compare, report. Burn with autodiff.
//!
//! A run reads its [`config`], normalises every part with what the training part taught ([`fitted`]), fits the
//! network in [`fit`] (loss in [`loss`], resume in [`checkpoint`]) or a classical rival, calibrates it, and
//! writes a bundle ([`pipeline`]). [`mod@evaluate`] judges any number of models on the same rows, [`report`] draws
//! what it found; [`mod@examine`] looks into one bundle, with [`attribution`], [`importance`] and [`drift`].
//!
//! [`mod@bench`] tunes and compares families on public data, [`claims`] holds what was said of them before against what came
//! out; [`crossval`] and [`alarms`] hold protocols of single sets, [`faults`] asks of fault episodes which type, which
//! root, and when; [`budget`] says what a score foretells within a budget of false alarms; [`nodes`] forecasts
//! availability and service levels of machines that are repaired. [`quantum`] holds the quantum rows of the claims
//! register; nothing of it is served.

pub mod alarms;
pub mod attribution;
pub mod bench;
mod boosted_fit;
pub mod budget;
mod calibrate;
pub mod card;
pub mod checkpoint;
pub mod claims;
mod classical_fit;
pub mod config;
pub mod crossval;
pub mod drift;
pub mod error;
pub mod evaluate;
pub mod examine;
pub mod faults;
pub mod fit;
pub mod fitted;
pub mod importance;
mod lives;
pub mod loss;
pub mod nodes;
pub mod pipeline;
pub mod quantum;
pub mod report;
pub mod stack;
mod start;

pub use config::TrainConfig;
pub use error::{Result, TrainError};
pub use evaluate::{EvaluateConfig, Evaluation, evaluate};
pub use fitted::{FittedModel, Parts, Prepared, fit_model, prepare};
