//! Boosted trees on the person-period table: one booster of log-odds per cause, joined by a softmax.
//!
//! Booster c was fitted on intervals survived and intervals ended by cause c; its log-odds is the logit z_jc of c
//! against survival in interval j, which are the logits of the multinomial model (Begg & Gray 1984, Biometrika 71).
//! With the survive logit at 0 they give h_jc = exp(z_jc)/(1 + Σ exp(z_jk)), as the network's do.

use std::sync::Arc;

use features::Design;
use forust_ml::{GradientBooster, Matrix};
use serde::{Deserialize, Serialize};
use survival::{SurvivalCurve, TimeGrid};

use crate::network::hazards_from_logits;
use crate::predictor::CurveModel;
use crate::{ModelError, Result};

/// Design rows expanded to person-periods at once: a few megabytes for hundreds of columns.
const ROWS_PER_PASS: usize = 128;
/// Logits beyond this are a hazard of 0 or 1 in every number that is ever printed.
const LOGIT_LIMIT: f64 = 20.0;

/// The booster of one cause.
#[derive(Clone, Serialize, Deserialize)]
pub struct CauseBooster {
    /// The trees.
    pub trees: Arc<GradientBooster>,
    /// Added to every log-odds: ln of the share of survived intervals that were kept for fitting.
    pub offset: f64,
}

/// A fitted booster per cause; a cause without failures has none, and hazard 0.
#[derive(Clone, Serialize, Deserialize)]
pub struct BoostedHazard {
    /// Columns of the design; the interval's number is the column after them.
    pub width: usize,
    /// By cause.
    pub causes: Vec<Option<CauseBooster>>,
}

impl std::fmt::Debug for BoostedHazard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let trees: Vec<usize> = self.causes.iter().map(|c| c.as_ref().map_or(0, |c| c.trees.trees.len())).collect();
        f.debug_struct("BoostedHazard").field("width", &self.width).field("trees", &trees).finish()
    }
}

/// A booster on a grid.
pub struct Boosted {
    model: BoostedHazard,
    grid: Arc<TimeGrid>,
}

impl Boosted {
    /// A model that answers on `grid`.
    #[must_use]
    pub fn new(model: BoostedHazard, grid: Arc<TimeGrid>) -> Self {
        Self { model, grid }
    }
}

impl CurveModel for Boosted {
    fn curves(&self, design: &Design) -> Result<Vec<SurvivalCurve>> {
        if design.width != self.model.width {
            return Err(ModelError::Network {
                reason: format!("trees were fitted on {} columns, got {}", self.model.width, design.width),
            });
        }
        let (intervals, causes) = (self.grid.intervals(), self.model.causes.len());
        let rows: Vec<usize> = (0..design.rows).collect();
        let mut curves = Vec::with_capacity(design.rows);
        for chunk in rows.chunks(ROWS_PER_PASS) {
            let table = person_periods(design, chunk, intervals);
            let matrix = Matrix::new(&table, chunk.len() * intervals, design.width + 1);
            let mut logits = vec![f64::NEG_INFINITY; chunk.len() * intervals * causes];
            for (cause, booster) in self.model.causes.iter().enumerate() {
                let Some(booster) = booster else { continue };
                for (at, value) in booster.trees.predict(&matrix, false).into_iter().enumerate() {
                    logits[at * causes + cause] = (value + booster.offset).clamp(-LOGIT_LIMIT, LOGIT_LIMIT);
                }
            }
            for (row, logits) in chunk.iter().zip(logits.chunks_exact(intervals * causes)) {
                if logits.iter().any(|z| z.is_nan()) {
                    return Err(ModelError::NonFinite { row: *row });
                }
                let hazards = hazards_from_logits(logits, intervals, causes);
                curves.push(SurvivalCurve::from_hazards(self.grid.clone(), &hazards)?);
            }
        }
        Ok(curves)
    }
}

/// Every interval of every row, column by column, the interval's number last.
fn person_periods(design: &Design, rows: &[usize], intervals: usize) -> Vec<f64> {
    let mut table = Vec::with_capacity((design.width + 1) * rows.len() * intervals);
    for column in 0..design.width {
        for &row in rows {
            let value = f64::from(design.flat[row * design.width + column]);
            table.extend(std::iter::repeat_n(value, intervals));
        }
    }
    for _ in rows {
        #[expect(clippy::cast_precision_loss, reason = "intervals of a grid are few")]
        table.extend((0..intervals).map(|interval| interval as f64));
    }
    table
}
