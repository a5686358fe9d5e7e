//! From a finished run to what others use: the data set, and what the event rules made of the metrics.

use std::path::{Path, PathBuf};

use datasets::lake::{CompactOptions, Lake};
use datasets::lake_source::{SplitConfig, events_by};
use datasets::{Built, LakeBuildConfig, LakeSource, Progress};
use features::event::EventRules;
use features::{Catalogue, EntityKind};

use crate::compare::{Comparison, TimeScale, compare};
use crate::error::{LabError, Result, io};
use crate::record::Record;
use crate::truth::{self, Life};

/// The event rules on the lab's clock.
pub const EVENT_RULES: &str = include_str!("../event_rules.toml");
/// How the data set is built.
pub const BUILD: &str = include_str!("../build.toml");
/// Times the lab's clock is slowed for the production rules. Ten times makes its probes and back-offs what a cluster's are
/// (every 10 to 20 s; 20 s to 160 s); sixty times a scrape a second becomes one a minute, and probes rarer than anywhere.
pub const SLOWED: [i64; 2] = [10, 60];
/// An event further away from a death than this tells of another, milliseconds of the lab's time.
const WITHIN: i64 = 12_000;
/// Silence that ends a life in production, milliseconds.
const PRODUCTION_GAP: i64 = 300_000;

/// Where the parts of a run lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// Samples as they were seen.
    pub lake: PathBuf,
    /// The spec and the rules that the data set is built by.
    pub spec: PathBuf,
    /// Rows, labels, splits.
    pub dataset: PathBuf,
    /// What the rules told beside what happened: tables.
    pub extractor: PathBuf,
}

impl Places {
    /// Of a run's folder.
    #[must_use]
    pub fn of(run: &Path) -> Self {
        Self {
            lake: run.join("lake"),
            spec: run.join("spec"),
            dataset: run.join("dataset"),
            extractor: run.join("extractor.json"),
        }
    }
}

/// What a run became.
#[derive(Debug)]
pub struct Published {
    /// The data set.
    pub built: Built,
    /// The rules on the lab's clock, then those of production on copies as many times slower as [`SLOWED`] says.
    pub comparisons: Vec<Comparison>,
}

/// Builds the data set of a run and compares the event rules with its truth. What is there of an earlier build is
/// replaced.
///
/// # Errors
/// When the folder holds no finished run, a file cannot be read or written, or there is too little to build from.
pub fn publish(run: &Path, progress: &dyn Progress) -> Result<Published> {
    if Record::read(run)?.is_none() {
        return Err(LabError::Run {
            path: run.to_owned(),
            reason: "holds no run; `forewarn lab run` makes one".to_owned(),
        });
    }
    let lives = truth::read(run)?;
    let places = Places::of(run);
    // Few files are read faster, and the copy below opens each of them once per slice of time.
    let last = Lake::open(&places.lake)?.times(EntityKind::Container).map_or(0, |(_, last)| last);
    let options = CompactOptions { open_days: true, fewest_files: 2, ..CompactOptions::at(last) };
    datasets::lake::compact(&places.lake, &options, progress)?;
    let config = spec(&places.spec, &lives)?;
    if places.dataset.exists() {
        std::fs::remove_dir_all(&places.dataset)
            .map_err(io(&places.dataset, "remove the data set of an earlier build"))?;
    }
    let gap = config.spec(&Catalogue::standard())?.longest_gap;
    let built = datasets::build(&mut LakeSource::open(&places.lake, config)?, &places.dataset, progress)?;
    let mut comparisons = vec![by_own_rules(&places.lake, &lives, gap)?];
    for factor in SLOWED {
        comparisons.push(by_production_rules(run, &places.lake, &lives, factor)?);
    }
    let text = serde_json::to_vec_pretty(&comparisons)
        .map_err(|error| LabError::Run { path: places.extractor.clone(), reason: error.to_string() })?;
    std::fs::write(&places.extractor, text).map_err(io(&places.extractor, "write what the rules told"))?;
    Ok(Published { built, comparisons })
}

/// Writes the spec of a run beside its rules, and reads it back.
fn spec(folder: &Path, lives: &[Life]) -> Result<LakeBuildConfig> {
    std::fs::create_dir_all(folder).map_err(io(folder, "create the folder of the spec"))?;
    let mut unseen: Vec<&str> = lives.iter().filter(|life| life.held_out).map(|life| life.family.as_str()).collect();
    unseen.sort_unstable();
    unseen.dedup();
    let names: Vec<String> = unseen.iter().map(|name| format!("{name:?}")).collect();
    let text = BUILD.replace("test_only = []", &format!("test_only = [{}]", names.join(", ")));
    for (name, text) in [("build.toml", text.as_str()), ("event_rules.toml", EVENT_RULES)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(io(&path, "write the spec"))?;
    }
    let config = LakeBuildConfig::read(&folder.join("build.toml"))?;
    debug_assert!(matches!(&config.split, SplitConfig::Group { test_only, .. } if test_only.len() == unseen.len()));
    Ok(config)
}

fn by_own_rules(lake: &Path, lives: &[Life], gap: i64) -> Result<Comparison> {
    let rules = EventRules::from_toml(EVENT_RULES)
        .map_err(|error| LabError::Host { reason: format!("the lab's event rules: {error}") })?;
    let events = events_by(&Lake::open(lake)?, EntityKind::Container, rules, gap)?;
    Ok(compare("lab/event_rules.toml, as measured", lives, &events, TimeScale::OWN, WITHIN))
}

fn by_production_rules(run: &Path, lake: &Path, lives: &[Life], factor: i64) -> Result<Comparison> {
    let slowed = run.join("slowed-lake");
    if slowed.exists() {
        std::fs::remove_dir_all(&slowed).map_err(io(&slowed, "remove the slowed copy of a run that was cut off"))?;
    }
    let report = datasets::lake::stretch(lake, &slowed, factor)?;
    let events = events_by(&Lake::open(&slowed)?, EntityKind::Container, EventRules::shipped(), PRODUCTION_GAP)?;
    std::fs::remove_dir_all(&slowed).map_err(io(&slowed, "remove the slowed copy"))?;
    let scale = TimeScale { origin: report.origin, factor };
    let name = format!("features/event_rules.toml, time slowed {factor} times");
    Ok(compare(&name, lives, &events, scale, WITHIN * factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::Ending;
    use crate::truth::tests::life;

    #[test]
    fn families_that_only_test_are_named_in_the_spec() {
        let folder = tempfile::tempdir().unwrap();
        let mut unseen = life(1, Some(Ending::Oom));
        (unseen.family, unseen.held_out) = ("leak-accelerating".to_owned(), true);
        let config = spec(folder.path(), &[life(0, Some(Ending::Oom)), unseen.clone(), unseen]).unwrap();
        let SplitConfig::Group { test_only, .. } = config.split else { panic!("a split by group") };
        assert_eq!(test_only, ["leak-accelerating"]);
    }

    #[test]
    fn a_folder_without_a_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = publish(folder.path(), &datasets::Silent).unwrap_err().to_string();
        assert!(said.contains("forewarn lab run"), "{said}");
    }
}
