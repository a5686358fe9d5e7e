//! What a container is like and how likely it fails: the two worlds, and the curves that follow exactly.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};
use survival::{SurvivalCurve, TimeGrid};

use super::{HOUR, STARTUP};

/// How hazard follows from what the metrics show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// Log-hazards linear in metric levels, constant in time: the home of proportional hazards.
    LogLinear,
    /// Products, regimes, shapes and wear, without main effects: no linear score of single columns ranks it.
    Interaction,
}

/// Normals are cut here, so that every level stays possible in its unit.
const LARGEST_NORMAL: f64 = 2.5;

/// What the metrics of one life show, before noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    /// Working set over limit.
    pub(super) memory: f64,
    /// CPU time over limit.
    pub(super) cpu: f64,
    /// Share of throttled periods.
    pub(super) throttled: f64,
    /// Open file descriptors.
    pub(super) descriptors: f64,
    /// Threads.
    pub(super) threads: f64,
    /// Major faults per hour.
    pub(super) faults: f64,
    /// Page cache over limit.
    pub(super) cache: f64,
    /// Saw-tooth of the page cache, if it has one.
    pub(super) saw: Option<Saw>,
}

/// A wave that rises and falls at different speeds; mean 0, between −1 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Saw {
    /// Whether the rise is the slow part.
    pub(super) slow_rise: bool,
    /// Period in hours.
    pub(super) period: f64,
    /// Share of a period at the start of the life.
    pub(super) phase: f64,
}

impl Saw {
    /// Share of a period that the slow part takes.
    const SLOW: f64 = 0.85;

    pub(super) fn at(self, hours: f64) -> f64 {
        let position = (hours / self.period + self.phase).rem_euclid(1.0);
        // Reading the fast-rise wave backwards in time keeps mean, deviation and every moment the same.
        let position = if self.slow_rise { position } else { 1.0 - position };
        if position < Self::SLOW {
            2.0 * position / Self::SLOW - 1.0
        } else {
            1.0 - 2.0 * (position - Self::SLOW) / (1.0 - Self::SLOW)
        }
    }
}

/// Cumulative hazard H_c(a) = rates\[c\] · (a / scale)^shape, a in hours after start-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hazard {
    pub(super) rates: [f64; 2],
    pub(super) shape: f64,
    pub(super) scale: f64,
}

impl Hazard {
    fn total(&self) -> f64 {
        self.rates[0] + self.rates[1]
    }

    fn cumulative(&self, age: f64) -> f64 {
        self.total() * (age.max(0.0) / self.scale).powf(self.shape)
    }

    /// Ticks from start to failure, a whole number of seconds, and the cause.
    #[expect(clippy::cast_possible_truncation, reason = "rounded to seconds and bounded before")]
    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> (i64, usize) {
        let unit: f64 = Exp1.sample(random);
        let hours = (self.scale * (unit / self.total()).powf(self.shape.recip())).min(1e6);
        let cause = usize::from(random.random::<f64>() * self.total() >= self.rates[0]);
        (STARTUP + (hours * 3600.0).ceil().max(1.0) as i64 * 1000, cause)
    }

    /// S and incidence at the edges of `grid` (hours), given alive `age_ticks` after the start.
    pub(super) fn curve(&self, grid: &Arc<TimeGrid>, age_ticks: i64) -> Option<SurvivalCurve> {
        #[expect(clippy::cast_precision_loss, reason = "a life is far below 2^53 milliseconds")]
        let age = (age_ticks - STARTUP) as f64 / HOUR as f64;
        let so_far = self.cumulative(age);
        let survival: Vec<f64> = grid.edges().iter().map(|edge| (so_far - self.cumulative(age + edge)).exp()).collect();
        // Both causes wear alike, so each takes its constant share of the failures.
        let incidence =
            self.rates.iter().map(|rate| survival.iter().map(|s| rate / self.total() * (1.0 - s)).collect()).collect();
        SurvivalCurve::try_new(grid.clone(), survival, incidence).ok()
    }
}

/// A new life: what it shows and how it fails. `flipped` is the tenant class of its workload.
pub(super) fn draw(world: World, flipped: bool, random: &mut ChaCha8Rng) -> (Levels, Hazard) {
    match world {
        World::LogLinear => log_linear(random),
        World::Interaction => interaction(flipped, random),
    }
}

fn log_linear(random: &mut ChaCha8Rng) -> (Levels, Hazard) {
    let z: [f64; 5] = std::array::from_fn(|_| normal(random));
    let levels = Levels {
        memory: 0.5 + 0.12 * z[0],
        cpu: 0.45 + 0.12 * z[1],
        throttled: 0.20 + 0.06 * z[2],
        descriptors: 300.0 + 60.0 * z[3],
        threads: 80.0 + 16.0 * z[4],
        faults: 600.0 + 100.0 * normal(random),
        cache: 0.2 + 0.02 * normal(random),
        saw: None,
    };
    let oom = 1.5 * z[0] + 0.9 * z[3];
    let crash = 1.3 * z[1] + 0.9 * z[2] - 0.7 * z[4];
    let hazard = Hazard { rates: [0.0012 * oom.exp(), 0.0011 * crash.exp()], shape: 1.0, scale: 1.0 };
    (levels, hazard)
}

fn interaction(flipped: bool, random: &mut ChaCha8Rng) -> (Levels, Hazard) {
    let memory = sign(random) + 0.3 * normal(random);
    let cpu = sign(random) + 0.3 * normal(random);
    let (class, deviation) = (sign(random), normal(random));
    let saw = Saw { slow_rise: random.random_bool(0.5), period: random.random_range(1.2..1.6), phase: random.random() };
    let levels = Levels {
        memory: 0.5 + 0.13 * memory,
        cpu: 0.45 + 0.12 * cpu,
        throttled: 0.20 + 0.06 * normal(random),
        descriptors: 400.0 + 150.0 * class + 30.0 * deviation,
        threads: 80.0 + 16.0 * normal(random),
        faults: 600.0 + 100.0 * normal(random),
        cache: 0.2,
        saw: Some(saw),
    };
    let tenant = if flipped { -1.0 } else { 1.0 };
    let shape = if saw.slow_rise { 1.0 } else { -1.0 };
    let oom = 1.3 * tenant * memory * cpu + 1.0 * shape;
    let crash = 1.3 * class * deviation + 1.0 * shape;
    let hazard = Hazard { rates: [0.12 * oom.exp(), 0.12 * crash.exp()], shape: 1.5, scale: 100.0 };
    (levels, hazard)
}

fn sign(random: &mut ChaCha8Rng) -> f64 {
    if random.random_bool(0.5) { 1.0 } else { -1.0 }
}

/// A standard normal, cut at both ends.
pub(super) fn normal(random: &mut ChaCha8Rng) -> f64 {
    let value: f64 = StandardNormal.sample(random);
    value.clamp(-LARGEST_NORMAL, LARGEST_NORMAL)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn both_directions_of_the_saw_have_the_same_moments() {
        let wave = |slow_rise| Saw { slow_rise, period: 1.4, phase: 0.3 };
        let moments = |saw: Saw| {
            let n = 20_000;
            let values: Vec<f64> = (0..n).map(|i| saw.at(1.4 * f64::from(i) / f64::from(n))).collect();
            [1, 2, 3, 4].map(|power| values.iter().map(|v| v.powi(power)).sum::<f64>() / f64::from(n))
        };
        // Sums over 20,000 points of one period: 1e-3 is ten times the step of the sum.
        for (slow, fast) in moments(wave(true)).iter().zip(moments(wave(false))) {
            assert!((slow - fast).abs() < 1e-3, "{slow} against {fast}");
        }
    }

    #[test]
    fn curves_follow_the_hazard_from_the_age_at_the_cut() {
        let hazard = Hazard { rates: [0.3, 0.1], shape: 1.5, scale: 100.0 };
        let grid = Arc::new(TimeGrid::try_new(survival::TimeUnit::Hours, vec![0.0, 10.0, 20.0]).unwrap());
        let curve = hazard.curve(&grid, STARTUP + 50 * HOUR).unwrap();
        // H(60 h) − H(50 h) = 0.4 · (0.6^1.5 − 0.5^1.5) by hand.
        let expected = (-0.4 * (0.6_f64.powf(1.5) - 0.5_f64.powf(1.5))).exp();
        assert!((curve.survival()[1] - expected).abs() < 1e-12);
        assert!((curve.incidence()[0][1] - 0.75 * (1.0 - expected)).abs() < 1e-12);
    }

    #[test]
    fn drawn_times_follow_the_cumulative_hazard() {
        let hazard = Hazard { rates: [0.3, 0.1], shape: 1.5, scale: 100.0 };
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let n = 20_000;
        let draws: Vec<(i64, usize)> = (0..n).map(|_| hazard.draw(&mut random)).collect();
        let beyond = draws.iter().filter(|(ticks, _)| *ticks > STARTUP + 100 * HOUR).count();
        let share = beyond as f64 / f64::from(n);
        // S(100 h) = exp(−0.4); four binomial deviations are 0.014.
        assert!((share - (-0.4_f64).exp()).abs() < 0.014, "{share}");
        let first = draws.iter().filter(|(_, cause)| *cause == 0).count() as f64 / f64::from(n);
        assert!((first - 0.75).abs() < 0.013, "{first}");
    }
}
