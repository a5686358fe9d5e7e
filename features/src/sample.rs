//! One value of one metric of one entity at one time.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::{FeatureError, Result};

/// Bits of the NaN that Prometheus writes where a series ends.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A finite value, or the explicit mark that the series ended here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Reading {
    /// A finite value in the metric's canonical unit.
    Value(f64),
    /// "This series ended here", never a number.
    Stale,
}

/// A sample of one entity; which entity is said by the history that holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    metric: MetricId,
    part: u32,
    time: i64,
    known_at: i64,
    reading: Reading,
}

impl Sample {
    /// A sample in canonical units, checked against the metric's definition.
    ///
    /// `time` and `known_at` are ticks of the data set's [`TimeAxis`](crate::spec::TimeAxis).
    ///
    /// # Errors
    /// When the value is a NaN other than the stale mark, infinite, or impossible in the metric's unit,
    /// or when the sample is known before its own time.
    pub fn try_new(catalogue: &Catalogue, metric: MetricId, time: i64, known_at: i64, value: f64) -> Result<Self> {
        let definition = catalogue.definition(metric).ok_or_else(|| FeatureError::UnknownMetric {
            metric: format!("#{}", metric.0),
            known: catalogue.definitions().len(),
        })?;
        if value.to_bits() == STALE_NAN_BITS {
            return Ok(Self { metric, part: 0, time, known_at, reading: Reading::Stale });
        }
        let impossible = |why| FeatureError::Impossible {
            metric: definition.id.clone(),
            time,
            value,
            unit: definition.unit.clone(),
            why,
        };
        if !value.is_finite() {
            return Err(FeatureError::NonFinite { metric: definition.id.clone(), time, value });
        }
        if known_at < time {
            return Err(impossible("known before its own time"));
        }
        if value < 0.0 && !definition.signed {
            return Err(impossible("negative"));
        }
        #[expect(clippy::cast_precision_loss, reason = "a state set has a handful of members")]
        let states = definition.states.len() as f64;
        if definition.kind == MetricKind::State && !(value.fract() == 0.0 && value < states) {
            return Err(impossible("not the index of a state"));
        }
        Ok(Self { metric, part: 0, time, known_at, reading: Reading::Value(value) })
    }

    /// The same sample as one of a part: a disk, a mount point, a network interface. Part 0 is the whole entity.
    #[must_use]
    pub fn in_part(self, part: u32) -> Self {
        Self { part, ..self }
    }

    /// Which part of the entity it measures, as numbered by the history that holds it; 0 is the whole.
    #[must_use]
    pub fn part(&self) -> u32 {
        self.part
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> MetricId {
        self.metric
    }

    /// When it was measured.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// When it reached us.
    #[must_use]
    pub fn known_at(&self) -> i64 {
        self.known_at
    }

    /// Value or stale mark.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// The value, unless this is the stale mark.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self.reading {
            Reading::Value(value) => Some(value),
            Reading::Stale => None,
        }
    }
}
