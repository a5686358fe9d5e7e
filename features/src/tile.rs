//! Mergeable partial aggregates of one metric of one part over one fixed interval.
//!
//! Two shapes, because adding and joining want different ones. A *tile* ([`GaugeTile`], [`CounterTile`], …)
//! takes samples one by one without a division: it keeps sums of `v − first`, shifted by its own first value.
//! That shift is one of the values, so the mean square deviation around the mean is at least `1/n` of the mean
//! square of what is summed: at most a factor `n` is lost, whatever the level (1e10 bytes) and even where the
//! first value is an outlier. A *span* is what tiles become when joined: centred moments (Chan, Golub &
//! LeVeque 1983; Pébay 2008), kept relative to the newest value and time so that a level of 1e10 costs nothing.
//!
//! Joining is associative in exact arithmetic, in `f64` up to the last bits. So equal bits are not hoped for
//! but made: samples enter a tile in order of time, tiles are joined newest to oldest, and every path (one
//! sample, a slice, tiles read back from disk) performs the same operations in the same order.
//!
//! What counts as *linked*: two neighbouring samples, unless a stale mark lies between them or they are further
//! apart than the longest gap. A counter's step, a state's duration and covered time exist between linked
//! samples only. A stale mark ends a series: it is no value, and nothing is linked across it.

mod columns;
mod counter;
mod delta;
mod gauge;
mod head;
mod stamp;
mod state;

pub use columns::TileColumns;
pub use counter::{CounterSpan, CounterTile};
pub use delta::DeltaTile;
pub use gauge::{GaugeSpan, GaugeTile};
pub use head::Head;
pub use stamp::TimeTile;
pub use state::{MAX_STATES, StateTile};

use crate::catalogue::MetricKind;
use crate::spec::Statistic;
use head::Link;

/// What decides whether two samples belong together.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// Samples further apart than this many ticks are not linked.
    pub longest_gap: i64,
    /// Ticks at which a new life is known to have begun, ascending; a counter starts from zero at each.
    pub lives: &'a [i64],
}

impl Rule<'_> {
    /// A gap rule without any known life.
    #[must_use]
    pub fn gap(longest_gap: i64) -> Self {
        Self { longest_gap, lives: &[] }
    }
}

/// Where a span is read: what a statistic needs besides the span.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Start of the window in ticks.
    pub from: i64,
    /// The moment of prediction in ticks.
    pub as_of: i64,
    /// Ticks in a unit of the time axis: slopes and rates are per unit, waits are in units.
    pub ticks_per_unit: f64,
}

/// A tile or span of one kind of metric.
pub trait Aggregate: Copy + std::fmt::Debug + PartialEq {
    /// An aggregate of nothing.
    const EMPTY: Self;
    /// Number, times and ends.
    fn head(&self) -> &Head;
    /// The same, to be changed.
    fn head_mut(&mut self) -> &mut Head;
}

/// A tile of one kind of metric.
pub trait TileKind: Aggregate {
    /// What its tiles become when joined.
    type Span: SpanKind;
    /// Newest value; 0 where there is none.
    fn last(&self) -> f64;
    /// Adds a sample later than every one inside.
    fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>);
    /// This tile as a span to be joined.
    fn span(&self) -> Self::Span;

    /// Adds samples of rising time, all later than those inside: the same bits as pushing them one by one.
    fn extend(&mut self, times: &[i64], values: &[f64], rule: &Rule<'_>) {
        for (&time, &value) in times.iter().zip(values) {
            self.push(time, value, rule);
        }
    }

    /// Marks that the series ended here (a stale mark).
    fn end(&mut self) {
        self.head_mut().ended = true;
    }
}

/// Joined tiles of one kind.
pub trait SpanKind: Aggregate {
    /// Joins an older span of samples to this one, both with samples; `link` says how they meet.
    fn join_samples(&mut self, older: &Self, link: Link);
    /// One statistic, NaN where it is not defined for this kind or these samples.
    fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64;

    /// Share of covered time in a state; NaN for what is no state.
    fn share(&self, _state: usize) -> f64 {
        f64::NAN
    }

    /// Joins an older span to this one.
    #[inline]
    fn join(&mut self, older: &Self, longest_gap: i64) {
        if older.head().count == 0 {
            if older.head().ended {
                self.head_mut().cut_off();
            }
        } else if self.head().count == 0 {
            let ended = self.head().ended;
            *self = *older;
            self.head_mut().ended |= ended;
        } else {
            let link = self.head_mut().join(older.head(), longest_gap);
            self.join_samples(older, link);
        }
    }
}

/// A tile of any kind, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tile {
    /// Of a level.
    Gauge(GaugeTile),
    /// Of a cumulative count.
    Counter(CounterTile),
    /// Of increases since the last report.
    Delta(DeltaTile),
    /// Of one of a named set.
    State(StateTile),
    /// Of a point in time carried as a value.
    Time(TimeTile),
}

/// Joined tiles of any kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    /// Of a level.
    Gauge(GaugeSpan),
    /// Of a cumulative count.
    Counter(CounterSpan),
    /// Of increases since the last report.
    Delta(DeltaTile),
    /// Of one of a named set.
    State(StateTile),
    /// Of a point in time carried as a value.
    Time(TimeTile),
}

/// Runs the same expression on the tile or span inside, whatever its kind.
macro_rules! each_kind {
    ($any:expr, $inside:ident => $do:expr) => {
        match $any {
            Self::Gauge($inside) => $do,
            Self::Counter($inside) => $do,
            Self::Delta($inside) => $do,
            Self::State($inside) => $do,
            Self::Time($inside) => $do,
        }
    };
}

impl Tile {
    /// A tile of nothing; `None` for metrics that have no tiles (labels carried as a series).
    #[must_use]
    pub fn empty(kind: MetricKind) -> Option<Self> {
        Some(match kind {
            MetricKind::Gauge => Self::Gauge(GaugeTile::EMPTY),
            MetricKind::Counter => Self::Counter(CounterTile::EMPTY),
            MetricKind::Delta => Self::Delta(DeltaTile::EMPTY),
            MetricKind::State => Self::State(StateTile::EMPTY),
            MetricKind::Time => Self::Time(TimeTile::EMPTY),
            MetricKind::Info => return None,
        })
    }

    /// The kind of metric it is of.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        match self {
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Counter(_) => MetricKind::Counter,
            Self::Delta(_) => MetricKind::Delta,
            Self::State(_) => MetricKind::State,
            Self::Time(_) => MetricKind::Time,
        }
    }

    /// Number, times and ends.
    #[must_use]
    pub fn head(&self) -> &Head {
        each_kind!(self, tile => tile.head())
    }

    /// Adds a sample later than every one inside.
    pub fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>) {
        each_kind!(self, tile => tile.push(time, value, rule));
    }

    /// Adds samples of rising time: the same bits as pushing them one by one.
    pub fn extend(&mut self, times: &[i64], values: &[f64], rule: &Rule<'_>) {
        each_kind!(self, tile => tile.extend(times, values, rule));
    }

    /// Marks that the series ended here (a stale mark).
    pub fn end(&mut self) {
        each_kind!(self, tile => tile.end());
    }

    /// This tile as a span to be joined.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Gauge(tile) => Span::Gauge(tile.span()),
            Self::Counter(tile) => Span::Counter(tile.span()),
            Self::Delta(tile) => Span::Delta(tile.span()),
            Self::State(tile) => Span::State(tile.span()),
            Self::Time(tile) => Span::Time(tile.span()),
        }
    }
}

impl Span {
    /// A newer and an older span as one; `None` when they are of different kinds.
    #[must_use]
    pub fn merge(newer: &Self, older: &Self, longest_gap: i64) -> Option<Self> {
        let mut joined = *newer;
        match (&mut joined, older) {
            (Self::Gauge(newer), Self::Gauge(older)) => newer.join(older, longest_gap),
            (Self::Counter(newer), Self::Counter(older)) => newer.join(older, longest_gap),
            (Self::Delta(newer), Self::Delta(older)) => newer.join(older, longest_gap),
            (Self::State(newer), Self::State(older)) => newer.join(older, longest_gap),
            (Self::Time(newer), Self::Time(older)) => newer.join(older, longest_gap),
            _ => return None,
        }
        Some(joined)
    }

    /// Number, times and ends.
    #[must_use]
    pub fn head(&self) -> &Head {
        each_kind!(self, span => span.head())
    }

    /// One statistic, NaN where it is not defined for this kind or these samples.
    #[must_use]
    pub fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64 {
        each_kind!(self, span => span.statistic(statistic, frame))
    }

    /// Share of covered time in a state, by its index; NaN for what is no state.
    #[must_use]
    pub fn share(&self, state: usize) -> f64 {
        each_kind!(self, span => span.share(state))
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans of ticks are far below 2^53")]
#[inline]
pub(crate) fn as_f64(ticks: i64) -> f64 {
    ticks as f64
}

/// The larger of two numbers, the first where they compare equal; the same instruction in every path.
#[inline]
pub(crate) fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// The smaller of two numbers, the first where they compare equal.
#[inline]
pub(crate) fn smaller(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}
