//! A Redis cluster run to failure under injected faults (PREVENT): 20 nodes, a row a minute.
//!
//! A tick is a minute. Before the injection nobody knows when a fault will come, so that stretch is a history
//! of its own, censored at the injection; from the injection on, the two nodes of the faulty pair fail at
//! `failure_time` and the others are lost with the cluster. Rows at and after the crash are dropped.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use features::{Entity, EntityHistory, EntityKind, FailureEvent, MetricId, Sample};
use serde::{Deserialize, Serialize};
use survival::CensorReason;

use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Each, Input, Source};
use plan::{METRICS, Shown};

/// A node that reports this as 0 did not report in this minute: its whole row is filled with zeros.
const REPORTED: &str = "system.memory.total";

/// Where the runs are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreventConfig {
    /// Folder with `runs.csv`, `pairs.csv` and `eN.csv.gz`.
    pub from: PathBuf,
}

/// What is known of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Its name, also the group of its rows.
    pub run: String,
    /// Cause of its failure.
    pub fault_type: String,
    /// 1-based row of the injection.
    pub injection_minute: i64,
    /// 1-based row of the crash.
    pub failure_minute: i64,
    /// Rows of its file.
    pub rows: i64,
    /// Tick of its first row: minutes since 1970 UTC.
    pub start: i64,
}

impl RunFacts {
    /// Tick of the injection.
    #[must_use]
    pub fn injection(&self) -> i64 {
        self.start + self.injection_minute - 1
    }

    /// Tick of the crash.
    #[must_use]
    pub fn failure(&self) -> i64 {
        self.start + self.failure_minute - 1
    }
}

/// The runs of `runs.csv` in `from`, in its order.
///
/// # Errors
/// When the file is missing, a column is, or its times contradict each other.
pub fn run_facts(from: &Path) -> Result<Vec<RunFacts>> {
    read_runs(from).map(|(runs, _)| runs)
}

/// The runs as a source.
#[derive(Debug, Clone)]
pub struct Prevent {
    plan: BuildPlan,
    runs: Vec<RunFacts>,
    faulty: Vec<String>,
    from: PathBuf,
    unreported: u64,
}

impl Prevent {
    /// Reads which runs there are; their files are pinned now and read one at a time later.
    ///
    /// # Errors
    /// When a file is missing or not what it should be.
    pub fn open(config: &PreventConfig) -> Result<Self> {
        let from = config.from.clone();
        let (runs, input) = read_runs(&from)?;
        let (pairs, pairs_input) = Table::read(&from.join("pairs.csv"))?;
        let faulty =
            vec![pairs.text(0, pairs.column("master")?).to_owned(), pairs.text(0, pairs.column("slave")?).to_owned()];
        let mut inputs = vec![input, pairs_input];
        for run in &runs {
            let path = run_file(&from, &run.run);
            let bytes = std::fs::read(&path).map_err(DatasetError::io(&path, "read the run"))?;
            inputs.push(Input::of(format!("{}.csv", run.run), &bytes));
        }
        let causes: BTreeSet<&String> = runs.iter().map(|run| &run.fault_type).collect();
        let plan = plan::plan(inputs, causes.into_iter().cloned().collect())?;
        Ok(Self { plan, runs, faulty, from, unreported: 0 })
    }

    /// What is known of each run.
    #[must_use]
    pub fn runs(&self) -> &[RunFacts] {
        &self.runs
    }

    /// The two histories of one node: until the injection, and from it to the crash.
    fn histories_of(&self, run: &RunFacts, node: &str, samples: &[Sample]) -> Result<[EntityHistory; 2]> {
        let key = format!("{}/{node}", run.run);
        let named = DatasetError::feature(&key);
        let (injection, crash) = (run.injection(), run.failure());
        let history = |incarnation: &str, from: i64, until: i64, end: CensorReason, events: Vec<FailureEvent>| {
            Ok(EntityHistory {
                nodes: Vec::new(),
                entity: Entity::try_new(EntityKind::Node, key.as_str(), incarnation).map_err(&named)?,
                group: run.run.clone(),
                attributes: BTreeMap::new(),
                born: None,
                observed_from: from,
                observed_until: until,
                end,
                tiles: None,
                samples: samples.iter().filter(|sample| sample.time() < until).copied().collect(),
                events: events.into(),
                gaps: [].into(),
            })
        };
        let mut events = Vec::new();
        if self.faulty.iter().any(|faulty| faulty == node) {
            let evidence = format!(
                "runs.csv: {} injected at minute {}, cluster failed at minute {}; node of the faulty pair",
                run.fault_type, run.injection_minute, run.failure_minute
            );
            events.push(FailureEvent::try_new(&key, run.fault_type.as_str(), crash, crash, evidence).map_err(&named)?);
        }
        Ok([
            history("before", run.start + 1, injection, CensorReason::EndOfObservation, Vec::new())?,
            history("after", injection, crash, CensorReason::Lost, events)?,
        ])
    }

    /// Samples per node, sorted by metric and time, from rows before the crash.
    fn samples(&mut self, run: &RunFacts) -> Result<Vec<(String, Vec<Sample>)>> {
        let path = run_file(&self.from, &run.run);
        let (table, _) = Table::read(&path)?;
        let times = check_times(&table, run)?;
        let mut nodes = Vec::new();
        for node in node_names(&table)? {
            let reported = table.column(&format!("{node}_{REPORTED}"))?;
            let mut present = Vec::with_capacity(times.len());
            for (row, &time) in times.iter().enumerate() {
                let here = table.number(row, reported)? > 0.0;
                self.unreported += u64::from(!here && time < run.failure());
                present.push(here);
            }
            let mut samples = Vec::with_capacity(METRICS.len() * times.len());
            for (index, (metric, shown)) in METRICS.iter().enumerate() {
                let id = MetricId(u16::try_from(index).unwrap_or(u16::MAX));
                let column = table.column(&format!("{node}_{metric}"))?;
                let mut previous: Option<f64> = None;
                for (row, &time) in times.iter().enumerate() {
                    let value = table.number(row, column)?;
                    let before = previous.take().filter(|_| present[row]);
                    previous = present[row].then_some(value);
                    let value = match shown {
                        Shown::Level if present[row] => value,
                        // A counter that falls has begun again from 0.
                        Shown::Growth => match before {
                            Some(before) if value >= before => value - before,
                            Some(_) => value,
                            None => continue,
                        },
                        Shown::Level => continue,
                    };
                    if time >= run.failure() {
                        break;
                    }
                    let sample = Sample::try_new(&self.plan.catalogue, id, time, time, value);
                    samples.push(sample.map_err(|error| table.refuse(row, format!("{node}: {error}")))?);
                }
            }
            nodes.push((node, samples));
        }
        Ok(nodes)
    }
}

impl Source for Prevent {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        Some(self.runs.len() as u64 * 40)
    }

    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> Result<()> {
        self.unreported = 0;
        for run in self.runs.clone() {
            let nodes = self.samples(&run)?;
            if let Some(missing) = self.faulty.iter().find(|faulty| !nodes.iter().any(|(node, _)| node == *faulty)) {
                return Err(DatasetError::Column {
                    path: run_file(&self.from, &run.run),
                    column: format!("{missing}_…"),
                    problem: "is missing, pairs.csv names it as the faulty node".to_owned(),
                });
            }
            for (node, samples) in nodes {
                for history in self.histories_of(&run, &node, &samples)? {
                    each(history, None)?;
                }
            }
        }
        Ok(())
    }

    fn skipped(&self) -> BTreeMap<String, u64> {
        [("node_minute_not_reported".to_owned(), self.unreported)].into()
    }
}

fn run_file(from: &Path, run: &str) -> PathBuf {
    let packed = from.join(format!("{run}.csv.gz"));
    if packed.exists() { packed } else { from.join(format!("{run}.csv")) }
}

fn read_runs(from: &Path) -> Result<(Vec<RunFacts>, Input)> {
    let (table, input) = Table::read(&from.join("runs.csv"))?;
    let (run, fault, start) = (table.column("run")?, table.column("fault_type")?, table.column("start")?);
    let (injection, failure) = (table.column("injection_minute")?, table.column("failure_minute")?);
    let rows = table.column("rows")?;
    let mut runs = Vec::new();
    for row in 0..table.len() {
        let facts = RunFacts {
            run: table.text(row, run).to_owned(),
            fault_type: table.text(row, fault).to_owned(),
            injection_minute: table.whole(row, injection)?,
            failure_minute: table.whole(row, failure)?,
            rows: table.whole(row, rows)?,
            start: minutes(table.text(row, start), "%Y-%m-%d %H:%M:%S")
                .map_err(|problem| table.refuse(row, problem))?,
        };
        if !(1 < facts.injection_minute
            && facts.injection_minute < facts.failure_minute
            && facts.failure_minute <= facts.rows)
        {
            return Err(table.refuse(
                row,
                format!(
                    "injection_minute ({}) and failure_minute ({}) must follow each other inside rows ({})",
                    facts.injection_minute, facts.failure_minute, facts.rows
                ),
            ));
        }
        runs.push(facts);
    }
    Ok((runs, input))
}

/// Ticks of the rows: as many as `runs.csv` says, a minute apart, from the start it says.
fn check_times(table: &Table, run: &RunFacts) -> Result<Vec<i64>> {
    if i64::try_from(table.len()).unwrap_or(i64::MAX) != run.rows {
        return Err(DatasetError::Disagrees {
            path: table.path.clone(),
            what: "number of rows",
            expected: format!("{} (runs.csv)", run.rows),
            got: table.len().to_string(),
        });
    }
    let column = table.column("timestamp")?;
    let mut times = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let time =
            minutes(table.text(row, column), "%Y-%m-%dT%H:%M:%S%.fZ").map_err(|problem| table.refuse(row, problem))?;
        let expected = run.start + i64::try_from(row).unwrap_or(i64::MAX);
        if time != expected {
            let problem = format!("timestamp is {} min after the start of the run, expected {row}", time - run.start);
            return Err(table.refuse(row, problem));
        }
        times.push(time);
    }
    Ok(times)
}

fn minutes(text: &str, format: &str) -> Result<i64, String> {
    NaiveDateTime::parse_from_str(text, format)
        .map(|time| time.and_utc().timestamp().div_euclid(60))
        .map_err(|error| format!("time {text:?} is not {format}: {error}"))
}

/// Nodes of the header, by number.
fn node_names(table: &Table) -> Result<Vec<String>> {
    let suffix = format!("_{REPORTED}");
    let mut nodes: Vec<String> =
        table.names().iter().filter_map(|name| name.strip_suffix(&suffix)).map(str::to_owned).collect();
    nodes.sort_by_key(|node| (node.len(), node.clone()));
    if nodes.is_empty() {
        return Err(DatasetError::Column {
            path: table.path.clone(),
            column: format!("redis-N{suffix}"),
            problem: "is missing for every node".to_owned(),
        });
    }
    Ok(nodes)
}
