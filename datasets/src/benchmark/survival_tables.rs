//! Ten tables that survival models are compared on: one row per patient, covariates at the start, time and event.
//!
//! They are medical, not infrastructure; they are here because their results are published. A row is one life with one
//! cut at its start. The groups are the rows, so that whoever compares models can draw folds of their own.

mod card;
mod clock;
mod published;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use survival::{CensorReason, TimeGrid, TimeUnit};

use self::clock::Clock;
use self::published::Published;
pub use self::published::SurvivalTable;
use super::lives::{Covariate, End, Life, TrainingDurations, spec};
use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Each, Input, Source, readout};

/// Columns that are not covariates.
const OUTCOME: [&str; 3] = ["pid", "time", "event"];
/// Days at which the grid has an edge where no horizon is close: weeks, quarters, years.
const ROUND: [f64; 11] = [7.0, 30.0, 91.0, 182.0, 365.0, 730.0, 1095.0, 1461.0, 1826.0, 2557.0, 3652.0];
/// Per cent of the training rows whose follow-up the grid spans; what goes on longer is censored at its end.
const SPANNED: usize = 95;

/// Which columns of a table become features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariates {
    /// Those of the reference results.
    #[default]
    Reference,
    /// Every column that was known when the time of the table begins.
    Baseline,
}

/// Which table, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurvivalTablesConfig {
    /// Folder with the tables, gzip or plain.
    pub from: PathBuf,
    /// Which one.
    pub table: SurvivalTable,
    /// Which of its columns.
    #[serde(default)]
    pub covariates: Covariates,
    /// Leave out rows with a missing covariate, as the reference results do; otherwise the value stays missing.
    #[serde(default)]
    pub complete_cases: bool,
}

/// A table as a source.
#[derive(Debug, Clone)]
pub struct SurvivalTables {
    plan: BuildPlan,
    lives: Vec<Life>,
    skipped: BTreeMap<String, u64>,
}

impl SurvivalTables {
    /// Reads the table.
    ///
    /// # Errors
    /// When a file or column is missing, a cell is not what it should be, two times fall on one tick, or too few of
    /// the training rows fail.
    pub fn open(config: &SurvivalTablesConfig) -> Result<Self> {
        let published = config.table.published();
        let tables = read(&config.from, &published)?;
        let covariates = covariates(config, &published, &tables)?;
        let clock = Clock::of(&published, &tables)?;
        let mut rows = Rows { name: format!("survival-{}", published.name), ..Rows::default() };
        for (part, table, _) in &tables {
            rows.take(config, &published, part, table, &covariates, &clock)?;
        }
        if rows.lives.is_empty() {
            return Err(DatasetError::Empty { path: tables[0].1.path.clone(), what: "rows of time above 0" });
        }
        let plan = plan(config, &published, &tables, &covariates, &clock, &rows)?;
        let skipped = [("time_zero", rows.time_zero), ("missing_covariate", rows.missing)];
        let skipped = skipped.into_iter().filter(|(_, count)| *count > 0);
        Ok(Self { plan, lives: rows.lives, skipped: skipped.map(|(rule, count)| (rule.to_owned(), count)).collect() })
    }
}

impl Source for SurvivalTables {
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

/// A half of a published split (empty where there is none), its table, its digest.
type Half = (&'static str, Table, Input);

fn read(from: &Path, published: &Published) -> Result<Vec<Half>> {
    let read = |&(file, part): &(&'static str, &'static str)| {
        let (table, input) = Table::read_either(&from.join(file))?;
        Ok((part, table, input))
    };
    published.files.iter().map(read).collect()
}

/// The columns that become features, levels as far as the table has them.
fn covariates(config: &SurvivalTablesConfig, published: &Published, tables: &[Half]) -> Result<Vec<Covariate>> {
    let first = &tables[0].1;
    let columns: Vec<String> = match config.covariates {
        Covariates::Reference if !published.reference.is_empty() => {
            published.reference.iter().map(|&column| column.to_owned()).collect()
        }
        _ => {
            let known = |name: &&String| {
                !OUTCOME.contains(&name.as_str()) && !published.left_out.iter().any(|(column, _)| column == name)
            };
            first.names().iter().filter(known).cloned().collect()
        }
    };
    if columns.is_empty() {
        return Err(DatasetError::Empty { path: first.path.clone(), what: "covariates" });
    }
    let tables: Vec<&Table> = tables.iter().map(|(_, table, _)| table).collect();
    let covariate = |column: String| match column.starts_with("fac_") {
        true => Covariate::levels(&tables, &column),
        false => Ok(Covariate::Number { column }),
    };
    columns.into_iter().map(covariate).collect()
}

/// What was read of the rows.
#[derive(Default)]
struct Rows {
    name: String,
    lives: Vec<Life>,
    time_zero: u64,
    missing: u64,
    /// First row with a text in either half of a published split, by text.
    first: HashMap<(&'static str, String), String>,
    repeated_in_test: usize,
    test: usize,
}

impl Rows {
    fn take(
        &mut self,
        config: &SurvivalTablesConfig,
        published: &Published,
        part: &'static str,
        table: &Table,
        covariates: &[Covariate],
        clock: &Clock,
    ) -> Result<()> {
        let (time, event) = (table.column("time")?, table.column("event")?);
        let pid = if part.is_empty() { Some(table.column("pid")?) } else { None };
        let mut seen = BTreeSet::new();
        for row in 0..table.len() {
            let failed = match table.text(row, event) {
                "0" => false,
                "1" => true,
                other => return Err(table.refuse(row, format!("column \"event\" is {other:?}, expected 0 or 1"))),
            };
            let key = match pid {
                Some(pid) => format!("{}/{}", published.name, table.text(row, pid)),
                None => format!("{part}/row-{row:05}"),
            };
            if pid.is_some_and(|pid| table.text(row, pid).is_empty()) || !seen.insert(key.clone()) {
                return Err(table.refuse(row, format!("column \"pid\" is empty or given twice ({key:?})")));
            }
            let mut attributes = BTreeMap::new();
            let mut complete = true;
            for covariate in covariates {
                complete &= covariate.read(table, row, &mut attributes)?;
            }
            let ticks = clock.tick(table.number(row, time)?);
            let group = if part.is_empty() { key.clone() } else { self.group(part, table, row, &key) };
            if ticks == 0 {
                self.time_zero += 1;
            } else if config.complete_cases && !complete {
                self.missing += 1;
            } else {
                let end = if failed {
                    let evidence = format!("event 1, time {}", table.text(row, time));
                    End::Failed { cause: published.cause, evidence }
                } else {
                    End::Censored(CensorReason::EndOfObservation)
                };
                self.lives.push(Life { key, group, attributes, seen_born: true, from: 0, ticks, end });
            }
        }
        Ok(())
    }

    /// Rows that are equal value for value are one patient drawn several times, and one group.
    fn group(&mut self, part: &'static str, table: &Table, row: usize, key: &str) -> String {
        let text: Vec<&str> = (0..table.names().len()).map(|column| table.text(row, column)).collect();
        let text = text.join(",");
        if part == "test" {
            self.test += 1;
            self.repeated_in_test += usize::from(self.first.contains_key(&("train", text.clone())));
        }
        self.first.entry((part, text)).or_insert_with(|| key.to_owned()).clone()
    }
}

fn plan(
    config: &SurvivalTablesConfig,
    published: &Published,
    tables: &[Half],
    covariates: &[Covariate],
    clock: &Clock,
    rows: &Rows,
) -> Result<BuildPlan> {
    // Both kinds of covariates are split alike.
    let split = published.split(&rows.name);
    let name = match config.covariates {
        Covariates::Reference => rows.name.clone(),
        Covariates::Baseline => format!("{}-baseline", rows.name),
    };
    let attributes: Vec<String> = covariates.iter().flat_map(Covariate::attributes).collect();
    let (spec, catalogue) = spec(clock.axis, false, &attributes, &name)?;
    let durations = TrainingDurations::of(&rows.lives, &split, clock.axis, &[0], &name)?;
    let last = durations.quantile(SPANNED);
    let horizons = [25, 50, 75].map(|per_cent| durations.failure_quantile(per_cent));
    let edges = durations.edges(&horizons, &ROUND, last);
    let grid = TimeGrid::try_new(TimeUnit::Days, edges);
    Ok(BuildPlan {
        title: published.title.to_owned(),
        licence: published.licence().to_owned(),
        source_text: published.source_text(),
        inputs: tables.iter().map(|(_, _, input)| input.clone()).collect(),
        grid: grid.map_err(|error| DatasetError::feature(&name)(error.into()))?,
        causes: vec![published.cause.to_owned()],
        readout: readout(&horizons, &[0.05, 0.5, 0.95], last),
        cuts: Cuts::After(vec![0]),
        split,
        permute_labels: None,
        notes: published.card_notes(config, clock, rows),
        catalogue,
        spec,
        name,
    })
}
