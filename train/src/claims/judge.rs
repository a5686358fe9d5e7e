//! From what was found to rows with a verdict: one family of p values, Holm over all of it, and one of four words each.

use std::collections::BTreeMap;

use model::ModelKind;
use serde::{Deserialize, Serialize};
use survival::Interval;
use survival::compare::adjust::holm;
use survival::compare::equivalence::Equivalence;
use survival::compare::verdict::{self, Judgement, Verdict};

use crate::claims::compare::{Against, hardest, p_of_claim};
use crate::claims::config::Levels;
use crate::claims::evidence::{Evidence, Exceptions, ExternalEvidence};
use crate::claims::laws::{self, Count};
use crate::claims::maintenance::Replay;
use crate::claims::register::{Evaluation, Margin, Section, THEOREMS, Theorem};
use crate::error::Result;

/// What a verdict is made from.
#[derive(Debug, Clone, PartialEq)]
pub enum Basis {
    /// An effect, positive in favour of the claim.
    Effect {
        /// With its interval.
        effect: Interval,
        /// Two-sided, not adjusted.
        p: f64,
        /// δ in the unit of the effect.
        margin: f64,
        /// Test of equality with the same δ.
        equivalence: Option<Equivalence>,
    },
    /// Cases counted.
    Counted(Count),
    /// One case against it.
    Case(String),
    /// What is missing.
    Missing(String),
}

/// What was found about one claim on one data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Claim.
    pub theorem: &'static Theorem,
    /// What was measured, where it is not the theorem's endpoint.
    pub endpoint: Option<String>,
    /// Data, in words.
    pub data: String,
    /// Rivals with their values, the hardest first.
    pub rivals: Vec<RivalLine>,
    /// What decides.
    pub basis: Basis,
    /// For the reader.
    pub note: String,
    /// Whether it is one of the family of primary results.
    pub primary: bool,
}

/// One rival of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RivalLine {
    /// Name.
    pub name: String,
    /// Value of the claimed family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_value: Option<f64>,
    /// Value of the rival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival_value: Option<f64>,
    /// The effect against this rival, positive in favour of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Interval>,
    /// Two-sided p, not adjusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
}

/// One row of the register with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimRow {
    /// Theorem.
    pub id: String,
    /// In one line.
    pub claim: String,
    /// So that it can fail.
    pub restated: String,
    /// What was measured.
    pub endpoint: String,
    /// On what.
    pub data: String,
    /// What was expected.
    pub prior: String,
    /// Rivals, the hardest first.
    pub rivals: Vec<RivalLine>,
    /// Positive favours the claim; against the hardest rival.
    pub effect: Option<Interval>,
    /// δ in the unit of the effect.
    pub margin: Option<f64>,
    /// Two-sided p of the claim.
    pub p: Option<f64>,
    /// The same, adjusted by Holm over the primary results.
    pub adjusted_p: Option<f64>,
    /// Whether the row belongs to that family.
    pub primary: bool,
    /// Exceptions among cases.
    pub counts: Option<Exceptions>,
    /// One of four words.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What else was seen.
    pub note: String,
}

/// Judges every finding; p values of the primary ones are adjusted together.
///
/// # Errors
/// When an effect, a margin or a p is impossible.
pub fn judge(findings: &[Finding], alpha: f64, law_share: f64) -> Result<Vec<ClaimRow>> {
    let family: Vec<(usize, f64)> = findings
        .iter()
        .enumerate()
        .filter_map(|(at, finding)| match finding.basis {
            Basis::Effect { p, .. } if finding.primary => Some((at, p)),
            _ => None,
        })
        .collect();
    let adjusted: BTreeMap<usize, f64> = if family.is_empty() {
        BTreeMap::new()
    } else {
        let p_values: Vec<f64> = family.iter().map(|(_, p)| *p).collect();
        family.iter().map(|(at, _)| *at).zip(holm(&p_values)?).collect()
    };
    findings
        .iter()
        .enumerate()
        .map(|(at, finding)| row(finding, adjusted.get(&at).copied(), alpha, law_share))
        .collect()
}

fn row(finding: &Finding, adjusted_p: Option<f64>, alpha: f64, law_share: f64) -> Result<ClaimRow> {
    let (mut effect, mut margin, mut p, mut counts) = (None, None, None, None);
    let judgement = match &finding.basis {
        Basis::Effect { effect: found, p: of_effect, margin: delta, equivalence } => {
            (effect, margin, p) = (Some(*found), Some(*delta), Some(*of_effect));
            // A secondary result stands alone, with its own p.
            let decides = adjusted_p.or(Some(*of_effect));
            let evidence = verdict::Evidence {
                effect: *found,
                margin: *delta,
                equivalence: *equivalence,
                adjusted_p: decides,
                alpha,
            };
            verdict::judge(&evidence)?
        }
        Basis::Counted(count) => {
            counts = Some(Exceptions { violations: count.violations, cases: count.cases });
            let mut judgement = verdict::judge_violations(count.violations, count.cases, law_share, alpha)?;
            if let Some(example) = &count.example {
                judgement.reason = format!("{}; the first: {example}", judgement.reason);
            }
            judgement
        }
        Basis::Case(case) => verdict::counterexample(case),
        Basis::Missing(missing) => verdict::not_testable(missing),
    };
    let Judgement { verdict, reason } = judgement;
    let theorem = finding.theorem;
    Ok(ClaimRow {
        id: theorem.id.to_owned(),
        claim: theorem.claim.to_owned(),
        restated: theorem.restated.to_owned(),
        endpoint: finding.endpoint.clone().unwrap_or_else(|| theorem.endpoint.to_owned()),
        data: finding.data.clone(),
        prior: theorem.prior.to_owned(),
        rivals: finding.rivals.clone(),
        effect,
        margin,
        p,
        adjusted_p,
        primary: finding.primary,
        counts,
        verdict,
        reason,
        note: finding.note.clone(),
    })
}

impl Finding {
    /// A finding without rivals.
    #[must_use]
    pub fn of(theorem: &'static Theorem, data: &str, basis: Basis) -> Self {
        Self {
            theorem,
            endpoint: None,
            data: data.to_owned(),
            rivals: Vec::new(),
            basis,
            note: String::new(),
            primary: true,
        }
    }

    /// A law counted here.
    #[must_use]
    pub fn counted(theorem: &'static Theorem, data: &str, count: Count) -> Self {
        Self { note: count.note.clone(), ..Self::of(theorem, data, Basis::Counted(count)) }
    }

    /// A family against its rivals; decided against the hardest.
    ///
    /// # Errors
    /// When there is no rival, or the test of equality refuses the margin.
    pub fn compared(
        theorem: &'static Theorem,
        data: &str,
        claimed: ModelKind,
        against: &[Against],
        margin: Margin,
        alpha: f64,
    ) -> Result<Self> {
        let Some(decides) = hardest(against, margin) else {
            return Ok(Self::of(theorem, data, Basis::Missing("a rival that was fitted on these data".to_owned())));
        };
        let delta = margin.against(decides.rival_value);
        if delta <= 0.0 || !delta.is_finite() {
            let missing = format!("a margin: {} of a rival's value of {}", margin, decides.rival_value);
            return Ok(Self::of(theorem, data, Basis::Missing(missing)));
        }
        let basis = Basis::Effect {
            effect: decides.effect.effect,
            p: p_of_claim(against, decides),
            margin: delta,
            equivalence: Some(decides.effect.equivalence(delta, alpha)?),
        };
        let mut lines: Vec<RivalLine> = vec![line(decides)];
        lines.extend(against.iter().filter(|other| other.rival != decides.rival).map(line));
        Ok(Self {
            rivals: lines,
            note: format!(
                "{} against {} rivals, decided against {}",
                claimed.name(),
                against.len(),
                decides.rival.name()
            ),
            ..Self::of(theorem, data, basis)
        })
    }

    /// A replay of maintenance policies.
    ///
    /// # Errors
    /// When the test of equality refuses the margin.
    pub fn replayed(theorem: &'static Theorem, replay: &Replay, alpha: f64) -> Result<Self> {
        let margin = theorem.margin.map_or(0.0, |margin| margin.against(replay.rival_rate));
        let basis = Basis::Effect {
            effect: replay.effect.effect,
            p: replay.effect.p_value,
            margin,
            equivalence: Some(replay.effect.equivalence(margin, alpha)?),
        };
        let even = replay.break_even.map_or("never in the sweep".to_owned(), |ratio| format!("from 1:{ratio} on"));
        let line = RivalLine {
            name: replay.rival.clone(),
            claimed_value: Some(replay.rival_rate - replay.effect.effect.estimate),
            rival_value: Some(replay.rival_rate),
            effect: Some(replay.effect.effect),
            p: Some(replay.effect.p_value),
        };
        Ok(Self {
            rivals: vec![line],
            note: format!("judged at 1:{}; cheaper than both others {even}; {} units", replay.ratio, replay.units),
            ..Self::of(theorem, &replay.data, basis)
        })
    }

    /// What a piece of evidence of another benchmark says: one finding per kind of number in it.
    #[must_use]
    pub fn external(theorem: &'static Theorem, piece: &ExternalEvidence, levels: &Levels, alpha: f64) -> Vec<Self> {
        let mut bases = Vec::new();
        if let (Some(effect), Some(p), Some(margin)) = (piece.effect, piece.p, piece.margin) {
            let equivalence = piece.equal.map(|equal| Equivalence { margin, alpha, p_value: None, equal });
            bases.push(Basis::Effect { effect, p, margin, equivalence });
        }
        if let Some(Exceptions { violations, cases }) = piece.counts {
            bases.push(Basis::Counted(Count { violations, cases, example: None, note: String::new() }));
        }
        if !piece.availability.is_empty() {
            let count = match theorem.id {
                "T10.1" => laws::missed_months(&piece.availability, levels.sla),
                _ => laws::outside_unit(&piece.availability),
            };
            bases.push(Basis::Counted(count));
        }
        bases.extend(piece.counterexample.clone().map(Basis::Case));
        let rivals: Vec<RivalLine> = piece
            .rivals
            .iter()
            .map(|name| RivalLine { name: name.clone(), claimed_value: None, rival_value: None, effect: None, p: None })
            .collect();
        bases
            .into_iter()
            .map(|basis| Self {
                rivals: rivals.clone(),
                note: piece.note.clone(),
                ..Self::of(theorem, &piece.data, basis)
            })
            .collect()
    }
}

fn line(against: &Against) -> RivalLine {
    RivalLine {
        name: against.rival.name().to_owned(),
        claimed_value: Some(against.claimed_value),
        rival_value: Some(against.rival_value),
        effect: Some(against.effect.effect),
        p: Some(against.effect.p_value),
    }
}

/// Findings of every theorem of the register: laws counted here, `compared` by theorem, and evidence of others. A claim
/// that nothing here decides says what was not run.
///
/// # Errors
/// When a law's generated case is refused by an estimator.
pub fn register(
    compared: Vec<Finding>,
    evidence: &Evidence,
    levels: &Levels,
    alpha: f64,
    seed: u64,
) -> Result<Vec<Finding>> {
    let mut by_id: BTreeMap<&str, Vec<Finding>> = BTreeMap::new();
    for finding in compared {
        by_id.entry(finding.theorem.id).or_default().push(finding);
    }
    let mut findings = Vec::new();
    for theorem in &THEOREMS {
        let mut own = Vec::new();
        match theorem.evaluation {
            Evaluation::Law(law) | Evaluation::Counterexample(law) => {
                own.push(Finding::counted(theorem, "generated cases", laws::count(law, seed)?));
            }
            Evaluation::NotTestable { missing } => {
                own.push(Finding::of(theorem, theorem.data, Basis::Missing(missing.to_owned())));
            }
            Evaluation::Comparison(_) | Evaluation::External(_) => {}
        }
        own.extend(by_id.remove(theorem.id).unwrap_or_default());
        own.extend(evidence.all(theorem.id).flat_map(|piece| Finding::external(theorem, piece, levels, alpha)));
        if own.is_empty() {
            own.push(Finding::of(theorem, theorem.data, Basis::Missing(not_run(theorem.evaluation))));
        }
        findings.extend(own);
    }
    Ok(findings)
}

/// What was not run, and how to give it.
fn not_run(evaluation: Evaluation) -> String {
    match evaluation {
        Evaluation::External(Section::Maintenance) => {
            "evidence maintenance was not run: name data sets under [maintenance] or give --evidence".to_owned()
        }
        Evaluation::External(section) => format!("evidence {} was not run: give --evidence", section.name()),
        _ => "no data set of this claim was run".to_owned(),
    }
}

/// The verdict of a claim over several data sets: refuted by any, supported by all, not testable where none is.
///
/// A claim is universal in the data it names, so one data set that refutes it suffices.
#[must_use]
pub fn overall(verdicts: &[Verdict]) -> Verdict {
    let tested: Vec<Verdict> = verdicts.iter().copied().filter(|verdict| *verdict != Verdict::NotTestable).collect();
    if tested.is_empty() {
        Verdict::NotTestable
    } else if tested.contains(&Verdict::Refuted) {
        Verdict::Refuted
    } else if tested.iter().all(|verdict| *verdict == Verdict::Supported) {
        Verdict::Supported
    } else {
        Verdict::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(id: &str, estimate: f64, p: f64, equal: bool) -> Finding {
        let theorem = Theorem::of(id).unwrap();
        let effect = Interval { estimate, low: estimate - 0.01, high: estimate + 0.01, level: 0.95 };
        let equivalence = Some(Equivalence { margin: 0.01, alpha: 0.05, p_value: None, equal });
        Finding::of(theorem, "data", Basis::Effect { effect, p, margin: 0.01, equivalence })
    }

    #[test]
    fn the_family_decides_together() {
        let findings =
            [effect("T9.2", 0.03, 0.02, false), effect("T8.2", -0.03, 0.001, false), effect("T5.2", 0.0, 0.9, true)];
        let rows = judge(&findings, 0.05, 0.001).unwrap();
        let verdicts: Vec<Verdict> = rows.iter().map(|row| row.verdict).collect();
        assert_eq!(verdicts, [Verdict::Supported, Verdict::Refuted, Verdict::Refuted]);
        // Holm: 0.02 · 2.
        assert!((rows[0].adjusted_p.unwrap() - 0.04).abs() < 1e-15);
        let more = [findings.to_vec(), vec![effect("T2.2", 0.03, 0.02, false)]].concat();
        assert_eq!(judge(&more, 0.05, 0.001).unwrap()[0].verdict, Verdict::Undecided);
        // A secondary result does not enlarge the family.
        let secondary = Finding { primary: false, ..effect("T2.2", 0.03, 0.02, false) };
        let rows = judge(&[findings.to_vec(), vec![secondary]].concat(), 0.05, 0.001).unwrap();
        assert_eq!(
            (rows[0].verdict, rows[3].verdict, rows[3].adjusted_p),
            (Verdict::Supported, Verdict::Supported, None)
        );
    }

    #[test]
    fn the_register_without_evidence_says_what_was_not_run() {
        let levels = Levels { sla: 0.999, law_share: 0.001 };
        let findings = register(Vec::new(), &Evidence::default(), &levels, 0.05, 1).unwrap();
        let rows = judge(&findings, 0.05, levels.law_share).unwrap();
        assert_eq!(rows.len(), THEOREMS.len());
        let of = |id: &str| rows.iter().find(|row| row.id == id).unwrap();
        for (id, verdict) in [
            ("T1.1", Verdict::Supported),
            ("T1.2", Verdict::Supported),
            ("T2.1", Verdict::Supported),
            ("T3.1", Verdict::Supported),
            ("T4.1", Verdict::Refuted),
            ("T6.1", Verdict::Refuted),
            ("T8.1", Verdict::Refuted),
            ("T2.3", Verdict::NotTestable),
            ("T9.2", Verdict::NotTestable),
        ] {
            assert_eq!(of(id).verdict, verdict, "{id}: {}", of(id).reason);
        }
        assert!(of("T3.3").reason.contains("evidence quantum was not run: give --evidence"), "{}", of("T3.3").reason);
        assert!(of("T6.1").reason.contains("0.999 · 0.999"));
    }

    #[test]
    fn measured_months_decide_the_service_level_and_the_range() {
        let levels = Levels { sla: 0.999, law_share: 0.001 };
        let piece = ExternalEvidence {
            data: "nodes".to_owned(),
            availability: [vec![1.0; 4000], vec![0.97]].concat(),
            ..ExternalEvidence::default()
        };
        let mut evidence = Evidence::default();
        evidence.add(Section::Nodes, "T10.1", piece.clone());
        evidence.add(Section::Nodes, "T2.1", piece);
        let findings = register(Vec::new(), &evidence, &levels, 0.05, 1).unwrap();
        let rows = judge(&findings, 0.05, levels.law_share).unwrap();
        let sla = rows.iter().find(|row| row.id == "T10.1").unwrap();
        assert_eq!((sla.verdict, sla.counts), (Verdict::Refuted, Some(Exceptions { violations: 1, cases: 4001 })));
        let range: Vec<Verdict> = rows.iter().filter(|row| row.id == "T2.1").map(|row| row.verdict).collect();
        assert_eq!(range, [Verdict::Supported, Verdict::Supported]);
    }

    #[test]
    fn one_data_set_that_refutes_a_claim_suffices_and_all_must_support_it() {
        use Verdict::{NotTestable, Refuted, Supported, Undecided};
        assert_eq!(overall(&[Supported, Refuted, Undecided]), Refuted);
        assert_eq!(overall(&[Supported, Supported, NotTestable]), Supported);
        assert_eq!(overall(&[Supported, Undecided]), Undecided);
        assert_eq!(overall(&[NotTestable]), NotTestable);
        assert_eq!(overall(&[]), NotTestable);
    }
}
