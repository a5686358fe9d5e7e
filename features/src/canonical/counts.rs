//! What became of the samples, by reason.

/// Why a sample is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No mapping selects its series: the allow-list at work.
    Unmapped,
    /// A mapping selects its series, but a label is missing or unknown.
    Refused,
    /// A NaN that is not the stale mark, or infinite.
    NonFinite,
    /// Below zero where that cannot be.
    Negative,
    /// No state of the metric.
    UnknownState,
    /// Further ahead of its arrival than allowed.
    FarFuture,
    /// Before 1970.
    BeforeEpoch,
    /// A delta that was counted already.
    Repeated,
    /// No room for another series.
    SeriesLimit,
    /// No name, a label given twice, or labels that cannot be read.
    BadLabels,
}

impl Reason {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 10] = [
        Self::Unmapped,
        Self::Refused,
        Self::NonFinite,
        Self::Negative,
        Self::UnknownState,
        Self::FarFuture,
        Self::BeforeEpoch,
        Self::Repeated,
        Self::SeriesLimit,
        Self::BadLabels,
    ];

    /// The name used in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unmapped => "unmapped",
            Self::Refused => "refused",
            Self::NonFinite => "non_finite",
            Self::Negative => "negative",
            Self::UnknownState => "unknown_state",
            Self::FarFuture => "far_future",
            Self::BeforeEpoch => "before_1970",
            Self::Repeated => "repeated",
            Self::SeriesLimit => "series_limit",
            Self::BadLabels => "bad_labels",
        }
    }

    /// In words, after the sample they are said of.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Unmapped => "no mapping selects it",
            Self::Refused => "a label the mapping needs is missing or unknown",
            Self::NonFinite => "neither finite nor the stale mark",
            Self::Negative => "negative where that cannot be",
            Self::UnknownState => "not a state of the metric",
            Self::FarFuture => "too far ahead of its arrival; check the sender's clock",
            Self::BeforeEpoch => "before 1970; check the sender's clock and units",
            Self::Repeated => "a delta of this time was counted already",
            Self::SeriesLimit => "no room for another series",
            Self::BadLabels => "its labels cannot be used",
        }
    }

    /// Whether the sender should hear of it. What it cannot help (a metric nobody asked for, a NaN that a rule
    /// computed) is only counted: an error answer would raise alarms there for ever.
    #[must_use]
    pub fn told(self) -> bool {
        matches!(self, Self::FarFuture | Self::BeforeEpoch | Self::SeriesLimit | Self::BadLabels)
    }

    /// Whether the value itself cannot be stored. Where a protocol counts rejections beside success, as OTLP does,
    /// these count as well; where it knows errors only, they would raise alarms.
    #[must_use]
    pub fn unusable(self) -> bool {
        matches!(self, Self::NonFinite | Self::Negative | Self::UnknownState)
    }
}

/// What became of the samples of a message, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples seen.
    pub samples: u64,
    /// Samples that say nothing: rows of a state set that hold 0.
    pub silent: u64,
    /// Zeros added where a counter began, which are rows without a sample.
    pub starts: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Counts {
    /// Samples dropped for a reason.
    #[must_use]
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Samples dropped for reasons the sender should hear of.
    #[must_use]
    pub fn told(&self) -> u64 {
        Reason::ALL.into_iter().filter(|reason| reason.told()).map(|reason| self.dropped(reason)).sum()
    }

    /// Samples dropped because their value cannot be stored.
    #[must_use]
    pub fn unusable(&self) -> u64 {
        Reason::ALL.into_iter().filter(|reason| reason.unusable()).map(|reason| self.dropped(reason)).sum()
    }

    /// Samples dropped, for any reason.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Counts these samples as dropped.
    pub fn add(&mut self, reason: Reason, samples: u64) {
        self.dropped[reason as usize] += samples;
    }

    /// Adds what another message's samples became.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.silent += other.silent;
        self.starts += other.starts;
        for (mine, theirs) in self.dropped.iter_mut().zip(other.dropped) {
            *mine += theirs;
        }
    }
}

/// The first thing of a message that its sender should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Metric, labels, time, and what to do.
    pub message: String,
}

/// Series of one metric name that are not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The source's metric name.
    pub name: String,
    /// What the mapping found wanting in the first of them; `None` where no mapping selects it.
    pub reason: Option<String>,
    /// Series seen; one that was forgotten and came back counts again.
    pub series: u64,
    /// Samples seen.
    pub samples: u64,
}

/// What a canonicalizer saw since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Source series remembered now.
    pub series: usize,
    /// Canonical metric, reason, samples dropped.
    pub dropped: Vec<(String, Reason, u64)>,
    /// What is not stored, most samples first.
    pub ignored: Vec<Ignored>,
}
