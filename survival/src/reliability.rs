//! Repairable entities and groups: MTBF, MTTR, availability from up and down spells; k-of-n groups.

use serde::{Deserialize, Serialize};

use crate::special::{chi_square_quantile, open_unit, two_sided_factor};
use crate::{Result, SurvivalError};

/// What an entity was doing during a spell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpellState {
    /// Working.
    Up,
    /// Failed or under repair.
    Down,
    /// Not observed: counted, and left out of every ratio.
    Unknown,
}

/// An uninterrupted stretch in one state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spell {
    state: SpellState,
    duration: f64,
    censored: bool,
}

impl Spell {
    /// A spell seen to its end: an up spell ends in a failure, a down spell in a repair.
    ///
    /// # Errors
    /// When `duration` is not positive and finite.
    pub fn ended(state: SpellState, duration: f64) -> Result<Self> {
        Self::try_new(state, duration, false)
    }

    /// A spell still running when last seen: its time counts, its end does not.
    ///
    /// # Errors
    /// When `duration` is not positive and finite.
    pub fn censored(state: SpellState, duration: f64) -> Result<Self> {
        Self::try_new(state, duration, true)
    }

    fn try_new(state: SpellState, duration: f64, censored: bool) -> Result<Self> {
        if duration.is_finite() && duration > 0.0 {
            Ok(Self { state, duration, censored })
        } else {
            Err(SurvivalError::Duration { duration })
        }
    }
}

/// A mean time, or what can be said when nothing ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeanTime {
    /// Total time / number of endings.
    Estimated(f64),
    /// No ending was seen: the mean exceeds this with confidence 95 % (total time / −ln 0.05).
    AtLeast(f64),
}

/// A failure rate (1/time) with its exact Poisson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FailureRate {
    /// n / Σ up time.
    pub estimate: f64,
    /// χ²_{α/2, 2n} / (2 Σ up time); 0 without failures.
    pub low: f64,
    /// χ²_{1−α/2, 2n+2} / (2 Σ up time); without failures the one-sided bound −ln α / Σ up time.
    pub high: f64,
}

/// Total times and endings of one entity or of many together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RepairRecord {
    /// Σ of up spells, censored ones included.
    pub up_time: f64,
    /// Σ of down spells, censored ones included.
    pub down_time: f64,
    /// Σ of unknown spells.
    pub unknown_time: f64,
    /// Up spells that ended.
    pub failures: usize,
    /// Down spells that ended.
    pub repairs: usize,
}

impl RepairRecord {
    /// Adds up spells.
    #[must_use]
    pub fn from_spells(spells: &[Spell]) -> Self {
        let mut record = Self::default();
        for spell in spells {
            let ended = usize::from(!spell.censored);
            match spell.state {
                SpellState::Up => {
                    record.up_time += spell.duration;
                    record.failures += ended;
                }
                SpellState::Down => {
                    record.down_time += spell.duration;
                    record.repairs += ended;
                }
                SpellState::Unknown => record.unknown_time += spell.duration,
            }
        }
        record
    }

    /// MTBF = Σ up time / failures: mean *up* time between failures (some sources count failure to failure).
    ///
    /// # Errors
    /// When no up time was seen.
    pub fn mean_time_between_failures(&self) -> Result<MeanTime> {
        mean_time("up time", self.up_time, self.failures)
    }

    /// MTTR = Σ down time / repairs.
    ///
    /// # Errors
    /// When no down time was seen.
    pub fn mean_time_to_repair(&self) -> Result<MeanTime> {
        mean_time("down time", self.down_time, self.repairs)
    }

    /// λ̂ = failures / Σ up time with the exact Poisson interval at `level`.
    ///
    /// # Errors
    /// When no up time was seen or `level` is outside (0, 1).
    pub fn failure_rate(&self, level: f64) -> Result<FailureRate> {
        open_unit("interval level", level)?;
        check_time("up time", self.up_time)?;
        let alpha = 1.0 - level;
        let n = self.failures as f64;
        if self.failures == 0 {
            return Ok(FailureRate { estimate: 0.0, low: 0.0, high: -alpha.ln() / self.up_time });
        }
        Ok(FailureRate {
            estimate: n / self.up_time,
            low: chi_square_quantile(0.5 * alpha, 2.0 * n)? / (2.0 * self.up_time),
            high: chi_square_quantile(1.0 - 0.5 * alpha, 2.0 * n + 2.0)? / (2.0 * self.up_time),
        })
    }

    /// Observed availability: up / (up + down), unknown time left out.
    ///
    /// # Errors
    /// When neither up nor down time was seen.
    pub fn observed_availability(&self) -> Result<f64> {
        check_time("known time", self.up_time + self.down_time)?;
        Ok(self.up_time / (self.up_time + self.down_time))
    }

    /// Share of all time in which the state is known: report it beside the observed availability.
    ///
    /// # Errors
    /// When no time was seen at all.
    pub fn coverage(&self) -> Result<f64> {
        let known = self.up_time + self.down_time;
        check_time("time", known + self.unknown_time)?;
        Ok(known / (known + self.unknown_time))
    }

    /// Steady-state availability MTBF/(MTBF + MTTR) with a delta-method interval on its log-odds:
    /// logit A = ln MTBF − ln MTTR, variance 1/failures + 1/repairs (exponential up and down times).
    ///
    /// # Errors
    /// When no failure or no repair was seen, or `level` is outside (0, 1).
    pub fn availability_interval(&self, level: f64) -> Result<(f64, f64, f64)> {
        let factor = two_sided_factor(level)?;
        if self.failures == 0 || self.repairs == 0 {
            return Err(SurvivalError::Empty { what: "list of failures and repairs seen to their end" });
        }
        let (n, m) = (self.failures as f64, self.repairs as f64);
        let logit = (self.up_time / n).ln() - (self.down_time / m).ln();
        let width = factor * (1.0 / n + 1.0 / m).sqrt();
        let expit = |x: f64| 1.0 / (1.0 + (-x).exp());
        Ok((expit(logit), expit(logit - width), expit(logit + width)))
    }
}

fn mean_time(what: &'static str, total: f64, endings: usize) -> Result<MeanTime> {
    check_time(what, total)?;
    Ok(if endings == 0 {
        MeanTime::AtLeast(total / -0.05_f64.ln())
    } else {
        MeanTime::Estimated(total / endings as f64)
    })
}

fn check_time(what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what, value, domain: "positive and finite" })
    }
}

/// A = MTBF/(MTBF + MTTR), where MTBF is the mean *up* time.
///
/// # Errors
/// When a mean is negative or not finite, or both are 0.
pub fn availability(mean_up_time: f64, mean_time_to_repair: f64) -> Result<f64> {
    check_mean("mean up time", mean_up_time)?;
    check_mean("mean time to repair", mean_time_to_repair)?;
    check_time("mean cycle", mean_up_time + mean_time_to_repair)?;
    Ok(mean_up_time / (mean_up_time + mean_time_to_repair))
}

/// A = 1 − MTTR/MTBF, where MTBF counts from failure to failure (up time + repair).
///
/// # Errors
/// When a mean is negative or not finite, or the repair takes longer than the cycle.
pub fn availability_of_cycle(mean_cycle: f64, mean_time_to_repair: f64) -> Result<f64> {
    check_time("mean cycle", mean_cycle)?;
    check_mean("mean time to repair", mean_time_to_repair)?;
    if mean_time_to_repair > mean_cycle {
        return Err(SurvivalError::Domain {
            what: "mean time to repair",
            value: mean_time_to_repair,
            domain: "at most the mean time from failure to failure",
        });
    }
    Ok(1.0 - mean_time_to_repair / mean_cycle)
}

fn check_mean(what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what, value, domain: "at least 0 and finite" })
    }
}

/// P(at least k of the n members work), members independent with probabilities p_i.
///
/// Dynamic programme over how many work: O(n²), only sums of non-negative products, so accurate for large n too.
/// Independence overstates every group that shares a host, rack or release; see [`shared_cause`].
///
/// # Errors
/// When a probability is outside [0, 1] or k exceeds n.
pub fn k_of_n(k: usize, probabilities: &[f64]) -> Result<f64> {
    check_probabilities(probabilities)?;
    let n = probabilities.len();
    if k > n {
        return Err(SurvivalError::Domain { what: "k of a k-of-n group", value: k as f64, domain: "at most n" });
    }
    let mut working = vec![0.0; n + 1];
    working[0] = 1.0;
    for (members, &p) in probabilities.iter().enumerate() {
        for count in (1..=members + 1).rev() {
            working[count] = working[count] * (1.0 - p) + working[count - 1] * p;
        }
        working[0] *= 1.0 - p;
    }
    // The smaller side is summed: near 1 the complement keeps the digits.
    let above: f64 = working[k..].iter().sum();
    let below: f64 = working[..k].iter().sum();
    Ok(if above < below { above } else { 1.0 - below }.clamp(0.0, 1.0))
}

/// ∏ p_i: all must work; a lower bound for every coherent system of independent parts.
///
/// # Errors
/// When a probability is outside [0, 1] or there is none.
pub fn series(probabilities: &[f64]) -> Result<f64> {
    check_probabilities(probabilities)?;
    Ok(probabilities.iter().product())
}

/// 1 − ∏ (1 − p_i): one is enough; an upper bound for every coherent system of independent parts.
///
/// # Errors
/// When a probability is outside [0, 1] or there is none.
pub fn parallel(probabilities: &[f64]) -> Result<f64> {
    check_probabilities(probabilities)?;
    Ok(1.0 - probabilities.iter().map(|p| 1.0 - p).product::<f64>())
}

/// (1 − β)·P_independent + β·P_together: with probability β all members live or die as one.
///
/// β is given, never assumed 0: print it beside the result.
///
/// # Errors
/// When an argument is outside [0, 1].
pub fn shared_cause(beta: f64, independent: f64, together: f64) -> Result<f64> {
    check_probabilities(&[beta, independent, together])?;
    Ok((1.0 - beta) * independent + beta * together)
}

fn check_probabilities(values: &[f64]) -> Result<()> {
    if values.is_empty() {
        return Err(SurvivalError::Empty { what: "list of members" });
    }
    match values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        None => Ok(()),
        Some(&value) => Err(SurvivalError::Domain { what: "probability", value, domain: "in [0, 1]" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} against {b}");
    }

    #[test]
    fn two_of_three_unequal_members_worked_by_hand() {
        // 0.9·0.8·0.7 + 0.1·0.8·0.7 + 0.9·0.2·0.7 + 0.9·0.8·0.3 = 0.902.
        close(k_of_n(2, &[0.9, 0.8, 0.7]).unwrap(), 0.902);
        close(series(&[0.9, 0.8, 0.7]).unwrap(), k_of_n(3, &[0.9, 0.8, 0.7]).unwrap());
        close(parallel(&[0.9, 0.8, 0.7]).unwrap(), k_of_n(1, &[0.9, 0.8, 0.7]).unwrap());
        close(shared_cause(0.1, 0.902, 0.8).unwrap(), 0.8918);
    }

    #[test]
    fn no_failure_gives_a_bound_and_not_infinity() {
        let record = RepairRecord::from_spells(&[Spell::censored(SpellState::Up, 300.0).unwrap()]);
        let rate = record.failure_rate(0.95).unwrap();
        close(rate.high, -0.05_f64.ln() / 300.0);
        assert_eq!(record.mean_time_between_failures().unwrap(), MeanTime::AtLeast(300.0 / -0.05_f64.ln()));
        assert!(record.mean_time_to_repair().is_err() && record.availability_interval(0.95).is_err());
    }

    #[test]
    fn ten_failures_have_the_textbook_poisson_interval() {
        // Exact 95 % limits for a count of 10: 4.795 and 18.390 (Ulm 1990, table).
        let mut record = RepairRecord { up_time: 1.0, failures: 10, ..RepairRecord::default() };
        let rate = record.failure_rate(0.95).unwrap();
        assert!((rate.low - 4.795_389).abs() < 1e-5 && (rate.high - 18.390_36).abs() < 1e-4, "{rate:?}");
        record.up_time = f64::NAN;
        assert!(record.failure_rate(0.95).is_err());
    }
}
