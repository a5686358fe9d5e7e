//! Time of the estimators and scores at the sizes that matter, one thread, plain clock.
//!
//! `cargo bench -p survival`. `FOREWARN_PYTHON` names an interpreter that can import lifelines and scikit-survival;
//! where there is none, our own times are printed alone.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use flate2::read::GzDecoder;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use survival::scores::brier::{CensoringWeights, integrated_brier_score};
use survival::scores::concordance::harrell;
use survival::{
    AftOptions, Cause, CensorReason, CoxModel, CoxOptions, DiscreteHazard, HazardOptions, KaplanMeier, Observation,
    Outcome, SurvivalCurve, Ties, TimeGrid, TimeUnit, WeibullAft,
};

struct Table {
    x: Array2<f64>,
    observations: Vec<Observation>,
}

fn main() {
    // `cargo test --benches` calls this too; timings belong to `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (support, origin) = support_or_generated();
    println!("{:<58} {:>12}", "what", "median");
    cox_beside_python(&support, origin);

    let fleet = generated(200_000, 40, 2);
    let (seconds, model) = median(3, || fit(&fleet, Ties::Efron));
    row(&format!("cox 200,000 x 40, {} steps", model.iterations()), seconds);
    let (seconds, _) =
        median(3, || WeibullAft::fit(fleet.x.view(), &fleet.observations, &AftOptions::default()).unwrap());
    row("weibull aft 200,000 x 40", seconds);
    let grid = edges(&fleet.observations, 32);
    let (seconds, hazard) = median(1, || {
        DiscreteHazard::fit(fleet.x.view(), &fleet.observations, &grid, 1, &HazardOptions::default()).unwrap()
    });
    row(&format!("discrete hazard 200,000 x 40 x 32, {} iterations", hazard.iterations()), seconds);

    let (seconds, curves) = median(3, || model.survival_on_grid(fleet.x.view(), &grid).unwrap());
    row(&format!("cox curves, 32 intervals: {:.2} M rows/s", 0.2 / seconds), seconds);
    drop(curves);
    row_scores();
}

fn row(what: &str, seconds: f64) {
    println!("{what:<58} {:>9.2} ms", seconds * 1e3);
}

fn median<T>(repeats: usize, mut run: impl FnMut() -> T) -> (f64, T) {
    let mut seconds = Vec::new();
    let mut last = None;
    for _ in 0..repeats {
        let start = Instant::now();
        let value = run();
        seconds.push(start.elapsed().as_secs_f64());
        last = Some(value);
    }
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2], last.unwrap())
}

fn fit(table: &Table, ties: Ties) -> CoxModel {
    CoxModel::fit(table.x.view(), &table.observations, &CoxOptions { ties, ..CoxOptions::default() }).unwrap()
}

/// The published DeepSurv SUPPORT rows (8,873 × 14) where the shared tables are present, rows of that shape otherwise.
fn support_or_generated() -> (Table, &'static str) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/survival_tables"));
    let mut values = Vec::new();
    let mut observations = Vec::new();
    for part in ["train", "test"] {
        let Ok(file) = std::fs::File::open(folder.join(format!("deepsurv_support_{part}.csv.gz"))) else {
            return (generated(8_873, 14, 1), "generated");
        };
        for record in csv::Reader::from_reader(GzDecoder::new(file)).records() {
            let record: Vec<f64> = record.unwrap().iter().map(|v| v.parse().unwrap()).collect();
            let outcome = if record[15] > 0.5 { Outcome::Failed(Cause(0)) } else { censored() };
            observations.push(Observation::try_new(record[14], outcome).unwrap());
            values.extend_from_slice(&record[..14]);
        }
    }
    (Table { x: Array2::from_shape_vec((observations.len(), 14), values).unwrap(), observations }, "SUPPORT")
}

fn censored() -> Outcome {
    Outcome::Censored(CensorReason::EndOfObservation)
}

fn generated(rows: usize, columns: usize, seed: u64) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Array2::from_shape_fn((rows, columns), |_| rng.random::<f64>() * 2.0 - 1.0);
    let observations = x
        .rows()
        .into_iter()
        .map(|row| {
            let eta: f64 = row.iter().enumerate().map(|(j, v)| v * if j % 2 == 0 { 0.3 } else { -0.2 }).sum();
            let life = 100.0 * (-(1.0 - rng.random::<f64>()).ln() / eta.exp()).powf(0.8) + 0.01;
            let watch = rng.random::<f64>() * 200.0 + 1.0;
            let outcome = if life <= watch { Outcome::Failed(Cause(0)) } else { censored() };
            Observation::try_new(life.min(watch), outcome).unwrap()
        })
        .collect();
    Table { x, observations }
}

fn edges(observations: &[Observation], intervals: usize) -> Arc<TimeGrid> {
    let mut durations: Vec<f64> = observations.iter().map(Observation::duration).collect();
    durations.sort_by(f64::total_cmp);
    let mut edges = vec![0.0];
    edges.extend((1..=intervals).map(|j| durations[(durations.len() - 1) * j / (intervals + 2)]));
    Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges).unwrap())
}

/// Ours, then lifelines and scikit-survival on the same rows; equal coefficients first, times second.
fn cox_beside_python(table: &Table, origin: &str) {
    let shape = format!("{} x {} ({origin})", table.x.nrows(), table.x.ncols());
    let (efron_seconds, efron) = median(20, || fit(table, Ties::Efron));
    row(&format!("cox efron {shape}"), efron_seconds);
    let (breslow_seconds, breslow) = median(20, || fit(table, Ties::Breslow));
    row(&format!("cox breslow {shape}"), breslow_seconds);

    let mut text = String::from("duration,event");
    for column in 0..table.x.ncols() {
        let _ = write!(text, ",x{column}");
    }
    for (observation, values) in table.observations.iter().zip(table.x.rows()) {
        let _ = write!(text, "\n{},{}", observation.duration(), u8::from(observation.failed()));
        for value in values {
            let _ = write!(text, ",{value}");
        }
    }
    let path = std::env::temp_dir().join(format!("forewarn-cox-{}.csv", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let python = std::env::var("FOREWARN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/lifelines_cox.py");
    let output = Command::new(&python)
        .arg(script)
        .arg(&path)
        .arg("20")
        .env("OMP_NUM_THREADS", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .output();
    let _ = std::fs::remove_file(&path);
    let answer: Option<serde_json::Value> =
        output.ok().filter(|o| o.status.success()).and_then(|o| serde_json::from_slice(&o.stdout).ok());
    let Some(answer) = answer else {
        println!("  ({python} cannot import lifelines and scikit-survival: no comparison)");
        return;
    };
    for (name, ours, model) in [("lifelines", efron_seconds, &efron), ("scikit-survival", breslow_seconds, &breslow)] {
        let theirs = &answer[name];
        for (a, b) in model.coefficients().iter().zip(theirs["coefficients"].as_array().unwrap()) {
            let b = b.as_f64().unwrap();
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{name}: coefficient {a} against {b}");
        }
        let seconds = theirs["seconds"].as_f64().unwrap();
        row(
            &format!("  {name} {}: {:.0} times ours", theirs["version"].as_str().unwrap_or("?"), seconds / ours),
            seconds,
        );
    }
}

fn row_scores() {
    let many = generated(1_000_000, 1, 3);
    let risk = many.x.column(0).to_vec();
    let (seconds, _) = median(3, || harrell(&many.observations, &risk).unwrap());
    row("concordance 1,000,000 rows", seconds);
    let (seconds, _) = median(3, || KaplanMeier::fit(&many.observations).unwrap());
    row("kaplan-meier 1,000,000 rows", seconds);
    drop(many);

    let table = generated(100_000, 4, 4);
    let model = fit(&table, Ties::Efron);
    let grid = edges(&table.observations, 32);
    let curves: Vec<SurvivalCurve> = model.survival_on_grid(table.x.view(), &grid).unwrap();
    let censoring = CensoringWeights::fit(&table.observations).unwrap();
    let times = censoring.allowed_times(&grid.edges()[1..]);
    let (seconds, _) = median(5, || integrated_brier_score(&table.observations, &curves, &times, &censoring).unwrap());
    row(&format!("integrated brier 100,000 rows x {} times", times.len()), seconds);
}
