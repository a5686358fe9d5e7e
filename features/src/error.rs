//! What can be wrong with samples, specs, batches and mappings, in the words of whoever supplied them.

use survival::SurvivalError;

/// Errors of everything between a raw sample and a model's input.
#[derive(Debug, thiserror::Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum FeatureError {
    /// An entity without a key.
    #[error("entity of kind {kind} has an empty key")]
    EmptyKey {
        /// Its kind.
        kind: &'static str,
    },
    /// A kind nobody knows.
    #[error("unknown entity kind {kind:?}; known: {known}")]
    UnknownKind {
        /// What was seen.
        kind: String,
        /// The known kinds.
        known: String,
    },
    /// A sample that is neither finite nor the stale mark.
    #[error("sample of {metric} at {time}: {value} is neither finite nor a stale mark")]
    NonFinite {
        /// Metric name or number.
        metric: String,
        /// Time of the sample.
        time: i64,
        /// The value.
        value: f64,
    },
    /// A value that cannot be in this unit.
    #[error("sample of {metric} at {time}: {value} {unit} cannot be ({why})")]
    Impossible {
        /// Metric name.
        metric: String,
        /// Time of the sample.
        time: i64,
        /// The value in canonical units.
        value: f64,
        /// Canonical unit.
        unit: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Samples out of order, or the same time twice with different values.
    #[error("entity {entity}, metric {metric}: {problem} at {time}")]
    Order {
        /// Entity key.
        entity: String,
        /// Metric name.
        metric: String,
        /// Time of the offending sample.
        time: i64,
        /// `duplicate with another value`, or `time runs backwards`.
        problem: &'static str,
    },
    /// A failure event that ends before it starts.
    #[error("event {cause} of {entity}: interval ({t_low}, {t_high}] ends before it starts")]
    EventInterval {
        /// Entity key.
        entity: String,
        /// Cause name.
        cause: String,
        /// Start of the interval.
        t_low: i64,
        /// End of the interval.
        t_high: i64,
    },
    /// A metric the catalogue does not hold.
    #[error("metric {metric:?} is not in the catalogue ({known} metrics known)")]
    UnknownMetric {
        /// The name asked for.
        metric: String,
        /// Size of the catalogue.
        known: usize,
    },
    /// A spec that contradicts itself.
    #[error("feature spec: {reason}")]
    Spec {
        /// Which keys, which values, what to do.
        reason: String,
    },
    /// Features made for another spec.
    #[error("expected feature spec {expected}, got {got}; rebuild the data set or choose another bundle")]
    SpecMismatch {
        /// Hash expected.
        expected: String,
        /// Hash seen.
        got: String,
    },
    /// Sizes that disagree.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// What was compared.
        what: &'static str,
        /// Expected size.
        expected: usize,
        /// Size seen.
        got: usize,
    },
    /// A column missing or of another type.
    #[error("column {column:?} {problem}")]
    Column {
        /// Its name.
        column: String,
        /// `is missing`, `is Utf8, expected Float32`, …
        problem: String,
    },
    /// Too little data to fit on.
    #[error("cannot fit the normaliser: {reason}")]
    Fit {
        /// Why.
        reason: String,
    },
    /// A mapping file that cannot be used.
    #[error("mapping {source_name}: {reason}")]
    Mapping {
        /// The mapping's source name.
        source_name: String,
        /// What is wrong, where.
        reason: String,
    },
    /// An observation or grid the survival room refuses.
    #[error(transparent)]
    Survival(#[from] SurvivalError),
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = FeatureError> = std::result::Result<T, E>;
