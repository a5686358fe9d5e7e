//! Outages of the nodes of 21 computing systems at Los Alamos, 1995 to 2005: one history per node.
//!
//! - A node is in service from the first day of its production month (`before tracking`: from the first day of the month
//!   of its system's first record) to the last day of its decommission month, and no later than the last record of the
//!   file. `5-Apr`, as a spreadsheet left it, is April 2005.
//! - Only nodes that failed have rows. The others are added from the number of nodes of their system: node numbers of this
//!   part (see below) without a row, lowest first, until the system has as many nodes as numbers of this part; they take
//!   period and configuration of most of their system's rows. A system without any row is not known here.
//! - This part of the published file holds the nodes whose key hashes into it, so only such numbers are added.
//! - Outages of a node that overlap or touch are one: it begins with the first, ends with the last, and has the cause
//!   of the first. An outage of length 0 (times are whole minutes) lasts half a minute.
//! - Local times are Mountain time with daylight saving, by the rule of `lanl/local_time.rs`. Of an hour that the clock shows
//!   twice that passing is taken with which the elapsed minutes agree with the file's own column (to a minute, which all
//!   rows then do); a row where no reading agrees is refused.
//! - The first year or so of each system is reported more thinly, and the first months are commissioning: a protocol
//!   should begin judging later.

mod local_time;
mod month;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::Input;
use local_time::{mountain_seconds, second_passing};
pub use month::Month;
use month::month_of;

/// Columns of causes, of which a row fills at most one.
const CAUSES: [&str; 6] = ["Facilities", "Hardware", "Human Error", "Network", "Undetermined", "Software"];
/// Cause of a row that fills none.
const NO_CAUSE: &str = "Unrecorded";
/// Of 100 hash buckets those from here on are in this part.
const FIRST_BUCKET: u32 = 30;
/// Seconds of an outage that begins and ends in the same minute.
const SHORTEST: i64 = 30;

/// One stretch of downtime, [start, end) in seconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// When the problem started.
    pub start: i64,
    /// When it was fixed.
    pub end: i64,
    /// Of the first row: one of the file's cause columns, or `Unrecorded`.
    pub cause: String,
    /// Rows of the file it was made of.
    pub records: u32,
    /// Whether a row says it was one event with other nodes'.
    pub same_event: bool,
}

/// One node while it was in service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeHistory {
    /// `lanl-<system>-<node number from 0>`.
    pub key: String,
    /// Number of its system.
    pub system: u32,
    /// Node number from 0.
    pub node: u32,
    /// `compute`, `graphics.compute`, `graphics.fe`.
    pub purpose: String,
    /// Processors of the node.
    pub processors: f64,
    /// Memory, in the file's unit (GB).
    pub memory: f64,
    /// In service from, seconds.
    pub from: i64,
    /// In service, and watched, until.
    pub until: i64,
    /// Whether the node has no row and was added.
    pub added: bool,
    /// Disjoint, in order of time; the last may end after `until`.
    pub outages: Vec<Outage>,
}

/// Every node of this part, and what the reading met.
#[derive(Debug, Clone, PartialEq)]
pub struct LanlNodes {
    /// By system, then node number.
    pub nodes: Vec<NodeHistory>,
    /// Rows of the file.
    pub records: usize,
    /// Rows that became part of an earlier outage.
    pub merged: usize,
    /// Outages of length 0.
    pub instant: usize,
    /// Nodes added because they never failed.
    pub added: usize,
    /// Last start of an outage in the file: where watching ends.
    pub end: i64,
    /// The file.
    pub input: Input,
}

/// What a row says of its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    production: Option<Month>,
    decommissioned: Option<Month>,
    purpose: String,
    processors: u64,
    memory: u64,
}

#[derive(Default)]
struct System {
    size: u32,
    rows: BTreeMap<u32, Vec<(Configuration, Outage)>>,
    first_start: i64,
}

/// Reads `failures.csv.gz` (or `failures.csv`) in a folder.
///
/// # Errors
/// When the file is missing, lacks a column, or a row contradicts itself: no such month or time, a repair before its
/// start, a down time that is not the one between them, several causes, a node of another part, two sizes of a system,
/// or a start outside the node's service.
pub fn read(folder: &Path) -> Result<LanlNodes> {
    let packed = folder.join("failures.csv.gz");
    let (table, input) = Table::read(&if packed.exists() { packed } else { folder.join("failures.csv") })?;
    let (systems, instant) = read_rows(&table)?;
    let starts = systems.values().flat_map(|s| s.rows.values().flatten()).map(|(_, outage)| outage.start);
    let end = starts.max().unwrap_or(0);
    let (mut nodes, mut merged) = (Vec::new(), 0);
    for (number, system) in systems {
        nodes_of(&table, number, system, end, &mut nodes, &mut merged)?;
    }
    let added = nodes.iter().filter(|node| node.added).count();
    Ok(LanlNodes { nodes, records: table.len(), merged, instant, added, end, input })
}

fn read_rows(table: &Table) -> Result<(BTreeMap<u32, System>, usize)> {
    let column = |name| table.column(name);
    let (system, size, node) = (column("System")?, column("nodes")?, column("nodenumz")?);
    let (production, decommissioned) = (column("node prod")?, column("node decom")?);
    let (purpose, processors, memory) = (column("purpose")?, column("procsinnode")?, column("mem")?);
    let (started, fixed, down) = (column("Prob Started")?, column("Prob Fixed")?, column("Down Time")?);
    let same = column("Same Event")?;
    let causes = CAUSES.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?;
    let mut systems: BTreeMap<u32, System> = BTreeMap::new();
    let mut instant = 0;
    for row in 0..table.len() {
        let small = |column: usize| -> Result<u32> {
            let value = table.whole(row, column)?;
            u32::try_from(value).map_err(|_| table.refuse(row, format!("{value} is no count")))
        };
        let month = |column: usize, open: &str| match table.text(row, column) {
            text if text == open => Ok(None),
            text => Month::parse(text).map(Some).ok_or_else(|| {
                table.refuse(row, format!("{text:?} is no month (as 5-Apr for April 2005, Nov-96, or {open})"))
            }),
        };
        let time = |column: usize| {
            let text = table.text(row, column);
            NaiveDateTime::parse_from_str(text, "%m/%d/%Y %H:%M")
                .ok()
                .and_then(|local| Some((mountain_seconds(local)?, second_passing(local))))
                .ok_or_else(|| table.refuse(row, format!("{text:?} is no time of 1987 to 2006 (m/d/yyyy h:mm)")))
        };
        let (number, node) = (small(system)?, small(node)?);
        if !in_part(number, node) {
            return Err(table.refuse(row, format!("node {node} of system {number} belongs to the held-out part")));
        }
        let minutes = table.number(row, down)?;
        let ((start, start_again), (end, end_again)) = (time(started)?, time(fixed)?);
        let readings =
            [(Some(start), Some(end)), (Some(start), end_again), (start_again, Some(end)), (start_again, end_again)];
        let fits = |(start, end): &(i64, i64)| end >= start && ((end - start) as f64 / 60.0 - minutes).abs() < 1.5;
        let Some((start, end)) = readings.iter().filter_map(|(start, end)| Some(((*start)?, (*end)?))).find(fits)
        else {
            let problem = format!(
                "from {:?} to {:?} are {} minutes of real time, the down time is {minutes}",
                table.text(row, started),
                table.text(row, fixed),
                (end - start) / 60
            );
            return Err(table.refuse(row, problem));
        };
        let mut named = causes.iter().zip(CAUSES).filter(|(column, _)| !table.text(row, **column).is_empty());
        let cause = named.next().map_or(NO_CAUSE, |(_, name)| name);
        if let Some((_, other)) = named.next() {
            return Err(table.refuse(row, format!("two causes, {cause} and {other}")));
        }
        let same_event = match table.text(row, same) {
            "No" | "N" | "" => false,
            "Yes" | "Y" => true,
            other => return Err(table.refuse(row, format!("Same Event is {other:?}, expected Yes or No"))),
        };
        instant += usize::from(end == start);
        let outage = Outage { start, end: end.max(start + SHORTEST), cause: cause.to_owned(), records: 1, same_event };
        let configuration = Configuration {
            production: month(production, "before tracking")?,
            decommissioned: month(decommissioned, "current")?,
            purpose: table.text(row, purpose).to_owned(),
            processors: u64::from(small(processors)?),
            memory: u64::from(small(memory)?),
        };
        let size = small(size)?;
        let entry = systems.entry(number).or_insert_with(|| System { size, first_start: start, ..System::default() });
        if entry.size != size {
            return Err(table.refuse(row, format!("system {number} has {size} nodes, {} before", entry.size)));
        }
        entry.first_start = entry.first_start.min(start);
        entry.rows.entry(node).or_default().push((configuration, outage));
    }
    Ok((systems, instant))
}

/// The nodes of one system: those with rows, and those that must have been there.
fn nodes_of(
    table: &Table,
    number: u32,
    system: System,
    end: i64,
    nodes: &mut Vec<NodeHistory>,
    merged: &mut usize,
) -> Result<()> {
    let begin = nodes.len();
    let refuse =
        |problem: String| DatasetError::Column { path: table.path.clone(), column: "Prob Started".to_owned(), problem };
    let mut usual: BTreeMap<Configuration, usize> = BTreeMap::new();
    let seen: BTreeSet<u32> = system.rows.keys().copied().collect();
    for (node, mut rows) in system.rows {
        rows.sort_by_key(|(_, outage)| (outage.start, outage.end));
        let Some((configuration, _)) = rows.first() else { continue };
        *usual.entry(configuration.clone()).or_default() += 1;
        let mut history = empty(number, node, configuration, system.first_start, end, false)?;
        for (_, outage) in rows {
            if !(history.from..=history.until).contains(&outage.start) {
                return Err(refuse(format!("{} has an outage outside its service", history.key)));
            }
            match history.outages.last_mut() {
                Some(last) if outage.start <= last.end => {
                    last.end = last.end.max(outage.end);
                    last.records += 1;
                    last.same_event |= outage.same_event;
                    *merged += 1;
                }
                _ => history.outages.push(outage),
            }
        }
        nodes.push(history);
    }
    let most = usual.iter().max_by_key(|(_, count)| **count).map(|(configuration, _)| configuration);
    if let Some(configuration) = most {
        let here: Vec<u32> = (0..system.size).filter(|&node| in_part(number, node)).collect();
        let missing = here.len().saturating_sub(seen.len());
        for node in here.into_iter().filter(|node| !seen.contains(node)).take(missing) {
            nodes.push(empty(number, node, configuration, system.first_start, end, true)?);
        }
    }
    nodes[begin..].sort_by_key(|node| node.node);
    Ok(())
}

fn empty(
    system: u32,
    node: u32,
    configuration: &Configuration,
    first_start: i64,
    end: i64,
    added: bool,
) -> Result<NodeHistory> {
    let from = match configuration.production {
        Some(month) => month.start()?,
        None => month_of(first_start)?.start()?,
    };
    let until = match configuration.decommissioned {
        Some(month) => month.next().start()?.min(end),
        None => end,
    };
    Ok(NodeHistory {
        key: format!("lanl-{system}-{node}"),
        system,
        node,
        purpose: configuration.purpose.clone(),
        processors: configuration.processors as f64,
        memory: configuration.memory as f64,
        from,
        until,
        added,
        outages: Vec::new(),
    })
}

/// Whether a node's key hashes into this part. The publisher of the split wrote node numbers as `12.0`.
fn in_part(system: u32, node: u32) -> bool {
    let digest = Sha256::digest(format!("lanl-{system}-{node}.0"));
    let first = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    first % 100 >= FIRST_BUCKET
}

#[cfg(test)]
mod tests;
