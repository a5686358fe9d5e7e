//! Drives of Backblaze (2013 to 2025): three models from first sight to failure, removal or the end of the record.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use chrono::NaiveDate;
use features::TimeAxis;
use features::split::Shares;
use serde::{Deserialize, Serialize};
use survival::{CensorReason, TimeGrid, TimeUnit};

use super::lives::{Covariate, End, Life, TrainingDurations, spec};
use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Each, Input, Source, SplitRule, readout};

/// Ages in days at which a row is made.
const AGES: [i64; 4] = [0, 365, 730, 1460];
const HORIZONS: [f64; 3] = [30.0, 365.0, 1095.0];
/// Edges in days where no horizon is close.
const ROUND: [f64; 5] = [7.0, 14.0, 91.0, 182.0, 730.0];
/// Days after its failure until which a drive may still be reported; one seen later came back, so it had not failed.
const LINGERS: f64 = 7.0;
/// No drive holds a petabyte: such a reading is an error of the drive's own report.
const MOST_BYTES: f64 = 1e15;
const TERABYTE: f64 = 1e12;
const NAME: &str = "backblaze-drives";

/// Where the drives are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackblazeDrivesConfig {
    /// Folder with `drives.csv`, gzip or plain.
    pub from: PathBuf,
}

/// The drives as a source.
#[derive(Debug, Clone)]
pub struct BackblazeDrives {
    plan: BuildPlan,
    lives: Vec<Life>,
    skipped: BTreeMap<String, u64>,
}

impl BackblazeDrives {
    /// Reads the drives.
    ///
    /// # Errors
    /// When the table is missing, a column is, a cell is not what it should be, or dates and durations differ.
    pub fn open(config: &BackblazeDrivesConfig) -> Result<Self> {
        let (table, input) = Table::read_either(&config.from.join("drives.csv"))?;
        let models = Covariate::levels(&[&table], "model")?;
        let drives = read(&table, &models)?;
        if drives.lives.is_empty() {
            return Err(DatasetError::Empty { path: table.path, what: "drives of a duration above 0" });
        }
        let plan = plan(&drives, &models, input)?;
        let skipped = [("time_negative", drives.negative), ("time_zero", drives.zero)];
        let skipped = skipped.into_iter().filter(|(_, count)| *count > 0);
        Ok(Self { plan, lives: drives.lives, skipped: skipped.map(|(rule, count)| (rule.to_owned(), count)).collect() })
    }
}

impl Source for BackblazeDrives {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        Some(self.lives.len() as u64)
    }

    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> Result<()> {
        self.lives.iter().try_for_each(|life| each(life.history()?, None))
    }

    fn skipped(&self) -> BTreeMap<String, u64> {
        self.skipped.clone()
    }
}

#[derive(Default)]
struct Drives {
    lives: Vec<Life>,
    negative: u64,
    zero: u64,
    /// Drives that were seen again long after their reported failure.
    came_back: usize,
    wrong_capacities: usize,
    /// Drives there on the first day of their model.
    first_day: usize,
}

/// A day as a number of days since 1970.
fn day(table: &Table, row: usize, column: usize) -> Result<i64> {
    let text = table.text(row, column);
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| {
        table.refuse(row, format!("column {:?} is {text:?}, expected YYYY-MM-DD", table.names()[column]))
    })?;
    Ok(date.signed_duration_since(NaiveDate::default()).num_days())
}

fn read(table: &Table, models: &Covariate) -> Result<Drives> {
    let [serial, model, capacity, installed] =
        table.columns(["serial_number", "model", "capacity_bytes", "installed"])?;
    let [status, event, time, again] = table.columns(["status", "event", "time_days", "seen_after_failure_days"])?;
    let [failed, removed, last_seen] = table.columns(["failed", "removed", "last_seen"])?;
    let mut first_days: HashMap<&str, i64> = HashMap::new();
    for row in 0..table.len() {
        let installed = day(table, row, installed)?;
        let first = first_days.entry(table.text(row, model)).or_insert(installed);
        *first = installed.min(*first);
    }
    let mut drives = Drives::default();
    let mut seen = HashSet::new();
    for row in 0..table.len() {
        let serial = table.text(row, serial);
        if serial.is_empty() || !seen.insert(serial) {
            return Err(table.refuse(row, format!("column \"serial_number\" is empty or given twice ({serial:?})")));
        }
        let from = day(table, row, installed)?;
        let (until, expected, censored) = match table.text(row, status) {
            "failed" => (failed, "1", CensorReason::Maintenance),
            "removed" => (removed, "0", CensorReason::PlannedEnd),
            "active" => (last_seen, "0", CensorReason::EndOfObservation),
            other => {
                return Err(
                    table.refuse(row, format!("column \"status\" is {other:?}, expected failed, removed or active"))
                );
            }
        };
        if table.text(row, event) != expected {
            let problem = format!("column \"event\" is {:?}, its status says {expected}", table.text(row, event));
            return Err(table.refuse(row, problem));
        }
        let ticks = table.whole(row, time)?;
        let dated = day(table, row, until)? - from;
        if ticks != dated {
            return Err(table.refuse(row, format!("column \"time_days\" is {ticks}, its dates say {dated}")));
        }
        if ticks <= 0 {
            *(if ticks < 0 { &mut drives.negative } else { &mut drives.zero }) += 1;
            continue;
        }
        let came_back = expected == "1" && !table.text(row, again).is_empty() && table.number(row, again)? > LINGERS;
        drives.came_back += usize::from(came_back);
        let end = if expected == "1" && !came_back {
            End::Failed { cause: "failed", evidence: format!("status failed on {}", table.text(row, failed)) }
        } else {
            End::Censored(censored)
        };
        let bytes = table.number(row, capacity)?;
        let plausible = bytes > 0.0 && bytes < MOST_BYTES;
        drives.wrong_capacities += usize::from(!plausible);
        let mut attributes = BTreeMap::new();
        if !models.read(table, row, &mut attributes)? {
            return Err(table.refuse(row, "column \"model\" is empty"));
        }
        attributes.insert("capacity_terabytes".to_owned(), if plausible { bytes / TERABYTE } else { f64::NAN });
        attributes.insert("installed_year".to_owned(), years(from));
        let seen_born = first_days.get(table.text(row, model)) != Some(&from);
        drives.first_day += usize::from(!seen_born);
        let key = format!("drive-{serial}");
        drives.lives.push(Life { group: key.clone(), key, attributes, seen_born, from, ticks, end });
    }
    Ok(drives)
}

/// A day as a calendar year with its part, near enough.
#[expect(clippy::cast_precision_loss, reason = "days of a calendar")]
fn years(day: i64) -> f64 {
    1970.0 + day as f64 / 365.2425
}

fn plan(drives: &Drives, models: &Covariate, input: Input) -> Result<BuildPlan> {
    let axis = TimeAxis { unit: TimeUnit::Days, ticks_per_unit: 1 };
    let mut attributes = models.attributes();
    attributes.extend(["capacity_terabytes", "installed_year"].map(str::to_owned));
    let (spec, catalogue) = spec(axis, true, &attributes, NAME)?;
    let split = SplitRule::ByGroup {
        salt: format!("forewarn {NAME} "),
        shares: Shares { train: 60, validation: 15, calibration: 10 },
        test_only: Vec::new(),
    };
    let last = HORIZONS[HORIZONS.len() - 1];
    let edges = TrainingDurations::of(&drives.lives, &split, axis, &AGES, NAME)?.edges(&HORIZONS, &ROUND, last);
    let grid = TimeGrid::try_new(TimeUnit::Days, edges);
    Ok(BuildPlan {
        name: NAME.to_owned(),
        title: "Drives of Backblaze data centres: three models from first sight to failure (2013 to 2025)".to_owned(),
        licence: "Backblaze: free to use, cite Backblaze as the source, do not sell the data itself; the repository that carries the digest names no licence".to_owned(),
        source_text: "Backblaze Drive Stats; digest in repository CurtinIDS/CTMTDS-DSfRE, data/backblaze.parquet".to_owned(),
        inputs: vec![input],
        grid: grid.map_err(|error| DatasetError::feature(NAME)(error.into()))?,
        causes: vec!["failed".to_owned()],
        readout: readout(&HORIZONS, &[0.05, 0.5, 0.95], last),
        cuts: Cuts::After(AGES.to_vec()),
        split,
        permute_labels: None,
        notes: vec![
            "Durations are days from the first sight of a drive, at day resolution; rows are made there and 1, 2 and 4 years later.".to_owned(),
            format!(
                "First sight is not manufacture. {} drives were there on the first day of their model: whether they were new is not known, so their age is missing (left truncation). Other first days cannot be told from installations.",
                drives.first_day
            ),
            format!(
                "{} drives end before their installation (time_negative) and {} on the day of it (time_zero); both are left out and counted.",
                drives.negative, drives.zero
            ),
            format!(
                "{} drives were seen again more than {LINGERS} days after their reported failure: they came back, and are censored at the report (maintenance). A drive that lingers up to {LINGERS} days in the reports has failed.",
                drives.came_back
            ),
            "Removal (planned_end) is mostly migration in bulk, by age and model: informative for the oldest model. What is foretold is failure as if nobody removed drives.".to_owned(),
            format!(
                "{} capacities are no drive's and are missing. Capacity and model say the same here; levels of the model are 0/1 columns but the first in order.",
                drives.wrong_capacities
            ),
            "The year of installation also says how long a drive can have been watched.".to_owned(),
            "Only three models, chosen by the author of the digest; no SMART values.".to_owned(),
        ],
        catalogue,
        spec,
    })
}
