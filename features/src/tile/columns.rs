//! Tiles as columns of plain numbers, every field exact: what a file holds.

use super::{CounterTile, DeltaTile, GaugeTile, Head, MAX_STATES, StateTile, Tile, TimeTile};
use crate::catalogue::MetricKind;
use crate::{FeatureError, Result};

/// Bit of `flags`: a stale mark came after the newest sample.
const ENDED: u8 = 1;
/// Bit of `flags`: a stale mark came just before the oldest sample.
const BROKEN: u8 = 2;

/// Tiles of any kinds, one per row, all vectors of equal length.
///
/// `number` is the interval: it starts at `number × tile` ticks. What `values` and `counts` hold depends on
/// the metric's kind: see [`TileColumns::value_names`] and [`TileColumns::count_names`]; the rest is 0.
/// With `d = v − first` and `a = t − t_first`, mean = first + sum/count,
/// Σ(v − mean)² = squares − sum²/count, slope = (product − time_sum·sum/count) / (time_squares − time_sum²/count).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TileColumns {
    /// Interval numbers.
    pub number: Vec<i64>,
    /// Numbers of samples.
    pub count: Vec<u32>,
    /// 1: a stale mark after the newest sample; 2: one just before the oldest.
    pub flags: Vec<u8>,
    /// Longest waits between samples, ticks.
    pub longest_wait: Vec<i64>,
    /// Times of the oldest samples, ticks.
    pub t_first: Vec<i64>,
    /// Times of the newest samples, ticks.
    pub t_last: Vec<i64>,
    /// Oldest values.
    pub first: Vec<f64>,
    /// Newest values.
    pub last: Vec<f64>,
    /// Sums and extremes, by kind.
    pub values: Vec<[f64; 7]>,
    /// Counts, by kind.
    pub counts: Vec<[u32; 2]>,
    /// Ticks between linked samples (counter, state).
    pub covered: Vec<i64>,
    /// Start of the first sample's life (counter), `i64::MIN` where unknown.
    pub born: Vec<i64>,
    /// Ticks in each state (state).
    pub held: Vec<[i64; MAX_STATES]>,
}

impl TileColumns {
    /// What `values` holds for tiles of a kind, in order.
    #[must_use]
    pub fn value_names(kind: MetricKind) -> &'static [&'static str] {
        match kind {
            MetricKind::Gauge => &["min", "max", "sum", "squares", "time_sum", "time_squares", "product"],
            MetricKind::Counter => &["increase", "max_step", "step_squares"],
            MetricKind::Delta => &["sum", "max"],
            MetricKind::State | MetricKind::Time | MetricKind::Info => &[],
        }
    }

    /// What `counts` holds for tiles of a kind, in order.
    #[must_use]
    pub fn count_names(kind: MetricKind) -> &'static [&'static str] {
        match kind {
            MetricKind::Counter => &["steps", "resets"],
            MetricKind::State => &["transitions"],
            MetricKind::Time => &["changes"],
            MetricKind::Gauge | MetricKind::Delta | MetricKind::Info => &[],
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.number.len()
    }

    /// Adds the tile of an interval.
    pub fn push(&mut self, number: i64, tile: &Tile) {
        let head = tile.head();
        let mut values = [0.0; 7];
        let mut counts = [0; 2];
        let (mut covered, mut born, mut held) = (0, i64::MIN, [0; MAX_STATES]);
        let (first, last) = match *tile {
            Tile::Gauge(GaugeTile {
                head: _,
                first,
                last,
                min,
                max,
                sum,
                squares,
                time_sum,
                time_squares,
                product,
            }) => {
                values = [min, max, sum, squares, time_sum, time_squares, product];
                (first, last)
            }
            Tile::Counter(CounterTile {
                head: _,
                first,
                last,
                increase,
                max_step,
                step_squares,
                steps,
                resets,
                covered: ticks,
                born: start,
            }) => {
                values[..3].copy_from_slice(&[increase, max_step, step_squares]);
                counts = [steps, resets];
                (covered, born) = (ticks, start);
                (first, last)
            }
            Tile::Delta(DeltaTile { head: _, last, sum, max }) => {
                values[..2].copy_from_slice(&[sum, max]);
                (0.0, last)
            }
            Tile::State(StateTile { head: _, first, last, transitions, covered: ticks, held: times }) => {
                counts[0] = transitions;
                (covered, held) = (ticks, times);
                (first, last)
            }
            Tile::Time(TimeTile { head: _, first, last, changes }) => {
                counts[0] = changes;
                (first, last)
            }
        };
        self.number.push(number);
        self.count.push(head.count);
        self.flags.push(if head.ended { ENDED } else { 0 } | if head.broken { BROKEN } else { 0 });
        self.longest_wait.push(head.longest_wait);
        self.t_first.push(head.t_first);
        self.t_last.push(head.t_last);
        self.first.push(first);
        self.last.push(last);
        self.values.push(values);
        self.counts.push(counts);
        self.covered.push(covered);
        self.born.push(born);
        self.held.push(held);
    }

    /// The tile of a row, of a metric of this kind; bit for bit the one that was pushed.
    ///
    /// # Errors
    /// When the row does not exist, a column is shorter than it, or the kind has no tiles.
    pub fn tile(&self, row: usize, kind: MetricKind) -> Result<(i64, Tile)> {
        let rows = self.rows();
        let lengths = [
            self.count.len(),
            self.flags.len(),
            self.longest_wait.len(),
            self.t_first.len(),
            self.t_last.len(),
            self.first.len(),
            self.last.len(),
            self.values.len(),
            self.counts.len(),
            self.covered.len(),
            self.born.len(),
            self.held.len(),
        ];
        if let Some(&got) = lengths.iter().find(|&&length| length != rows) {
            return Err(FeatureError::Shape { what: "rows of a column of tiles", expected: rows, got });
        }
        if row >= rows {
            return Err(FeatureError::Shape { what: "row of a table of tiles", expected: rows, got: row });
        }
        let head = Head {
            count: self.count[row],
            ended: self.flags[row] & ENDED != 0,
            broken: self.flags[row] & BROKEN != 0,
            longest_wait: self.longest_wait[row],
            t_first: self.t_first[row],
            t_last: self.t_last[row],
        };
        let (first, last) = (self.first[row], self.last[row]);
        let (values, counts, covered) = (self.values[row], self.counts[row], self.covered[row]);
        let tile = match kind {
            MetricKind::Gauge => {
                let [min, max, sum, squares, time_sum, time_squares, product] = values;
                Tile::Gauge(GaugeTile { head, first, last, min, max, sum, squares, time_sum, time_squares, product })
            }
            MetricKind::Counter => {
                let [increase, max_step, step_squares, ..] = values;
                let [steps, resets] = counts;
                let born = self.born[row];
                Tile::Counter(CounterTile {
                    head,
                    first,
                    last,
                    increase,
                    max_step,
                    step_squares,
                    steps,
                    resets,
                    covered,
                    born,
                })
            }
            MetricKind::Delta => Tile::Delta(DeltaTile { head, last, sum: values[0], max: values[1] }),
            MetricKind::State => {
                Tile::State(StateTile { head, first, last, transitions: counts[0], covered, held: self.held[row] })
            }
            MetricKind::Time => Tile::Time(TimeTile { head, first, last, changes: counts[0] }),
            MetricKind::Info => {
                return Err(FeatureError::Spec { reason: "labels carried as a series have no tiles".to_owned() });
            }
        };
        Ok((self.number[row], tile))
    }
}
