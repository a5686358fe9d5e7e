//! The share that failed by a horizon, with an interval that knows that nights see the same entity again.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use survival::special::two_sided_factor;
use survival::{KaplanMeier, Observation};

use crate::error::Result;

/// Level of every interval.
pub(super) const LEVEL: f64 = 0.95;

/// 1 − Kaplan–Meier at a horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ObservedShare {
    /// The estimate.
    pub share: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// 1 − Ŝ(`horizon`) with an interval on the scale ln(−ln S); `cluster` names the entity of each observation.
///
/// The variance of ln Ŝ is the sum of squares over *entities* of the summed influences of their rows (the infinitesimal
/// jackknife), which is Greenwood's where every entity has one row (Therneau & Grambsch 2000, section 7.2). Where Ŝ is 0 or
/// 1 both ends equal the estimate, as that scale has no value there.
pub(super) fn observed_share(observations: &[Observation], cluster: &[&str], horizon: f64) -> Result<ObservedShare> {
    let curve = KaplanMeier::fit(observations)?;
    let s = curve.survival_at(horizon);
    if s <= 0.0 || s >= 1.0 {
        return Ok(ObservedShare { share: 1.0 - s, low: 1.0 - s, high: 1.0 - s });
    }
    // Of a row at risk through t_j: Σ_{i ≤ j} d_i/(n_i(n_i − d_i)).
    let until = curve.times().partition_point(|&time| time <= horizon);
    let mut survived = Vec::with_capacity(until);
    let mut sum = 0.0;
    for (n, d) in curve.at_risk().iter().zip(curve.events()).take(until) {
        sum += d / (n * (n - d));
        survived.push(sum);
    }
    let mut of_entity: HashMap<&str, f64> = HashMap::new();
    for (observation, &entity) in observations.iter().zip(cluster) {
        let end = observation.duration().min(horizon);
        let at = curve.times().partition_point(|&time| time <= end).min(until);
        let mut influence = if at == 0 { 0.0 } else { survived[at - 1] };
        if observation.failed() && observation.duration() <= horizon && at > 0 {
            influence -= 1.0 / (curve.at_risk()[at - 1] - curve.events()[at - 1]);
        }
        *of_entity.entry(entity).or_default() += influence;
    }
    let mut influences: Vec<f64> = of_entity.into_values().collect();
    // Summed in one order, whatever the order of the map.
    influences.sort_by(f64::total_cmp);
    let spread = influences.iter().map(|u| u * u).sum::<f64>().sqrt();
    let width = two_sided_factor(LEVEL)? * spread / -s.ln();
    Ok(ObservedShare { share: 1.0 - s, low: 1.0 - s.powf((-width).exp()), high: 1.0 - s.powf(width.exp()) })
}

#[cfg(test)]
mod tests {
    use survival::{Cause, CensorReason, Outcome};

    use super::*;

    fn sample() -> Vec<Observation> {
        let failed = Outcome::Failed(Cause(0));
        let left = Outcome::Censored(CensorReason::Lost);
        [(1.0, failed), (2.0, left), (2.0, failed), (3.0, failed), (3.5, left), (5.0, failed), (6.0, left), (7.0, left)]
            .map(|(duration, outcome)| Observation::try_new(duration, outcome).unwrap())
            .to_vec()
    }

    #[test]
    fn one_row_per_entity_gives_greenwoods_interval() {
        let observations = sample();
        let names: Vec<String> = (0..observations.len()).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let curve = KaplanMeier::fit(&observations).unwrap();
        for horizon in [1.0, 2.5, 3.0, 6.5] {
            let got = observed_share(&observations, &names, horizon).unwrap();
            let (low, high) = curve.interval(horizon, LEVEL).unwrap();
            assert!((got.share - (1.0 - curve.survival_at(horizon))).abs() < 1e-12);
            assert!((got.low - (1.0 - high)).abs() < 1e-12, "{horizon}: {} against {}", got.low, 1.0 - high);
            assert!((got.high - (1.0 - low)).abs() < 1e-12, "{horizon}: {} against {}", got.high, 1.0 - low);
        }
    }

    #[test]
    fn the_same_rows_twice_make_the_interval_no_narrower() {
        let once = sample();
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let twice: Vec<Observation> = once.iter().chain(&once).copied().collect();
        let both: Vec<&str> = names.iter().chain(&names).copied().collect();
        let (one, two) = (observed_share(&once, &names, 4.0).unwrap(), observed_share(&twice, &both, 4.0).unwrap());
        assert!((one.low - two.low).abs() < 1e-12 && (one.high - two.high).abs() < 1e-12, "{one:?} {two:?}");
        // Treated as other entities they would.
        let others: Vec<String> = (0..twice.len()).map(|n| n.to_string()).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert!(observed_share(&twice, &others, 4.0).unwrap().low > two.low + 0.02);
    }

    #[test]
    fn where_nothing_failed_both_ends_are_the_estimate() {
        let got = observed_share(&sample(), &["x"; 8], 0.5).unwrap();
        assert_eq!(got, ObservedShare { share: 0.0, low: 0.0, high: 0.0 });
    }
}
