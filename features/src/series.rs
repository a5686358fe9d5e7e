//! What a source series becomes: one canonical metric of one part of one entity, and how its values translate.

use std::sync::Arc;

use crate::catalogue::MetricId;
use crate::entity::Entity;

/// One canonical metric of one part of one entity incarnation; equal values are one series, whatever sent them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalSeries {
    /// Whose.
    pub entity: Entity,
    /// Which metric.
    pub metric: MetricId,
    /// Which part of the entity (`device=sda`, `mountpoint=/var`), empty for the whole. For an info metric the
    /// labels it carries, `name=value` joined with commas, sorted by name.
    pub part: String,
}

/// From a source value to the canonical one.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// Times this, which brings it to the canonical unit.
    Scale(f64),
    /// 1 whatever the value, for labels that ride on a series of another meaning.
    Present,
    /// A row of a state set: this state's index where the value is 1, nothing where it is 0.
    State(u16),
    /// A value that names its state by number: the index given by the mapping for it.
    Code(Arc<[(i64, u16)]>),
}

impl Transform {
    /// The canonical value, `None` where the row says nothing. The stale mark passes unchanged.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "codes are small whole numbers")]
    pub fn apply(&self, value: f64) -> Option<f64> {
        if value.to_bits() == crate::sample::STALE_NAN_BITS {
            return match self {
                // One row of a state set ends whenever another state begins.
                Self::State(_) => None,
                Self::Scale(_) | Self::Present | Self::Code(_) => Some(value),
            };
        }
        match self {
            Self::Scale(scale) if *scale == 1.0 => Some(value),
            Self::Scale(scale) => Some(value * scale),
            Self::Present => Some(1.0),
            Self::State(index) => (value >= 0.5).then(|| f64::from(*index)),
            Self::Code(codes) => {
                codes.iter().find(|(code, _)| *code == value as i64).map(|&(_, index)| f64::from(index))
            }
        }
    }
}

/// What the mappings say of a source series.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It is this series.
    Series(CanonicalSeries, Transform),
    /// No mapping selects it.
    Unmapped,
    /// A mapping selects it, but a label it needs is missing or its state is unknown: the reason, in words.
    Refused(String),
}
