//! One of a named set: how long in which, and how often it changed.

use super::head::{Head, Link};
use super::{Aggregate, Frame, Rule, SpanKind, TileKind, as_f64};
use crate::spec::Statistic;

/// States whose time is kept apart; time in a state of a higher index counts as covered, but has no share.
pub const MAX_STATES: usize = 16;

/// States of one interval, or of several joined. A state holds from its sample to the next linked one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateTile {
    pub(super) head: Head,
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) transitions: u32,
    /// Ticks between linked samples.
    pub(super) covered: i64,
    /// Ticks in each state.
    pub(super) held: [i64; MAX_STATES],
}

impl StateTile {
    fn hold(&mut self, state: f64, next: f64, wait: i64) {
        self.covered += wait;
        self.transitions += u32::from(state.to_bits() != next.to_bits());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sample's state is an index")]
        if let Some(held) = self.held.get_mut(state as usize) {
            *held += wait;
        }
    }
}

impl Aggregate for StateTile {
    const EMPTY: Self =
        Self { head: Head::EMPTY, first: 0.0, last: 0.0, transitions: 0, covered: 0, held: [0; MAX_STATES] };

    #[inline]
    fn head(&self) -> &Head {
        &self.head
    }

    #[inline]
    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }
}

impl TileKind for StateTile {
    type Span = Self;

    #[inline]
    fn last(&self) -> f64 {
        self.last
    }

    #[inline]
    fn push(&mut self, time: i64, value: f64, rule: &Rule<'_>) {
        match self.head.push(time, rule.longest_gap) {
            None => self.first = value,
            Some(link) if link.linked => self.hold(self.last, value, link.wait),
            Some(_) => {}
        }
        self.last = value;
    }

    #[inline]
    fn span(&self) -> Self {
        *self
    }
}

impl SpanKind for StateTile {
    #[inline]
    fn join_samples(&mut self, older: &Self, link: Link) {
        if link.linked {
            self.hold(older.last, self.first, link.wait);
        }
        self.first = older.first;
        self.transitions += older.transitions;
        self.covered += older.covered;
        for (held, older) in self.held.iter_mut().zip(older.held) {
            *held += older;
        }
    }

    fn statistic(&self, statistic: Statistic, frame: &Frame) -> f64 {
        if let Some(value) = self.head.statistic(statistic, frame) {
            return value;
        }
        match statistic {
            Statistic::Last => self.last,
            Statistic::Transitions => f64::from(self.transitions),
            _ => f64::NAN,
        }
    }

    fn share(&self, state: usize) -> f64 {
        match self.held.get(state) {
            Some(&held) if self.covered > 0 => as_f64(held) / as_f64(self.covered),
            _ => f64::NAN,
        }
    }
}
