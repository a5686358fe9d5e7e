//! What tiles of every kind have: how many samples, when, and how the series begins and ends here.

use super::{Frame, as_f64};
use crate::spec::Statistic;

/// Number, times and ends of the samples of a tile or span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Number of samples.
    pub count: u32,
    /// A stale mark came after the newest sample (or there was nothing but the mark).
    pub ended: bool,
    /// A stale mark came just before the oldest sample.
    pub broken: bool,
    /// Longest wait between neighbouring samples, in ticks, linked or not.
    pub longest_wait: i64,
    /// Time of the oldest sample, in ticks; 0 where there is none.
    pub t_first: i64,
    /// Time of the newest sample, in ticks; 0 where there is none.
    pub t_last: i64,
}

/// How two neighbouring samples meet.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Ticks between them.
    pub(super) wait: i64,
    /// Neither a stale mark nor a gap lies between them.
    pub(super) linked: bool,
}

impl Head {
    pub(super) const EMPTY: Self =
        Self { count: 0, ended: false, broken: false, longest_wait: 0, t_first: 0, t_last: 0 };

    /// Takes the time of a new newest sample; how it meets the one before, if there was one.
    #[inline]
    pub(super) fn push(&mut self, time: i64, longest_gap: i64) -> Option<Link> {
        let ended = std::mem::replace(&mut self.ended, false);
        self.count += 1;
        if self.count == 1 {
            self.broken = ended;
            self.t_first = time;
            self.t_last = time;
            return None;
        }
        let wait = time - self.t_last;
        self.t_last = time;
        self.longest_wait = self.longest_wait.max(wait);
        Some(Link { wait, linked: !ended && wait <= longest_gap })
    }

    /// Takes rising times after a sample that is already inside.
    #[inline]
    pub(super) fn extend(&mut self, times: &[i64]) {
        let mut before = self.t_last;
        let mut longest = self.longest_wait;
        for &time in times {
            longest = longest.max(time - before);
            before = time;
        }
        self.longest_wait = longest;
        self.t_last = before;
        self.count += u32::try_from(times.len()).unwrap_or(u32::MAX);
    }

    /// Nothing older is linked to the oldest sample here.
    pub(super) fn cut_off(&mut self) {
        if self.count == 0 {
            self.ended = true;
        } else {
            self.broken = true;
        }
    }

    /// Joins an older head; both have samples.
    #[inline]
    pub(super) fn join(&mut self, older: &Self, longest_gap: i64) -> Link {
        let wait = self.t_first - older.t_last;
        let linked = !self.broken && !older.ended && wait <= longest_gap;
        self.count += older.count;
        self.broken = older.broken;
        self.longest_wait = self.longest_wait.max(older.longest_wait).max(wait);
        self.t_first = older.t_first;
        Link { wait, linked }
    }

    /// The statistics that are the same for every kind; `None` for the others.
    pub(super) fn statistic(&self, statistic: Statistic, frame: &Frame) -> Option<f64> {
        match statistic {
            Statistic::Count => Some(f64::from(self.count)),
            _ if self.count == 0 => Some(f64::NAN),
            Statistic::Staleness => Some(as_f64(frame.as_of - self.t_last) / frame.ticks_per_unit),
            Statistic::LongestGap if self.count > 1 => Some(as_f64(self.longest_wait) / frame.ticks_per_unit),
            Statistic::LongestGap => Some(f64::NAN),
            _ => None,
        }
    }
}
