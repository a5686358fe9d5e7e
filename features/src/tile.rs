//! Mergeable partial aggregate of one metric over one fixed interval.
//!
//! Moments are centred (Chan, Golub & LeVeque 1983; Pébay 2008), because raw sums of squares lose every
//! digit on values such as 1e10 bytes. `merge` is associative in exact arithmetic; callers that need equal
//! bits merge in the one canonical order, newest to oldest.

/// How the first sample of a tile stands to the last one before it. Said by who builds tiles, used by `merge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// The series goes on.
    #[default]
    Continues,
    /// A new life began between the two: a counter has grown from zero, even where its value is not smaller.
    NewLife,
    /// A gap, or a stale mark: nothing is known of what lay between, so no step is counted.
    Break,
}

/// A partial aggregate over `[start, start + length)`.
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
    /// Mean sample time in ticks after `t_first`.
    mean_time: f64,
    /// Σ(t − t̄)².
    m2_time: f64,
    /// Σ(t − t̄)(v − v̄).
    co_moment: f64,
    /// Sum of counter steps inside, resets counted as a step from zero.
    increase: f64,
    resets: u32,
    join: Join,
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
        join: Join::Continues,
        max_step: 0.0,
    };

    /// A tile of one sample.
    #[must_use]
    pub fn of(time: i64, value: f64, join: Join) -> Self {
        Self {
            n: 1,
            t_first: time,
            t_last: time,
            first: value,
            last: value,
            min: value,
            max: value,
            mean: value,
            join,
            ..Self::EMPTY
        }
    }

    /// Adds a sample later than every one inside. The bits of the tile depend on its samples alone, not on whether
    /// they came one by one or in a run.
    #[inline]
    pub fn push(&mut self, time: i64, value: f64, join: Join) {
        if self.n == 0 {
            *self = Self::of(time, value, join);
            return;
        }
        let (step, reset) = step(self.last, value, join);
        self.increase += step;
        self.resets += u32::from(reset);
        self.max_step = self.max_step.max(step);
        self.n += 1;
        // Welford: the division depends on the count alone and stays off the critical path.
        let share = as_f64_u(self.n).recip();
        let (dv, dt) = (value - self.mean, as_f64(time - self.t_first) - self.mean_time);
        self.mean += dv * share;
        self.mean_time += dt * share;
        let after = value - self.mean;
        self.m2 += dv * after;
        self.m2_time += dt * (as_f64(time - self.t_first) - self.mean_time);
        self.co_moment += dt * after;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.last = value;
        self.t_last = time;
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
        let share = nb / (na + nb);
        let weight = na * share;
        let dv = newer.mean - older.mean;
        let dt = newer.mean_time + as_f64(newer.t_first - older.t_first) - older.mean_time;
        let (step, reset) = step(older.last, newer.first, newer.join);
        Self {
            n: older.n + newer.n,
            t_first: older.t_first,
            t_last: newer.t_last,
            first: older.first,
            last: newer.last,
            min: older.min.min(newer.min),
            max: older.max.max(newer.max),
            mean: older.mean + dv * share,
            m2: older.m2 + newer.m2 + dv * dv * weight,
            mean_time: older.mean_time + dt * share,
            m2_time: older.m2_time + newer.m2_time + dt * dt * weight,
            co_moment: older.co_moment + newer.co_moment + dt * dv * weight,
            increase: older.increase + newer.increase + step,
            resets: older.resets + newer.resets + u32::from(reset),
            join: older.join,
            max_step: older.max_step.max(newer.max_step).max(step),
        }
    }

    /// Every field, for storage: three counts and times, then the values, in the order of [`Tile::FIELDS`].
    #[must_use]
    pub fn fields(&self) -> ([i64; 5], [f64; 11]) {
        let join = match self.join {
            Join::Continues => 0,
            Join::NewLife => 1,
            Join::Break => 2,
        };
        (
            [self.n.cast_signed(), self.t_first, self.t_last, i64::from(self.resets), join],
            [
                self.first,
                self.last,
                self.min,
                self.max,
                self.mean,
                self.m2,
                self.mean_time,
                self.m2_time,
                self.co_moment,
                self.increase,
                self.max_step,
            ],
        )
    }

    /// Names of [`Tile::fields`].
    pub const FIELDS: ([&'static str; 5], [&'static str; 11]) = (
        ["n", "t_first", "t_last", "resets", "join"],
        ["first", "last", "min", "max", "mean", "m2", "mean_time", "m2_time", "co_moment", "increase", "max_step"],
    );

    /// A tile as it was stored: the same bits.
    #[must_use]
    pub fn from_fields([n, t_first, t_last, resets, join]: [i64; 5], values: [f64; 11]) -> Self {
        let [first, last, min, max, mean, m2, mean_time, m2_time, co_moment, increase, max_step] = values;
        Self {
            n: n.cast_unsigned(),
            t_first,
            t_last,
            first,
            last,
            min,
            max,
            mean,
            m2,
            mean_time,
            m2_time,
            co_moment,
            increase,
            resets: u32::try_from(resets).unwrap_or(u32::MAX),
            join: match join {
                1 => Join::NewLife,
                2 => Join::Break,
                _ => Join::Continues,
            },
            max_step,
        }
    }

    /// Time of the oldest sample, if any.
    #[must_use]
    pub fn first_time(&self) -> Option<i64> {
        (self.n > 0).then_some(self.t_first)
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
#[inline]
fn step(previous: f64, next: f64, join: Join) -> (f64, bool) {
    match join {
        Join::Continues if next >= previous => (next - previous, false),
        Join::Continues | Join::NewLife => (next, true),
        Join::Break => (0.0, false),
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks are milliseconds or cycles, far below 2^53")]
fn as_f64(ticks: i64) -> f64 {
    ticks as f64
}

#[expect(clippy::cast_precision_loss, reason = "sample counts of a window stay far below 2^53")]
fn as_f64_u(count: u64) -> f64 {
    count as f64
}
