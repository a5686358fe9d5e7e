//! NASA's turbofan engines run to failure (C-MAPSS FD001 to FD004): the public benchmark of remaining life.
//!
//! A tick is a cycle. The cut after cycle a sits at tick a + 1 and sees cycles 1 to a; an engine whose last
//! cycle is L fails at tick L + 1, so its duration is L − a, the remaining useful life. At the last cycle
//! itself that is 0, and a duration must be above 0: this one cut per engine is left out and counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use features::catalogue::MetricDefinition;
use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, RegimeChannel, Statistic, Summary};
use features::split::Shares;
use features::{
    Catalogue, Entity, EntityHistory, EntityKind, EntityTiles, Facts, FailureEvent, FeatureBatch, FeatureSpec,
    MetricId, MetricKind, RowAssembler, Sample, TimeAxis,
};
use serde::{Deserialize, Serialize};
use survival::{CensorReason, TimeGrid, TimeUnit};

use super::table::number;
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Each, Input, Source, SplitRule, read_text, readout};

/// Steps of the window, in cycles.
const STEPS: usize = 40;
const SETTINGS: usize = 3;
const SENSORS: usize = 21;
/// Unit, cycle, settings, sensors.
const COLUMNS: usize = 2 + SETTINGS + SENSORS;
/// Values of a setting closer than this are the same operating condition.
const RESOLUTIONS: [f64; SETTINGS] = [1.0, 0.05, 10.0];

/// Which engines, and how often a row is made of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmapssConfig {
    /// Folder with `train_FD00x.txt`, plain or gzip.
    pub from: PathBuf,
    /// 1 to 4.
    pub subset: u8,
    /// Cycles between cuts.
    #[serde(default = "every_cycle")]
    pub cut_every: u32,
}

fn every_cycle() -> u32 {
    1
}

/// The training engines of one subset as a source.
#[derive(Debug, Clone)]
pub struct Cmapss {
    config: CmapssConfig,
    plan: BuildPlan,
    engines: Vec<Engine>,
}

/// The published test engines, each at its last given cycle. Opened once, for the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct TestEngines {
    /// One row per engine, in the order of the file.
    pub features: FeatureBatch,
    /// True remaining useful life of each, in cycles.
    pub remaining: Vec<f64>,
}

/// One engine: its number, and the values of every cycle from 1 on.
#[derive(Debug, Clone, PartialEq)]
struct Engine {
    unit: u32,
    cycles: Vec<[f64; SETTINGS + SENSORS]>,
}

impl Cmapss {
    /// Reads the training engines; the test files are not touched.
    ///
    /// # Errors
    /// When the file is missing, cut short, or not the published table.
    pub fn open(config: CmapssConfig) -> Result<Self> {
        if !(1..=4).contains(&config.subset) || config.cut_every == 0 {
            return Err(DatasetError::config(
                "cmapss",
                format!("subset ({}) must be 1 to 4 and cut_every ({}) above 0", config.subset, config.cut_every),
            ));
        }
        let (engines, input) = read_engines(&file(&config.from, &format!("train_FD00{}.txt", config.subset)))?;
        let plan = plan(&config, input)?;
        Ok(Self { config, plan, engines })
    }

    /// Reads the published test engines and their true remaining lives.
    ///
    /// # Errors
    /// When a file is missing or the two do not hold the same number of engines.
    pub fn open_test(&self) -> Result<TestEngines> {
        let subset = self.config.subset;
        let (engines, _) = read_engines(&file(&self.config.from, &format!("test_FD00{subset}.txt")))?;
        let path = file(&self.config.from, &format!("RUL_FD00{subset}.txt"));
        let (text, _) = read_text(&path)?;
        let mut remaining = Vec::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let value =
                number(text.trim()).map_err(|problem| DatasetError::Line { path: path.clone(), line, problem })?;
            remaining.push(value);
        }
        if remaining.len() != engines.len() {
            return Err(DatasetError::Disagrees {
                path,
                what: "number of test engines",
                expected: engines.len().to_string(),
                got: remaining.len().to_string(),
            });
        }
        let plan = &self.plan;
        let named = DatasetError::feature(&plan.name);
        let mut assembler = RowAssembler::try_new(&plan.spec, &plan.catalogue).map_err(&named)?;
        for engine in &engines {
            let history = self.history(engine)?;
            let key = history.entity.key();
            let tiles = EntityTiles::build(&plan.spec, &plan.catalogue, key, &history.samples).map_err(&named)?;
            let facts =
                Facts { born: history.born, attributes: &history.attributes, failures: &[], shown: &[], causes: &[] };
            assembler.push(&history.entity, &facts, &tiles, history.observed_until).map_err(&named)?;
        }
        Ok(TestEngines { features: assembler.finish().map_err(&named)?, remaining })
    }

    /// An engine from its first cycle to just after its last, where it fails.
    fn history(&self, engine: &Engine) -> Result<EntityHistory> {
        let key = format!("FD00{}/engine-{:03}", self.config.subset, engine.unit);
        let named = DatasetError::feature(&key);
        let mut samples = Vec::with_capacity(engine.cycles.len() * (SETTINGS + SENSORS));
        for metric in 0..SETTINGS + SENSORS {
            let id = MetricId(u16::try_from(metric).unwrap_or(u16::MAX));
            for (cycle, values) in (1..).zip(&engine.cycles) {
                samples.push(Sample::try_new(&self.plan.catalogue, id, cycle, cycle, values[metric]).map_err(&named)?);
            }
        }
        let end = i64::try_from(engine.cycles.len()).unwrap_or(i64::MAX) + 1;
        let evidence = format!("run to failure; last cycle {}", end - 1);
        Ok(EntityHistory {
            nodes: Vec::new(),
            entity: Entity::try_new(EntityKind::Machine, key.as_str(), "").map_err(&named)?,
            group: key.clone(),
            attributes: BTreeMap::new(),
            born: Some(1),
            observed_from: 1,
            observed_until: end,
            end: CensorReason::EndOfObservation,
            tiles: None,
            samples,
            events: [FailureEvent::try_new(&key, "degradation", end, end, evidence).map_err(&named)?].into(),
            gaps: [].into(),
        })
    }
}

impl Source for Cmapss {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        Some(self.engines.len() as u64)
    }

    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> Result<()> {
        for engine in &self.engines {
            each(self.history(engine)?, None)?;
        }
        Ok(())
    }
}

/// The packed file where there is one, else the plain one.
fn file(from: &Path, name: &str) -> PathBuf {
    let packed = from.join(format!("{name}.gz"));
    if packed.exists() { packed } else { from.join(name) }
}

fn read_engines(path: &Path) -> Result<(Vec<Engine>, Input)> {
    let (text, input) = read_text(path)?;
    let mut engines: Vec<Engine> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let refuse = |problem: String| DatasetError::Line { path: path.to_owned(), line, problem };
        let cells: Vec<&str> = text.split_whitespace().collect();
        if cells.len() != COLUMNS {
            return Err(refuse(format!("{} columns, expected {COLUMNS}", cells.len())));
        }
        let unit: u32 = cells[0].parse().map_err(|_| refuse(format!("unit is {:?}", cells[0])))?;
        let cycle: usize = cells[1].parse().map_err(|_| refuse(format!("cycle is {:?}", cells[1])))?;
        let mut values = [0.0; SETTINGS + SENSORS];
        for (index, (value, cell)) in values.iter_mut().zip(&cells[2..]).enumerate() {
            *value = number(cell).map_err(|problem| refuse(format!("column {} {problem}", index + 3)))?;
        }
        if engines.last().is_none_or(|engine| engine.unit != unit) {
            if engines.iter().any(|engine| engine.unit == unit) {
                return Err(refuse(format!("unit {unit} appears in two places")));
            }
            engines.push(Engine { unit, cycles: Vec::new() });
        }
        if let Some(engine) = engines.last_mut() {
            if engine.cycles.len() + 1 != cycle {
                return Err(refuse(format!("cycle {cycle} of unit {unit} follows cycle {}", engine.cycles.len())));
            }
            engine.cycles.push(values);
        }
    }
    Ok((engines, input))
}

fn plan(config: &CmapssConfig, input: Input) -> Result<BuildPlan> {
    let name = format!("cmapss-fd00{}", config.subset);
    let names: Vec<String> = (1..=SETTINGS)
        .map(|number| format!("setting{number}"))
        .chain((1..=SENSORS).map(|number| format!("sensor{number:02}")))
        .collect();
    let definitions = names.iter().map(|id| MetricDefinition {
        id: id.clone(),
        unit: "1".to_owned(),
        kind: MetricKind::Gauge,
        states: Vec::new(),
        signed: id.starts_with("setting"),
        combine: features::Combine::default(),
        foretells: String::new(),
    });
    let named = DatasetError::feature(name.clone());
    let catalogue = Catalogue::try_new(definitions.collect()).map_err(&named)?;
    let several_conditions = matches!(config.subset, 2 | 4);
    let regimes = if several_conditions {
        let channel = |(name, resolution): (&String, f64)| RegimeChannel { channel: name.clone(), resolution };
        names.iter().zip(RESOLUTIONS).map(channel).collect()
    } else {
        Vec::new()
    };
    let channels = names.iter().map(|name| Channel {
        name: name.clone(),
        metric: name.clone(),
        statistic: Statistic::Last,
        divide_by: None,
    });
    let spec = FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Cycles, ticks_per_unit: 1 },
        tile: 1,
        ingest_lag: 0,
        longest_gap: 1,
        flat: vec![FlatColumn { name: "age".to_owned(), source: FlatSource::Age }],
        steps: STEPS,
        step: 1,
        channels: channels.collect(),
        regimes,
        summaries: vec![
            Summary::Last,
            Summary::Mean { steps: 5 },
            Summary::Mean { steps: 15 },
            Summary::Mean { steps: 40 },
            Summary::Slope { steps: 15 },
            Summary::Slope { steps: 40 },
            Summary::Std { steps: 15 },
            Summary::Change { steps: 5 },
        ],
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue.digest(),
    };
    let edges = (0..=25).map(|edge| 5.0 * f64::from(edge)).chain([150.0, 175.0, 200.0, 250.0, 300.0, 350.0]);
    Ok(BuildPlan {
        title: format!("C-MAPSS FD00{}: turbofan engines run to failure", config.subset),
        licence: "US government work, public domain (NASA open data)".to_owned(),
        source_text: "A. Saxena, K. Goebel, D. Simon, N. Eklund, \"Damage Propagation Modeling for Aircraft Engine Run-to-Failure Simulation\", PHM 2008; NASA Ames Prognostics Center of Excellence".to_owned(),
        inputs: vec![input],
        grid: TimeGrid::try_new(TimeUnit::Cycles, edges.collect()).map_err(|error| named(error.into()))?,
        causes: vec!["degradation".to_owned()],
        readout: readout(&[10.0, 30.0, 50.0], &[0.05, 0.5, 0.95], 125.0),
        cuts: Cuts::Every { first: 1, every: i64::from(config.cut_every), phase: 0 },
        split: SplitRule::ByGroup {
            salt: "forewarn cmapss ".to_owned(),
            shares: Shares { train: 60, validation: 15, calibration: 10 },
            test_only: Vec::new(),
        },
        permute_labels: None,
        notes: vec![
            "Only the published training engines are here; every part, the test part included, is a share of them, split by engine, never by row. The public test engines and their true lives are opened apart, once, for the scores.".to_owned(),
            "Durations are remaining useful life in cycles, not capped. The cut at an engine's last cycle has duration 0 and is left out: one `not_watched` per engine.".to_owned(),
            if several_conditions {
                "Six operating conditions: windows are normalised per condition, told apart by the three settings.".to_owned()
            } else {
                "One operating condition; sensors 1, 5, 6, 10, 16, 18 and 19 are (nearly) constant.".to_owned()
            },
            "No engine is censored; there is no fault type per engine, so there is one cause.".to_owned(),
            "Altered copies of this set circulate; the digest below pins the one used.".to_owned(),
        ],
        catalogue,
        spec,
        name,
    })
}
