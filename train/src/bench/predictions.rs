//! What a fitted model said of the rows held out, as a file: curves in single precision and the levels it is read at.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use model::{AlarmLevels, ModelKind};
use serde::{Deserialize, Serialize};
use survival::{Readout, SurvivalCurve, TimeGrid};

use crate::error::{Result, TrainError, io};

/// Everything but the curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What must be equal for the file to be of this fit: data, settings, rows.
    pub identity: String,
    /// Family.
    pub kind: ModelKind,
    /// Seed.
    pub seed: u64,
    /// Rows.
    pub rows: usize,
    /// Causes.
    pub causes: usize,
    /// Quantile levels, calibrated.
    pub readout: Readout,
    /// Alarm levels.
    pub alarms: AlarmLevels,
    /// Seconds of fitting.
    pub seconds: f64,
    /// Rows predicted per second.
    pub rows_per_second: f64,
    /// What the fit chose.
    pub notes: Vec<String>,
}

/// Header and curves of a file that is of this fit; `None` where there is none.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn read(path: &Path, identity: &str, grid: &Arc<TimeGrid>) -> Result<Option<(Header, Vec<SurvivalCurve>)>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path)(error)),
    };
    let unreadable = |reason: String| TrainError::Config {
        file: path.display().to_string(),
        reason: format!("{reason}; remove the file to fit again"),
    };
    let line = bytes.iter().position(|&b| b == b'\n').ok_or_else(|| unreadable("no header".to_owned()))?;
    let header: Header = serde_json::from_slice(&bytes[..line]).map_err(|error| unreadable(error.to_string()))?;
    if header.identity != identity {
        return Ok(None);
    }
    let edges = grid.edges().len();
    let values: Vec<f64> =
        bytes[line + 1..].as_chunks::<4>().0.iter().map(|chunk| f64::from(f32::from_le_bytes(*chunk))).collect();
    let size = edges * header.causes;
    if values.len() != header.rows * size {
        return Err(unreadable(format!("{} values, expected {}", values.len(), header.rows * size)));
    }
    let mut curves = Vec::with_capacity(header.rows);
    for row in values.chunks_exact(size.max(1)) {
        let incidence: Vec<Vec<f64>> = row.chunks_exact(edges).map(<[f64]>::to_vec).collect();
        let survival = (0..edges).map(|edge| 1.0 - incidence.iter().map(|f| f[edge]).sum::<f64>()).collect();
        curves.push(SurvivalCurve::try_new(Arc::clone(grid), survival, incidence)?);
    }
    Ok(Some((header, curves)))
}

/// Writes a file, staged and renamed.
///
/// # Errors
/// When the disk refuses.
pub fn write(path: &Path, header: &Header, curves: &[SurvivalCurve]) -> Result<()> {
    let mut bytes = serde_json::to_vec(header).map_err(|error| TrainError::Config {
        file: path.display().to_string(),
        reason: format!("cannot be written: {error}"),
    })?;
    bytes.push(b'\n');
    for curve in curves {
        for incidence in curve.incidence() {
            #[expect(clippy::cast_possible_truncation, reason = "kept in single precision")]
            bytes.extend(incidence.iter().flat_map(|&f| (f as f32).to_le_bytes()));
        }
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(io(parent))?;
    let staged = path.with_extension("staging");
    let mut file = fs::File::create(&staged).map_err(io(&staged))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io(&staged))?;
    fs::rename(&staged, path).map_err(io(path))
}
