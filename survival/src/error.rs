//! What can be wrong with observations, grids, curves and fits, in the words of whoever supplied them.

/// Errors of estimators, curves and scores.
#[derive(Debug, thiserror::Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum SurvivalError {
    /// A duration that is not a positive, finite number.
    #[error("duration {duration} is not a positive, finite number")]
    Duration {
        /// What was seen.
        duration: f64,
    },
    /// An entry time outside `[0, duration)`.
    #[error("entry time {entry} must lie in [0, duration {duration})")]
    Entry {
        /// The entry time seen.
        entry: f64,
        /// The duration it was seen with.
        duration: f64,
    },
    /// Grid edges that are not strictly increasing from 0.
    #[error(
        "time grid edge {index} is {edge}, after {previous}: edges must start at 0, be finite and strictly increase"
    )]
    GridEdges {
        /// Position of the offending edge.
        index: usize,
        /// The offending edge.
        edge: f64,
        /// The edge before it.
        previous: f64,
    },
    /// Fewer than two edges.
    #[error("time grid has {edges} edges, need at least 2 (0 and one end)")]
    GridTooShort {
        /// How many edges were given.
        edges: usize,
    },
    /// A time beyond the last edge of the grid.
    #[error(
        "horizon {horizon} lies beyond the grid (last edge {last_edge}); ask for a shorter horizon or train on a longer grid"
    )]
    BeyondGrid {
        /// The horizon asked for.
        horizon: f64,
        /// The last edge known.
        last_edge: f64,
    },
    /// A curve that breaks one of its laws.
    #[error("not a survival curve: {reason}")]
    Curve {
        /// Which law, at which edge, with which values.
        reason: String,
    },
    /// Two inputs that should have matching shapes.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// What was compared.
        what: &'static str,
        /// The length or width expected.
        expected: usize,
        /// The length or width seen.
        got: usize,
    },
    /// A NaN or infinity where a finite number is needed.
    #[error("{what}: row {row}, column {column} is {value}; every value must be finite")]
    NonFinite {
        /// Which table.
        what: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
    /// No rows at all.
    #[error("{what} is empty")]
    Empty {
        /// Which input.
        what: &'static str,
    },
    /// Rows, but not one failure among them.
    #[error("no failure among {rows} observations: every one is censored, so there is nothing to fit")]
    NoFailures {
        /// How many rows there were.
        rows: usize,
    },
    /// A score that needs a comparable pair and found none.
    #[error("no comparable pair: all {rows} observations are censored or tied")]
    NoComparablePair {
        /// How many rows there were.
        rows: usize,
    },
    /// A column that carries no information or repeats others.
    #[error("column {column} is {problem}; drop it or set a ridge above 0")]
    Column {
        /// Index of the column.
        column: usize,
        /// `constant`, `collinear with the others`, or `separating the failures`.
        problem: &'static str,
    },
    /// A start–stop row that contradicts another row of its unit.
    #[error("start–stop row {row} {problem}")]
    StartStop {
        /// Position of the row.
        row: usize,
        /// What it does, with the times seen.
        problem: String,
    },
    /// A stratum without a baseline.
    #[error(
        "row {row} belongs to the stratum {stratum}, which training never saw; fit on rows of that stratum,          or let those columns be covariates"
    )]
    UnknownStratum {
        /// Row of the table.
        row: usize,
        /// Its values in the stratum columns.
        stratum: String,
    },
    /// An iteration that did not settle.
    #[error("{what} did not converge in {iterations} iterations (last step {last_step:.3e})")]
    NoConvergence {
        /// Which fit.
        what: &'static str,
        /// Iterations spent.
        iterations: usize,
        /// Size of the last step.
        last_step: f64,
    },
    /// A score asked for where hardly anyone was still watched.
    #[error(
        "scores at time {time} would divide by G = {probability:.4}, the share not yet censored in training \
         (needs at least {least}); ask for times up to {allowed_until}"
    )]
    ThinCensoring {
        /// The time asked for.
        time: f64,
        /// G there.
        probability: f64,
        /// The smallest G allowed.
        least: f64,
        /// The last time at which a score is defined.
        allowed_until: f64,
    },
    /// A score asked for after the last of the scored units left.
    #[error(
        "no unit was watched as long as {time}; ask for times up to {last}, the longest duration among those scored"
    )]
    BeyondFollowUp {
        /// The time asked for.
        time: f64,
        /// The longest duration.
        last: f64,
    },
    /// A statistic that most bootstrap replicates could not compute.
    #[error(
        "the statistic is undefined in {undefined} of {replicates} bootstrap replicates; too few units or failures"
    )]
    UndefinedStatistic {
        /// Replicates without a value.
        undefined: usize,
        /// Replicates drawn.
        replicates: usize,
    },
    /// Values that differ from nothing: without spread there is no standard error.
    #[error(
        "{what}: every one equals {value}, so there is no standard error to judge it by; add units, seeds or folds"
    )]
    NoSpread {
        /// What shows no spread.
        what: &'static str,
        /// The value all share.
        value: f64,
    },
    /// An argument outside its domain.
    #[error("{what} is {value}, must be {domain}")]
    Domain {
        /// Which argument.
        what: &'static str,
        /// The value seen.
        value: f64,
        /// What is allowed, in words.
        domain: &'static str,
    },
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = SurvivalError> = std::result::Result<T, E>;
