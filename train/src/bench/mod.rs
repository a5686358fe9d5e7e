//! Benchmarks: every family on one data set, with the same folds, inputs and time to tune, and nothing chosen on test rows.
//!
//! A [`Task`] is a data set and the way its rows are held out. For each held-out part the settings of every family are
//! tuned on the other rows alone ([`tune`], search spaces in [`space`], every trial in the [`ledger`]), the family is
//! fitted with them once per seed and its curves kept ([`predictions`]). [`summary`] judges all of them on the same rows.
//! Each piece of work leaves a file when it is done, so a run that was killed repeats at most one fit.

pub mod ledger;
pub mod predictions;
pub mod run;
pub mod space;
pub mod summary;
pub mod task;
pub mod tune;

pub use run::{Answered, BenchConfig, answer_task, run_task};
pub use summary::TaskSummary;
pub use task::{Outer, Task};
pub use tune::Objective;
