//! Work measured in CPU time, not in wall time: a container whose quota is used up must take longer for it.

use std::hint::black_box;
use std::time::Instant;

/// Steps of one round of the calibration, some 20 microseconds.
const ROUND: u64 = 10_000;
/// Rounds; the best is the one that nothing interrupted.
const ROUNDS: u32 = 60;

/// How fast this machine works.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps_per_second: f64,
}

impl Work {
    /// Measures, in about a millisecond of CPU.
    pub(crate) fn calibrate() -> Self {
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            steps(ROUND);
            best = best.min(start.elapsed().as_secs_f64());
        }
        Self { steps_per_second: ROUND as f64 / best.max(1e-7) }
    }

    /// Uses that much CPU time, in seconds.
    pub(crate) fn spend(&self, seconds: f64) {
        steps((seconds * self.steps_per_second) as u64);
    }
}

fn steps(count: u64) {
    let mut state = black_box(count | 1);
    for _ in 0..count {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    black_box(state);
}
