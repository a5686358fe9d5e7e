//! The quantum rows of the claims register, on a state vector: used by claims, never served.
//!
//! A state vector is a classical algorithm, so nothing here can show a quantum *advantage*; at most that a kernel or a
//! circuit is a useful bias on some data. Start in [`state`] (the simulator). [`kernel`] and [`vqc`] turn rows into
//! states, [`learn`] fits on kernels, [`mlp`] is the rival of equal size, [`experiment`] runs the protocol
//! (Q1–Q3) on a [`task`] under the same splits and trials for all, with [`stability`] for what shot noise and small input changes
//! do; [`plan`] (Q4) sets QAOA against classical solvers of a maintenance plan, [`codes`] corrects errors.

#![expect(clippy::needless_pass_by_value, reason = "an ArrayView is a borrowed table, passed like a slice")]

pub mod adam;
mod bench;
pub mod codes;
mod contender;
pub mod experiment;
mod judge;
pub mod kernel;
pub mod learn;
mod linear;
pub mod mlp;
pub mod plan;
mod preparation;
pub mod qaoa;
pub mod qubo;
pub mod report;
pub mod stability;
pub mod state;
pub mod task;
pub mod vqc;

#[cfg(test)]
mod tests;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::error::{Result, TrainError};

/// An input that cannot be used: which part refuses it, and why.
pub(crate) fn refusal(part: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Data { model: part.to_owned(), reason: reason.into() }
}

/// Generator of one purpose: streams of one seed never overlap, so adding a contender changes no other's draws.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// A stream number made of several small ones (fold, trial, contender), by the multiplier of SplitMix64.
pub(crate) fn stream(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |mixed: u64, &part| (mixed ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29))
}

/// Refuses a value that is no finite number.
pub(crate) fn check_finite<'a>(part: &str, what: &str, values: impl IntoIterator<Item = &'a f64>) -> Result<()> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((place, value)) => Err(refusal(part, format!("{what}: value {place} is {value}, must be finite"))),
    }
}
