//! Scored rows as an Arrow table: the columns a reader finds by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use features::Entity;
use model::BundleInfo;
use survival::{Prediction, TimeUnit};

/// One scored row.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Who.
    pub entity: Entity,
    /// When, in ticks.
    pub as_of: i64,
    /// What was read from its curve.
    pub prediction: Prediction,
}

/// A horizon or quantile as it stands in a column name: `24h`, `0.5d`, `05`.
#[must_use]
pub fn horizon_label(horizon: f64, unit: TimeUnit) -> String {
    format!("{horizon}{}", unit.short())
}

/// `none`, `elevated` or `high`, by the bundle's alarm levels.
#[must_use]
pub fn alarm_name(info: &BundleInfo, prediction: &Prediction) -> &'static str {
    // The alarm horizon is one of the readout's, written down from it bit by bit.
    let at = info.readout.horizons.iter().position(|h| h.to_bits() == info.alarms.horizon.to_bits());
    let Some(&risk) = at.and_then(|at| prediction.failure_probability.get(at)) else { return "none" };
    if risk >= info.alarms.high {
        "high"
    } else if risk >= info.alarms.elevated {
        "elevated"
    } else {
        "none"
    }
}

/// The table of these rows.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn risk_table(info: &BundleInfo, run_id: &str, rows: &[Scored]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let unit = info.grid.unit();
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    let mut text = |name: &str, values: Vec<String>| {
        fields.push(Field::new(name, DataType::Utf8, false));
        columns.push(Arc::new(StringArray::from(values)));
    };
    text("entity", rows.iter().map(|r| r.entity.key().to_owned()).collect());
    text("kind", rows.iter().map(|r| r.entity.kind().name().to_owned()).collect());
    text("incarnation", rows.iter().map(|r| r.entity.incarnation().to_owned()).collect());
    text("model", vec![info.name.clone(); rows.len()]);
    text("version", vec![info.version.clone(); rows.len()]);
    text("run_id", vec![run_id.to_owned(); rows.len()]);
    text("cause", rows.iter().map(|r| info.causes[usize::from(r.prediction.cause.0)].clone()).collect());
    text("alarm", rows.iter().map(|r| alarm_name(info, &r.prediction).to_owned()).collect());
    fields.push(Field::new("as_of", DataType::Int64, false));
    columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.as_of))));
    let mut number = |name: String, nullable: bool, values: Vec<Option<f64>>| {
        fields.push(Field::new(name, DataType::Float64, nullable));
        columns.push(Arc::new(Float64Array::from(values)));
    };
    for (at, &horizon) in info.readout.horizons.iter().enumerate() {
        let name = format!("failure_probability_{}", horizon_label(horizon, unit));
        number(name, false, rows.iter().map(|r| Some(r.prediction.failure_probability[at])).collect());
    }
    for (cause, cause_name) in info.causes.iter().enumerate() {
        for (at, &horizon) in info.readout.horizons.iter().enumerate() {
            let name = format!("incidence_{cause_name}_{}", horizon_label(horizon, unit));
            number(name, false, rows.iter().map(|r| Some(r.prediction.incidence[cause][at])).collect());
        }
    }
    for (at, &level) in info.readout.quantiles.iter().enumerate() {
        // Null is "beyond the grid", never a guess.
        number(format!("rul_q{level}"), true, rows.iter().map(|r| r.prediction.rul_quantiles[at]).collect());
    }
    number("restricted_mean".to_owned(), false, rows.iter().map(|r| Some(r.prediction.restricted_mean)).collect());
    number("cause_share".to_owned(), false, rows.iter().map(|r| Some(r.prediction.cause_share)).collect());
    number("health_indicator".to_owned(), false, rows.iter().map(|r| Some(r.prediction.health_indicator)).collect());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
