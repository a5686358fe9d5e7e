//! From numbers to one of four words, by rules fixed before the numbers were seen.
//!
//! | word | when |
//! |---|---|
//! | supported | the interval excludes 0, the effect exceeds δ, and the adjusted p (where the claim is one of a family) is below α |
//! | refuted | the same on the other side; or a test of equality shows that the two are equal where one was claimed better; or a counterexample |
//! | undecided | anything else: also "no difference found" without a test of equality |
//! | not testable | no measurable quantity, or no data; the reason says what is missing |

use std::fmt;

use serde::{Deserialize, Serialize};

use super::binomial::upper_bound;
use super::equivalence::Equivalence;
use crate::special::open_unit;
use crate::{Interval, Result, SurvivalError};

/// The only words a claim may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The test named beforehand was passed on the named data, and the margin cleared.
    #[serde(rename = "supported")]
    Supported,
    /// The opposite was shown.
    #[serde(rename = "refuted")]
    Refuted,
    /// Neither.
    #[serde(rename = "undecided")]
    Undecided,
    /// Nothing to measure or nothing to measure it on.
    #[serde(rename = "not testable")]
    NotTestable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Undecided => "undecided",
            Self::NotTestable => "not testable",
        })
    }
}

/// A verdict with its reason in words and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The word.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// What a claim "A is better than B by more than δ" is judged on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The effect, turned so that positive favours the claim.
    pub effect: Interval,
    /// δ > 0, fixed beforehand, in the unit of the effect.
    pub margin: f64,
    /// Test of equality with the same δ, where one was run.
    pub equivalence: Option<Equivalence>,
    /// Two-sided p adjusted over the family of claims; `None` for a claim that stands alone.
    pub adjusted_p: Option<f64>,
    /// Level of the adjusted p.
    pub alpha: f64,
}

/// Judges a claim of superiority.
///
/// # Errors
/// When a number is not finite, the interval is turned round, δ is not positive, α or the p is outside its range, or
/// the test of equality was run with another δ.
pub fn judge(evidence: &Evidence) -> Result<Judgement> {
    check(evidence)?;
    let Evidence { effect, margin, equivalence, adjusted_p, alpha } = *evidence;
    let shown = format!(
        "effect {} with {} % interval {} to {}, margin {}",
        number(effect.estimate),
        number(100.0 * effect.level),
        number(effect.low),
        number(effect.high),
        number(margin)
    );
    let equal = equivalence.is_some_and(|e| e.equal);
    let ahead = effect.low > 0.0 && effect.estimate > margin;
    let behind = effect.high < 0.0 && effect.estimate < -margin;
    if equal {
        if ahead || behind {
            return told(
                Verdict::Undecided,
                format!("{shown}: the test of equality and the interval contradict each other"),
            );
        }
        return told(Verdict::Refuted, format!("{shown}: equal within the margin, where superiority was claimed"));
    }
    if !(ahead || behind) {
        let what = if effect.low > 0.0 || effect.high < 0.0 {
            "the interval excludes 0, the effect does not exceed the margin"
        } else {
            "the interval holds 0"
        };
        return told(Verdict::Undecided, format!("{shown}: {what}, and equality was not shown"));
    }
    if let Some(p) = adjusted_p.filter(|p| *p >= alpha) {
        let p = format!("adjusted p {} is not below {}", number(p), number(alpha));
        return told(Verdict::Undecided, format!("{shown}: beyond the margin, but {p}"));
    }
    let p = adjusted_p.map_or(String::new(), |p| format!(", adjusted p {}", number(p)));
    if ahead {
        told(Verdict::Supported, format!("{shown}{p}: the interval excludes 0 and the effect exceeds the margin"))
    } else {
        told(Verdict::Refuted, format!("{shown}{p}: the opposite holds by more than the margin"))
    }
}

/// Judges a claim of "always" or "never" on `violations` among `cases`: one counterexample refutes it; none supports it
/// when the upper bound of their share at confidence 1 − `alpha` is at most `largest_share`, named beforehand.
///
/// # Errors
/// When there is no case, more violations than cases, or `alpha` or `largest_share` is outside (0, 1).
pub fn judge_violations(violations: usize, cases: usize, largest_share: f64, alpha: f64) -> Result<Judgement> {
    open_unit("largest share of violations", largest_share)?;
    open_unit("alpha", alpha)?;
    let bound = upper_bound(violations, cases, 1.0 - alpha)?;
    if violations > 0 {
        return told(Verdict::Refuted, format!("{violations} counterexamples among {cases} cases"));
    }
    let shown = format!(
        "no counterexample among {cases} cases: their share is below {} with confidence {} %, {} was asked for",
        number(bound),
        number(100.0 * (1.0 - alpha)),
        number(largest_share)
    );
    told(if bound <= largest_share { Verdict::Supported } else { Verdict::Undecided }, shown)
}

/// Judges "at least `level`" or, with `at_least` false, "at most": on a bound of the measured quantity from either side.
///
/// # Errors
/// When a number is not finite or the interval is turned round.
pub fn judge_level(measured: &Interval, level: f64, at_least: bool) -> Result<Judgement> {
    check_interval(measured)?;
    if !level.is_finite() {
        return Err(SurvivalError::Domain { what: "stated level", value: level, domain: "finite" });
    }
    let (reached, missed) = if at_least {
        (measured.low >= level, measured.high < level)
    } else {
        (measured.high <= level, measured.low > level)
    };
    let verdict = match (reached, missed) {
        (true, _) => Verdict::Supported,
        (_, true) => Verdict::Refuted,
        _ => Verdict::Undecided,
    };
    let shown = format!(
        "{} with {} % interval {} to {}; at {} {} was claimed",
        number(measured.estimate),
        number(100.0 * measured.level),
        number(measured.low),
        number(measured.high),
        if at_least { "least" } else { "most" },
        number(level)
    );
    told(verdict, shown)
}

/// A claim refuted by one case, told in words.
#[must_use]
pub fn counterexample(case: &str) -> Judgement {
    Judgement { verdict: Verdict::Refuted, reason: format!("counterexample: {case}") }
}

/// A claim without a measurable quantity or without data; `missing` says which.
#[must_use]
pub fn not_testable(missing: &str) -> Judgement {
    Judgement { verdict: Verdict::NotTestable, reason: format!("missing: {missing}") }
}

fn told(verdict: Verdict, reason: String) -> Result<Judgement> {
    Ok(Judgement { verdict, reason })
}

/// Four significant digits, without an exponent while that stays readable.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude > 0.0 && !(1e-4..1e6).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let digits = if magnitude > 0.0 { (3 - magnitude.log10().floor() as i32).clamp(0, 8) as usize } else { 0 };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn check(evidence: &Evidence) -> Result<()> {
    let Evidence { effect, margin, equivalence, adjusted_p, alpha } = evidence;
    check_interval(effect)?;
    open_unit("alpha", *alpha)?;
    if !(margin.is_finite() && *margin > 0.0) {
        return Err(SurvivalError::Domain { what: "margin of a claim", value: *margin, domain: "positive and finite" });
    }
    if let Some(value) = adjusted_p.filter(|p| !(0.0..=1.0).contains(p)) {
        return Err(SurvivalError::Domain { what: "adjusted p value", value, domain: "in [0, 1]" });
    }
    match equivalence {
        Some(test) if (test.margin - margin).abs() > 1e-12 * margin => Err(SurvivalError::Domain {
            what: "margin of the test of equality",
            value: test.margin,
            domain: "the margin of the claim",
        }),
        _ => Ok(()),
    }
}

fn check_interval(effect: &Interval) -> Result<()> {
    crate::scores::check_values("effect, low, high", &[effect.estimate, effect.low, effect.high])?;
    if effect.low > effect.high {
        return Err(SurvivalError::Domain {
            what: "lower bound of an effect",
            value: effect.low,
            domain: "at most the upper bound",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(estimate: f64, low: f64, high: f64) -> Evidence {
        let effect = Interval { estimate, low, high, level: 0.95 };
        Evidence { effect, margin: 0.01, equivalence: None, adjusted_p: None, alpha: 0.05 }
    }

    fn verdict(evidence: &Evidence) -> Verdict {
        judge(evidence).unwrap().verdict
    }

    #[test]
    fn each_word_has_its_case() {
        assert_eq!(verdict(&evidence(0.03, 0.005, 0.05)), Verdict::Supported);
        assert_eq!(verdict(&evidence(-0.03, -0.05, -0.005)), Verdict::Refuted);
        // Excludes 0 but is too small; large but holds 0.
        assert_eq!(verdict(&evidence(0.008, 0.002, 0.012)), Verdict::Undecided);
        assert_eq!(verdict(&evidence(0.03, -0.01, 0.07)), Verdict::Undecided);
        // The margin must be exceeded, not met.
        assert_eq!(verdict(&evidence(0.01, 0.005, 0.05)), Verdict::Undecided);
        assert_eq!(not_testable("a stated level").verdict, Verdict::NotTestable);
        assert_eq!(counterexample("0.999² < 0.999").verdict, Verdict::Refuted);
    }

    #[test]
    fn the_family_can_take_support_away_and_refutation_too() {
        let kept = Evidence { adjusted_p: Some(0.02), ..evidence(0.03, 0.005, 0.05) };
        let lost = Evidence { adjusted_p: Some(0.08), ..kept };
        assert_eq!((verdict(&kept), verdict(&lost)), (Verdict::Supported, Verdict::Undecided));
        let behind = Evidence { adjusted_p: Some(0.08), ..evidence(-0.03, -0.05, -0.005) };
        assert_eq!(verdict(&behind), Verdict::Undecided);
    }

    #[test]
    fn equality_refutes_superiority_and_must_have_the_same_margin() {
        let small = evidence(0.001, -0.004, 0.006);
        assert_eq!(verdict(&small), Verdict::Undecided);
        let equal = Equivalence { margin: 0.01, alpha: 0.05, p_value: Some(0.001), equal: true };
        assert_eq!(verdict(&Evidence { equivalence: Some(equal), ..small }), Verdict::Refuted);
        let other = Equivalence { margin: 0.02, ..equal };
        assert!(judge(&Evidence { equivalence: Some(other), ..small }).is_err());
    }

    #[test]
    fn laws_need_enough_cases_and_levels_a_bound() {
        // 0 of 59 bounds the share below 5 %: 0.95^59 = 0.0485.
        assert_eq!(judge_violations(0, 59, 0.05, 0.05).unwrap().verdict, Verdict::Supported);
        assert_eq!(judge_violations(0, 58, 0.05, 0.05).unwrap().verdict, Verdict::Undecided);
        assert_eq!(judge_violations(1, 1_000_000, 0.05, 0.05).unwrap().verdict, Verdict::Refuted);
        let measured = Interval { estimate: 0.999, low: 0.998, high: 0.9995, level: 0.95 };
        assert_eq!(judge_level(&measured, 0.998, true).unwrap().verdict, Verdict::Supported);
        assert_eq!(judge_level(&measured, 0.9999, true).unwrap().verdict, Verdict::Refuted);
        assert_eq!(judge_level(&measured, 0.999, true).unwrap().verdict, Verdict::Undecided);
    }

    #[test]
    fn reasons_are_short_numbers_in_words() {
        let reason = judge(&evidence(0.031_234_567, 0.005, 0.05)).unwrap().reason;
        assert_eq!(
            reason,
            "effect 0.03123 with 95 % interval 0.005 to 0.05, margin 0.01: the interval excludes 0 and the effect exceeds \
             the margin"
        );
        assert_eq!((number(0.0), number(1234.6), number(2e-7)), ("0".into(), "1235".into(), "2.000e-7".into()));
    }

    #[test]
    fn the_words_are_written_as_the_register_spells_them() {
        for verdict in [Verdict::Supported, Verdict::Refuted, Verdict::Undecided, Verdict::NotTestable] {
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(json, format!("\"{verdict}\""));
        }
    }
}
