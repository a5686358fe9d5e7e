//! Fit, evaluate, compare, report. Burn with autodiff.
//!
//! A run reads its [`config`], normalises every part with what the training part taught ([`fitted`]), fits the
//! network in [`fit`] (loss in [`loss`], resume in [`checkpoint`]) or a classical rival, calibrates it, and
//! writes a bundle ([`pipeline`]). [`mod@evaluate`] judges any number of models on the same rows, [`report`] draws
//! what it found; [`crossval`] and [`alarms`] hold the protocols of the public data sets, [`budget`] what a score foretells within a budget of
//! false alarms.

pub mod alarms;
pub mod budget;
pub mod card;
pub mod checkpoint;
pub mod config;
pub mod crossval;
pub mod error;
pub mod evaluate;
pub mod fit;
pub mod fitted;
pub mod loss;
pub mod pipeline;
pub mod report;

pub use config::TrainConfig;
pub use error::{Result, TrainError};
pub use evaluate::{EvaluateConfig, Evaluation, evaluate};
pub use fitted::{FittedModel, Parts, Prepared, fit_model, prepare};
