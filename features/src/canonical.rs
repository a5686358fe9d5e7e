//! From source series to canonical rows: mapping looked up once per series, every value checked.
//!
//! A [`Canonicalizer`] remembers what each series is by the hash of its encoded labels, so a known series costs one
//! look-up. What it remembers is bounded: series that were not seen for a while are forgotten, and past
//! [`Limits::max_series`] new ones are refused, by name, while the known ones go on. There is no clock in here; the
//! caller says when the message arrived.

mod accumulation;
mod counts;
mod generations;

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::decode::{Point, SourceSeries, Temporality};
use crate::labels::Labels;
use crate::mapping::MappingSet;
use crate::sample::STALE_NAN_BITS;
use crate::series::{CanonicalSeries, Resolution, Transform};

use accumulation::Accumulation;
pub use counts::{Counts, Ignored, Reason, Refusal, Statistics};
use generations::{Generations, fingerprint};

/// Says what a source series is. Pure: equal labels, equal answer.
pub trait Resolve: Send + Sync {
    /// What these labels are.
    fn resolve(&self, labels: &Labels) -> Resolution;
}

impl<F: Fn(&Labels) -> Resolution + Send + Sync> Resolve for F {
    fn resolve(&self, labels: &Labels) -> Resolution {
        self(labels)
    }
}

impl Resolve for MappingSet {
    fn resolve(&self, labels: &Labels) -> Resolution {
        Self::resolve(self, labels)
    }
}

/// What a canonicalizer may remember and let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Mapped source series remembered at once; about 100 bytes each.
    pub max_series: usize,
    /// Series without a mapping remembered at once, so that they need not be resolved again; about 40 bytes each.
    /// Past it they are forgotten, never refused.
    pub max_ignored: usize,
    /// Names of series without a mapping that are counted one by one; the rest is counted together.
    pub max_names: usize,
    /// How far a sample may lie ahead of its arrival, milliseconds.
    pub max_future: i64,
    /// A series not seen for this long, milliseconds, may be forgotten; at twice this it is.
    pub idle: i64,
}

impl Default for Limits {
    /// One million series, ten minutes ahead, forgotten after six to twelve hours.
    fn default() -> Self {
        Self {
            max_series: 1_000_000,
            max_ignored: 1_000_000,
            max_names: 10_000,
            max_future: 600_000,
            idle: 6 * 3_600_000,
        }
    }
}

/// A value of a canonical series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanonicalRow {
    /// Which series, as announced in [`Canonical::new_series`] by the same canonicalizer.
    pub handle: u32,
    /// Milliseconds since the epoch, UTC.
    pub time: i64,
    /// In the canonical unit, or the stale mark.
    pub value: f64,
}

/// What a message became. Made once and reused: [`clear`](Self::clear) keeps the memory.
#[derive(Debug, Default)]
pub struct Canonical {
    /// Series that appear for the first time, with the handle their rows carry from now on.
    pub new_series: Vec<(u32, CanonicalSeries)>,
    /// The rows, in the order of the message.
    pub rows: Vec<CanonicalRow>,
    /// What happened to every sample.
    pub counts: Counts,
    /// The first thing the sender should be told.
    pub refusal: Option<Refusal>,
    /// The first value that cannot be stored, for protocols that count those as rejected.
    pub unusable: Option<Refusal>,
    /// For [`Canonicalizer::undo`]: counters this message moved, and how far they had come before.
    before: Vec<(u128, Option<Accumulation>)>,
}

impl Canonical {
    /// Empties it for the next message.
    pub fn clear(&mut self) {
        self.new_series.clear();
        self.rows.clear();
        self.counts = Counts::default();
        self.refusal = None;
        self.unusable = None;
        self.before.clear();
    }

    /// Whether it holds counters whose next rows depend on these: deltas, and counters with a start. Between the
    /// message and its storing, or [`Canonicalizer::undo`], no other message may be taken then.
    #[must_use]
    pub fn moves_counters(&self) -> bool {
        !self.before.is_empty()
    }
}

/// What is remembered of a mapped source series.
#[derive(Debug, Clone)]
struct Known {
    transform: Transform,
    handle: u32,
    metric: MetricId,
    /// Number of states of a state metric, 0 for the others.
    states: u16,
    counter: bool,
    signed: bool,
}

/// From source series to canonical rows.
pub struct Canonicalizer {
    catalogue: Arc<Catalogue>,
    mappings: Arc<dyn Resolve>,
    limits: Limits,
    known: Generations<Known>,
    /// Series that are not stored, with the place of their name in `names`.
    ignored: Generations<u32>,
    /// Counters with a start or with deltas.
    accumulations: Generations<Accumulation>,
    /// Handle by fingerprint of the canonical series: several source series may be one.
    handles: Generations<u32>,
    next_handle: u32,
    names: Vec<Ignored>,
    /// By name, and whether a mapping refused it.
    name_index: HashMap<(String, bool), u32>,
    /// Drops by metric of the catalogue and reason.
    drops: Vec<[u64; Reason::ALL.len()]>,
    rotated_at: Option<i64>,
}

impl Canonicalizer {
    /// A canonicalizer that knows no series yet.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, mappings: Arc<dyn Resolve>, limits: Limits) -> Self {
        let drops = vec![[0; Reason::ALL.len()]; catalogue.definitions().len()];
        let others = |reason: Option<&str>| Ignored {
            name: "(others)".to_owned(),
            reason: reason.map(str::to_owned),
            series: 0,
            samples: 0,
        };
        Self {
            catalogue,
            mappings,
            limits,
            known: Generations::default(),
            ignored: Generations::default(),
            accumulations: Generations::default(),
            handles: Generations::default(),
            next_handle: 0,
            names: vec![others(None), others(Some("see the mappings"))],
            name_index: HashMap::new(),
            drops,
            rotated_at: None,
        }
    }

    /// One source series of a message that arrived at `received_at` (milliseconds). Adds its rows to `out`, or counts
    /// why there are none.
    pub fn take(&mut self, series: &SourceSeries<'_>, received_at: i64, out: &mut Canonical) {
        self.rotate(received_at);
        let samples = series.points.len() as u64;
        out.counts.samples += samples;
        let Some(known) = self.known.get(series.identity).or_else(|| self.learn(series, out)) else { return };
        let known = &known;
        if known.counter && (series.created.is_some() || series.temporality == Temporality::Delta) {
            self.accumulate(known, series, received_at, out);
            return;
        }
        for &point in series.points {
            match self.check(known, point, received_at) {
                Ok(Some(value)) => out.rows.push(CanonicalRow { handle: known.handle, time: point.time, value }),
                Ok(None) => out.counts.silent += 1,
                Err(reason) => self.drop_one(known, reason, point, series, out),
            }
        }
    }

    /// Sets counters back to where they were before this message, whose rows will not be stored, so that its deltas do
    /// not count as seen when they come again. To be called before any later message is taken.
    pub fn undo(&mut self, out: &mut Canonical) {
        // One counter may have been moved several times.
        for (identity, before) in out.before.drain(..).rev() {
            match before {
                Some(accumulation) => self.accumulations.insert(identity, accumulation),
                None => self.accumulations.remove(identity),
            }
        }
    }

    /// Handles that rows may carry from now on without being announced again; the others are never given out again.
    #[must_use]
    pub fn handles(&self) -> HashSet<u32> {
        self.known.values().map(|known| known.handle).chain(self.handles.values().copied()).collect()
    }

    /// What was seen and dropped since the start; the `top` names of series that are not stored, most samples first.
    #[must_use]
    pub fn statistics(&self, top: usize) -> Statistics {
        let mut ignored: Vec<Ignored> = self.names.iter().filter(|name| name.series > 0).cloned().collect();
        ignored.sort_by(|a, b| b.samples.cmp(&a.samples).then_with(|| a.name.cmp(&b.name)));
        ignored.truncate(top);
        let mut dropped = Vec::new();
        for (definition, counts) in self.catalogue.definitions().iter().zip(&self.drops) {
            for (reason, &count) in Reason::ALL.into_iter().zip(counts) {
                if count > 0 {
                    dropped.push((definition.id.clone(), reason, count));
                }
            }
        }
        Statistics { series: self.known.len(), dropped, ignored }
    }

    fn rotate(&mut self, received_at: i64) {
        let rotated_at = *self.rotated_at.get_or_insert(received_at);
        // A clock that jumps back must not stop the forgetting for good.
        if received_at < rotated_at {
            self.rotated_at = Some(received_at);
        } else if received_at - rotated_at >= self.limits.idle {
            self.rotated_at = Some(received_at);
            self.known.rotate();
            self.ignored.rotate();
            self.accumulations.rotate();
            self.handles.rotate();
        }
    }

    /// The first sight of a series, or one that is not stored.
    #[cold]
    fn learn(&mut self, series: &SourceSeries<'_>, out: &mut Canonical) -> Option<Known> {
        let samples = series.points.len() as u64;
        if let Some(name) = self.ignored.get(series.identity) {
            self.ignore(name, 0, samples, out);
            return None;
        }
        let labels = match (series.labels)() {
            Ok(labels) if !labels.name().is_empty() => labels,
            Ok(labels) => {
                out.refuse(Reason::BadLabels, samples, || {
                    format!("series {labels}{} has no metric name (label __name__)", at(series.points))
                });
                return None;
            }
            Err(error) => {
                out.refuse(Reason::BadLabels, samples, || format!("series{}: {error}", at(series.points)));
                return None;
            }
        };
        match self.mappings.resolve(&labels) {
            Resolution::Series(canonical, transform) => {
                if self.known.len() >= self.limits.max_series {
                    let max = self.limits.max_series;
                    out.refuse(Reason::SeriesLimit, samples, || {
                        let at = at(series.points);
                        format!(
                            "{labels}{at}: {max} series are known, no more are taken; send fewer or raise the limit"
                        )
                    });
                    return None;
                }
                let known = self.remember(canonical, transform, out);
                self.known.insert(series.identity, known.clone());
                Some(known)
            }
            Resolution::Unmapped => {
                self.learn_ignored(series.identity, labels.name(), None, samples, out);
                None
            }
            Resolution::Refused(reason) => {
                self.learn_ignored(series.identity, labels.name(), Some(reason), samples, out);
                None
            }
        }
    }

    fn remember(&mut self, canonical: CanonicalSeries, transform: Transform, out: &mut Canonical) -> Known {
        let metric = canonical.metric;
        let definition = self.catalogue.definition(metric);
        let kind = definition.map(|definition| definition.kind);
        let states = definition.map_or(0, |definition| definition.states.len());
        let fingerprint = fingerprint(&canonical);
        let handle = self.handles.get(fingerprint).unwrap_or_else(|| {
            let handle = self.next_handle;
            self.next_handle += 1;
            self.handles.insert(fingerprint, handle);
            out.new_series.push((handle, canonical));
            handle
        });
        Known {
            transform,
            handle,
            metric,
            states: if kind == Some(MetricKind::State) { u16::try_from(states).unwrap_or(u16::MAX) } else { 0 },
            counter: kind == Some(MetricKind::Counter),
            // A date before 1970 is how some say never.
            signed: definition.is_some_and(|definition| definition.signed || definition.kind == MetricKind::Time),
        }
    }

    fn learn_ignored(&mut self, identity: u128, name: &str, reason: Option<String>, samples: u64, out: &mut Canonical) {
        let refused = reason.is_some();
        let key = (name.to_owned(), refused);
        let index = match self.name_index.get(&key) {
            Some(&index) => index,
            // The first two places are for all names past the limit.
            None if self.names.len() >= self.limits.max_names + 2 => u32::from(refused),
            None => {
                let index = u32::try_from(self.names.len()).unwrap_or(0);
                self.names.push(Ignored { name: name.to_owned(), reason, series: 0, samples: 0 });
                self.name_index.insert(key, index);
                index
            }
        };
        if self.ignored.len() >= self.limits.max_ignored {
            self.ignored.rotate();
        }
        self.ignored.insert(identity, index);
        self.ignore(index, 1, samples, out);
    }

    fn ignore(&mut self, name: u32, series: u64, samples: u64, out: &mut Canonical) {
        let entry = &mut self.names[name as usize];
        entry.series += series;
        entry.samples += samples;
        out.counts.add(if entry.reason.is_some() { Reason::Refused } else { Reason::Unmapped }, samples);
    }

    #[inline]
    fn check(&self, known: &Known, point: Point, received_at: i64) -> Result<Option<f64>, Reason> {
        if point.time > received_at.saturating_add(self.limits.max_future) {
            return Err(Reason::FarFuture);
        }
        if point.time < 0 {
            return Err(Reason::BeforeEpoch);
        }
        let stale = point.value.to_bits() == STALE_NAN_BITS;
        if !stale && !point.value.is_finite() {
            return Err(Reason::NonFinite);
        }
        match known.transform.apply(point.value) {
            None if matches!(known.transform, Transform::Code(_)) => Err(Reason::UnknownState),
            None => Ok(None),
            Some(value) if stale => Ok(Some(value)),
            Some(value) if !value.is_finite() => Err(Reason::NonFinite),
            Some(value) if value < 0.0 && !known.signed => Err(Reason::Negative),
            Some(value) if known.states > 0 && !(value.fract() == 0.0 && value < f64::from(known.states)) => {
                Err(Reason::UnknownState)
            }
            Some(value) => Ok(Some(value)),
        }
    }

    #[cold]
    fn drop_one(
        &mut self,
        known: &Known,
        reason: Reason,
        point: Point,
        series: &SourceSeries<'_>,
        out: &mut Canonical,
    ) {
        self.drops[usize::from(known.metric.0)][reason as usize] += 1;
        out.refuse(reason, 1, || {
            let labels = (series.labels)().map_or_else(|error| error.to_string(), |labels| labels.to_string());
            format!("{labels}, time {} ms, value {}: {}", point.time, point.value, reason.why())
        });
    }
}

impl std::fmt::Debug for Canonicalizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Canonicalizer")
            .field("limits", &self.limits)
            .field("series", &self.known.len())
            .finish()
    }
}

impl Canonical {
    fn refuse(&mut self, reason: Reason, samples: u64, message: impl FnOnce() -> String) {
        self.counts.add(reason, samples);
        let first = if reason.told() {
            &mut self.refusal
        } else if reason.unusable() {
            &mut self.unusable
        } else {
            return;
        };
        if first.is_none() {
            *first = Some(Refusal { reason, message: message() });
        }
    }
}

/// `, time … ms` of the first point, for messages.
fn at(points: &[Point]) -> String {
    points.first().map_or(String::new(), |point| format!(", time {} ms", point.time))
}
