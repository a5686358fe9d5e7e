//! `forewarn lab study`: what a run of the lab can teach, and what it cannot.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use datasets::Dataset;
use features::{LabeledBatch, Split};
use lab::truth::{self, Life};
use model::{DeviceChoice, LoadedBundle, ModelKind, Predictor};
use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::StdRng};
use serde::Serialize;
use survival::scores::calibration::{failure_probabilities, incidences};
use survival::{Cause, Interval, SurvivalCurve};
use train::budget::{Alarms, Foretold, Peers, WatchedRows, alarms, auc_by_cause, threshold};
use train::evaluate::{EvaluateConfig, Evaluation};
use train::pipeline::{evaluate_bundles, train_bundles};
use train::{TrainConfig, report};

use crate::bar::{Bar, Style};
use crate::exit::{Coded, usage};
use crate::{config_file, evaluate};

/// What to study.
pub(crate) struct Study {
    pub(crate) dir: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) config: Option<PathBuf>,
    pub(crate) device: DeviceChoice,
    pub(crate) budget: f64,
    pub(crate) json: bool,
}

/// The rule many clusters live by.
const RULE: &str = "memory above 90 % of its limit";
const RULE_COLUMN: &str = "mem.saturation.15s";
const RULE_LEVEL: f64 = 0.9;
/// Rows of the lab's data set lie this far apart, milliseconds.
const EVERY: i64 = 10_000;
/// A death further away from a row's own is another one, milliseconds.
const SAME: i64 = 12_000;
/// Resamples of an area under a curve.
const REPLICATES: usize = 300;
/// Seed of the shuffled labels.
const SHUFFLE: u64 = 1;

/// What one score did.
#[derive(Serialize)]
struct Outcome {
    /// On the whole test part, and on the families that training has seen and has not.
    all: Alarms,
    seen: Option<Alarms>,
    unseen: Option<Alarms>,
    /// By true cause: area under the ROC curve at the horizon of a minute.
    areas: BTreeMap<String, Option<Interval>>,
    /// The same against those that were made to die of the same.
    areas_alike: BTreeMap<String, Option<Interval>>,
}

/// How well a model names the cause of failures within the last horizon.
#[derive(Serialize)]
struct Naming {
    rows: usize,
    right: f64,
    macro_f1: f64,
    /// Share of the most frequent cause among these rows.
    most_frequent: f64,
}

#[derive(Serialize)]
struct Printed {
    dataset: PathBuf,
    budget_per_hour: f64,
    alarm_horizon_seconds: f64,
    area_horizon_seconds: f64,
    hours: f64,
    outcomes: BTreeMap<String, Outcome>,
    naming: BTreeMap<String, Naming>,
    evaluation: Evaluation,
    shuffled: Evaluation,
}

pub(crate) fn run(study: &Study) -> anyhow::Result<()> {
    config_file::fresh(&study.out)?;
    let text = config_file::text(study.config.as_deref())?;
    let file = study.config.as_ref().map_or("settings".to_owned(), |path| path.display().to_string());
    let mut config = TrainConfig::parse(&text, &file)?;
    config.device = study.device;
    let bar = Bar::new(if study.json { Style::Script } else { Style::Person });
    let folder = study.dir.join("dataset");
    let dataset = Dataset::open(&folder)?;
    let lives = truth::read(&study.dir)?;
    let rows = dataset.rows()?;
    let horizons = dataset.readout().horizons.clone();
    let Some(&short) = horizons.get(1).or(horizons.first()) else {
        return Err(usage(format!("{} asks for no horizon", folder.display())));
    };
    // The longest at which the fate of most rows is known: beyond it an alarm can hardly be called false.
    let known = |horizon: f64| {
        let rows = rows.part(Split::Validation).observations;
        let known = rows.iter().filter(|row| row.duration() > horizon || row.cause().is_some()).count();
        2 * known > rows.len()
    };
    let long = horizons.iter().copied().filter(|&horizon| known(horizon)).fold(short, f64::max);

    let fit =
        |rows: &LabeledBatch, kinds: &[ModelKind], name: &str| -> anyhow::Result<(Vec<LoadedBundle>, Evaluation)> {
            let place = |kind: ModelKind| study.out.join(name).join(kind.name());
            let trained = train_bundles(&dataset, rows, kinds, &config, &place, &bar).context("training")?;
            let mut bundles = Vec::new();
            for result in &trained {
                bundles.push((LoadedBundle::load(&result.dir, study.device)?, Some(result.seconds)));
            }
            let evaluation = evaluate_bundles(&dataset, rows, &bundles, EvaluateConfig::default(), &bar)?;
            Ok((bundles.into_iter().map(|(bundle, _)| bundle).collect(), evaluation))
        };
    let (bundles, evaluation) = fit(&rows, &ModelKind::FIRST, "bundles")?;
    let cards: Vec<(String, String)> =
        bundles.iter().map(|bundle| (bundle.info().name.clone(), bundle.info().card.clone())).collect();
    evaluate::write(&study.out, &evaluation, &dataset.manifest().title, &cards)?;
    let (_, shuffled) = fit(&shuffle(&rows), &[ModelKind::HazardNet, ModelKind::Cox], "shuffled")?;

    let ticks_per_unit = dataset.spec().time.ticks_per_unit as f64;
    let told = Told::of(&rows, &lives, ticks_per_unit);
    let validation = rows.rows_of(Split::Validation);
    let test = rows.rows_of(Split::Test);
    let column = dataset.spec().flat.iter().position(|column| column.name == RULE_COLUMN).ok_or_else(|| {
        Coded(65, format!("{}: has no column {RULE_COLUMN}; it was built by another spec", folder.display()))
    })?;
    let seconds = dataset.grid().unit().seconds().unwrap_or(1.0);
    let part = |chosen: &[usize]| Part::of(&rows, &told, chosen, ticks_per_unit, seconds);
    let judge = |score: &[f64], near: &[f64], level: f64| -> anyhow::Result<Outcome> {
        let on = |chosen: &[usize]| -> anyhow::Result<Alarms> {
            let part = part(chosen);
            let score: Vec<f64> = chosen.iter().map(|&row| score[row]).collect();
            Ok(alarms(&part.rows(), &score, level, long)?)
        };
        let of = |held_out: bool| -> Vec<usize> {
            test.iter().copied().filter(|&row| told.held_out[row] == held_out).collect()
        };
        let some = |chosen: Vec<usize>| if chosen.is_empty() { Ok(None) } else { on(&chosen).map(Some) };
        let whole = part(&test);
        let near: Vec<f64> = test.iter().map(|&row| near[row]).collect();
        Ok(Outcome {
            all: on(&test)?,
            seen: some(of(false))?,
            unseen: some(of(true))?,
            areas: auc_by_cause(&whole.rows(), &near, short, Peers::All, REPLICATES),
            areas_alike: auc_by_cause(&whole.rows(), &near, short, Peers::Alike, REPLICATES),
        })
    };

    let mut outcomes = BTreeMap::new();
    let mut naming = BTreeMap::new();
    for bundle in &bundles {
        let curves = bundle.predict(&rows.features)?;
        let score = failure_probabilities(&curves, long)?;
        let near = failure_probabilities(&curves, short)?;
        let chosen: Vec<f64> = validation.iter().map(|&row| score[row]).collect();
        let level = threshold(&part(&validation).rows(), &chosen, long, study.budget);
        outcomes.insert(bundle.info().name.clone(), judge(&score, &near, level)?);
        naming.insert(bundle.info().name.clone(), name_causes(&rows, &test, &curves, dataset.causes(), long)?);
    }
    let rule: Vec<f64> = (0..rows.rows()).map(|row| f64::from(rows.features.flat_row(row)[column])).collect();
    outcomes.insert(RULE.to_owned(), judge(&rule, &rule, RULE_LEVEL)?);

    let printed = Printed {
        dataset: folder,
        budget_per_hour: study.budget,
        alarm_horizon_seconds: long * seconds,
        area_horizon_seconds: short * seconds,
        hours: outcomes.values().next().map_or(0.0, |outcome| outcome.all.hours),
        outcomes,
        naming,
        evaluation,
        shuffled,
    };
    config_file::write(&study.out.join("study.json"), &serde_json::to_vec_pretty(&printed)?)?;
    let page = page(&printed);
    config_file::write(&study.out.join("study.md"), page.as_bytes())?;
    if study.json {
        println!("{}", serde_json::to_string_pretty(&printed)?);
    } else {
        println!("{}", report::table(&printed.evaluation));
        println!("{page}");
        println!("tables: {}", study.out.join("study.md").display());
    }
    Ok(())
}

/// The same rows with the outcomes of each part shuffled among them: nothing can be learned.
fn shuffle(rows: &LabeledBatch) -> LabeledBatch {
    let mut shuffled = rows.clone();
    let mut random = StdRng::seed_from_u64(SHUFFLE);
    for part in Split::ALL {
        let places = rows.rows_of(part);
        let mut order = places.clone();
        order.shuffle(&mut random);
        for (&to, &from) in places.iter().zip(&order) {
            shuffled.observations[to] = rows.observations[from];
            shuffled.known_alive[to] = rows.known_alive[from];
        }
    }
    shuffled
}

/// What the truth says of each row.
struct Told {
    causes: Vec<Option<String>>,
    written: Vec<Option<String>>,
    held_out: Vec<bool>,
}

impl Told {
    fn of(rows: &LabeledBatch, lives: &[Life], ticks_per_unit: f64) -> Self {
        let mut by_key: HashMap<&str, Vec<&Life>> = HashMap::new();
        for life in lives {
            by_key.entry(&life.key).or_default().push(life);
        }
        let mut told = Self { causes: Vec::new(), written: Vec::new(), held_out: Vec::new() };
        let places = rows.features.entities().iter().zip(rows.features.as_of()).zip(&rows.observations);
        for ((entity, &at), observation) in places {
            let own = by_key.get(entity.key()).map_or(&[][..], Vec::as_slice);
            // By its end: between a death and the start of the next run a row is of the next.
            #[expect(clippy::cast_possible_truncation, reason = "ticks of a life of minutes")]
            let end = at + (observation.duration() * ticks_per_unit) as i64;
            let nearest = own
                .iter()
                .filter_map(|life| Some(((life.ended_ms? - end).abs(), life.cause.as_ref()?)))
                .filter(|(far, _)| *far <= SAME)
                .min();
            told.causes.push(observation.cause().and_then(|_| nearest.map(|(_, cause)| cause.clone())));
            // What holds for a pod, whichever of its runs it is.
            told.written.push(own.first().and_then(|life| life.written.clone()));
            told.held_out.push(own.first().is_some_and(|life| life.held_out));
        }
        told
    }
}

/// Some rows, owned.
struct Part {
    lives: Vec<String>,
    groups: Vec<String>,
    as_of: Vec<i64>,
    observations: Vec<survival::Observation>,
    causes: Vec<Option<String>>,
    written: Vec<Option<String>>,
    ticks_per_hour: f64,
}

impl Part {
    fn of(rows: &LabeledBatch, told: &Told, chosen: &[usize], ticks_per_unit: f64, seconds: f64) -> Self {
        let entities = rows.features.entities();
        Self {
            lives: chosen
                .iter()
                .map(|&row| format!("{}#{}", entities[row].key(), entities[row].incarnation()))
                .collect(),
            groups: chosen.iter().map(|&row| rows.groups[row].clone()).collect(),
            as_of: chosen.iter().map(|&row| rows.features.as_of()[row]).collect(),
            observations: chosen.iter().map(|&row| rows.observations[row]).collect(),
            causes: chosen.iter().map(|&row| told.causes[row].clone()).collect(),
            written: chosen.iter().map(|&row| told.written[row].clone()).collect(),
            ticks_per_hour: 3_600.0 / seconds * ticks_per_unit,
        }
    }

    fn rows(&self) -> WatchedRows<'_> {
        WatchedRows {
            lives: &self.lives,
            groups: &self.groups,
            as_of: &self.as_of,
            observations: &self.observations,
            causes: &self.causes,
            written: &self.written,
            ticks_per_hour: self.ticks_per_hour,
            every: EVERY,
        }
    }
}

/// Of the rows that fail within the horizon: is the likeliest cause the one?
fn name_causes(
    rows: &LabeledBatch,
    test: &[usize],
    curves: &[SurvivalCurve],
    causes: &[String],
    horizon: f64,
) -> anyhow::Result<Naming> {
    let dying: Vec<(usize, usize)> = test
        .iter()
        .filter(|&&row| rows.observations[row].duration() <= horizon)
        .filter_map(|&row| Some((row, usize::from(rows.observations[row].cause()?.0))))
        .collect();
    let chosen: Vec<SurvivalCurve> = dying.iter().map(|&(row, _)| curves[row].clone()).collect();
    let mut by_cause = Vec::new();
    for cause in 0..causes.len() {
        by_cause.push(incidences(&chosen, Cause(u16::try_from(cause)?), horizon)?);
    }
    let mut table = vec![vec![0_usize; causes.len()]; causes.len()];
    for (place, &(_, cause)) in dying.iter().enumerate() {
        let likeliest = (0..causes.len()).max_by(|&a, &b| by_cause[a][place].total_cmp(&by_cause[b][place]));
        table[cause][likeliest.unwrap_or(0)] += 1;
    }
    let total = dying.len().max(1) as f64;
    let seen: Vec<usize> = (0..causes.len()).filter(|&cause| table[cause].iter().sum::<usize>() > 0).collect();
    let f1 = |cause: usize| {
        let said: usize = table.iter().map(|row| row[cause]).sum();
        let was: usize = table[cause].iter().sum();
        2.0 * table[cause][cause] as f64 / (said + was) as f64
    };
    Ok(Naming {
        rows: dying.len(),
        right: (0..causes.len()).map(|cause| table[cause][cause]).sum::<usize>() as f64 / total,
        macro_f1: seen.iter().map(|&cause| f1(cause)).sum::<f64>() / seen.len().max(1) as f64,
        most_frequent: seen.iter().map(|&cause| table[cause].iter().sum::<usize>()).max().unwrap_or(0) as f64 / total,
    })
}

fn interval(value: Option<&Interval>) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{:.2} [{:.2}, {:.2}]", v.estimate, v.low, v.high))
}

/// The tables that the evaluation's own report does not have.
fn page(printed: &Printed) -> String {
    let mut text = String::new();
    let budget = printed.budget_per_hour;
    let names: Vec<&String> = printed.outcomes.keys().collect();
    let _ = writeln!(
        text,
        "## Alarms, at {budget} false alarms per container-hour on validation data\n\nAn alarm is right when the container dies within {:.0} s. {:.1} container-hours of test whose fate by then is known.\n",
        printed.alarm_horizon_seconds, printed.hours
    );
    let _ = writeln!(
        text,
        "| score | level | false alarms per hour | deaths caught | of families seen in training | of families not seen | lead time, s: quartiles |\n|---|---|---|---|---|---|---|"
    );
    for (name, outcome) in &printed.outcomes {
        let all = Foretold {
            lead: {
                let mut lead: Vec<f64> = outcome.all.deaths.values().flat_map(|f| f.lead.iter().copied()).collect();
                lead.sort_unstable_by(f64::total_cmp);
                lead
            },
            ..Foretold::default()
        };
        let share = |alarms: Option<&Alarms>| interval(alarms.and_then(|alarms| alarms.caught.as_ref()));
        let lead = all.quartiles().map_or("–".to_owned(), |q| q.map(|v| format!("{v:.0}")).join(", "));
        let _ = writeln!(
            text,
            "| {name} | {:.3} | {:.2} | {} | {} | {} | {lead} |",
            outcome.all.threshold,
            outcome.all.false_per_hour(),
            share(Some(&outcome.all)),
            share(outcome.seen.as_ref()),
            share(outcome.unseen.as_ref()),
        );
    }
    let mut causes: Vec<&String> = printed.outcomes.values().flat_map(|outcome| outcome.all.deaths.keys()).collect();
    causes.sort_unstable();
    causes.dedup();
    let _ = writeln!(text, "\n## By true cause: deaths caught, and median lead time in seconds\n");
    let head: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let _ = writeln!(text, "| true cause | deaths | {} |\n|---|---|{}", head.join(" | "), "---|".repeat(names.len()));
    for cause in &causes {
        let cells: Vec<String> = names
            .iter()
            .map(|name| {
                let Some(foretold) = printed.outcomes[*name].all.deaths.get(*cause) else { return "–".to_owned() };
                match foretold.quartiles() {
                    Some([_, median, _]) => format!("{} ({median:.0})", foretold.caught),
                    None => "0".to_owned(),
                }
            })
            .collect();
        let deaths =
            names.iter().find_map(|name| printed.outcomes[*name].all.deaths.get(*cause)).map_or(0, |f| f.deaths);
        let _ = writeln!(text, "| {cause} | {deaths} | {} |", cells.join(" | "));
    }
    for (peers, explained) in [
        (Peers::All, "Rows before a death of the cause against all rows that live through; 0.5 knows nothing."),
        (
            Peers::Alike,
            "The same against rows of containers made to die of the same cause that live through: knowing the kind is worth nothing here, only the moment counts. A poison request gives no sign, so no score should know its moment.",
        ),
    ] {
        let among = if peers == Peers::All { "" } else { ", among their own kind" };
        let _ = writeln!(
            text,
            "\n## By true cause: area under the ROC curve within {:.0} s{among}\n\n{explained}\n",
            printed.area_horizon_seconds
        );
        let _ = writeln!(text, "| true cause | {} |\n|---|{}", head.join(" | "), "---|".repeat(names.len()));
        for cause in &causes {
            let cells: Vec<String> = names
                .iter()
                .map(|name| {
                    let outcome = &printed.outcomes[*name];
                    let areas = if peers == Peers::All { &outcome.areas } else { &outcome.areas_alike };
                    interval(areas.get(*cause).and_then(Option::as_ref))
                })
                .collect();
            let _ = writeln!(text, "| {cause} | {} |", cells.join(" | "));
        }
    }
    let _ = writeln!(text, "\n## Naming the cause, of rows that fail within {:.0} s\n", printed.alarm_horizon_seconds);
    let _ = writeln!(text, "| model | rows | right | macro-F1 | most frequent cause |\n|---|---|---|---|---|");
    for (name, naming) in &printed.naming {
        let Naming { rows, right, macro_f1, most_frequent } = naming;
        let _ = writeln!(text, "| {name} | {rows} | {right:.3} | {macro_f1:.3} | {most_frequent:.3} |");
    }
    let _ = writeln!(text, "\n## Scores\n");
    for (what, evaluation) in [("as measured", &printed.evaluation), ("labels shuffled", &printed.shuffled)] {
        let _ = writeln!(text, "### {what}\n\n| model | IBS | C | average precision per horizon |\n|---|---|---|---|");
        for model in &evaluation.models {
            let i = |v: &Interval| format!("{:.4} [{:.4}, {:.4}]", v.estimate, v.low, v.high);
            let precision: Vec<String> = model.average_precision.iter().map(|value| interval(value.as_ref())).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                model.name,
                i(&model.integrated_brier),
                i(&model.concordance),
                precision.join(", ")
            );
        }
        text.push('\n');
    }
    text
}
