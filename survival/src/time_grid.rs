//! The one time axis: interval edges shared by labels, network head, curves and bundle.

use serde::{Deserialize, Serialize};

use crate::{Result, SurvivalError};

/// What one unit of duration means. A name, not a conversion: durations of one data set share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds of wall-clock time.
    Seconds,
    /// Minutes of wall-clock time.
    Minutes,
    /// Hours of wall-clock time.
    Hours,
    /// Days of wall-clock time.
    Days,
    /// Operating cycles (flights of an engine).
    Cycles,
}

impl TimeUnit {
    /// Seconds in one unit, for units of wall-clock time.
    #[must_use]
    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::Seconds => Some(1.0),
            Self::Minutes => Some(60.0),
            Self::Hours => Some(3600.0),
            Self::Days => Some(86_400.0),
            Self::Cycles => None,
        }
    }

    /// Short form for tables: `s`, `min`, `h`, `d`, `cycles`.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Minutes => "min",
            Self::Hours => "h",
            Self::Days => "d",
            Self::Cycles => "cycles",
        }
    }
}

/// Strictly increasing edges 0 = τ₀ < τ₁ < … < τ_K; interval j is `(τ_j, τ_{j+1}]`, j = 0..K−1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "GridParts", into = "GridParts")]
pub struct TimeGrid {
    unit: TimeUnit,
    edges: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct GridParts {
    unit: TimeUnit,
    edges: Vec<f64>,
}

impl TryFrom<GridParts> for TimeGrid {
    type Error = SurvivalError;
    fn try_from(parts: GridParts) -> Result<Self> {
        Self::try_new(parts.unit, parts.edges)
    }
}

impl From<TimeGrid> for GridParts {
    fn from(grid: TimeGrid) -> Self {
        Self { unit: grid.unit, edges: grid.edges }
    }
}

impl TimeGrid {
    /// A grid with these edges; the first must be 0.
    ///
    /// # Errors
    /// When there are fewer than two edges, the first is not 0, or they do not strictly increase.
    pub fn try_new(unit: TimeUnit, edges: Vec<f64>) -> Result<Self> {
        if edges.len() < 2 {
            return Err(SurvivalError::GridTooShort { edges: edges.len() });
        }
        if edges[0] != 0.0 {
            return Err(SurvivalError::GridEdges { index: 0, edge: edges[0], previous: 0.0 });
        }
        for (index, pair) in edges.windows(2).enumerate() {
            if !(pair[1].is_finite() && pair[1] > pair[0]) {
                return Err(SurvivalError::GridEdges { index: index + 1, edge: pair[1], previous: pair[0] });
            }
        }
        Ok(Self { unit, edges })
    }

    /// What one unit of duration means.
    #[must_use]
    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// All K + 1 edges, the first being 0.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// K, the number of intervals.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.edges.len() - 1
    }

    /// τ_K: nothing is known beyond it.
    #[must_use]
    pub fn last_edge(&self) -> f64 {
        self.edges[self.edges.len() - 1]
    }

    /// Interval j with τ_j < `time` ≤ τ_{j+1}, or `None` beyond the grid (and for times ≤ 0).
    #[must_use]
    pub fn interval_of(&self, time: f64) -> Option<usize> {
        if time.is_nan() || time <= 0.0 {
            return None;
        }
        let upper = self.edges.partition_point(|&edge| edge < time);
        (upper < self.edges.len()).then(|| upper - 1)
    }

    /// How many intervals a unit censored at `time` has wholly survived: the count of τ_j ≤ `time`, j ≥ 1.
    ///
    /// At equal times failures come before censorings, so an interval that ends exactly at `time` counts.
    #[must_use]
    pub fn intervals_survived(&self, time: f64) -> usize {
        self.edges.partition_point(|&edge| edge <= time).saturating_sub(1)
    }
}
