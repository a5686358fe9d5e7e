//! A level: moments of the value, of time, and of the two together.

use super::head::{Head, Link};
use super::{Aggregate, Frame, Rule, SpanKind, TileKind, as_f64, larger, smaller};
use crate::spec::Statistic;

/// Levels of one interval. `d = v − first` and `a = t − t_first` are what is summed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaugeTile {
    pub(super) head: Head,
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Σ d.
    pub(super) sum: f64,
    /// Σ d².
    pub(super) squares: f64,
    /// Σ a.
    pub(super) time_sum: f64,
    /// Σ a².
    pub(super) time_squares: f64,
    /// Σ a·d.
    pub(super) product: f64,
}

impl Aggregate for GaugeTile {
    const EMPTY: Self = Self {
        head: Head::EMPTY,
        first: 0.0,
        last: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        sum: 0.0,
        squares: 0.0,
        time_sum: 0.0,
        time_squares: 0.0,
        product: 0.0,
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

impl TileKind for GaugeTile {
    type Span = GaugeSpan;

    #[inline]
    fn last(&self) -> f64 {
        self.last
    }

    #[inline]
    fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>) {
        if self.head.push(time, rule.longest_gap).is_none() {
            self.first = value;
            self.min = value;
            self.max = value;
        } else {
            let d = value - self.first;
            let a = as_f64(time - self.head.t_first);
            self.sum += d;
            self.squares += d * d;
            self.time_sum += a;
            self.time_squares += a * a;
            self.product += a * d;
            self.min = smaller(self.min, value);
            self.max = larger(self.max, value);
        }
        self.last = value;
    }

    fn extend(&mut self, times: &[i64], values: &[f64], rule: &Rule<'_>) {
        let ([time, times @ ..], [value, values @ ..]) = (times, values) else { return };
        // The first sample may open the tile; the others repeat one short sequence of operations.
        self.push(*time, *value, rule);
        let Some(&last) = values.last() else { return };
        self.head.extend(times);
        let (first, t_first) = (self.first, self.head.t_first);
        let Self { mut sum, mut squares, mut time_sum, mut time_squares, mut product, mut min, mut max, .. } = *self;
        for (&time, &value) in times.iter().zip(values) {
            let d = value - first;
            let a = as_f64(time - t_first);
            sum += d;
            squares += d * d;
            time_sum += a;
            time_squares += a * a;
            product += a * d;
            min = smaller(min, value);
            max = larger(max, value);
        }
        *self = Self { sum, squares, time_sum, time_squares, product, min, max, last, ..*self };
    }

    #[inline]
    fn span(&self) -> GaugeSpan {
        if self.head.count == 0 {
            return GaugeSpan { head: self.head, ..GaugeSpan::EMPTY };
        }
        let per = f64::from(self.head.count).recip();
        let mean_d = self.sum * per;
        let mean_a = self.time_sum * per;
        GaugeSpan {
            head: self.head,
            last: self.last,
            min: self.min,
            max: self.max,
            offset: (self.first - self.last) + mean_d,
            m2: larger(0.0, self.squares - self.sum * mean_d),
            age: as_f64(self.head.t_last - self.head.t_first) - mean_a,
            time_m2: larger(0.0, self.time_squares - self.time_sum * mean_a),
            co_moment: self.product - self.time_sum * mean_d,
        }
    }
}

/// Joined levels, centred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaugeSpan {
    head: Head,
    last: f64,
    min: f64,
    max: f64,
    /// Mean − last.
    offset: f64,
    /// Σ (v − mean)².
    m2: f64,
    /// Newest time − mean time, in ticks.
    age: f64,
    /// Σ (t − mean time)².
    time_m2: f64,
    /// Σ (t − mean time)(v − mean).
    co_moment: f64,
}

impl Aggregate for GaugeSpan {
    const EMPTY: Self = Self {
        head: Head::EMPTY,
        last: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        offset: 0.0,
        m2: 0.0,
        age: 0.0,
        time_m2: 0.0,
        co_moment: 0.0,
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

impl SpanKind for GaugeSpan {
    #[inline]
    fn join_samples(&mut self, older: &Self, _link: Link) {
        // `head` is joined already: its count is that of both.
        let both = f64::from(self.head.count);
        let older_count = f64::from(older.head.count);
        let share = older_count / both;
        let weight = (both - older_count) * share;
        // Both differences are newer − older, taken between numbers near each other.
        let dv = (self.last - older.last) + (self.offset - older.offset);
        let dt = as_f64(self.head.t_last - older.head.t_last) + (older.age - self.age);
        self.offset -= dv * share;
        self.age += dt * share;
        self.m2 += older.m2 + dv * dv * weight;
        self.time_m2 += older.time_m2 + dt * dt * weight;
        self.co_moment += older.co_moment + dt * dv * weight;
        self.min = smaller(self.min, older.min);
        self.max = larger(self.max, older.max);
    }

    fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64 {
        if let Some(value) = self.head.statistic(statistic, frame) {
            return value;
        }
        match statistic {
            Statistic::Last => self.last,
            Statistic::Mean => self.last + self.offset,
            Statistic::Min => self.min,
            Statistic::Max => self.max,
            Statistic::Std if self.head.count > 1 => (self.m2 / f64::from(self.head.count - 1)).sqrt(),
            Statistic::Slope if self.time_m2 > 0.0 => self.co_moment / self.time_m2 * frame.ticks_per_unit,
            _ => f64::NAN,
        }
    }
}
