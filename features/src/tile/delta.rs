//! Growth since the last report: each value is a step already.

use super::head::{Head, Link};
use super::{Aggregate, Frame, Rule, SpanKind, TileKind, larger};
use crate::spec::Statistic;

/// Reported increases of one interval, or of several joined.
///
/// A report covers time before it, so a window holds what was *reported* inside it; gaps and stale marks take
/// nothing away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeltaTile {
    pub(super) head: Head,
    pub(super) last: f64,
    pub(super) sum: f64,
    pub(super) max: f64,
}

impl Aggregate for DeltaTile {
    const EMPTY: Self = Self { head: Head::EMPTY, last: 0.0, sum: 0.0, max: f64::NEG_INFINITY };

    #[inline]
    fn head(&self) -> &Head {
        &self.head
    }

    #[inline]
    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }
}

impl TileKind for DeltaTile {
    type Span = Self;

    #[inline]
    fn last(&self) -> f64 {
        self.last
    }

    #[inline]
    fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>) {
        self.head.push(time, rule.longest_gap);
        self.last = value;
        self.sum += value;
        self.max = larger(self.max, value);
    }

    #[inline]
    fn span(&self) -> Self {
        *self
    }
}

impl SpanKind for DeltaTile {
    #[inline]
    fn join_samples(&mut self, older: &Self, _link: Link) {
        self.sum += older.sum;
        self.max = larger(self.max, older.max);
    }

    fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64 {
        if let Some(value) = self.head.statistic(statistic, frame) {
            return value;
        }
        match statistic {
            Statistic::Last => self.last,
            Statistic::Increase => self.sum,
            Statistic::Mean => self.sum / f64::from(self.head.count),
            Statistic::Max => self.max,
            _ => f64::NAN,
        }
    }
}
