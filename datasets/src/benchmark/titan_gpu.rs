//! Graphics processors of Titan (2013 to 2019): time in service until a double-bit error or a fall off the bus.
//!
//! Two tables: one row per processor, and one row per stay in a place. A second event of a stay is a row of its own
//! without an insertion. The clock of a processor runs while it is in the machine, as in the table's own `years`.

mod stays;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use features::TimeAxis;
use features::split::Shares;
use serde::{Deserialize, Serialize};
use survival::{CensorReason, TimeGrid, TimeUnit};

use self::stays::{CAUSES, Place, Stays};
use super::lives::{End, Life, TrainingDurations, spec};
use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Each, Input, Source, SplitRule, readout};

const DAY: i64 = 86_400;
/// The table's year.
const YEAR: i64 = 365 * DAY;
/// Ages at which a row is made.
const AGES: [i64; 5] = [0, YEAR, 2 * YEAR, 3 * YEAR, 4 * YEAR];
const HORIZONS: [f64; 3] = [365.0, 730.0, 1460.0];
/// Edges in days where no horizon is close.
const ROUND: [f64; 4] = [91.0, 182.0, 547.0, 1095.0];
const NAME: &str = "titan-gpu";

/// Where a row says that its processor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Places {
    /// Where most of its events were or it stayed longest, as the summary says: known only afterwards.
    #[default]
    Summary,
    /// Where it was first inserted.
    Intervals,
}

/// Where the tables are, and which place counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TitanGpuConfig {
    /// Folder with `gpu_summary.csv` and `gpu_intervals.csv`, gzip or plain.
    pub from: PathBuf,
    /// Which place is a covariate, and whose cabinet the group.
    #[serde(default)]
    pub places: Places,
}

/// The processors as a source.
#[derive(Debug, Clone)]
pub struct TitanGpu {
    plan: BuildPlan,
    lives: Vec<Life>,
}

impl TitanGpu {
    /// Reads both tables.
    ///
    /// # Errors
    /// When one is missing, a column is, a cell is not what it should be, or the two contradict each other.
    pub fn open(config: &TitanGpuConfig) -> Result<Self> {
        let (stays, stays_input) = Table::read_either(&config.from.join("gpu_intervals.csv"))?;
        let (summary, summary_input) = Table::read_either(&config.from.join("gpu_summary.csv"))?;
        let stays = stays::read(&stays)?;
        let lives = read_lives(&summary, &stays, config.places)?;
        let plan = plan(config.places, &lives, &stays, vec![summary_input, stays_input])?;
        Ok(Self { plan, lives })
    }
}

impl Source for TitanGpu {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        Some(self.lives.len() as u64)
    }

    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> Result<()> {
        self.lives.iter().try_for_each(|life| each(life.history()?, None))
    }
}

fn read_lives(table: &Table, stays: &HashMap<String, Stays>, places: Places) -> Result<Vec<Life>> {
    let [serial, time, batch] = table.columns(["SN", "time", "batch"])?;
    let [out, dead, dead_dbe, dead_otb] = table.columns(["out", "dead", "dead_dbe", "dead_otb"])?;
    let place_columns = table.columns(Place::COLUMNS)?;
    let flag = |row: usize, column: usize| match table.text(row, column) {
        "True" => Ok(true),
        "False" => Ok(false),
        other => {
            Err(table.refuse(row, format!("column {:?} is {other:?}, expected True or False", table.names()[column])))
        }
    };
    let mut lives = Vec::with_capacity(table.len());
    let mut seen = HashSet::new();
    for row in 0..table.len() {
        let serial = table.text(row, serial);
        if serial.is_empty() || !seen.insert(serial) {
            return Err(table.refuse(row, format!("column \"SN\" is empty or given twice ({serial:?})")));
        }
        let stay =
            stays.get(serial).ok_or_else(|| table.refuse(row, format!("{serial} has no stay in gpu_intervals.csv")))?;
        let ticks = table.whole(row, time)?;
        if ticks <= 0 || ticks != stay.seconds {
            let problem =
                format!("column \"time\" is {ticks}, expected above 0 and the sum of its stays ({})", stay.seconds);
            return Err(table.refuse(row, problem));
        }
        let place = match places {
            Places::Intervals => stay.first.1,
            Places::Summary => {
                let mut place = [0; 5];
                for (number, column) in place.iter_mut().zip(place_columns) {
                    *number = table.whole(row, column)?;
                }
                Place::known(place)
                    .ok_or_else(|| table.refuse(row, format!("col, row, cage, slot, node are {place:?}")))?
            }
        };
        let old = match table.text(row, batch) {
            "old" => 1.0,
            "new" => 0.0,
            other => return Err(table.refuse(row, format!("column \"batch\" is {other:?}, expected old or new"))),
        };
        let flags = (flag(row, dead)?, flag(row, dead_dbe)?, flag(row, dead_otb)?);
        let end = match (flags, &stay.last_event) {
            ((true, true, false), _) => Some((CAUSES[0], "dead_dbe".to_owned())),
            ((true, false, true), _) => Some((CAUSES[1], "dead_otb".to_owned())),
            ((true, true, true), Some((at, _, cause))) => {
                Some((*cause, format!("dead_dbe and dead_otb, the last event at {at}")))
            }
            ((false, false, false), _) => None,
            _ => {
                let problem =
                    format!("dead, dead_dbe, dead_otb are {flags:?}, which contradict each other or have no event");
                return Err(table.refuse(row, problem));
            }
        };
        let end = match end {
            Some((cause, evidence)) => End::Failed { cause, evidence },
            None if flag(row, out)? => End::Censored(CensorReason::PlannedEnd),
            None => End::Censored(CensorReason::EndOfObservation),
        };
        let attributes = place.attributes().chain([("batch_old".to_owned(), old)]).collect();
        lives.push(Life {
            key: format!("gpu-{serial}"),
            group: place.cabinet(),
            attributes,
            seen_born: true,
            from: 0,
            ticks,
            end,
        });
    }
    Ok(lives)
}

fn plan(places: Places, lives: &[Life], stays: &HashMap<String, Stays>, inputs: Vec<Input>) -> Result<BuildPlan> {
    let axis = TimeAxis { unit: TimeUnit::Days, ticks_per_unit: DAY };
    let attributes = Place([0; 5]).attributes().map(|(name, _)| name).chain(["batch_old".to_owned()]);
    let (spec, catalogue) = spec(axis, true, &attributes.collect::<Vec<_>>(), NAME)?;
    let split = SplitRule::ByGroup {
        salt: format!("forewarn {NAME} "),
        shares: Shares { train: 60, validation: 15, calibration: 10 },
        test_only: Vec::new(),
    };
    let last = HORIZONS[HORIZONS.len() - 1];
    let edges = TrainingDurations::of(lives, &split, axis, &AGES, NAME)?.edges(&HORIZONS, &ROUND, last);
    let grid = TimeGrid::try_new(TimeUnit::Days, edges);
    let mut first_days: BTreeMap<&str, usize> = BTreeMap::new();
    for stay in stays.values() {
        *first_days.entry(&stay.first.0[..10]).or_default() += 1;
    }
    let most = first_days.into_iter().max_by_key(|&(_, count)| count).unwrap_or_default();
    let place = match places {
        Places::Summary => {
            "Places are those of the summary: where most of its events were, or where it stayed longest. They are chosen by what happened later, a mild leak; `places: intervals` takes the place of the first insertion."
        }
        Places::Intervals => {
            "Places are those of the first insertion, known from the first day on; later moves are not followed."
        }
    };
    Ok(BuildPlan {
        name: match places {
            Places::Summary => NAME.to_owned(),
            Places::Intervals => format!("{NAME}-first-place"),
        },
        title: "GPUs of the Titan supercomputer: time in service until failure (2013 to 2019)".to_owned(),
        licence: "none stated; released by the Oak Ridge Leadership Computing Facility (US Department of Energy) with the paper: cite it".to_owned(),
        source_text: "G. Ostrouchov et al., \"GPU Lifetimes on Titan Supercomputer: Survival Analysis and Reliability\", SC 2020; repository olcf/TitanGPULife".to_owned(),
        inputs,
        grid: grid.map_err(|error| DatasetError::feature(NAME)(error.into()))?,
        causes: CAUSES.map(str::to_owned).to_vec(),
        readout: readout(&HORIZONS, &[0.05, 0.5, 0.95], last),
        cuts: Cuts::After(AGES.to_vec()),
        split,
        permute_labels: None,
        notes: vec![
            "Durations are days in service: the clock stands while a GPU is out of the machine. Rows are made at its first insertion and after 1, 2, 3 and 4 years (of 365 days) in service.".to_owned(),
            "Two causes compete: a double-bit error (dbe), a fall off the bus (otb). A GPU that is dead of both counts under the last event by time; at one moment, under the event that ended its stay.".to_owned(),
            place.to_owned(),
            "Never covariates, because they follow from the outcome: nlife, nloc, last, dbe, otb, dbe_loc, otb_loc, max_loc_events, time_max_loc, out and the dead columns.".to_owned(),
            "Removal alive (planned_end) is informative: thousands of GPUs of the old batch were taken out while alive, upper cages first. What is foretold is failure as if nobody took them out; compare with removals as a competing end.".to_owned(),
            "The batch also marks calendar time: boards of the old batch were replaced from 2016 on, and were watched longer while failures were many.".to_owned(),
            format!(
                "{} of {} GPUs have {} as day of their first insertion: the largest such day. Time in service before the record began is not in it.",
                most.1,
                stays.len(),
                most.0
            ),
            "The group is the cabinet, so that the GPUs of one cabinet are never in two parts.".to_owned(),
        ],
        catalogue,
        spec,
    })
}
