//! A spec compiled against a catalogue: names looked up once, reads grouped so that one walk over a metric's
//! tiles serves every column that reads it.

use std::collections::BTreeMap;

use crate::Result;
use crate::catalogue::{Catalogue, Combine, MetricId, MetricKind};
use crate::season::Season;
use crate::spec::{self, FeatureSpec, FlatSource, Statistic};
use crate::tile::{Frame, SpanKind};

/// What is read from a span into a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Statistic(Statistic),
    /// Share of time in a state.
    Share(usize),
    /// Rate of a counter per second, whatever the unit of the time axis.
    RatePerSecond,
}

impl Read {
    #[inline]
    pub(super) fn of<S: SpanKind>(self, span: &S, frame: &Frame, ticks_per_second: f64) -> f64 {
        match self {
            Self::Statistic(statistic) => span.statistic(statistic, frame),
            Self::Share(state) => span.share(state),
            Self::RatePerSecond => {
                span.statistic(Statistic::Rate, &Frame { ticks_per_unit: ticks_per_second, ..*frame })
            }
        }
    }
}

/// How the values of the parts become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Max,
    Min,
    Sum,
}

/// What a column makes of its cells and facts.
#[derive(Debug)]
pub(super) enum Column {
    Attribute(String),
    Age,
    EventCount {
        window: i64,
        cause: Option<String>,
    },
    SinceEvent {
        cause: Option<String>,
    },
    EventDecay {
        half_life: i64,
        cause: Option<String>,
    },
    Value {
        cell: usize,
        fold: Fold,
        nothing: f64,
    },
    Ratio {
        top: usize,
        bottom: usize,
        fold: Fold,
    },
    SlopeRatio {
        short: usize,
        long: usize,
        fold: Fold,
    },
    TimeToLimit {
        used: usize,
        limit: usize,
        slope: usize,
    },
    TimeSince {
        cell: usize,
        fold: Fold,
    },
    Completeness {
        cell: usize,
        expected: f64,
    },
    Present {
        cell: usize,
    },
    Season {
        metric: MetricId,
        fold: Fold,
        season: Season,
    },
    /// Filled in a second pass.
    Neighbour,
}

/// The cells of one window.
#[derive(Debug)]
pub(super) struct WindowReads {
    /// In tiles, or in roll-ups.
    pub(super) length: i64,
    pub(super) cells: Vec<(Read, usize)>,
}

/// Everything read from one metric.
#[derive(Debug)]
pub(super) struct MetricReads {
    pub(super) metric: MetricId,
    /// By length, ascending.
    pub(super) plain: Vec<WindowReads>,
    pub(super) rolled: Vec<WindowReads>,
    /// What each step of the sequence reads, and the cell of its newest step; older steps follow.
    pub(super) steps: Vec<(Read, usize)>,
}

/// A sequence channel: cells of its newest step.
#[derive(Debug)]
pub(super) struct ChannelRead {
    pub(super) cell: usize,
    pub(super) divide_by: Option<usize>,
    pub(super) fold: Fold,
}

/// Cells of a limit that may be shown by nothing but its two halves: the CPU limit, quota over period.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) limit: usize,
    pub(super) quota: usize,
    pub(super) period: usize,
    /// How many cells follow each other: one of a window, the steps of a sequence.
    pub(super) length: usize,
}

/// The flat list a row is computed from.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) reads: Vec<MetricReads>,
    pub(super) derived: Vec<Derived>,
    pub(super) columns: Vec<Column>,
    pub(super) channels: Vec<ChannelRead>,
    pub(super) cells: usize,
}

struct Compiler<'a> {
    spec: &'a FeatureSpec,
    catalogue: &'a Catalogue,
    reads: BTreeMap<MetricId, MetricReads>,
    derived: Vec<Derived>,
    /// The CPU limit, its quota and its period.
    cpu_limit: Option<(MetricId, MetricId, MetricId)>,
    cells: usize,
}

impl Program {
    pub(super) fn compile(spec: &FeatureSpec, catalogue: &Catalogue) -> Result<Self> {
        let cpu_limit = spec::cpu_limit(catalogue);
        let mut compiler =
            Compiler { spec, catalogue, reads: BTreeMap::new(), derived: Vec::new(), cpu_limit, cells: 0 };
        let columns = spec.flat.iter().map(|column| compiler.column(&column.source)).collect::<Result<Vec<_>>>()?;
        let mut channels = Vec::with_capacity(spec.channels.len());
        for channel in &spec.channels {
            let metric = catalogue.id(&channel.metric)?;
            let cell = compiler.steps(metric, channel.statistic);
            let divide_by = match &channel.divide_by {
                Some(limit) => Some(compiler.steps(catalogue.id(limit)?, Statistic::Last)),
                None => None,
            };
            channels.push(ChannelRead { cell, divide_by, fold: compiler.fold(metric, channel.statistic) });
        }
        let Compiler { reads, derived, cells, .. } = compiler;
        Ok(Self { reads: reads.into_values().collect(), derived, columns, channels, cells })
    }
}

impl Compiler<'_> {
    fn column(&mut self, source: &FlatSource) -> Result<Column> {
        Ok(match source {
            FlatSource::Attribute { attribute } => Column::Attribute(attribute.clone()),
            FlatSource::Age => Column::Age,
            FlatSource::EventCount { window, cause } => Column::EventCount { window: *window, cause: cause.clone() },
            FlatSource::SinceEvent { cause } => Column::SinceEvent { cause: cause.clone() },
            FlatSource::EventDecay { half_life, cause } => {
                Column::EventDecay { half_life: *half_life, cause: cause.clone() }
            }
            FlatSource::Neighbour { .. } => Column::Neighbour,
            FlatSource::Tile { metric, statistic, window } => {
                let id = self.catalogue.id(metric)?;
                let nothing = if *statistic == Statistic::Count { 0.0 } else { f64::NAN };
                Column::Value { cell: self.cell(id, *window, *statistic), fold: self.fold(id, *statistic), nothing }
            }
            FlatSource::Saturation { used, limit, window } => {
                let (used, limit) = (self.catalogue.id(used)?, self.catalogue.id(limit)?);
                Column::Ratio {
                    top: self.cell(used, *window, Statistic::Last),
                    bottom: self.cell(limit, *window, Statistic::Last),
                    fold: self.combine(used),
                }
            }
            FlatSource::LoadOfLimit { metric, limit, window } => {
                let (metric, limit) = (self.catalogue.id(metric)?, self.catalogue.id(limit)?);
                Column::Ratio {
                    top: self.read(metric, *window, Read::RatePerSecond),
                    bottom: self.cell(limit, *window, Statistic::Last),
                    fold: self.combine(metric),
                }
            }
            FlatSource::IncreaseRatio { numerator, denominator, window } => {
                let (top, bottom) = (self.catalogue.id(numerator)?, self.catalogue.id(denominator)?);
                Column::Ratio {
                    top: self.cell(top, *window, Statistic::Increase),
                    bottom: self.cell(bottom, *window, Statistic::Increase),
                    fold: self.combine(top),
                }
            }
            FlatSource::StallShare { metric, window } => {
                let id = self.catalogue.id(metric)?;
                let cell = self.read(id, *window, Read::RatePerSecond);
                Column::Value { cell, fold: self.combine(id), nothing: f64::NAN }
            }
            FlatSource::SlopeRatio { metric, short, long } => {
                let id = self.catalogue.id(metric)?;
                Column::SlopeRatio {
                    short: self.cell(id, *short, Statistic::Slope),
                    long: self.cell(id, *long, Statistic::Slope),
                    fold: self.combine(id),
                }
            }
            FlatSource::TimeToLimit { used, limit, window } => {
                let (used, limit) = (self.catalogue.id(used)?, self.catalogue.id(limit)?);
                Column::TimeToLimit {
                    used: self.cell(used, *window, Statistic::Last),
                    limit: self.cell(limit, *window, Statistic::Last),
                    slope: self.cell(used, *window, Statistic::Slope),
                }
            }
            FlatSource::StateShare { metric, state, window } => {
                let id = self.catalogue.id(metric)?;
                let states = self.catalogue.definition(id).map(|d| d.states.as_slice()).unwrap_or_default();
                // `validate` has found it among the states.
                let state = states.iter().position(|known| known == state).unwrap_or(usize::MAX);
                let cell = self.read(id, *window, Read::Share(state));
                Column::Value { cell, fold: self.combine(id), nothing: f64::NAN }
            }
            FlatSource::TimeSince { metric, window } => {
                let id = self.catalogue.id(metric)?;
                Column::TimeSince { cell: self.cell(id, *window, Statistic::Last), fold: self.combine(id) }
            }
            FlatSource::Completeness { metric, window } => {
                let id = self.catalogue.id(metric)?;
                let interval = self.spec.scrape_interval.unwrap_or(i64::MAX);
                #[expect(clippy::cast_precision_loss, reason = "spans of ticks are far below 2^53")]
                let expected = *window as f64 / interval as f64;
                Column::Completeness { cell: self.cell(id, *window, Statistic::Count), expected }
            }
            FlatSource::Present { metric, window } => {
                let id = self.catalogue.id(metric)?;
                Column::Present { cell: self.cell(id, *window, Statistic::Last) }
            }
            FlatSource::Season { metric, period, cycles } => self.season(metric, *period, *cycles, None)?,
            FlatSource::Cusum { metric, period, cycles, steps } => {
                self.season(metric, *period, *cycles, Some(*steps))?
            }
        })
    }

    fn season(&self, metric: &str, period: i64, cycles: u32, cusum: Option<u32>) -> Result<Column> {
        let id = self.catalogue.id(metric)?;
        let multiple = self.spec.rollup.map_or(1, |rollup| rollup.tile_multiple);
        let counter = self.catalogue.definition(id).is_some_and(|d| d.kind == MetricKind::Counter);
        let level = if counter { Statistic::Rate } else { Statistic::Mean };
        let season = Season { level, period: period / (multiple * self.spec.tile), cycles, cusum };
        Ok(Column::Season { metric: id, fold: self.combine(id), season })
    }

    fn combine(&self, metric: MetricId) -> Fold {
        match self.catalogue.definition(metric).map(|definition| definition.combine) {
            Some(Combine::Min) => Fold::Min,
            Some(Combine::Sum) => Fold::Sum,
            Some(Combine::Max) | None => Fold::Max,
        }
    }

    /// How the parts of a statistic become one: see [`FlatSource`].
    fn fold(&self, metric: MetricId, statistic: Statistic) -> Fold {
        match statistic {
            Statistic::Increase
            | Statistic::Resets
            | Statistic::Count
            | Statistic::Transitions
            | Statistic::Changes => Fold::Sum,
            Statistic::LongestGap => Fold::Max,
            Statistic::Staleness => Fold::Min,
            _ => self.combine(metric),
        }
    }

    fn cell(&mut self, metric: MetricId, window: i64, statistic: Statistic) -> usize {
        let read = Read::Statistic(statistic);
        let cell = self.read(metric, window, read);
        if let Some((quota, period)) = self.halves(metric, statistic, cell) {
            let (quota, period) = (self.read(quota, window, read), self.read(period, window, read));
            self.derived.push(Derived { limit: cell, quota, period, length: 1 });
        }
        cell
    }

    /// Quota and period of the CPU limit, the first time a cell of its newest value is asked for.
    fn halves(&self, metric: MetricId, statistic: Statistic, cell: usize) -> Option<(MetricId, MetricId)> {
        let (limit, quota, period) = self.cpu_limit?;
        let new = self.derived.iter().all(|known| known.limit != cell);
        (metric == limit && statistic == Statistic::Last && new).then_some((quota, period))
    }

    fn metric(&mut self, metric: MetricId) -> &mut MetricReads {
        let empty = MetricReads { metric, plain: Vec::new(), rolled: Vec::new(), steps: Vec::new() };
        self.reads.entry(metric).or_insert(empty)
    }

    /// The cell of a read, shared with whoever reads the same.
    fn read(&mut self, metric: MetricId, window: i64, read: Read) -> usize {
        let next = self.cells;
        let tile = self.spec.tile;
        let rolled = self.spec.rollup.filter(|rollup| window >= rollup.from_window);
        let reads = self.metric(metric);
        let (windows, length) = match rolled {
            Some(rollup) => (&mut reads.rolled, window / (tile * rollup.tile_multiple)),
            None => (&mut reads.plain, window / tile),
        };
        let at = windows.partition_point(|window| window.length < length);
        if windows.get(at).is_none_or(|window| window.length != length) {
            windows.insert(at, WindowReads { length, cells: Vec::new() });
        }
        let cells = &mut windows[at].cells;
        if let Some(&(_, cell)) = cells.iter().find(|&&(known, _)| known == read) {
            return cell;
        }
        cells.push((read, next));
        self.cells += 1;
        next
    }

    /// The cell of the newest step of a statistic; one more follows for each older step.
    fn steps(&mut self, metric: MetricId, statistic: Statistic) -> usize {
        let cell = self.step_cells(metric, statistic);
        if let Some((quota, period)) = self.halves(metric, statistic, cell) {
            let (quota, period) = (self.step_cells(quota, statistic), self.step_cells(period, statistic));
            self.derived.push(Derived { limit: cell, quota, period, length: self.spec.steps });
        }
        cell
    }

    fn step_cells(&mut self, metric: MetricId, statistic: Statistic) -> usize {
        let next = self.cells;
        let read = Read::Statistic(statistic);
        let reads = self.metric(metric);
        if let Some(&(_, cell)) = reads.steps.iter().find(|&&(known, _)| known == read) {
            return cell;
        }
        reads.steps.push((read, next));
        self.cells += self.spec.steps;
        next
    }
}
