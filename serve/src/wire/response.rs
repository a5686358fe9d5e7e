//! Curves to risks, read by the same code as the nightly job's.

use std::iter;

use features::MetricId;
use features::catalogue::MetricKind;
use model::{AlarmLevels, BundleInfo};
use proto::v1::{self, Alarm, CauseIncidence, Limits, Metric, ModelCard, Risk, RowStatus, RulQuantile, ScoreResponse};
use survival::{Prediction, Readout, SurvivalCurve, TimeUnit};

use super::{Fault, Rows, Wire};
use crate::batcher::{Answer, Outcome};
use crate::config::ServeConfig;

impl Wire {
    /// One risk per row asked for, in that order.
    pub(crate) fn response(&self, rows: Rows, answers: &[Answer]) -> ScoreResponse {
        // Rows with features were numbered without the faulty ones; the device answers them in that order.
        let mut outcomes = answers.iter().flat_map(|answer| {
            let end = answer.offset + answer.rows.len();
            &answer.outcomes[answer.offset..end]
        });
        let readout = &rows.readout;
        let risks = rows
            .rows
            .into_iter()
            .map(|row| {
                let answer = match row.fault {
                    Some(fault) => Err(fault),
                    None => self.read(outcomes.next(), readout),
                };
                let mut risk = answer.unwrap_or_else(|fault| Risk {
                    status: fault.status.into(),
                    status_detail: fault.detail,
                    ..Risk::default()
                });
                risk.entity = row.entity;
                risk.as_of = row.as_of;
                risk
            })
            .collect();
        ScoreResponse {
            model: self.info.name.clone(),
            version: self.info.version.clone(),
            digest: self.info.digest.clone(),
            feature_spec_hash: self.info.spec_hash.clone(),
            quantiles: readout.quantiles.clone(),
            causes: self.info.causes.clone(),
            time_unit: unit(self.info.grid.unit()).into(),
            alarm_horizon: self.info.alarms.horizon,
            risks,
            horizons: rows.readout.horizons,
        }
    }

    fn read(&self, outcome: Option<&Outcome>, readout: &Readout) -> Result<Risk, Fault> {
        let failed = |detail: String| Fault { status: RowStatus::ComputeFailed, detail };
        let curve = match outcome {
            Some(Ok(curve)) => curve,
            Some(Err(reason)) => return Err(failed(reason.clone())),
            None => return Err(failed("the device left the row out".to_owned())),
        };
        let prediction = Prediction::from_curve(curve, readout).map_err(|error| failed(error.to_string()))?;
        let alarm = alarm(curve, &self.info.alarms).map_err(|error| failed(error.to_string()))?;
        Ok(risk(prediction, readout, alarm))
    }
}

fn risk(prediction: Prediction, readout: &Readout, alarm: Alarm) -> Risk {
    let quantiles = iter::zip(&readout.quantiles, prediction.rul_quantiles);
    let causes = (0_u32..).zip(prediction.incidence);
    Risk {
        entity: None,
        as_of: 0,
        failure_probability: prediction.failure_probability,
        rul_quantiles: quantiles.map(|(&level, value)| RulQuantile { level, value }).collect(),
        restricted_mean: Some(prediction.restricted_mean),
        incidence: causes.map(|(cause, incidence)| CauseIncidence { cause, incidence }).collect(),
        cause: Some(u32::from(prediction.cause.0)),
        cause_share: Some(prediction.cause_share),
        health_indicator: Some(prediction.health_indicator),
        alarm: alarm.into(),
        status: RowStatus::Ok.into(),
        status_detail: String::new(),
    }
}

fn alarm(curve: &SurvivalCurve, levels: &AlarmLevels) -> survival::Result<Alarm> {
    let probability = curve.failure_probability(levels.horizon)?;
    Ok(if probability >= levels.high {
        Alarm::High
    } else if probability >= levels.elevated {
        Alarm::Elevated
    } else {
        Alarm::None
    })
}

pub(super) fn card(info: &BundleInfo, device: &str, config: &ServeConfig, metrics: &[MetricId]) -> ModelCard {
    let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let large = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    let definitions = metrics.iter().filter_map(|&metric| info.catalogue.definition(metric));
    ModelCard {
        name: info.name.clone(),
        version: info.version.clone(),
        digest: info.digest.clone(),
        kind: info.kind.name().to_owned(),
        feature_spec_hash: info.spec_hash.clone(),
        // A spec is plain data with text keys, which JSON can always hold.
        feature_spec_json: serde_json::to_string(&info.spec).unwrap_or_default(),
        causes: info.causes.clone(),
        horizons: info.readout.horizons.clone(),
        quantiles: info.readout.quantiles.clone(),
        restricted_to: info.readout.restricted_to,
        grid_edges: info.grid.edges().to_vec(),
        time_unit: unit(info.grid.unit()).into(),
        alarm_levels: Some(v1::AlarmLevels {
            horizon: info.alarms.horizon,
            elevated_budget: info.alarms.elevated_budget,
            elevated: info.alarms.elevated,
            high_budget: info.alarms.high_budget,
            high: info.alarms.high,
        }),
        limits: Some(Limits {
            rows_per_request: small(config.rows_per_request),
            horizons_per_request: small(config.horizons_per_request),
            request_bytes: large(config.decode_limit_bytes),
            response_bytes: large(config.encode_limit_bytes),
            key_bytes: small(config.key_bytes),
            queue_capacity_rows: small(config.queue_capacity_rows),
            max_batch_rows: small(config.max_batch_rows),
            default_deadline_ms: config.default_deadline_ms,
            max_deadline_ms: config.max_deadline_ms,
        }),
        device: device.to_owned(),
        metrics: definitions
            .map(|definition| Metric {
                id: definition.id.clone(),
                unit: definition.unit.clone(),
                kind: match definition.kind {
                    MetricKind::Gauge => "gauge",
                    MetricKind::Counter => "counter",
                    MetricKind::State => "state",
                    MetricKind::Time => "time",
                    MetricKind::Delta => "delta",
                    MetricKind::Info => "info",
                }
                .to_owned(),
                states: definition.states.clone(),
            })
            .collect(),
        card_markdown: info.card.clone(),
    }
}

fn unit(unit: TimeUnit) -> v1::TimeUnit {
    match unit {
        TimeUnit::Seconds => v1::TimeUnit::Seconds,
        TimeUnit::Minutes => v1::TimeUnit::Minutes,
        TimeUnit::Hours => v1::TimeUnit::Hours,
        TimeUnit::Days => v1::TimeUnit::Days,
        TimeUnit::Cycles => v1::TimeUnit::Cycles,
    }
}
