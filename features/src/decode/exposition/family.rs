//! What `# TYPE` says of the samples that follow.

use super::{Dialect, Temporality, cut};

/// The family that a `# TYPE` line has begun.
pub(super) struct Family<'t> {
    name: &'t str,
    kind: Kind,
    dialect: Dialect,
    /// Whether a sample may say when accumulation began.
    pub(super) may_be_created: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Unknown,
}

/// What a sample is in its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Sample(Temporality),
    /// The start of accumulation, seconds.
    Created,
}

impl<'t> Family<'t> {
    /// From the words after `# TYPE`.
    pub(super) fn declared(mut words: impl Iterator<Item = &'t str>, dialect: Dialect) -> Result<Self, String> {
        let (Some(name), Some(kind), None) = (words.next(), words.next(), words.next()) else {
            return Err("# TYPE takes a name and a type".to_owned());
        };
        let kind = match kind {
            "counter" => Kind::Counter,
            // Their samples hold 1 or the like.
            "gauge" | "info" | "stateset" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            "gaugehistogram" => Kind::GaugeHistogram,
            "summary" => Kind::Summary,
            "untyped" | "unknown" => Kind::Unknown,
            other => {
                return Err(format!(
                    "{:?} is no type; counter, gauge, histogram, summary, untyped and those of OpenMetrics are",
                    cut(other, 40)
                ));
            }
        };
        let accumulates = matches!(kind, Kind::Counter | Kind::Histogram | Kind::Summary);
        Ok(Self {
            name: name.trim_matches('"'),
            kind,
            dialect,
            may_be_created: dialect == Dialect::OpenMetrics && accumulates,
        })
    }

    pub(super) fn part(&self, sample: &str) -> Part {
        use Temporality::{Cumulative, Gauge, Unknown};
        let Some(suffix) = sample.strip_prefix(self.name) else { return Part::Sample(Unknown) };
        Part::Sample(match (self.kind, suffix) {
            (_, "_created") if self.may_be_created => return Part::Created,
            (Kind::Counter, "_total") => Cumulative,
            // OpenMetrics names the family without the ending of its samples.
            (Kind::Counter, "") if self.dialect == Dialect::Text => Cumulative,
            (Kind::Histogram, "_bucket" | "_sum" | "_count") | (Kind::Summary, "_sum" | "_count") => Cumulative,
            (Kind::GaugeHistogram, "_bucket" | "_gsum" | "_gcount") => Gauge,
            (Kind::Gauge, "" | "_info") | (Kind::Summary, "") => Gauge,
            _ => Unknown,
        })
    }
}
