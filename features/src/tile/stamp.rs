//! A point in time carried as a value: the newest, and how often it changed.

use super::head::{Head, Link};
use super::{Aggregate, Frame, Rule, SpanKind, TileKind};
use crate::spec::Statistic;

/// Times of one interval, or of several joined. A change counts across gaps and stale marks too: another
/// start time is another start, however long nobody looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeTile {
    pub(super) head: Head,
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) changes: u32,
}

impl TimeTile {
    /// Oldest and newest (time of sample, value), for whoever reads lives from stored tiles.
    pub(crate) fn ends(&self) -> [(i64, f64); 2] {
        [(self.head.t_first, self.first), (self.head.t_last, self.last)]
    }
}

impl Aggregate for TimeTile {
    const EMPTY: Self = Self { head: Head::EMPTY, first: 0.0, last: 0.0, changes: 0 };

    #[inline]
    fn head(&self) -> &Head {
        &self.head
    }

    #[inline]
    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }
}

impl TileKind for TimeTile {
    type Span = Self;

    #[inline]
    fn last(&self) -> f64 {
        self.last
    }

    #[inline]
    fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>) {
        if self.head.push(time, rule.longest_gap).is_none() {
            self.first = value;
        } else {
            self.changes += u32::from(value.to_bits() != self.last.to_bits());
        }
        self.last = value;
    }

    #[inline]
    fn span(&self) -> Self {
        *self
    }
}

impl SpanKind for TimeTile {
    #[inline]
    fn join_samples(&mut self, older: &Self, _link: Link) {
        self.changes += older.changes + u32::from(self.first.to_bits() != older.last.to_bits());
        self.first = older.first;
    }

    fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64 {
        if let Some(value) = self.head.statistic(statistic, frame) {
            return value;
        }
        match statistic {
            Statistic::Last => self.last,
            Statistic::Changes => f64::from(self.changes),
            _ => f64::NAN,
        }
    }
}
