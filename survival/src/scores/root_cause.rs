//! Where did it start? Ranked candidates of a fault against its true root causes: AC@k, Avg@k, AS@k, MRR.
//!
//! A case is one fault with one score per candidate (entity, metric, edge); larger is more suspect. Ties are broken by
//! lot: every score is its mean over all orders, so a detector that suspects everybody equally gets what chance gets.

use std::collections::BTreeMap;

use super::classification::{Place, check_k, mean};
use super::{check_rows, check_values};
use crate::{Result, SurvivalError};

/// One fault: scores of its candidates and the positions of the true causes among them.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedFault {
    scores: Vec<f64>,
    causes: Vec<usize>,
}

impl RankedFault {
    /// Scores per candidate, and the true causes as positions in them. A true cause that was no candidate counts as never
    /// found: give it as a candidate with a score below all others.
    ///
    /// # Errors
    /// When there is no candidate or no cause, a score is not finite, or a cause does not exist or is named twice.
    pub fn new(scores: Vec<f64>, causes: Vec<usize>) -> Result<Self> {
        check_rows("candidates", scores.len(), scores.len())?;
        check_values("candidate scores", &scores)?;
        if causes.is_empty() {
            return Err(SurvivalError::Empty { what: "list of true causes" });
        }
        for (position, &cause) in causes.iter().enumerate() {
            if cause >= scores.len() || causes[..position].contains(&cause) {
                return Err(SurvivalError::Domain {
                    what: "true cause",
                    value: cause as f64,
                    domain: "the position of a candidate, named once",
                });
            }
        }
        Ok(Self { scores, causes })
    }

    /// The same fault over groups of candidates, such as metrics of one service: a group scores as its most suspect
    /// member and is a cause when one of its members is.
    ///
    /// # Errors
    /// When there is not one group per candidate.
    pub fn grouped(&self, group: &[usize]) -> Result<Self> {
        check_rows("groups of candidates", self.scores.len(), group.len())?;
        let mut members: BTreeMap<usize, (f64, bool)> = BTreeMap::new();
        for (candidate, (&score, &group)) in self.scores.iter().zip(group).enumerate() {
            let entry = members.entry(group).or_insert((score, false));
            entry.0 = entry.0.max(score);
            entry.1 |= self.causes.contains(&candidate);
        }
        let causes =
            members.values().enumerate().filter(|(_, (_, cause))| *cause).map(|(position, _)| position).collect();
        Self::new(members.values().map(|(score, _)| *score).collect(), causes)
    }

    fn place(&self, candidate: usize) -> Place {
        Place::of(self.scores.iter().copied(), self.scores[candidate])
    }

    /// Causes among the first k over the most that could be there, min(k, causes).
    fn accuracy(&self, k: usize) -> f64 {
        let found: f64 = self.causes.iter().map(|&cause| self.place(cause).share_within(k)).sum();
        found / k.min(self.causes.len()) as f64
    }

    /// Mean of 1/rank of the first true cause.
    fn reciprocal_rank(&self) -> f64 {
        let best = self.causes.iter().map(|&cause| self.scores[cause]).fold(f64::NEG_INFINITY, f64::max);
        let Place { above, tied } = Place::of(self.scores.iter().copied(), best);
        let right = self.causes.iter().filter(|&&cause| self.scores[cause] >= best).count();
        // The first of `right` causes among `tied` places stands at place j with chance
        // C(tied − j, right − 1)/C(tied, right), built up by the ratio of neighbours.
        let mut chance = right as f64 / tied as f64;
        let mut sum = 0.0;
        for place in 1..=tied + 1 - right {
            sum += chance / (above + place) as f64;
            let (left, fewer) = ((tied - place) as f64, (right - 1) as f64);
            if left > 0.0 {
                chance *= (left - fewer) / left;
            }
        }
        sum
    }
}

/// AC@k: mean over faults of causes among the first `k` candidates over min(k, causes).
///
/// # Errors
/// When there is no fault or `k` is 0.
pub fn accuracy_at(faults: &[RankedFault], k: usize) -> Result<f64> {
    check_rows("faults", faults.len(), faults.len())?;
    check_k(k)?;
    Ok(mean(faults.iter().map(|fault| fault.accuracy(k))))
}

/// Avg@k: mean of AC@1..AC@k.
///
/// # Errors
/// As [`accuracy_at`].
pub fn average_accuracy(faults: &[RankedFault], k: usize) -> Result<f64> {
    check_k(k)?;
    (1..=k).map(|k| accuracy_at(faults, k)).sum::<Result<f64>>().map(|sum| sum / k as f64)
}

/// AS@k: AC@k over services instead of candidates; `service` names one group per candidate and fault.
///
/// # Errors
/// As [`accuracy_at`], and when there is not one service per candidate.
pub fn service_accuracy_at(faults: &[RankedFault], service: &[Vec<usize>], k: usize) -> Result<f64> {
    check_rows("services per fault", faults.len(), service.len())?;
    let grouped = faults.iter().zip(service).map(|(fault, group)| fault.grouped(group)).collect::<Result<Vec<_>>>()?;
    accuracy_at(&grouped, k)
}

/// MRR: mean over faults of 1/rank of the first true cause.
///
/// # Errors
/// When there is no fault.
pub fn mean_reciprocal_rank(faults: &[RankedFault]) -> Result<f64> {
    check_rows("faults", faults.len(), faults.len())?;
    Ok(mean(faults.iter().map(RankedFault::reciprocal_rank)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }

    #[test]
    fn three_faults_worked_by_hand() {
        let faults = [
            RankedFault::new(vec![0.9, 0.1, 0.5], vec![0]).unwrap(),
            RankedFault::new(vec![0.9, 0.1, 0.5], vec![1, 2]).unwrap(),
            RankedFault::new(vec![0.2, 0.2, 0.2, 0.2], vec![3]).unwrap(),
        ];
        // AC@1: 1, 0, ¼. AC@2: 1, ½, ½. AC@3: 1, 2/2, ¾.
        close(accuracy_at(&faults, 1).unwrap(), 1.25 / 3.0);
        close(accuracy_at(&faults, 2).unwrap(), 2.0 / 3.0);
        close(average_accuracy(&faults, 3).unwrap(), (1.25 + 2.0 + 2.75) / 9.0);
        // 1/1, 1/2, and (1 + 1/2 + 1/3 + 1/4)/4.
        close(mean_reciprocal_rank(&faults).unwrap(), (1.5 + 25.0 / 48.0) / 3.0);
    }

    #[test]
    fn the_first_of_two_tied_causes_is_found_sooner() {
        // Two causes among three tied: first at place 1 with 2/3, at place 2 with 1/3.
        let fault = RankedFault::new(vec![1.0, 1.0, 1.0], vec![0, 2]).unwrap();
        close(mean_reciprocal_rank(&[fault]).unwrap(), 2.0 / 3.0 + 1.0 / 6.0);
    }

    #[test]
    fn services_score_as_their_most_suspect_part() {
        // Candidates of services 7, 7, 9, 4: the cause is the second of service 7, seen only by its other metric.
        let fault = RankedFault::new(vec![0.9, 0.1, 0.5, 0.2], vec![1]).unwrap();
        close(accuracy_at(std::slice::from_ref(&fault), 1).unwrap(), 0.0);
        close(service_accuracy_at(&[fault], &[vec![7, 7, 9, 4]], 1).unwrap(), 1.0);
    }
}
