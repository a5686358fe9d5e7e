//! Laws, checked by counting cases rather than by trust: each function makes its cases, counts those that break the law
//! and hands back the numbers with the first counterexample in words.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use survival::reliability::{RepairRecord, Spell, SpellState, k_of_n, series, shared_cause};
use survival::{
    Cause, CensorReason, KaplanMeier, NelsonAalen, Observation, Outcome, SurvivalCurve, TimeGrid, TimeUnit,
};

use crate::claims::register::Law;
use crate::error::Result;

/// Differences of curves and hazards up to this are rounding.
const AGREES: f64 = 1e-6;

/// Cases looked at and those that break a law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Cases that break it.
    pub violations: usize,
    /// Cases.
    pub cases: usize,
    /// The first that breaks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// What else was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Count {
    fn none() -> Self {
        Self { violations: 0, cases: 0, example: None, note: String::new() }
    }

    /// Counts one case.
    fn see(&mut self, holds: bool, case: impl FnOnce() -> String) {
        self.cases += 1;
        if !holds {
            self.violations += 1;
            self.example.get_or_insert_with(case);
        }
    }
}

/// Counts the cases of a law.
///
/// # Errors
/// When an estimator refuses a generated case: a bug, not a counterexample.
pub fn count(law: Law, seed: u64) -> Result<Count> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    match law {
        Law::CurvesNeverRise => curves_never_rise(&mut rng),
        Law::HazardGivesCurve => hazard_gives_curve(&mut rng),
        Law::AvailabilityInRange => availability_in_range(&mut rng),
        Law::ToleratedFaults => tolerated_faults(),
        Law::HealingTime => Ok(healing_time(&constructed_episodes(&mut rng))),
        Law::SeriesThreshold => series_threshold(),
        Law::MoreNodes => more_nodes(),
    }
}

/// Of these curves, those that rise, start below 1 or leave \[0, 1\] by more than `rounding`: at every edge and between
/// edges. Predictions are kept in single precision; what that loses is no exception to a law.
///
/// # Errors
/// When a curve cannot be read inside its own grid.
pub fn rising<'a>(curves: impl IntoIterator<Item = &'a SurvivalCurve>, rounding: f64) -> Result<Count> {
    let mut count = Count::none();
    for curve in curves {
        let edges = curve.grid().edges();
        let mut times: Vec<f64> = edges.windows(2).flat_map(|pair| [pair[0], 0.5 * (pair[0] + pair[1])]).collect();
        times.push(curve.grid().last_edge());
        let values = times.iter().map(|&t| curve.survival_at(t)).collect::<std::result::Result<Vec<f64>, _>>()?;
        let starts = values.first().is_some_and(|&first| (first - 1.0).abs() <= rounding);
        let falls = values.windows(2).all(|pair| pair[1] <= pair[0] + rounding);
        let inside = values.iter().all(|value| (-rounding..=1.0 + rounding).contains(value));
        count.see(starts && falls && inside, || format!("a curve with the values {values:?}"));
    }
    Ok(count)
}

/// 10 000 curves of random hazards of one to four causes, and 1000 product limits of random censored samples.
fn curves_never_rise(rng: &mut ChaCha8Rng) -> Result<Count> {
    let mut curves = Vec::with_capacity(10_000);
    for _ in 0..10_000 {
        let (intervals, causes) = (rng.random_range(1..24_usize), rng.random_range(1..5_usize));
        let mut edges = vec![0.0];
        for _ in 0..intervals {
            let last = edges[edges.len() - 1];
            edges.push(last + rng.random_range(0.01..3.0_f64));
        }
        let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges)?);
        #[expect(clippy::cast_precision_loss, reason = "at most four causes")]
        let most = 1.0 / causes as f64;
        let hazards: Vec<Vec<f64>> =
            (0..intervals).map(|_| (0..causes).map(|_| rng.random_range(0.0..most)).collect()).collect();
        curves.push(SurvivalCurve::from_hazards(grid, &hazards)?);
    }
    let mut count = rising(&curves, 1e-12)?;
    for _ in 0..1000 {
        let size = rng.random_range(2..40_usize);
        let estimate = KaplanMeier::fit(&sample(rng, size)?)?;
        let falls = estimate.survival().windows(2).all(|pair| pair[1] <= pair[0]);
        count.see(falls, || format!("a product limit with the values {:?}", estimate.survival()));
    }
    count.note = "10 000 curves of random hazards, 1000 product limits".to_owned();
    Ok(count)
}

/// Weibull lives, hazard integrated numerically; the discrete product; and, as a note, how far exp(−Λ) of the
/// Nelson–Aalen estimate lies above the product limit.
fn hazard_gives_curve(rng: &mut ChaCha8Rng) -> Result<Count> {
    let mut count = Count::none();
    let mut worst = 0.0_f64;
    for _ in 0..1500 {
        let (scale, shape) = (rng.random_range(0.5..50.0_f64), rng.random_range(0.5..4.0_f64));
        let until = scale * rng.random_range(0.05..2.5_f64);
        let hazard = |t: f64| shape / scale * (t / scale).powf(shape - 1.0);
        let curve = (-(until / scale).powf(shape)).exp();
        let difference = ((-integral(hazard, until, shape)).exp() - curve).abs();
        worst = worst.max(difference);
        count.see(difference <= AGREES, || format!("Weibull({scale}, {shape}) at {until}: {difference:e} apart"));
    }
    for _ in 0..1500 {
        let intervals = rng.random_range(1..32_usize);
        #[expect(clippy::cast_precision_loss, reason = "at most 32 intervals")]
        let edges = (0..=intervals).map(|i| i as f64).collect();
        let hazards: Vec<Vec<f64>> = (0..intervals).map(|_| vec![rng.random_range(0.0..1.0)]).collect();
        let curve = SurvivalCurve::from_hazards(Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges)?), &hazards)?;
        let product: f64 = hazards.iter().map(|h| 1.0 - h[0]).product();
        let end = curve.survival().last().copied().unwrap_or(1.0);
        let difference = (end - product).abs();
        worst = worst.max(difference);
        count.see(difference <= AGREES, || format!("discrete hazards {hazards:?}: {difference:e} apart"));
    }
    let mut gap = 0.0_f64;
    for _ in 0..300 {
        let observations = sample(rng, 20)?;
        let (limit, hazard) = (KaplanMeier::fit(&observations)?, NelsonAalen::fit(&observations)?);
        for (&time, &value) in limit.times().iter().zip(limit.survival()) {
            gap = gap.max((-hazard.cumulative_hazard_at(time)).exp() - value);
        }
    }
    count.note = format!(
        "largest difference {worst:.1e}; with 20 units in steps, exp of minus the summed hazard lies up to {gap:.3} above \
         the product limit: the exponential form is for a continuous life"
    );
    Ok(count)
}

/// ∫₀ᵗ of a hazard that may be infinite at 0, by the midpoint rule in u with t = u^{2/shape}: smooth there.
fn integral(hazard: impl Fn(f64) -> f64, until: f64, shape: f64) -> f64 {
    const STEPS: u32 = 2000;
    let power = (2.0 / shape).max(1.0);
    let end = until.powf(1.0 / power);
    let step = end / f64::from(STEPS);
    (0..STEPS)
        .map(|i| {
            let u = (f64::from(i) + 0.5) * step;
            hazard(u.powf(power)) * power * u.powf(power - 1.0) * step
        })
        .sum()
}

fn sample(rng: &mut ChaCha8Rng, size: usize) -> Result<Vec<Observation>> {
    let mut observations = Vec::with_capacity(size);
    for at in 0..size {
        let failed = at == 0 || rng.random_bool(0.6);
        let outcome =
            if failed { Outcome::Failed(Cause(0)) } else { Outcome::Censored(CensorReason::EndOfObservation) };
        // Few distinct times: ties are where estimators go wrong.
        let duration = f64::from(rng.random_range(1..30_u32));
        observations.push(Observation::try_new(duration, outcome)?);
    }
    Ok(observations)
}

fn availability_in_range(rng: &mut ChaCha8Rng) -> Result<Count> {
    let mut count = Count::none();
    for _ in 0..10_000 {
        let mut spells = Vec::new();
        for at in 0..rng.random_range(1..12_u32) {
            let duration = rng.random_range(1e-6..1e6_f64);
            let state = match rng.random_range(0..4_u32) {
                0 => SpellState::Down,
                1 if at > 0 => SpellState::Unknown,
                _ => SpellState::Up,
            };
            spells.push(if rng.random() { Spell::ended(state, duration)? } else { Spell::censored(state, duration)? });
        }
        let record = RepairRecord::from_spells(&spells);
        let availability = record.observed_availability()?;
        let down = record.down_time > 0.0;
        let holds = (0.0..=1.0).contains(&availability) && (availability < 1.0 || !down || record.down_time < 1e-9);
        count.see(holds, || format!("{availability} of {record:?}"));
    }
    count.note = "10 000 records of up, down and unknown spells".to_owned();
    Ok(count)
}

/// Availabilities outside \[0, 1\] among measured ones.
#[must_use]
pub fn outside_unit(availability: &[f64]) -> Count {
    let mut count = Count::none();
    for &value in availability {
        count.see((0.0..=1.0).contains(&value), || format!("a measured availability of {value}"));
    }
    count
}

/// Months below the level among measured availabilities.
#[must_use]
pub fn missed_months(availability: &[f64], level: f64) -> Count {
    let mut count = Count::none();
    for &value in availability {
        count.see(value >= level, || {
            format!(
                "a month of availability {value:.6} where {level} was promised, {:.1} h too few",
                730.5 * (level - value)
            )
        });
    }
    count
}

/// Every k-of-n group up to 24 members and every number of faults.
fn tolerated_faults() -> Result<Count> {
    let mut count = Count::none();
    for n in 1..=24_usize {
        for k in 1..=n {
            for faults in 0..=n {
                let members: Vec<f64> = (0..n).map(|at| if at < faults { 0.0 } else { 1.0 }).collect();
                let works = k_of_n(k, &members)? > 0.5;
                let holds = works == (faults <= n - k) && n - k < n;
                count.see(holds, || format!("{k} of {n} with {faults} faults works: {works}"));
            }
        }
    }
    let independent = k_of_n(2, &[0.99; 3])?;
    let shared = shared_cause(0.05, independent, 0.99)?;
    count.note = format!(
        "2 of 3 with members of 0.99: unreliability {:.2e} if they fail apart, {:.2e} with 5 % of failures shared: the \
         degree that counts is smaller",
        1.0 - independent,
        1.0 - shared
    );
    Ok(count)
}

/// One episode: start and end of detection, analysis and remediation, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Start and end of each phase.
    pub phases: [(f64, f64); 3],
}

impl Episode {
    /// From the first start to the last end.
    #[must_use]
    pub fn total(&self) -> f64 {
        let start = self.phases.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let end = self.phases.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        end - start
    }
}

/// Episodes healed in less than the sum of the least durations of the three phases.
#[must_use]
pub fn healing_time(episodes: &[Episode]) -> Count {
    let least: f64 = (0..3)
        .map(|phase| episodes.iter().map(|e| e.phases[phase].1 - e.phases[phase].0).fold(f64::INFINITY, f64::min))
        .sum();
    let mut count = Count::none();
    for episode in episodes {
        let total = episode.total();
        count.see(total >= least - 1e-9, || {
            format!("an episode of {total:.2} min, the least times of its phases add to {least:.2} min")
        });
    }
    let overlap = |e: &Episode| e.phases.windows(2).any(|pair| pair[1].0 < pair[0].1);
    let overlapping = episodes.iter().filter(|e| overlap(e)).count();
    count.note = format!("constructed, not measured; phases overlap in {overlapping} of {} episodes", count.cases);
    count
}

/// Half of them one phase after another, half with a restart that runs while the cause is still looked for.
fn constructed_episodes(rng: &mut ChaCha8Rng) -> Vec<Episode> {
    (0..2000)
        .map(|at| {
            let [detection, analysis, remediation] =
                [rng.random_range(1.0..2.0_f64), rng.random_range(5.0..8.0), rng.random_range(2.0..3.0)];
            let found = detection + analysis;
            let start = if at % 2 == 0 { found } else { detection };
            Episode { phases: [(0.0, detection), (detection, found), (start, start + remediation)] }
        })
        .collect()
}

/// Pairs (hypervisor, machine) that reach a level while their series does not.
fn series_threshold() -> Result<Count> {
    let mut count = Count::none();
    let levels = [0.999, 0.9, 0.95, 0.99, 0.9999, 0.99999];
    let mut bound_holds = 0;
    for level in levels {
        for above in 0..10_u32 {
            for other in 0..10_u32 {
                let part = |steps: u32| level + (1.0 - level) * f64::from(steps) / 10.0;
                let (hypervisor, machine) = (part(above), part(other));
                let whole = series(&[hypervisor, machine])?;
                bound_holds += usize::from(whole >= hypervisor + machine - 1.0 - 1e-15);
                count.see(whole >= level, || format!("{hypervisor} · {machine} = {whole:.6} < {level}"));
            }
        }
    }
    count.note = format!("the whole is at least the sum minus 1 in {bound_holds} of {} cases", count.cases);
    Ok(count)
}

/// Settings (p, share needed, shared cause) in which reliability falls somewhere as n grows at the same share.
fn more_nodes() -> Result<Count> {
    let mut count = Count::none();
    let (mut as_told, mut settings) = (0, 0);
    for (needed, of) in [(1_usize, 2_usize), (2, 3), (3, 4), (1, 1)] {
        for p in [0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.99] {
            for beta in [0.0, 0.05] {
                let (mut apart, mut values) = (Vec::new(), Vec::new());
                for times in [1_usize, 2, 4, 8, 16, 32] {
                    let independent = k_of_n(needed * times, &vec![p; of * times])?;
                    apart.push(independent);
                    values.push(shared_cause(beta, independent, p)?);
                }
                // A shared cause adds the same to every n; alone it would hide a fall of the rest behind rounding.
                let rises = apart[apart.len() - 1] >= apart[apart.len() - 2] * (1.0 - 1e-12);
                #[expect(clippy::cast_precision_loss, reason = "at most 4")]
                let share = needed as f64 / of as f64;
                settings += 1;
                as_told += usize::from(rises == (p > share));
                let falls = values.windows(2).any(|pair| pair[1] < pair[0] - 1e-12);
                count.see(!falls, || {
                    format!(
                        "{needed} in {of} nodes needed, each works with {p}, shared cause {beta}: {:.4} with {of} nodes, \
                         {:.2e} with {}",
                        values[0],
                        values[values.len() - 1],
                        32 * of
                    )
                });
            }
        }
    }
    count.note =
        format!("for large n it rises exactly where p exceeds the share needed: {as_told} of {settings} settings");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_by_definition_has_no_counterexample() {
        for (law, least) in [
            (Law::CurvesNeverRise, 11_000),
            (Law::HazardGivesCurve, 3000),
            (Law::AvailabilityInRange, 10_000),
            (Law::ToleratedFaults, 5000),
        ] {
            let found = count(law, 1).unwrap();
            assert_eq!(found.violations, 0, "{law:?}: {:?}", found.example);
            assert!(found.cases >= least, "{law:?}: {} cases", found.cases);
        }
    }

    #[test]
    fn a_curve_that_rises_by_more_than_rounding_is_counted() {
        let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 2.0]).unwrap());
        // The type itself lets rises up to 1e-5 through.
        let curve = SurvivalCurve::from_survival(grid, vec![1.0, 0.5, 0.500_005]).unwrap();
        assert_eq!(rising([&curve], 1e-6).unwrap().violations, 1);
        assert_eq!(rising([&curve], 1e-5).unwrap().violations, 0);
    }

    #[test]
    fn what_is_false_has_one() {
        let series = count(Law::SeriesThreshold, 1).unwrap();
        assert_eq!(series.example.as_deref(), Some("0.999 · 0.999 = 0.998001 < 0.999"));
        assert!(series.note.contains("600 of 600"), "{}", series.note);
        let nodes = count(Law::MoreNodes, 1).unwrap();
        // p below the share needed falls, p above it does not.
        assert!(nodes.violations > 0 && nodes.violations < nodes.cases);
        assert!(nodes.note.contains("56 of 56"), "{}", nodes.note);
        let healing = count(Law::HealingTime, 1).unwrap();
        assert!(healing.violations > 0 && healing.violations <= 1000, "{}", healing.violations);
        assert!(healing.note.contains("1000 of 2000"));
    }

    #[test]
    fn phases_one_after_another_obey_and_a_restart_beside_the_analysis_does_not() {
        let one_after_another = Episode { phases: [(0.0, 1.0), (1.0, 6.0), (6.0, 8.0)] };
        assert_eq!(healing_time(&[one_after_another]).violations, 0);
        // 1 + 5 + 2 = 8 min at least, healed after 6.
        let beside = Episode { phases: [(0.0, 1.0), (1.0, 6.0), (1.0, 3.0)] };
        let found = healing_time(&[one_after_another, beside]);
        assert_eq!((found.violations, found.cases), (1, 2));
        assert!(found.example.unwrap().contains("6.00 min"));
    }

    #[test]
    fn one_month_beyond_the_budget_is_a_counterexample() {
        let found = missed_months(&[1.0, 0.9995, 0.99], 0.999);
        assert_eq!((found.violations, found.cases), (1, 3));
        // 0.9 % of 730.5 h.
        assert!(found.example.unwrap().contains("6.6 h"));
        assert_eq!(outside_unit(&[0.0, 1.0, 1.2, f64::NAN]).violations, 2);
    }

    #[test]
    fn the_hazard_is_integrated_through_its_pole() {
        for shape in [0.5, 1.0, 3.0] {
            let hazard = |t: f64| shape * t.powf(shape - 1.0);
            assert!((integral(hazard, 1.5, shape) - 1.5_f64.powf(shape)).abs() < 1e-6);
        }
    }
}
