//! Is a health indicator fit for predicting life? Monotonicity, trendability, prognosability (Coble & Hines, PHM 2009).
//!
//! One run to failure per unit, at least two values each, in order of time. All three lie in [0, 1], 1 being best; they
//! compare indicators on one set of units and say nothing across sets. Noise lowers monotonicity as much as a wrong
//! direction does, so smooth alike before comparing.

use super::check_values;
use crate::{Result, SurvivalError};

/// Mean over units of |rises − falls|/(values − 1).
///
/// # Errors
/// When there is no unit, a unit has fewer than two values, or a value is not finite.
pub fn monotonicity(runs: &[Vec<f64>]) -> Result<f64> {
    check_runs(runs, 1)?;
    let of_run = |run: &Vec<f64>| {
        let balance: f64 = run
            .windows(2)
            .map(|pair| match pair[1].total_cmp(&pair[0]) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Less => -1.0,
                std::cmp::Ordering::Equal => 0.0,
            })
            .sum();
        balance.abs() / (run.len() - 1) as f64
    };
    Ok(runs.iter().map(of_run).sum::<f64>() / runs.len() as f64)
}

/// The smallest |correlation| between two units, the shorter run stretched to the length of the longer one: whether
/// every life has the same shape. A run without any change correlates with none (0).
///
/// The form in use since Coble's thesis (2010); the paper of 2009 counts positive first and second differences.
///
/// # Errors
/// When there are fewer than two units, a unit has fewer than two values, or a value is not finite.
pub fn trendability(runs: &[Vec<f64>]) -> Result<f64> {
    check_runs(runs, 2)?;
    let mut least = 1.0_f64;
    for (i, one) in runs.iter().enumerate() {
        for other in &runs[i + 1..] {
            let length = one.len().max(other.len());
            least = least.min(correlation(&stretched(one, length), &stretched(other, length)).abs());
        }
    }
    Ok(least)
}

/// exp(−sd of the last values / mean |last − first|): whether all units fail at one level, seen from how far they
/// travel. The standard deviation has n − 1 below it.
///
/// # Errors
/// When there are fewer than two units, a unit has fewer than two values, a value is not finite, or no unit's indicator
/// ends elsewhere than it began.
pub fn prognosability(runs: &[Vec<f64>]) -> Result<f64> {
    check_runs(runs, 2)?;
    let n = runs.len() as f64;
    let last: Vec<f64> = runs.iter().map(|run| run[run.len() - 1]).collect();
    let travel = runs.iter().zip(&last).map(|(run, end)| (end - run[0]).abs()).sum::<f64>() / n;
    if travel <= 0.0 {
        return Err(SurvivalError::Domain {
            what: "mean change of the indicator over a life",
            value: travel,
            domain: "above 0",
        });
    }
    let mean = last.iter().sum::<f64>() / n;
    let variance = last.iter().map(|end| (end - mean) * (end - mean)).sum::<f64>() / (n - 1.0);
    Ok((-variance.sqrt() / travel).exp())
}

fn check_runs(runs: &[Vec<f64>], least: usize) -> Result<()> {
    if runs.len() < least {
        return Err(SurvivalError::Shape { what: "runs to failure (at least)", expected: least, got: runs.len() });
    }
    for run in runs {
        if run.len() < 2 {
            return Err(SurvivalError::Shape { what: "values of a run (at least)", expected: 2, got: run.len() });
        }
        check_values("values of a run", run)?;
    }
    Ok(())
}

/// The run at `length` evenly spaced points of its life, on the lines between its values.
fn stretched(run: &[f64], length: usize) -> Vec<f64> {
    let last = run.len() - 1;
    (0..length)
        .map(|k| {
            let place = k as f64 * last as f64 / (length - 1) as f64;
            let below = (place.floor() as usize).min(last - 1);
            run[below] + (place - below as f64) * (run[below + 1] - run[below])
        })
        .collect()
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xy += (a - mean_x) * (b - mean_y);
        xx += (a - mean_x) * (a - mean_x);
        yy += (b - mean_y) * (b - mean_y);
    }
    if xx > 0.0 && yy > 0.0 { (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_short_lives_worked_by_hand() {
        let runs = vec![vec![1.0, 0.8, 0.5, 0.1], vec![1.0, 0.9, 1.0, 0.3], vec![0.9, 0.5, 0.5]];
        // (3 falls)/3, (2 falls − 1 rise)/3, (1 fall, 1 equal)/2.
        let want = (1.0 + 1.0 / 3.0 + 0.5) / 3.0;
        assert!((monotonicity(&runs).unwrap() - want).abs() < 1e-15);
        // Last values 0.1, 0.3, 0.5: sd 0.2; travels 0.9, 0.7, 0.4.
        let want = (-0.2_f64 / (2.0 / 3.0)).exp();
        assert!((prognosability(&runs).unwrap() - want).abs() < 1e-14);
    }

    #[test]
    fn lines_of_any_length_and_direction_are_one_shape() {
        let runs = vec![vec![0.0, 1.0, 2.0, 3.0, 4.0], vec![5.0, 3.0], vec![1.0, 1.5, 2.0]];
        assert!((trendability(&runs).unwrap() - 1.0).abs() < 1e-14);
        assert!((monotonicity(&runs).unwrap() - 1.0).abs() < 1e-15);
        // (0, 1, 0) against (0, 1, 2): covariance 0.
        assert!(trendability(&[vec![0.0, 1.0, 0.0], vec![0.0, 1.0, 2.0]]).unwrap() < 1e-15);
        // (0, 1, 1) against (0, 1, 2): 1/√(2/3 · 2).
        let got = trendability(&[vec![0.0, 1.0, 1.0], vec![0.0, 1.0, 2.0]]).unwrap();
        assert!((got - 1.0 / (4.0_f64 / 3.0).sqrt()).abs() < 1e-14);
        assert!(trendability(&[vec![1.0, 1.0], vec![0.0, 1.0]]).unwrap() < 1e-15);
    }
}
