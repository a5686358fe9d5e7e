//! Boosted trees on the person-period table, one booster of log-odds per cause.
//!
//! A row of the table is one interval of one landmark: the design's columns and the interval's number. Where the
//! whole table would not fit its budget, survived intervals are drawn at a share π and ln π is added to every
//! log-odds, which is exact: conditional odds among the kept rows are those of all rows divided by π. Failures are
//! never dropped. Kept rows keep their own proportions, so early stopping judges what is fitted.

use std::sync::Arc;

use forust_ml::gradientbooster::GrowPolicy;
use forust_ml::sampler::SampleMethod;
use forust_ml::{GradientBooster, Matrix};
use model::{BoostedHazard, CauseBooster};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use survival::{PersonPeriods, TimeGrid};

use crate::config::BoostedConfig;
use crate::error::{Result, TrainError};
use crate::fit::Part;

/// Rows a table has at least, however wide it is.
const FEWEST_ROWS: usize = 2000;
/// Share of the training table's budget that the validation table may take.
const VALIDATION_SHARE: usize = 3;

/// One interval at risk.
struct Period {
    row: usize,
    interval: usize,
    failed: bool,
}

/// A person-period table, column by column.
struct Table {
    values: Vec<f64>,
    failed: Vec<f64>,
    rows: usize,
    /// π.
    kept: f64,
}

/// Fits a booster per cause on `train`, stopping early on `validation`.
///
/// # Errors
/// When the trees refuse their settings or the data.
pub(crate) fn fit_boosted(
    config: &BoostedConfig,
    seed: u64,
    grid: &TimeGrid,
    causes: usize,
    train: Part<'_>,
    validation: Part<'_>,
    notes: &mut Vec<String>,
) -> Result<BoostedHazard> {
    let width = train.design.width;
    let mut boosters = Vec::with_capacity(causes);
    for cause in 0..causes {
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1009).wrapping_add(cause as u64));
        let periods = periods(train, grid, cause);
        if !periods.iter().any(|period| period.failed) {
            boosters.push(None);
            continue;
        }
        let table = table(train, &periods, config.cells, &mut rng);
        let mut booster = booster(config, seed);
        let weights = vec![1.0; table.rows];
        let held = self::periods(validation, grid, cause);
        // Without a failure to foretell, fewer trees would always look better.
        let judged = held.iter().any(|period| period.failed);
        let fit = |booster: &mut GradientBooster, evaluation| {
            let matrix = Matrix::new(&table.values, table.rows, width + 1);
            booster.fit(&matrix, &table.failed, &weights, evaluation).map_err(|error| TrainError::Data {
                model: "boosted-hazard".to_owned(),
                reason: format!("cause {cause}: {error}"),
            })
        };
        if judged {
            booster = booster.set_early_stopping_rounds(Some(config.patience));
            let held = self::table(validation, &held, config.cells / VALIDATION_SHARE, &mut rng);
            let held_weights = vec![1.0; held.rows];
            let matrix = Matrix::new(&held.values, held.rows, width + 1);
            fit(&mut booster, Some(vec![(matrix, &held.failed, &held_weights)]))?;
        } else {
            booster = booster.set_iterations(config.trees.min(UNJUDGED_TREES));
            fit(&mut booster, None)?;
        }
        let used = booster.prediction_iteration.unwrap_or(booster.trees.len());
        booster.trees.truncate(used);
        notes.push(format!(
            "cause {cause}: {used} trees on {} intervals, survived ones kept at {:.3}",
            table.rows, table.kept
        ));
        boosters.push(Some(CauseBooster { trees: Arc::new(booster), offset: table.kept.ln() }));
    }
    Ok(BoostedHazard { width, causes: boosters })
}

/// Trees fitted for a cause that the validation part never shows.
const UNJUDGED_TREES: usize = 50;

fn booster(config: &BoostedConfig, seed: u64) -> GradientBooster {
    #[expect(clippy::cast_possible_truncation, reason = "the trees are fitted in single precision")]
    let single = |value: f64| value as f32;
    let booster = GradientBooster::default()
        .set_iterations(config.trees)
        .set_learning_rate(single(config.learning_rate))
        .set_max_depth(config.max_depth)
        .set_max_leaves(config.max_leaves)
        .set_l2(single(config.l2))
        .set_min_leaf_weight(single(config.min_leaf_weight))
        .set_nbins(config.bins)
        .set_colsample_bytree(config.column_share)
        .set_seed(seed);
    let mut booster = if config.row_share < 1.0 {
        booster.set_sample_method(SampleMethod::Random).set_subsample(single(config.row_share))
    } else {
        booster
    };
    booster.grow_policy = GrowPolicy::LossGuide;
    booster
}

/// Intervals survived and, where the row ended of `cause`, that interval; rows that ended otherwise end before it.
fn periods(part: Part<'_>, grid: &TimeGrid, cause: usize) -> Vec<Period> {
    let mut periods = Vec::new();
    for (row, observation) in part.observations.iter().enumerate() {
        let at_risk = PersonPeriods::of(observation, grid);
        periods.extend((at_risk.first..at_risk.last).map(|interval| Period { row, interval, failed: false }));
        if at_risk.failed_of == Some(cause) {
            periods.push(Period { row, interval: at_risk.last, failed: true });
        }
    }
    periods
}

#[expect(clippy::cast_precision_loss, reason = "row counts and intervals stay far below 2^53")]
fn table(part: Part<'_>, periods: &[Period], cells: usize, rng: &mut ChaCha8Rng) -> Table {
    let width = part.design.width;
    let budget = (cells / (width + 1)).max(FEWEST_ROWS);
    let failures = periods.iter().filter(|period| period.failed).count();
    let survived = periods.len() - failures;
    let kept = if periods.len() <= budget {
        1.0
    } else {
        (budget.saturating_sub(failures).max(FEWEST_ROWS) as f64 / survived as f64).min(1.0)
    };
    let chosen: Vec<&Period> =
        periods.iter().filter(|period| period.failed || kept >= 1.0 || rng.random::<f64>() < kept).collect();
    let mut values = Vec::with_capacity((width + 1) * chosen.len());
    for column in 0..width {
        values.extend(chosen.iter().map(|period| f64::from(part.design.flat[period.row * width + column])));
    }
    values.extend(chosen.iter().map(|period| period.interval as f64));
    let failed = chosen.iter().map(|period| f64::from(u8::from(period.failed))).collect();
    Table { values, failed, rows: chosen.len(), kept }
}
