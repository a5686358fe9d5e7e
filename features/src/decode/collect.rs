//! A sink that keeps what it is given, for small inputs: fixtures, checks, tests.

use super::{DecodeError, Point, SeriesSink, SourceSeries, Temporality};
use crate::labels::Labels;

/// Reasons kept; the rest is counted.
const KEPT: usize = 16;

/// A series that was handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// As in [`SourceSeries::identity`].
    pub identity: u128,
    /// What the protocol says of the values.
    pub temporality: Temporality,
    /// When accumulation began, milliseconds.
    pub created: Option<i64>,
    /// Points in the order of the message.
    pub points: Vec<Point>,
    /// The labels.
    pub labels: Labels,
}

/// Keeps every good series in memory; counts the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collector {
    /// In the order of the message.
    pub series: Vec<Collected>,
    /// How many series were refused.
    pub refused: u64,
    /// Why, for the first sixteen.
    pub reasons: Vec<DecodeError>,
}

impl SeriesSink for Collector {
    fn take(&mut self, series: &SourceSeries<'_>) {
        match (series.labels)() {
            Ok(labels) => self.series.push(Collected {
                identity: series.identity,
                temporality: series.temporality,
                created: series.created,
                points: series.points.to_vec(),
                labels,
            }),
            Err(reason) => {
                self.refused += 1;
                if self.reasons.len() < KEPT {
                    self.reasons.push(reason);
                }
            }
        }
    }
}
