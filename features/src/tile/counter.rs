//! A cumulative count: reset-aware growth.

use super::head::{Head, Link};
use super::{Aggregate, Frame, Rule, SpanKind, TileKind, as_f64, larger};
use crate::spec::Statistic;

/// No life is known to have begun.
const UNBORN: i64 = i64::MIN;

/// A counter over one interval.
///
/// A step is taken between linked samples only. A fall is a reset: the new value has grown from zero. A life
/// that began between two samples is a reset too, even where the value did not fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CounterTile {
    pub(super) head: Head,
    pub(super) first: f64,
    pub(super) last: f64,
    /// Σ steps.
    pub(super) increase: f64,
    pub(super) max_step: f64,
    /// Σ step².
    pub(super) step_squares: f64,
    pub(super) steps: u32,
    pub(super) resets: u32,
    /// Ticks between linked samples.
    pub(super) covered: i64,
    /// Start of the life of the first sample, where it began no longer than the longest gap before it.
    pub(super) born: i64,
}

impl CounterTile {
    #[inline]
    fn step(&mut self, value: f64, reborn: bool) {
        let risen = value >= self.last && !reborn;
        let step = if risen { value - self.last } else { value };
        self.increase += step;
        self.step_squares += step * step;
        self.max_step = larger(self.max_step, step);
        self.steps += 1;
        self.resets += u32::from(!risen);
    }
}

/// Whether a life began after `from` and not after `until`.
fn life_between(lives: &[i64], from: i64, until: i64) -> bool {
    lives.iter().any(|&start| start > from && start <= until)
}

impl Aggregate for CounterTile {
    const EMPTY: Self = Self {
        head: Head::EMPTY,
        first: 0.0,
        last: 0.0,
        increase: 0.0,
        max_step: 0.0,
        step_squares: 0.0,
        steps: 0,
        resets: 0,
        covered: 0,
        born: UNBORN,
    };

    #[inline]
    fn head(&self) -> &Head {
        &self.head
    }

    #[inline]
    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }
}

impl TileKind for CounterTile {
    type Span = CounterSpan;

    #[inline]
    fn last(&self) -> f64 {
        self.last
    }

    #[inline]
    fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>) {
        let before = self.head.t_last;
        match self.head.push(time, rule.longest_gap) {
            None => {
                self.first = value;
                let recent = rule.lives.iter().rev().find(|&&start| start <= time);
                self.born = recent.copied().filter(|start| time - start <= rule.longest_gap).unwrap_or(UNBORN);
            }
            Some(link) if link.linked => {
                self.covered += link.wait;
                self.step(value, life_between(rule.lives, before, time));
            }
            Some(_) => {}
        }
        self.last = value;
    }

    fn extend(&mut self, times: &[i64], values: &[f64], rule: &Rule<'_>) {
        let (Some(&oldest), Some(&newest)) = (times.first(), times.last()) else { return };
        if newest - oldest > rule.longest_gap || life_between(rule.lives, oldest, newest) {
            for (&time, &value) in times.iter().zip(values) {
                self.push(time, value, rule);
            }
            return;
        }
        // No gap and no life inside: every step is plain.
        self.push(oldest, values[0], rule);
        self.head.extend(&times[1..]);
        self.covered += newest - oldest;
        let Self { mut last, mut increase, mut max_step, mut step_squares, mut resets, .. } = *self;
        for &value in &values[1..] {
            let risen = value >= last;
            let step = if risen { value - last } else { value };
            increase += step;
            step_squares += step * step;
            max_step = larger(max_step, step);
            resets += u32::from(!risen);
            last = value;
        }
        let steps = self.steps + u32::try_from(values.len() - 1).unwrap_or(u32::MAX);
        *self = Self { last, increase, max_step, step_squares, steps, resets, ..*self };
    }

    #[inline]
    fn span(&self) -> CounterSpan {
        CounterSpan {
            tile: *self,
            tiles: Spread::EMPTY,
            fastest: Grown::NOTHING,
            open: Grown { increase: self.increase, ticks: self.covered },
        }
    }
}

/// Number, sum and squares of the growth per tile, as differences from that of the newest tile.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    count: f64,
    shift: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    const EMPTY: Self = Self { count: 0.0, shift: 0.0, sum: 0.0, squares: 0.0 };

    #[inline]
    fn push(&mut self, value: f64) {
        if self.count > 0.0 {
            let d = value - self.shift;
            self.count += 1.0;
            self.sum += d;
            self.squares += d * d;
        } else {
            *self = Self { count: 1.0, shift: value, ..Self::EMPTY };
        }
    }

    /// Adds older tiles, after at least one was pushed here.
    #[inline]
    fn join(&mut self, older: &Self) {
        // A single tile brings no account of its own: most joins end here.
        if older.count > 0.0 {
            let d = older.shift - self.shift;
            self.count += older.count;
            self.sum += older.sum + older.count * d;
            self.squares += older.squares + d * (2.0 * older.sum + older.count * d);
        }
    }

    /// Sample variance over mean; NaN below two tiles or without growth.
    fn fano(&self) -> f64 {
        let mean = self.shift + self.sum / self.count;
        if self.count < 2.0 || mean <= 0.0 {
            return f64::NAN;
        }
        larger(0.0, self.squares - self.sum * self.sum / self.count) / (self.count - 1.0) / mean
    }
}

/// Joined counter tiles; the step between two tiles belongs to the newer one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CounterSpan {
    tile: CounterTile,
    /// Growth per tile, the oldest tile left out: a step into it may still come.
    tiles: Spread,
    fastest: Grown,
    /// Growth of the oldest tile.
    open: Grown,
}

/// Growth and the ticks it took.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Grown {
    increase: f64,
    ticks: i64,
}

impl Grown {
    const NOTHING: Self = Self { increase: 0.0, ticks: 0 };

    /// The faster of two, the first where they are as fast; compared without dividing.
    #[inline]
    fn faster(self, other: Self) -> Self {
        let wins = other.increase * as_f64(self.ticks) > self.increase * as_f64(other.ticks);
        if other.ticks > 0 && (wins || self.ticks == 0) { other } else { self }
    }
}

impl CounterSpan {
    /// Closes the account of the oldest tile.
    #[inline]
    fn settle(&mut self) {
        self.tiles.push(self.open.increase);
        self.fastest = self.fastest.faster(self.open);
    }

    /// Growth from a life's start to the first sample, and its ticks, where the window holds both.
    fn birth(&self, from: i64) -> (f64, i64) {
        let CounterTile { born, first, head, .. } = self.tile;
        if born != UNBORN && born >= from { (first, head.t_first - born) } else { (0.0, 0) }
    }
}

impl Aggregate for CounterSpan {
    const EMPTY: Self =
        Self { tile: CounterTile::EMPTY, tiles: Spread::EMPTY, fastest: Grown::NOTHING, open: Grown::NOTHING };

    #[inline]
    fn head(&self) -> &Head {
        &self.tile.head
    }

    #[inline]
    fn head_mut(&mut self) -> &mut Head {
        &mut self.tile.head
    }
}

impl SpanKind for CounterSpan {
    #[inline]
    fn join_samples(&mut self, older: &Self, link: Link) {
        let (newer, older_tile) = (&mut self.tile, &older.tile);
        if link.linked {
            // The newer tile's first sample is all that is needed to know the step into it.
            let reborn = newer.born > older_tile.head.t_last;
            let risen = newer.first >= older_tile.last && !reborn;
            let step = if risen { newer.first - older_tile.last } else { newer.first };
            newer.increase += step;
            newer.step_squares += step * step;
            newer.max_step = larger(newer.max_step, step);
            newer.steps += 1;
            newer.resets += u32::from(!risen);
            newer.covered += link.wait;
            self.open.increase += step;
            self.open.ticks += link.wait;
        }
        newer.increase += older_tile.increase;
        newer.step_squares += older_tile.step_squares;
        newer.max_step = larger(newer.max_step, older_tile.max_step);
        newer.steps += older_tile.steps;
        newer.resets += older_tile.resets;
        newer.covered += older_tile.covered;
        newer.first = older_tile.first;
        newer.born = older_tile.born;
        self.settle();
        self.tiles.join(&older.tiles);
        self.fastest = self.fastest.faster(older.fastest);
        self.open = older.open;
    }

    fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64 {
        let tile = &self.tile;
        if let Some(value) = tile.head.statistic(statistic, frame) {
            return value;
        }
        match statistic {
            Statistic::Last => tile.last,
            Statistic::Increase => tile.increase + self.birth(frame.from).0,
            Statistic::Rate => {
                let (grown, ticks) = self.birth(frame.from);
                let covered = tile.covered + ticks;
                if covered > 0 { (tile.increase + grown) / as_f64(covered) * frame.ticks_per_unit } else { f64::NAN }
            }
            Statistic::MaxStep => tile.max_step,
            Statistic::Resets => f64::from(tile.resets),
            Statistic::StepStd if tile.steps > 1 => {
                let n = f64::from(tile.steps);
                (larger(0.0, tile.step_squares - tile.increase * tile.increase / n) / (n - 1.0)).sqrt()
            }
            Statistic::RateMax => {
                let Grown { increase, ticks } = self.fastest.faster(self.open);
                if ticks > 0 { increase / as_f64(ticks) * frame.ticks_per_unit } else { f64::NAN }
            }
            Statistic::Fano => {
                let mut tiles = self.tiles;
                tiles.push(self.open.increase);
                tiles.fano()
            }
            _ => f64::NAN,
        }
    }
}
