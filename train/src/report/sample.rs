//! A comparison written by hand, for the tests of the report.

use std::collections::BTreeMap;

use model::ModelKind;
use survival::scores::calibration::{ReliabilityBin, ReliabilityTable};
use survival::{Interval, PairedInterval};

use crate::evaluate::{Difference, EvaluateConfig, Evaluation, Figures, LeadTimes, ModelScores, RiskGroup};

fn around(estimate: f64, half: f64) -> Interval {
    Interval { estimate, low: estimate - half, high: estimate + half, level: 0.95 }
}

fn paired(difference: f64, half: f64) -> PairedInterval {
    PairedInterval { difference, low: difference - half, high: difference + half, level: 0.95, p_value: 0.012 }
}

const EDGES: [f64; 9] = [0.0, 3.0, 6.0, 12.0, 24.0, 36.0, 48.0, 72.0, 96.0];

fn hazard(quarter: u8, sharpness: f64) -> f64 {
    0.006 * (1.0 + sharpness * (f64::from(quarter) - 1.5)).max(0.1)
}

/// Models of falling sharpness, named by the caller, neural first. One score is missing and one is not finite.
pub(super) fn evaluation(names: &[(&str, ModelKind)]) -> Evaluation {
    let mut models = Vec::new();
    let mut figures = Figures {
        kaplan_meier: (1..60u8)
            .map(|i| f64::from(i) * 1.5)
            .map(|t| {
                let s = (-0.006 * t).exp();
                [t, s, s - 0.0005 * t, s + 0.0004 * t]
            })
            .collect(),
        by_risk: BTreeMap::new(),
        calibration: BTreeMap::new(),
        precision_recall: BTreeMap::new(),
        prevalence: Some((48.0, 0.246)),
        brier: BTreeMap::new(),
    };
    for (index, &(name, kind)) in (0u8..).zip(names) {
        let worse = f64::from(index);
        let sharpness = if kind == ModelKind::KaplanMeier { 0.0 } else { 0.62 - 0.08 * worse };
        models.push(scores(name, kind, worse));
        figures.by_risk.insert(
            name.to_owned(),
            (0..4)
                .map(|quarter| {
                    let s = |rate: f64| EDGES.iter().map(|t| (-rate * t).exp()).collect::<Vec<_>>();
                    RiskGroup {
                        rows: 308,
                        predicted: s(hazard(quarter, sharpness)),
                        observed: s(0.9 * hazard(quarter, 0.6)),
                    }
                })
                .collect(),
        );
        let table = |horizon: f64| {
            let bins = (0..10u8).map(|bin| {
                let predicted = 1.0 - (-0.006 * horizon * (0.2 + sharpness * f64::from(bin) / 3.0)).exp();
                let observed = predicted * (0.8 + 0.05 * f64::from((bin * 7) % 9));
                ReliabilityBin {
                    rows: 123,
                    range: (0.0, 1.0),
                    predicted,
                    observed,
                    low: 0.7 * observed,
                    high: 1.3 * observed + 0.02,
                }
            });
            ReliabilityTable { horizon, bins: bins.collect(), expected_error: 0.02 }
        };
        figures.calibration.insert(name.to_owned(), vec![Some(table(12.0)), Some(table(48.0)), None]);
        figures.precision_recall.insert(
            name.to_owned(),
            (0..=40u8)
                .map(|i| {
                    let recall = f64::from(i) / 40.0;
                    [recall, 0.246 + (0.7 * sharpness / 0.62) * (1.0 - recall).powf(1.0 + 0.3 * worse)]
                })
                .collect(),
        );
        figures.brier.insert(
            name.to_owned(),
            EDGES[1..8]
                .iter()
                .map(|&t| {
                    let s = (-0.006 * t).exp();
                    [t, s * (1.0 - s) * (1.0 - 0.35 * sharpness)]
                })
                .collect(),
        );
    }
    let differences = names
        .iter()
        .skip(1)
        .zip(0u8..)
        .flat_map(|((name, _), index)| {
            let a = names[0].0.to_owned();
            let of = |score: &str, difference: PairedInterval, verdict: &str| Difference {
                a: a.clone(),
                b: (*name).to_owned(),
                score: score.to_owned(),
                difference,
                verdict: verdict.to_owned(),
            };
            let step = f64::from(index + 1);
            [
                of("integrated_brier", paired(-0.0021 * step, 0.0013), &format!("{a} is better")),
                of("concordance", paired(0.008 * step, 0.011), "no difference shown"),
                of(
                    "rul_rmse",
                    PairedInterval {
                        difference: f64::NAN,
                        low: f64::NAN,
                        high: f64::NAN,
                        level: 0.95,
                        p_value: f64::NAN,
                    },
                    "no difference shown",
                ),
            ]
        })
        .collect();
    Evaluation {
        dataset: "simulated fleet, world B".to_owned(),
        part: "test".to_owned(),
        rows: 1232,
        groups: 96,
        failures: 388,
        distinct_failures: 71,
        unit: "h".to_owned(),
        horizons: vec![12.0, 48.0, 96.0],
        causes: vec!["disk".to_owned(), "memory".to_owned()],
        edges: EDGES.to_vec(),
        brier_times: EDGES[1..8].to_vec(),
        smallest_censoring_weight: 0.3172,
        restricted_to: 96.0,
        config: EvaluateConfig::default(),
        models,
        differences,
        figures,
    }
}

fn scores(name: &str, kind: ModelKind, worse: f64) -> ModelScores {
    let lead: Vec<f64> =
        (0..58 - 6 * usize::from(worse > 0.0)).map(|i| f64::from(u8::try_from(i).unwrap_or(0)) * 1.4 + 1.0).collect();
    ModelScores {
        name: name.to_owned(),
        kind,
        integrated_brier: around(0.0912 + 0.0021 * worse, 0.0061),
        concordance: around(0.741 - 0.012 * worse, 0.021),
        log_loss: around(1.512 + 0.03 * worse, 0.094),
        brier: vec![around(0.051 + 0.001 * worse, 0.004), around(0.142 + 0.004 * worse, 0.009), around(f64::NAN, 0.1)],
        average_precision: vec![Some(around(0.32 - 0.02 * worse, 0.05)), Some(around(0.61 - 0.03 * worse, 0.04)), None],
        rul_rmse: None,
        rul_coverage: (worse < 3.0).then_some((0.78, 0.8)),
        d_calibration_p: 0.41 / (1.0 + 30.0 * worse),
        calibration_error: vec![Some(0.012 + 0.004 * worse), Some(0.021 + 0.006 * worse), None],
        lead: LeadTimes { level: 0.31, failures: 71, caught: lead.len(), lead, alarms: 204, false_alarms: 63 },
        fit_seconds: (worse > 0.0).then_some(0.42 * worse),
        regret: Some(paired(0.0034 + 0.0021 * worse, 0.0021)),
        distance_to_truth: Some(0.031 + 0.008 * worse),
    }
}

/// The usual cast.
pub(super) const CAST: [(&str, ModelKind); 5] = [
    ("hazard-net", ModelKind::HazardNet),
    ("discrete-hazard", ModelKind::DiscreteHazard),
    ("cox", ModelKind::Cox),
    ("weibull", ModelKind::Weibull),
    ("kaplan-meier", ModelKind::KaplanMeier),
];
