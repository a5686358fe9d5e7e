//! From source series to canonical rows: the mapping is looked up once per series, every value is checked.
//!
//! Receivers, importers and the server's live store share this, so that a sample means the same by whatever way
//! it came. There is no clock here: the caller says when a message was received.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::catalogue::{Catalogue, MetricKind};
use crate::decode::{Point, SeriesSink, SourceSeries, Temporality};
use crate::mapping::MappingSet;
use crate::sample::STALE_NAN_BITS;
use crate::series::{CanonicalSeries, Resolution, Transform};

/// Bounds of a [`Canonicalizer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Source series remembered, mapped and unmapped together; past this, new ones are refused.
    pub most_series: usize,
    /// A sample further ahead of its receipt than this is dropped, in milliseconds.
    pub max_future: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most_series: 4_000_000, max_future: 600_000 }
    }
}

/// One canonical value; `handle` numbers the canonical series of this canonicalizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanonicalRow {
    /// Which series, as in [`Canonicalizer::series`].
    pub handle: u32,
    /// Milliseconds.
    pub time: i64,
    /// Canonical unit; the stale mark is [`STALE_NAN_BITS`].
    pub value: f64,
}

/// Why points were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// No mapping selects the series.
    Unmapped,
    /// Labels that cannot be used: no name, one twice, a key label missing, an unknown state.
    Labels,
    /// Past [`Limits::most_series`].
    SeriesLimit,
    /// NaN other than the stale mark, or infinite.
    NonFinite,
    /// Negative where the metric cannot be.
    Negative,
    /// Further ahead than [`Limits::max_future`].
    Future,
    /// A code that names no state.
    UnknownCode,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unmapped,
        Self::Labels,
        Self::SeriesLimit,
        Self::NonFinite,
        Self::Negative,
        Self::Future,
        Self::UnknownCode,
    ];

    /// The name used in statistics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unmapped => "unmapped",
            Self::Labels => "labels",
            Self::SeriesLimit => "series_limit",
            Self::NonFinite => "non_finite",
            Self::Negative => "negative",
            Self::Future => "future",
            Self::UnknownCode => "unknown_code",
        }
    }
}

/// What one message became.
#[derive(Debug, Default)]
pub struct Canonical {
    /// Values to store.
    pub rows: Vec<CanonicalRow>,
    /// Points left out, by reason.
    pub dropped: BTreeMap<Drop, u64>,
    /// First few reasons in words, for the sender and the log.
    pub problems: Vec<String>,
}

/// Problems spelled out per message.
const MOST_PROBLEMS: usize = 5;

impl Canonical {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.dropped.clear();
        self.problems.clear();
    }

    /// Points left out for reasons a sender should hear of.
    #[must_use]
    pub fn refused(&self) -> u64 {
        let told = |drop: &Drop| matches!(drop, Drop::Labels | Drop::SeriesLimit | Drop::Future | Drop::Negative);
        self.dropped.iter().filter(|(drop, _)| told(drop)).map(|(_, count)| count).sum()
    }

    fn leave_out(&mut self, drop: Drop, points: usize, problem: impl FnOnce() -> String) {
        *self.dropped.entry(drop).or_default() += points as u64;
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem());
        }
    }
}

/// What a source series turned out to be.
#[derive(Debug, Clone)]
enum Known {
    Unmapped,
    /// Refused once for this reason; the next message hears the count alone.
    Refused,
    Series {
        handle: u32,
        signed: bool,
        transform: Transform,
        /// Sum of the deltas so far, where the source sends deltas of what the catalogue counts from a start. A new
        /// process begins at 0, which reads as a reset, as it should.
        total: Option<f64>,
    },
}

/// Turns source series into canonical rows and remembers what each series is.
#[derive(Debug)]
pub struct Canonicalizer {
    catalogue: Arc<Catalogue>,
    mappings: Arc<MappingSet>,
    limits: Limits,
    known: HashMap<u128, Known>,
    handles: HashMap<CanonicalSeries, u32>,
    series: Vec<CanonicalSeries>,
    unmapped: BTreeMap<String, u64>,
}

/// Names of unmapped metrics remembered for the statistics.
const MOST_UNMAPPED_NAMES: usize = 1000;

impl Canonicalizer {
    /// An empty one.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, mappings: Arc<MappingSet>, limits: Limits) -> Self {
        Self {
            catalogue,
            mappings,
            limits,
            known: HashMap::new(),
            handles: HashMap::new(),
            series: Vec::new(),
            unmapped: BTreeMap::new(),
        }
    }

    /// Canonical series by handle; it only grows.
    #[must_use]
    pub fn series(&self) -> &[CanonicalSeries] {
        &self.series
    }

    /// Source series remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.known.len()
    }

    /// Series seen of metrics that no mapping selects, by name (the first thousand names).
    #[must_use]
    pub fn unmapped(&self) -> &BTreeMap<String, u64> {
        &self.unmapped
    }

    /// A sink for one message received at `received_at` milliseconds.
    pub fn message<'a>(&'a mut self, received_at: i64, out: &'a mut Canonical) -> Message<'a> {
        let latest = received_at.saturating_add(self.limits.max_future);
        Message { canonicalizer: self, latest, out }
    }

    /// Remembers what a new series is; `None` when it was refused and counted.
    fn learn(&mut self, series: &SourceSeries<'_>, out: &mut Canonical) -> Option<()> {
        let points = series.points.len();
        if self.known.len() >= self.limits.most_series {
            let most = self.limits.most_series;
            out.leave_out(Drop::SeriesLimit, points, || {
                format!("a new series past the limit of {most}; raise it or send fewer series (remote_write's write_relabel_configs)")
            });
            return None;
        }
        let labels = match (series.labels)() {
            Ok(labels) => labels,
            Err(error) => {
                out.leave_out(Drop::Labels, points, || error.to_string());
                self.known.insert(series.identity, Known::Refused);
                return None;
            }
        };
        let known = match self.mappings.resolve(&labels) {
            Resolution::Unmapped => {
                if self.unmapped.len() < MOST_UNMAPPED_NAMES || self.unmapped.contains_key(labels.name()) {
                    *self.unmapped.entry(labels.name().to_owned()).or_default() += 1;
                }
                Known::Unmapped
            }
            Resolution::Refused(reason) => {
                out.leave_out(Drop::Labels, points, || reason);
                self.known.insert(series.identity, Known::Refused);
                return None;
            }
            Resolution::Series(canonical, transform) => {
                let definition = self.catalogue.definition(canonical.metric);
                let signed = definition.is_some_and(|d| d.signed || d.kind == MetricKind::Time);
                let counts = definition.is_some_and(|d| d.kind == MetricKind::Counter);
                let total = (counts && series.temporality == Temporality::Delta).then_some(0.0);
                let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
                let handle = *self.handles.entry(canonical).or_insert_with_key(|canonical| {
                    self.series.push(canonical.clone());
                    next
                });
                Known::Series { handle, signed, transform, total }
            }
        };
        self.known.insert(series.identity, known);
        Some(())
    }
}

/// The sink of one message.
pub struct Message<'a> {
    canonicalizer: &'a mut Canonicalizer,
    latest: i64,
    out: &'a mut Canonical,
}

impl SeriesSink for Message<'_> {
    fn take(&mut self, series: &SourceSeries<'_>) {
        let out = &mut *self.out;
        let identity = series.identity;
        if !self.canonicalizer.known.contains_key(&identity) && self.canonicalizer.learn(series, out).is_none() {
            return;
        }
        let points = series.points.len() as u64;
        match self.canonicalizer.known.get_mut(&identity) {
            None | Some(Known::Unmapped) => *out.dropped.entry(Drop::Unmapped).or_default() += points,
            Some(Known::Refused) => *out.dropped.entry(Drop::Labels).or_default() += points,
            Some(Known::Series { handle, signed, transform, total }) => {
                for point in series.points {
                    match check(point, *signed, transform, self.latest) {
                        Ok(Some(mut value)) => {
                            if let Some(total) = total.as_mut()
                                && value.to_bits() != STALE_NAN_BITS
                            {
                                *total += value;
                                value = *total;
                            }
                            out.rows.push(CanonicalRow { handle: *handle, time: point.time, value });
                        }
                        Ok(None) => {}
                        Err(drop) => {
                            let name = || (series.labels)().map_or_else(|e| e.to_string(), |l| l.to_string());
                            out.leave_out(drop, 1, || {
                                format!("{} at {} of {}: {}", point.value, point.time, name(), drop.name())
                            });
                        }
                    }
                }
            }
        }
    }
}

/// The canonical value of a point; `None` for a state row that does not hold.
fn check(point: &Point, signed: bool, transform: &Transform, latest: i64) -> Result<Option<f64>, Drop> {
    if point.time > latest {
        return Err(Drop::Future);
    }
    if point.value.to_bits() != STALE_NAN_BITS {
        if !point.value.is_finite() {
            return Err(Drop::NonFinite);
        }
        if point.value < 0.0 && !signed && matches!(transform, Transform::Scale(_)) {
            return Err(Drop::Negative);
        }
    }
    match (transform.apply(point.value), transform) {
        (None, Transform::Code(_)) => Err(Drop::UnknownCode),
        (value, _) => Ok(value),
    }
}
