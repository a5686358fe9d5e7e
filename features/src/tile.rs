//! Mergeable partial aggregate of one metric over one fixed interval.
//!
//! Moments are centred (Chan, Golub & LeVeque 1983; Pébay 2008), because raw sums of squares lose every
//! digit on values such as 1e10 bytes. `merge` is associative in exact arithmetic; callers that need equal
//! bits merge in the one canonical order, newest to oldest.

/// A partial aggregate over `[start, start + length)`; times are relative to nothing: absolute ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tile {
    n: u64,
    t_first: i64,
    t_last: i64,
    first: f64,
    last: f64,
    min: f64,
    max: f64,
    mean: f64,
    m2: f64,
    /// Mean sample time, relative to `t_origin`, in ticks.
    mean_time: f64,
    /// Σ(t − t̄)².
    m2_time: f64,
    /// Σ(t − t̄)(v − v̄).
    co_moment: f64,
    /// Sum of counter steps inside, resets counted as a step from zero.
    increase: f64,
    resets: u32,
    max_step: f64,
}

impl Tile {
    /// A tile of nothing.
    pub const EMPTY: Self = Self {
        n: 0,
        t_first: 0,
        t_last: 0,
        first: 0.0,
        last: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        mean: 0.0,
        m2: 0.0,
        mean_time: 0.0,
        m2_time: 0.0,
        co_moment: 0.0,
        increase: 0.0,
        resets: 0,
        max_step: 0.0,
    };

    /// A tile of one sample.
    #[must_use]
    pub fn of(time: i64, value: f64) -> Self {
        Self {
            n: 1,
            t_first: time,
            t_last: time,
            first: value,
            last: value,
            min: value,
            max: value,
            mean: value,
            mean_time: as_f64(time),
            ..Self::EMPTY
        }
    }

    /// Adds a sample later than every one inside.
    pub fn push(&mut self, time: i64, value: f64) {
        *self = Self::merge(&Self::of(time, value), self);
    }

    /// Joins a newer tile to an older one; the step between the two is counted here.
    #[must_use]
    pub fn merge(newer: &Self, older: &Self) -> Self {
        if older.n == 0 {
            return *newer;
        }
        if newer.n == 0 {
            return *older;
        }
        let (na, nb) = (as_f64_u(older.n), as_f64_u(newer.n));
        let n = na + nb;
        let weight = na * nb / n;
        let dv = newer.mean - older.mean;
        let dt = newer.mean_time - older.mean_time;
        let (step, reset) = counter_step(older.last, newer.first);
        Self {
            n: older.n + newer.n,
            t_first: older.t_first,
            t_last: newer.t_last,
            first: older.first,
            last: newer.last,
            min: older.min.min(newer.min),
            max: older.max.max(newer.max),
            mean: older.mean + dv * (nb / n),
            m2: older.m2 + newer.m2 + dv * dv * weight,
            mean_time: older.mean_time + dt * (nb / n),
            m2_time: older.m2_time + newer.m2_time + dt * dt * weight,
            co_moment: older.co_moment + newer.co_moment + dt * dv * weight,
            increase: older.increase + newer.increase + step,
            resets: older.resets + newer.resets + u32::from(reset),
            max_step: older.max_step.max(newer.max_step).max(step),
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.n
    }

    /// Time of the newest sample, if any.
    #[must_use]
    pub fn last_time(&self) -> Option<i64> {
        (self.n > 0).then_some(self.t_last)
    }

    /// One statistic, NaN where it is not defined. `ticks_per_unit` turns slopes and rates into per-unit ones.
    #[must_use]
    pub fn statistic(&self, statistic: crate::spec::Statistic, ticks_per_unit: f64) -> f64 {
        use crate::spec::Statistic as S;
        if self.n == 0 {
            return if statistic == S::Count { 0.0 } else { f64::NAN };
        }
        let covered = as_f64(self.t_last - self.t_first) / ticks_per_unit;
        match statistic {
            S::Last => self.last,
            S::Mean => self.mean,
            S::Min => self.min,
            S::Max => self.max,
            S::Count => as_f64_u(self.n),
            S::Resets => f64::from(self.resets),
            S::Increase => self.increase,
            S::MaxStep => self.max_step,
            S::Std if self.n > 1 => (self.m2 / as_f64_u(self.n - 1)).max(0.0).sqrt(),
            S::Slope if self.m2_time > 0.0 => self.co_moment / self.m2_time * ticks_per_unit,
            // Rates divide by covered time, never by the length of the window.
            S::Rate if covered > 0.0 => self.increase / covered,
            S::Std | S::Slope | S::Rate => f64::NAN,
        }
    }
}

/// Step of a counter from `previous` to `next`: a fall is a reset, and the new value has grown from zero.
fn counter_step(previous: f64, next: f64) -> (f64, bool) {
    if next >= previous { (next - previous, false) } else { (next, true) }
}

#[expect(clippy::cast_precision_loss, reason = "ticks are milliseconds or cycles, far below 2^53")]
fn as_f64(ticks: i64) -> f64 {
    ticks as f64
}

#[expect(clippy::cast_precision_loss, reason = "sample counts of a window stay far below 2^53")]
fn as_f64_u(count: u64) -> f64 {
    count as f64
}
