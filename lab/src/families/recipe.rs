//! One family: read from its table over the common one, checked by drawing, drawn.

use lab_workload::script::Script;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toml::Value;

use super::plan::{PlannedEnd, PodPlan, ProbePlan};
use super::quantity::{Known, Quantity, SOURCES, Table, Word};

/// Causes of death a family may be written for.
pub const CAUSES: [&str; 10] = [
    "memory_leak",
    "fd_leak",
    "thread_leak",
    "disk_full",
    "cpu_starvation",
    "lock_up",
    "cache_thrash",
    "poison",
    "bad_start",
    "node_pressure",
];
/// Draws that a family must survive before it is used.
const TRIALS: u64 = 50;
/// Ends by their names in TOML.
const ENDS: [(&str, PlannedEnd); 4] = [
    ("scale_down", PlannedEnd::ScaleDown),
    ("rollout", PlannedEnd::Rollout),
    ("complete", PlannedEnd::Complete),
    ("stay", PlannedEnd::Stay),
];
/// Keys of script lines that are whole numbers, besides those in milliseconds.
const WHOLE: [&str; 3] = ["code", "until_run", "fresh"];
/// Quantities of a pod that no share is of, drawn after those of [`SOURCES`].
const OTHERS: [&str; 8] = [
    "memory_request",
    "cpu_request",
    "probe_period_ms",
    "probe_timeout_ms",
    "probe_failures",
    "probe_initial_delay_ms",
    "failures_allowed",
    "linger_ms",
];
/// Memory and disk are counted in pages.
const PAGE: u64 = 4096;
/// Keys that are no quantities.
const KEYS: [&str; 6] = ["text", "weight", "cause", "held_out", "end", "script"];
/// Quantities that may be "none".
const UNLIMITED: [&str; 2] = ["memory_limit", "cpu_limit"];

/// A family.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) cause: Option<String>,
    pub(super) held_out: bool,
    pub(super) weight: f64,
    end: Word,
    /// In the order of [`SOURCES`] and [`OTHERS`]; `None` for a limit that is "none".
    quantities: Vec<(&'static str, Option<Quantity>)>,
    lines: Vec<Line>,
}

/// A line of the script.
#[derive(Debug, Clone)]
struct Line {
    kind: String,
    chance: f64,
    fields: Vec<(String, Field)>,
}

#[derive(Debug, Clone)]
enum Field {
    Number(Quantity),
    Word(Word),
}

impl Recipe {
    /// Reads a family whose own keys come before the common ones.
    pub(super) fn read(name: &str, common: &toml::Table, own: toml::Table) -> Result<Self, String> {
        let good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || name.len() > 40 || !name.chars().all(good) || name.starts_with('-') || name.ends_with('-')
        {
            return Err("its name becomes a namespace: at most 40 of a-z, 0-9 and - inside".to_owned());
        }
        let mut table = common.clone();
        table.extend(own);
        // Before anything is missed: a key written wrongly is both missing and unknown, and the second says more.
        let known = |key: &&str| KEYS.contains(key) || SOURCES.contains(key) || OTHERS.contains(key);
        if let Some(key) = table.keys().map(String::as_str).find(|key| !known(key)) {
            return Err(format!("the key {key} is unknown here"));
        }
        let mut table = Table::new(table);
        let cause = table.take("cause").map(|value| match value.as_str() {
            Some(cause) if CAUSES.contains(&cause) => Ok(cause.to_owned()),
            _ => Err(format!("cause: {value} is none of {}; leave it out for a look-alike", CAUSES.join(", "))),
        });
        let held_out = table.take("held_out").map_or(Some(false), |value| value.as_bool());
        let end = table.required("end")?;
        let end = Word::read(&end).filter(|end| end.words().iter().all(|word| planned(word).is_some()));
        let mut recipe = Self {
            name: name.to_owned(),
            text: table.text("text")?,
            cause: cause.transpose()?,
            held_out: held_out.ok_or("held_out: true or false is wanted")?,
            weight: table.constant("weight")?,
            end: end
                .ok_or_else(|| format!("end: one or more of {} are wanted", ENDS.map(|(name, _)| name).join(", ")))?,
            quantities: Vec::new(),
            lines: Vec::new(),
        };
        let script = table.required("script")?;
        for key in SOURCES.into_iter().chain(OTHERS) {
            let value = table.required(key)?;
            let unlimited = UNLIMITED.contains(&key) && value.as_str() == Some("none");
            let quantity = (!unlimited).then(|| Quantity::read(&value)).transpose();
            recipe.quantities.push((key, quantity.map_err(|reason| format!("{key}: {reason}"))?));
        }
        let lines = script.as_array().filter(|lines| !lines.is_empty());
        for line in lines.ok_or("script: a list of tables is wanted")? {
            recipe.lines.push(Line::read(line)?);
        }
        Ok(recipe)
    }

    /// Draws it often and reads every script the way a container would.
    pub(super) fn check(&self) -> Result<(), String> {
        self.rests()?;
        for trial in 0..TRIALS {
            let plan = self.draw(trial, trial, &mut ChaCha8Rng::seed_from_u64(trial));
            Script::parse(&format!("seed 0\nrun 0\n{}\n", plan.script.join("\n")))
                .map_err(|error| error.to_string())?;
            let wrong = if plan.memory_limit.is_some_and(|limit| plan.memory_request > limit) {
                Some(format!("memory_request: {} is above the limit", plan.memory_request))
            } else if plan.cpu_limit.is_some_and(|limit| plan.cpu_request > limit) {
                Some(format!("cpu_request: {} is above the limit", plan.cpu_request))
            } else if plan.probe.period_ms == 0 || plan.probe.timeout_ms == 0 || plan.probe.failures == 0 {
                Some("probe_period_ms, probe_timeout_ms, probe_failures: each is at least 1".to_owned())
            } else {
                None
            };
            if let Some(wrong) = wrong {
                return Err(wrong);
            }
        }
        Ok(())
    }

    /// That every share is of something drawn before it, in all branches of a choice, whichever the trials meet.
    fn rests(&self) -> Result<(), String> {
        let mut known = Known::default();
        for (key, quantity) in &self.quantities {
            if let Some(quantity) = quantity {
                quantity.rests_on(&known).map_err(|reason| format!("{key}: {reason}"))?;
                known.set(key, 1.0);
            }
        }
        for line in &self.lines {
            for (key, field) in &line.fields {
                if let Field::Number(quantity) = field {
                    quantity.rests_on(&known).map_err(|reason| format!("{} {key}: {reason}", line.kind))?;
                }
            }
        }
        Ok(())
    }

    /// Everything but the script, drawn in order.
    fn numbers(&self, random: &mut ChaCha8Rng) -> (Known, Vec<(&'static str, f64)>) {
        let mut known = Known::default();
        let mut drawn = Vec::new();
        for (key, quantity) in &self.quantities {
            if let Some(quantity) = quantity {
                let value = quantity.draw(&known, random);
                known.set(key, value);
                drawn.push((*key, value));
            }
        }
        (known, drawn)
    }

    /// A script for the pod that `random` draws, by random numbers of its own.
    pub(super) fn script(&self, random: &mut ChaCha8Rng, own: &mut ChaCha8Rng) -> Vec<String> {
        let (known, _) = self.numbers(random);
        self.lines.iter().filter_map(|line| line.draw(&known, own)).collect()
    }

    pub(super) fn draw(&self, index: u64, seed: u64, random: &mut ChaCha8Rng) -> PodPlan {
        let (known, drawn) = self.numbers(random);
        let limit = |name: &str| drawn.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let whole = |name: &str| limit(name).unwrap_or(0.0).round() as u64;
        PodPlan {
            family: self.name.clone(),
            cause: self.cause.clone(),
            held_out: self.held_out,
            index,
            seed,
            memory_limit: limit("memory_limit").map(|_| whole("memory_limit") / PAGE * PAGE),
            memory_request: whole("memory_request") / PAGE * PAGE,
            cpu_limit: limit("cpu_limit").map(milli),
            cpu_request: milli(limit("cpu_request").unwrap_or(0.0)),
            pids_limit: whole("pids_limit") as u32,
            open_files: whole("open_files"),
            volume_bytes: whole("volume") / PAGE * PAGE,
            read_bps: whole("read_bps"),
            write_bps: whole("write_bps"),
            probe: ProbePlan {
                period_ms: whole("probe_period_ms"),
                timeout_ms: whole("probe_timeout_ms"),
                failures: whole("probe_failures") as u32,
                initial_delay_ms: whole("probe_initial_delay_ms"),
            },
            life_ms: whole("life_ms"),
            failures_allowed: whole("failures_allowed") as u32,
            linger_ms: whole("linger_ms"),
            end: planned(self.end.draw(random)).unwrap_or(PlannedEnd::ScaleDown),
            script: self.lines.iter().filter_map(|line| line.draw(&known, random)).collect(),
        }
    }
}

/// Cores to the thousandth, as they are written for the kubelet, and not 0.
fn milli(cores: f64) -> f64 {
    (cores * 1000.0).round().max(1.0) / 1000.0
}

fn planned(name: &str) -> Option<PlannedEnd> {
    ENDS.iter().find(|(known, _)| *known == name).map(|(_, end)| *end)
}

impl Line {
    fn read(value: &Value) -> Result<Self, String> {
        let table = value.as_table().ok_or("script: a list of tables is wanted")?;
        let mut table = Table::new(table.clone());
        let kind = table.text("kind").map_err(|reason| format!("script: {reason}"))?;
        let named = |reason: String| format!("{kind} {reason}");
        let chance = match table.take("chance") {
            None => 1.0,
            Some(value) => value
                .as_float()
                .filter(|chance| (0.0..=1.0).contains(chance))
                .ok_or_else(|| named(format!("chance: {value} is not a share")))?,
        };
        let mut fields = Vec::new();
        for (key, value) in table.rest() {
            let field = match Word::read(&value) {
                Some(word) => Field::Word(word),
                None => Field::Number(Quantity::read(&value).map_err(|reason| named(format!("{key}: {reason}")))?),
            };
            fields.push((key, field));
        }
        Ok(Self { kind, chance, fields })
    }

    fn draw(&self, known: &Known, random: &mut ChaCha8Rng) -> Option<String> {
        let there = random.random::<f64>() < self.chance;
        let mut line = self.kind.clone();
        for (key, field) in &self.fields {
            let value = match field {
                Field::Word(word) => word.draw(random).to_owned(),
                Field::Number(quantity) => written(key, quantity.draw(known, random)),
            };
            line.push_str(&format!(" {key}={value}"));
        }
        there.then_some(line)
    }
}

/// A number as it stands in a script: whole where it must be or where nobody would miss the rest, else four digits.
fn written(key: &str, value: f64) -> String {
    if key.ends_with("_ms") || WHOLE.contains(&key) || value >= 1000.0 {
        return format!("{:.0}", value.round());
    }
    let short = format!("{value:.3e}").parse::<f64>().unwrap_or(value);
    format!("{short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short_and_without_exponents() {
        for (key, value, wanted) in [
            ("onset_ms", 1234.6, "1235"),
            ("rate", 0.000_012_345_6, "0.00001235"),
            ("rate", 123_456.7, "123457"),
            ("fresh", 1.0, "1"),
            ("base", 0.0, "0"),
        ] {
            assert_eq!(written(key, value), wanted);
        }
    }

    #[test]
    fn cpu_is_given_in_thousandths_and_never_none() {
        assert!((milli(0.051_49) - 0.051).abs() < 1e-12 && (milli(0.0) - 0.001).abs() < 1e-12);
    }
}
