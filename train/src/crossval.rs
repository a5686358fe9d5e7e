//! Cross-validation by group: every row is predicted by a model that never saw its group.

use std::path::Path;

use datasets::{Dataset, Progress};
use features::LabeledBatch;
use features::split::group_bucket;
use model::ModelKind;

use crate::config::TrainConfig;
use crate::error::Result;
use crate::evaluate::Predicted;
use crate::fitted::{Parts, fit_model, prepare};

/// Out-of-fold rows and what each family predicted for them.
pub struct OutOfFold {
    /// Rows in the order predicted.
    pub rows: LabeledBatch,
    /// One per family, in the order asked for.
    pub predicted: Vec<Predicted>,
}

/// Which fold a group is judged in.
#[must_use]
pub fn fold_of(group: &str, folds: u32) -> u32 {
    group_bucket("fold", group) % folds
}

/// Fits every family once per fold, on the groups outside it; of those, 15 in 100 validate and 15 calibrate.
///
/// Checkpoints of the networks go below `work`, so a killed run repeats no finished epoch.
///
/// # Errors
/// When a fold leaves nothing to fit or a fit fails.
pub fn cross_validate(
    dataset: &Dataset,
    rows: &LabeledBatch,
    kinds: &[ModelKind],
    config: &TrainConfig,
    folds: u32,
    work: Option<&Path>,
    progress: &dyn Progress,
) -> Result<OutOfFold> {
    let mut order = Vec::with_capacity(rows.rows());
    let mut predicted: Vec<Option<Predicted>> = kinds.iter().map(|_| None).collect();
    for fold in 0..folds {
        let pick = |wanted: &dyn Fn(u32, u32) -> bool| -> Vec<usize> {
            (0..rows.rows())
                .filter(|&row| {
                    let group = &rows.groups[row];
                    wanted(fold_of(group, folds), group_bucket("inner", group))
                })
                .collect()
        };
        let test_rows = pick(&|own, _| own == fold);
        if test_rows.is_empty() {
            continue;
        }
        let train = rows.select(&pick(&|own, inner| own != fold && inner < 70));
        let validation = rows.select(&pick(&|own, inner| own != fold && (70..85).contains(&inner)));
        let calibration = rows.select(&pick(&|own, inner| own != fold && inner >= 85));
        let test = rows.select(&test_rows);
        let parts = Parts {
            spec: dataset.spec(),
            grid: dataset.grid(),
            causes: dataset.causes(),
            readout: dataset.readout(),
            train: &train,
            validation: &validation,
            calibration: &calibration,
        };
        let prepared = prepare(parts, config.cross_fit)?;
        for (slot, &kind) in predicted.iter_mut().zip(kinds) {
            let checkpoints = work.map(|work| work.join(format!("fold-{fold}-{}", kind.name())));
            let fitted = fit_model(kind, parts, &prepared, config, checkpoints.as_deref(), progress)?;
            let curves = fitted.predict(dataset.grid(), &test.features)?;
            let name = kind.name().to_owned();
            let rows = Predicted::new(name, kind, curves, &fitted.readout, &fitted.alarms, Some(fitted.seconds))?;
            match slot {
                Some(all) => all.extend(rows),
                None => *slot = Some(rows),
            }
        }
        order.extend(test_rows);
    }
    Ok(OutOfFold { rows: rows.select(&order), predicted: predicted.into_iter().flatten().collect() })
}
