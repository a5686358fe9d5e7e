//! Committed nights, read back: the risks of each bundle, in order of time.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use datasets::lake_source::LONGEST_GAP;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use survival::TimeUnit;

use crate::error::{Result, ScoreError, io};
use crate::ledger::digest;
use crate::run::{NightManifest, parquet_error, read_json};

/// The alarm a row was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    None,
    Elevated,
    High,
}

impl Alarm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Elevated => "elevated",
            Self::High => "high",
        }
    }
}

/// One stored row, as far as it is judged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Risk {
    pub(super) key: String,
    /// Without the number of the life: which life it was in, the lake says.
    pub(super) incarnation: String,
    pub(super) as_of: i64,
    pub(super) alarm: Alarm,
    /// By horizon.
    pub(super) failure_probability: Vec<f64>,
    /// Remaining life by quantile; `None` beyond the grid.
    pub(super) quantiles: Vec<Option<f64>>,
}

/// How the risks of one bundle are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    pub(super) unit: TimeUnit,
    pub(super) horizons: Vec<f64>,
    /// Quantile columns: nominal level, and the level at which the curve was read.
    pub(super) quantiles: Vec<(f64, f64)>,
    pub(super) causes: Vec<String>,
    pub(super) longest_gap: i64,
    /// Horizon of the alarms.
    pub(super) alarm_horizon: f64,
    /// Levels `elevated` and `high`, where they were written down.
    pub(super) levels: Option<(f64, f64)>,
}

/// All that one bundle foretold of one kind of entity.
#[derive(Debug, Clone)]
pub(super) struct Nights {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) terms: Terms,
    pub(super) runs: usize,
    /// Rows that another run of the same bundle held as well.
    pub(super) duplicates: usize,
    /// By (`as_of`, key, incarnation).
    pub(super) risks: Vec<Risk>,
}

/// What a folder of nights holds, by model, version and kind.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) nights: Vec<Nights>,
    /// Runs without a manifest: under way or given up.
    pub(super) unfinished: usize,
    /// First and last `as_of` of all rows, also of those not asked for.
    pub(super) range: Option<(i64, i64)>,
}

/// Reads every committed run below a folder, rows `as_of` inside `since..until` alone.
pub(super) fn read(out: &Path, since: i64, until: i64) -> Result<Read> {
    let mut read = Read::default();
    let mut by_bundle: BTreeMap<(String, String, String), Nights> = BTreeMap::new();
    let mut runs = 0;
    for dir in run_folders(out)? {
        let manifest_path = dir.join("manifest.json");
        if !manifest_path.is_file() {
            read.unfinished += 1;
            continue;
        }
        runs += 1;
        let manifest: NightManifest = read_json(&manifest_path)?;
        let mut kinds = HashSet::new();
        for part in &manifest.parts {
            let path = dir.join(&part.file);
            if digest(&path)? != part.sha256 {
                let reason = "has other bytes than the manifest says; remove the folder and score again".to_owned();
                return Err(ScoreError::Conflict { path, reason });
            }
            take_part(&path, &manifest, (since, until), &mut by_bundle, &mut kinds, &mut read.range)?;
        }
        for kind in kinds {
            if let Some(nights) = by_bundle.get_mut(&(manifest.model.clone(), manifest.version.clone(), kind)) {
                nights.runs += 1;
            }
        }
    }
    if runs == 0 {
        let reason = match read.unfinished {
            0 => "holds no run; `forewarn score --out` makes one".to_owned(),
            n => format!("holds {n} unfinished runs and no committed one; run `forewarn score` to its end"),
        };
        return Err(ScoreError::NoInput { path: out.to_owned(), reason });
    }
    read.nights = by_bundle.into_values().collect();
    for nights in &mut read.nights {
        nights.risks.sort_by(|a, b| (a.as_of, &a.key, &a.incarnation).cmp(&(b.as_of, &b.key, &b.incarnation)));
        let before = nights.risks.len();
        nights.risks.dedup_by(|a, b| (a.as_of, &a.key, &a.incarnation) == (b.as_of, &b.key, &b.incarnation));
        nights.duplicates = before - nights.risks.len();
    }
    Ok(read)
}

/// `OUT/as_of=…/model=…`, in order.
fn run_folders(out: &Path) -> Result<Vec<PathBuf>> {
    let inside = |dir: &Path, prefix: &str| -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(io(dir))? {
            let entry = entry.map_err(io(dir))?;
            if entry.file_name().to_string_lossy().starts_with(prefix) && entry.path().is_dir() {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    };
    if !out.is_dir() {
        let reason = "is no folder of risks; `forewarn score --out` makes one".to_owned();
        return Err(ScoreError::NoInput { path: out.to_owned(), reason });
    }
    let mut runs = Vec::new();
    for night in inside(out, "as_of=")? {
        runs.extend(inside(&night, "model=")?);
    }
    Ok(runs)
}

fn take_part(
    path: &Path,
    manifest: &NightManifest,
    (since, until): (i64, i64),
    by_bundle: &mut BTreeMap<(String, String, String), Nights>,
    kinds: &mut HashSet<String>,
    range: &mut Option<(i64, i64)>,
) -> Result<()> {
    let file = File::open(path).map_err(io(path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| parquet_error(path, &error))?;
    for batch in reader {
        let batch = batch.map_err(|error| parquet_error(path, &error))?;
        let table = Columns { path, batch: &batch };
        let terms = terms_of(&table, manifest)?;
        let (keys, incarnations) = (table.text("entity")?, table.text("incarnation")?);
        let (kind, alarms) = (table.text("kind")?, table.text("alarm")?);
        let as_of = table.whole("as_of")?;
        let unit = terms.unit.short();
        let probabilities = terms
            .horizons
            .iter()
            .map(|h| table.number(&format!("failure_probability_{h}{unit}")))
            .collect::<Result<Vec<_>>>()?;
        let lives =
            terms.quantiles.iter().map(|(q, _)| table.number(&format!("rul_q{q}"))).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let moment = as_of.value(row);
            *range = Some(range.map_or((moment, moment), |(first, last)| (first.min(moment), last.max(moment))));
            if moment < since || moment >= until {
                continue;
            }
            let id = (manifest.model.clone(), manifest.version.clone(), kind.value(row).to_owned());
            kinds.insert(id.2.clone());
            let nights = by_bundle.entry(id).or_insert_with_key(|(model, version, kind)| Nights {
                model: model.clone(),
                version: version.clone(),
                kind: kind.clone(),
                terms: terms.clone(),
                runs: 0,
                duplicates: 0,
                risks: Vec::new(),
            });
            if nights.terms != terms {
                let reason = format!(
                    "its horizons or levels are not those of the other runs of {}@{}; look for a folder copied by hand",
                    manifest.model, manifest.version
                );
                return Err(ScoreError::Conflict { path: path.to_owned(), reason });
            }
            let alarm = match alarms.value(row) {
                "none" => Alarm::None,
                "elevated" => Alarm::Elevated,
                "high" => Alarm::High,
                other => {
                    return Err(table.refuse("alarm", &format!("row {row} is {other:?}, none of none, elevated, high")));
                }
            };
            let mut failure_probability = Vec::with_capacity(probabilities.len());
            for (column, horizon) in probabilities.iter().zip(&terms.horizons) {
                let p = if column.is_null(row) { f64::NAN } else { column.value(row) };
                if !(0.0..=1.0).contains(&p) {
                    let name = format!("failure_probability_{horizon}{unit}");
                    return Err(table.refuse(&name, &format!("row {row} is {p}, no probability")));
                }
                failure_probability.push(p);
            }
            nights.risks.push(Risk {
                key: keys.value(row).to_owned(),
                incarnation: without_life(incarnations.value(row)).to_owned(),
                as_of: moment,
                alarm,
                failure_probability,
                quantiles: lives.iter().map(|column| (!column.is_null(row)).then(|| column.value(row))).collect(),
            });
        }
    }
    Ok(())
}

/// `uid:3` without the number of the life; the number may differ once more of an entity's past is known.
pub(super) fn without_life(incarnation: &str) -> &str {
    match incarnation.rsplit_once(':') {
        Some((own, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => own,
        _ => incarnation,
    }
}

/// What the manifest says, or, where it is of a release that said nothing, what the columns do.
fn terms_of(table: &Columns<'_>, manifest: &NightManifest) -> Result<Terms> {
    if let Some(reading) = &manifest.reading {
        let levels = (reading.alarms.elevated, reading.alarms.high);
        let readout = &reading.readout;
        return Ok(Terms {
            unit: reading.unit,
            horizons: readout.horizons.clone(),
            quantiles: readout.quantiles.iter().copied().zip(readout.quantile_levels.iter().copied()).collect(),
            causes: reading.causes.clone(),
            longest_gap: reading.longest_gap,
            alarm_horizon: reading.alarms.horizon,
            levels: Some(levels),
        });
    }
    let schema = table.batch.schema();
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let mut found: Vec<(f64, TimeUnit)> = Vec::new();
    let units = [TimeUnit::Cycles, TimeUnit::Minutes, TimeUnit::Hours, TimeUnit::Days, TimeUnit::Seconds];
    for label in names().filter_map(|name| name.strip_prefix("failure_probability_")) {
        let horizon = units.iter().find_map(|unit| Some((label.strip_suffix(unit.short())?.parse().ok()?, *unit)));
        found.push(horizon.ok_or_else(|| {
            table.refuse(&format!("failure_probability_{label}"), "its name ends in no horizon such as 24h")
        })?);
    }
    let Some(&(alarm_horizon, unit)) = found.last() else {
        return Err(table.refuse("failure_probability_…", "is missing; these are no risks of `forewarn score`"));
    };
    let horizons: Vec<f64> = found.iter().map(|(horizon, _)| *horizon).collect();
    let last = format!("_{alarm_horizon}{}", unit.short());
    let causes = names().filter_map(|name| name.strip_prefix("incidence_")?.strip_suffix(&last));
    Ok(Terms {
        unit,
        causes: causes.map(str::to_owned).collect(),
        horizons,
        // At which levels of the curve they were read is not known, so they say nothing of the curve.
        quantiles: Vec::new(),
        longest_gap: LONGEST_GAP,
        alarm_horizon,
        levels: None,
    })
}

/// Columns of one part, by name.
struct Columns<'a> {
    path: &'a Path,
    batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn refuse(&self, column: &str, problem: &str) -> ScoreError {
        ScoreError::Parquet { path: self.path.to_owned(), reason: format!("column {column:?}: {problem}") }
    }

    fn column(&self, name: &str) -> Result<&dyn Array> {
        let column = self.batch.column_by_name(name);
        column.map(AsRef::as_ref).ok_or_else(|| self.refuse(name, "is missing; these are no risks of `forewarn score`"))
    }

    fn text(&self, name: &str) -> Result<&arrow::array::StringArray> {
        let column = self.column(name)?;
        column.as_string_opt::<i32>().ok_or_else(|| self.refuse(name, &format!("is {}, not text", column.data_type())))
    }

    fn whole(&self, name: &str) -> Result<&arrow::array::Int64Array> {
        let column = self.column(name)?;
        let whole = column.as_primitive_opt::<Int64Type>();
        whole.ok_or_else(|| self.refuse(name, &format!("is {}, not a whole number", column.data_type())))
    }

    fn number(&self, name: &str) -> Result<&Float64Array> {
        let column = self.column(name)?;
        let number = column.as_primitive_opt::<Float64Type>();
        number.ok_or_else(|| self.refuse(name, &format!("is {}, not a number", column.data_type())))
    }
}

#[cfg(test)]
mod tests {
    use super::without_life;

    #[test]
    fn only_the_number_of_the_life_is_taken_off() {
        for (incarnation, own) in
            [("uid-7:2", "uid-7"), (":0", ""), ("a:b", "a:b"), ("plain", "plain"), ("a:1:2", "a:1")]
        {
            assert_eq!(without_life(incarnation), own, "{incarnation}");
        }
    }
}
