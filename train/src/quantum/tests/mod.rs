//! Laws first, then numbers of outside programs, then refusals.

mod correcting;
mod learning;
mod planning;
mod protocol;
mod states;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Uniform on (−1, 1).
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    2.0 * random.random::<f64>() - 1.0
}

fn close(got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance, "got {got}, expected {expected} within {tolerance}");
}
