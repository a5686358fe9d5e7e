//! Lives without samples: what is known of each at birth, how long it lasted, how it ended. Public life tables share this.

use std::collections::{BTreeMap, BTreeSet};

use features::spec::{FlatColumn, FlatSource, KERNEL_VERSION};
use features::{Catalogue, Entity, EntityHistory, EntityKind, FailureEvent, FeatureSpec, Split, TimeAxis};
use survival::CensorReason;

use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::SplitRule;

/// Training failures between two edges are about one in so many.
const QUANTILES: usize = 24;
/// A quantile this close, relatively, to a named edge would only cut off a sliver beside it.
const SLIVER: f64 = 0.05;
/// Fewer training failures than this have no quantiles to speak of.
const FEWEST_FAILURES: usize = 3;

/// How a life ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// It failed of this cause, as the table says so.
    Failed { cause: &'static str, evidence: String },
    /// Watching ended with it alive.
    Censored(CensorReason),
}

/// One life.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Life {
    pub(super) key: String,
    pub(super) group: String,
    /// A value that is not known is NaN.
    pub(super) attributes: BTreeMap<String, f64>,
    /// Whether watching began at birth; if not, its age is never known.
    pub(super) seen_born: bool,
    /// Tick at which watching began.
    pub(super) from: i64,
    /// Ticks it was watched, above 0.
    pub(super) ticks: i64,
    pub(super) end: End,
}

impl Life {
    pub(super) fn history(&self) -> Result<EntityHistory> {
        let named = DatasetError::feature(&self.key);
        let until = self.from + self.ticks;
        let (events, end) = match &self.end {
            End::Failed { cause, evidence } => {
                let event = FailureEvent::try_new(&self.key, *cause, until, until, evidence.as_str());
                (vec![event.map_err(&named)?], CensorReason::EndOfObservation)
            }
            End::Censored(reason) => (Vec::new(), *reason),
        };
        Ok(EntityHistory {
            nodes: Vec::new(),
            entity: Entity::try_new(EntityKind::Machine, self.key.as_str(), "").map_err(&named)?,
            group: self.group.clone(),
            attributes: self.attributes.clone(),
            born: self.seen_born.then_some(self.from),
            observed_from: self.from,
            observed_until: until,
            end,
            tiles: None,
            samples: Vec::new(),
            events: events.into(),
            gaps: [].into(),
        })
    }
}

/// The spec of rows made of attributes, with the age before them where rows are made at several ages; and the catalogue
/// without metrics it reads.
pub(super) fn spec<'a>(
    time: TimeAxis,
    age: bool,
    attributes: impl IntoIterator<Item = &'a String>,
    set: &str,
) -> Result<(FeatureSpec, Catalogue)> {
    let catalogue = Catalogue::try_new(Vec::new()).map_err(DatasetError::feature(set))?;
    let age = age.then(|| FlatColumn { name: "age".to_owned(), source: FlatSource::Age });
    let attributes = attributes.into_iter().map(|attribute| FlatColumn {
        name: attribute.clone(),
        source: FlatSource::Attribute { attribute: attribute.clone() },
    });
    let spec = FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time,
        tile: 1,
        ingest_lag: 0,
        // There are no samples, so there are no gaps.
        longest_gap: 1,
        flat: age.into_iter().chain(attributes).collect(),
        steps: 0,
        step: 1,
        channels: Vec::new(),
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue.digest(),
    };
    Ok((spec, catalogue))
}

/// Durations of the training rows, ascending: all of them, and of those that end in a failure. In units of the axis.
pub(super) struct TrainingDurations {
    all: Vec<f64>,
    failed: Vec<f64>,
}

impl TrainingDurations {
    /// Of the rows made so many ticks after watching began.
    ///
    /// # Errors
    /// When too few of them fail for a grid to be laid by.
    pub(super) fn of(lives: &[Life], split: &SplitRule, time: TimeAxis, cuts: &[i64], set: &str) -> Result<Self> {
        let (mut all, mut failed) = (Vec::new(), Vec::new());
        for life in lives {
            for cut in cuts.iter().filter(|&&cut| cut < life.ticks) {
                if split.part(&life.group, life.from + cut) != Some(Split::Train) {
                    continue;
                }
                let duration = time.units(life.ticks - cut);
                all.push(duration);
                if matches!(life.end, End::Failed { .. }) {
                    failed.push(duration);
                }
            }
        }
        if failed.len() < FEWEST_FAILURES {
            return Err(DatasetError::config(
                set,
                format!(
                    "{} of {} training rows end in a failure; a grid on their quantiles needs {FEWEST_FAILURES}",
                    failed.len(),
                    all.len()
                ),
            ));
        }
        all.sort_by(f64::total_cmp);
        failed.sort_by(f64::total_cmp);
        Ok(Self { all, failed })
    }

    /// Quantile of the durations, up to a whole unit.
    pub(super) fn quantile(&self, per_cent: usize) -> f64 {
        nearest_rank(&self.all, per_cent, 100)
    }

    /// Quantile of the durations that end in a failure, up to a whole unit.
    pub(super) fn failure_quantile(&self, per_cent: usize) -> f64 {
        nearest_rank(&self.failed, per_cent, 100)
    }

    /// Grid edges up to `last`: every one of `named` below it, those of `round` that lie behind the first quantile, and
    /// quantiles of the failures until then where none of these is close.
    pub(super) fn edges(&self, named: &[f64], round: &[f64], last: f64) -> Vec<f64> {
        let close = |edge: f64, others: &[f64]| others.iter().any(|other| (edge - other).abs() <= SLIVER * other);
        let inside = &self.failed[..self.failed.partition_point(|&failed| failed <= last)];
        let quantiles = (1..QUANTILES).filter(|_| !inside.is_empty()).map(|k| nearest_rank(inside, k, QUANTILES));
        let quantiles: Vec<f64> = quantiles.collect();
        let first = quantiles.first().copied().unwrap_or_default();
        let mut edges: Vec<f64> = named.iter().copied().filter(|&edge| edge < last).collect();
        let fixed: Vec<f64> = named.iter().copied().chain([last]).collect();
        edges.extend(round.iter().filter(|&&edge| edge > first && edge < last && !close(edge, &fixed)));
        let fixed: Vec<f64> = edges.iter().copied().chain([last]).collect();
        edges.extend(quantiles.into_iter().filter(|&edge| edge < last && !close(edge, &fixed)));
        edges.extend([0.0, last]);
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges
    }
}

/// The smallest value that at least `part` of `whole` of the values do not pass, up to a whole unit.
fn nearest_rank(sorted: &[f64], part: usize, whole: usize) -> f64 {
    let rank = (sorted.len() * part).div_ceil(whole).max(1);
    sorted[rank - 1].ceil()
}

/// One covariate of a table: a column of numbers, or a column of levels.
pub(super) enum Covariate {
    /// A number as it stands.
    Number { column: String },
    /// One attribute per level but the first in order, which is where all of them are 0.
    Levels { column: String, levels: Vec<String> },
}

impl Covariate {
    /// The levels of a column as the tables have them, missing cells left out.
    pub(super) fn levels(tables: &[&Table], column: &str) -> Result<Self> {
        let mut levels = BTreeSet::new();
        for table in tables {
            let at = table.column(column)?;
            levels.extend((0..table.len()).map(|row| table.text(row, at)).filter(|level| !level.is_empty()));
        }
        Ok(Self::Levels { column: column.to_owned(), levels: levels.into_iter().map(str::to_owned).collect() })
    }

    /// Names of its attributes.
    pub(super) fn attributes(&self) -> Vec<String> {
        match self {
            Self::Number { column } => vec![column.clone()],
            Self::Levels { column, levels } => levels.iter().skip(1).map(|level| format!("{column}_{level}")).collect(),
        }
    }

    /// Adds its attributes in a row; NaN where the cell is empty. Whether the cell held something.
    pub(super) fn read(&self, table: &Table, row: usize, attributes: &mut BTreeMap<String, f64>) -> Result<bool> {
        let (Self::Number { column } | Self::Levels { column, .. }) = self;
        let at = table.column(column)?;
        let known = !table.text(row, at).is_empty();
        let number = if known && matches!(self, Self::Number { .. }) { table.number(row, at)? } else { f64::NAN };
        match self {
            Self::Number { column } => _ = attributes.insert(column.clone(), number),
            Self::Levels { column, levels } => {
                for level in levels.iter().skip(1) {
                    let is = if known { f64::from(u8::from(table.text(row, at) == level)) } else { f64::NAN };
                    attributes.insert(format!("{column}_{level}"), is);
                }
            }
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Life, TrainingDurations, nearest_rank};
    use crate::source::SplitRule;
    use features::TimeAxis;
    use features::split::Shares;
    use survival::{CensorReason, TimeUnit};

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got}, expected {expected}");
    }

    #[test]
    fn quantiles_are_values_of_the_rows() {
        let values = [1.0, 2.0, 3.0, 4.0, 10.5];
        for (part, expected) in [(0, 1.0), (20, 1.0), (21, 2.0), (60, 3.0), (100, 11.0)] {
            close(nearest_rank(&values, part, 100), expected);
        }
    }

    fn lives(failed: usize) -> Vec<Life> {
        (1..=100)
            .map(|day| Life {
                key: format!("life-{day}"),
                group: format!("life-{day}"),
                attributes: Default::default(),
                seen_born: true,
                from: 0,
                ticks: day,
                end: if usize::try_from(day).unwrap() > 100 - failed {
                    End::Failed { cause: "death", evidence: String::new() }
                } else {
                    End::Censored(CensorReason::EndOfObservation)
                },
            })
            .collect()
    }

    fn durations(failed: usize, cuts: &[i64]) -> crate::Result<TrainingDurations> {
        let shares = Shares { train: 100, validation: 0, calibration: 0 };
        let split = SplitRule::ByGroup { salt: String::new(), shares, test_only: Vec::new() };
        let days = TimeAxis { unit: TimeUnit::Days, ticks_per_unit: 1 };
        TrainingDurations::of(&lives(failed), &split, days, cuts, "lives")
    }

    #[test]
    fn edges_keep_what_is_named_and_take_quantiles_elsewhere() {
        let edges = durations(100, &[0]).unwrap().edges(&[50.0], &[2.0, 51.0, 70.0], 95.0);
        close(edges[0], 0.0);
        close(edges[edges.len() - 1], 95.0);
        // The first quantile of 24 up to day 95 is day 4: round values before it, and beside what is named, are left out.
        assert!(edges.contains(&50.0) && edges.contains(&70.0) && edges.contains(&4.0));
        assert!(!edges.contains(&2.0) && !edges.contains(&51.0));
        assert!(edges.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_grid_that_ends_before_the_first_failure_has_the_round_edges() {
        let edges = durations(5, &[0]).unwrap().edges(&[50.0], &[20.0], 90.0);
        assert_eq!(edges.len(), 4, "{edges:?}");
    }

    #[test]
    fn rows_made_later_have_what_is_left() {
        let later = durations(100, &[0, 60]).unwrap();
        assert_eq!(later.all.len(), 140);
        close(later.quantile(100), 100.0);
        close(durations(100, &[60]).unwrap().failure_quantile(100), 40.0);
    }

    #[test]
    fn a_grid_on_hardly_any_failure_is_refused() {
        let message = durations(2, &[0]).err().unwrap().to_string();
        assert!(message.contains("2 of 100 training rows end in a failure"), "{message}");
    }
}
