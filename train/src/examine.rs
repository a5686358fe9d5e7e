//! One bundle looked into: how good, how calibrated, how early, at what cost, for whom, and why.
//!
//! [`examine`] judges the bundle on one part of a data set against the life table of the training part (the floor that needs
//! no covariates) and any other bundles, by the lines of [`mod@crate::evaluate`], and gathers the numbers behind every figure of
//! [`crate::report::render_bundle`]; [`tables::write`] puts the same numbers into Parquet files.

mod data;
mod detection;
mod reliability;
mod remaining_life;
mod slices;
pub mod tables;

use std::path::Path;

use burn::module::Module;
use datasets::{Dataset, Progress};
use features::{LabeledBatch, Split};
use model::{AlarmLevels, BundleInfo, LoadedBundle, ModelKind, Predictor};
use serde::{Deserialize, Serialize};
use survival::scores::brier::integrated_brier_contributions;
use survival::{AalenJohansen, CensoringWeights, Observation, SurvivalCurve};

use crate::attribution::{self, Explanation, GlobalAttribution};
use crate::drift::{FeatureDrift, drift};
use crate::error::{Result, TrainError, io};
use crate::evaluate::{EvaluateConfig, Evaluation, Predicted, evaluate};
use crate::importance::{GroupImportance, Judge, permutation_importance};
use crate::pipeline::{distinct_name, judged};

pub use data::{DataStudy, PartSpan};
pub use detection::{AlarmPoint, BudgetPoint, CostCurve, Detection};
pub use reliability::{AtRisk, CalibrationState, CalibrationStudy, CauseIncidence};
pub use remaining_life::{LifeBin, LifeRow, RemainingLife};
pub use slices::{CauseScore, Slice, worst};

/// Name of the life table of the training part among the models judged.
pub const FLOOR: &str = "Kaplan–Meier of training";

/// Settings of a report on one bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExamineConfig {
    /// Replicates and seed of the intervals.
    pub bootstrap: EvaluateConfig,
    /// Rows whose predictions are shared out over the inputs.
    pub attributed_rows: usize,
    /// Rows among which the columns of a metric are shuffled.
    pub permuted_rows: usize,
    /// Times they are.
    pub permutation_repeats: usize,
    /// Costs of a preventive action, in those of a failure.
    pub cost_ratios: Vec<f64>,
    /// Shares of rows that may be alarmed.
    pub alarm_budgets: Vec<f64>,
    /// Slices of fewer rows are not judged.
    pub smallest_slice: usize,
}

impl Default for ExamineConfig {
    fn default() -> Self {
        Self {
            bootstrap: EvaluateConfig::default(),
            attributed_rows: 64,
            permuted_rows: 4000,
            permutation_repeats: 2,
            cost_ratios: vec![0.05, 0.1, 0.2, 0.5],
            alarm_budgets: vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2],
            smallest_slice: 50,
        }
    }
}

impl ExamineConfig {
    /// Checks the whole.
    ///
    /// # Errors
    /// A message naming the key and what it must be.
    pub fn validate(&self, file: &str) -> Result<()> {
        let refuse = |reason: String| Err(TrainError::Config { file: file.to_owned(), reason });
        let counts = [
            ("attributed_rows", self.attributed_rows),
            ("permuted_rows", self.permuted_rows),
            ("permutation_repeats", self.permutation_repeats),
            ("bootstrap.replicates", self.bootstrap.replicates),
            ("bootstrap.rank_replicates", self.bootstrap.rank_replicates),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, n)| *n == 0) {
            return refuse(format!("{key} is 0, must be above"));
        }
        for (key, shares) in [("cost_ratios", &self.cost_ratios), ("alarm_budgets", &self.alarm_budgets)] {
            let inside = |share: &f64| *share > 0.0 && *share < 1.0;
            if shares.is_empty() || !shares.iter().all(inside) || !shares.is_sorted() {
                return refuse(format!("{key} is {shares:?}, needs increasing values between 0 and 1"));
            }
        }
        Ok(())
    }
}

/// What is looked into, and beside what.
pub struct Request<'a> {
    /// The data set.
    pub dataset: &'a Dataset,
    /// Its rows.
    pub rows: &'a LabeledBatch,
    /// The part the bundle is judged on.
    pub part: Split,
    /// The bundle.
    pub bundle: &'a LoadedBundle,
    /// Its folder, for its settings and size.
    pub dir: &'a Path,
    /// Other bundles judged on the same rows.
    pub against: &'a [LoadedBundle],
    /// A later data set of the same spec, and its rows, for the drift profile.
    pub later: Option<(&'a Dataset, &'a LabeledBatch)>,
}

/// What is known of a bundle besides its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BundleFacts {
    /// Name.
    pub name: String,
    /// First digits of its digest.
    pub version: String,
    /// SHA-256 of its manifest.
    pub digest: String,
    /// Family.
    pub kind: ModelKind,
    /// Build that wrote it.
    pub built_with: String,
    /// Hash of its feature spec.
    pub spec_hash: String,
    /// Input columns after scaling, summaries of the window included.
    pub columns: usize,
    /// Steps and channels of the window.
    pub window: (usize, usize),
    /// Weights, of a network.
    pub parameters: Option<usize>,
    /// Files and their sizes in bytes.
    pub files: Vec<(String, u64)>,
    /// Where it ran for this report.
    pub device: String,
    /// Why there.
    pub device_why: String,
    /// The card, Markdown.
    pub card: String,
    /// Settings of the run that made it, TOML.
    pub training: String,
}

/// Everything the report shows.
#[derive(Debug, Clone, Serialize)]
pub struct Examination {
    /// The bundle.
    pub bundle: BundleFacts,
    /// Scores of the bundle (first), the floor (second) and the others.
    pub evaluation: Evaluation,
    /// The data set.
    pub data: DataStudy,
    /// Reliability before and after calibration.
    pub calibration: CalibrationStudy,
    /// Incidence per cause, predicted and observed.
    pub incidence: Vec<CauseIncidence>,
    /// Rows still followed, under the survival curves.
    pub at_risk: AtRisk,
    /// Alarms, lead times and costs; `None` where nobody can be told to have failed within the horizon.
    pub detection: Option<Detection>,
    /// Remaining life of the rows whose failure was seen; `None` where none was.
    pub life: Option<RemainingLife>,
    /// Scores of parts of the rows.
    pub slices: Vec<Slice>,
    /// Scores per cause.
    pub causes: Vec<CauseScore>,
    /// What predictions rest on.
    pub attribution: GlobalAttribution,
    /// The riskiest row, explained.
    pub example: Explanation,
    /// What the score loses without each metric.
    pub importance: Vec<GroupImportance>,
    /// Inputs of the part against those of training.
    pub drift: Vec<FeatureDrift>,
    /// Name of a later data set, and its inputs against those of training.
    pub drift_later: Option<(String, Vec<FeatureDrift>)>,
    /// Settings.
    pub config: ExamineConfig,
}

/// Looks into one bundle.
///
/// # Errors
/// When a bundle is of another spec, grid or causes than the data set, the part or the training part has no rows, or the
/// rows do not suffice for the scores.
pub fn examine(request: &Request<'_>, config: &ExamineConfig, progress: &dyn Progress) -> Result<Examination> {
    let &Request { dataset, rows, part, bundle, dir, against, later } = request;
    let name = &dataset.manifest().name;
    for info in std::iter::once(bundle).chain(against).map(LoadedBundle::info) {
        fits(info, dataset)?;
    }
    if let Some((later, _)) = later
        && later.manifest().spec_hash != bundle.info().spec_hash
    {
        return Err(another_spec(bundle.info(), later));
    }
    let chosen = rows.rows_of(part);
    let train = rows.part(Split::Train);
    for (what, n) in [(part, chosen.len()), (Split::Train, train.rows())] {
        if n == 0 {
            let reason = format!("the {} part of {name} has no rows", what.name());
            return Err(TrainError::Study { what: "report".to_owned(), reason });
        }
    }
    let judged_rows = rows.select(&chosen);

    progress.begin("looking into the bundle", Some(7));
    let predicted = predictions(request, &train.observations, &judged_rows)?;
    let truth = dataset.truth()?;
    let truth = truth.map(|curves| chosen.iter().map(|&row| curves[row].clone()).collect::<Vec<_>>());
    let judged = judged(dataset, &judged_rows, &train.observations, truth.as_deref());
    let mut evaluation = evaluate(&judged, &predicted, config.bootstrap)?;
    part.name().clone_into(&mut evaluation.part);
    progress.advance(1);

    let censoring = CensoringWeights::fit(&train.observations)?;
    let (own, floor) = (&predicted[0].curves, &predicted[1].curves);
    let context = Context { request, rows: &judged_rows, censoring: &censoring, evaluation: &evaluation, config };
    let calibration = context.calibration(own)?;
    let incidence = context.incidence(own)?;
    let at_risk = context.at_risk(own)?;
    progress.advance(1);
    let detection = context.detection(own);
    let life = context.remaining_life(own)?;
    progress.advance(1);
    let slices = context.slices(own, floor)?;
    let causes = context.causes(own, floor)?;
    progress.advance(1);

    let horizon = bundle.info().alarms.horizon;
    let attributed = spread(judged_rows.rows(), config.attributed_rows);
    let attribution = attribution::overall(bundle, &judged_rows.features, &attributed, horizon, config.bootstrap.seed)?;
    let example = attribution::explain(bundle, &judged_rows.features, riskiest(own, horizon)?, horizon)?;
    progress.advance(1);
    let permuted = judged_rows.select(&spread(judged_rows.rows(), config.permuted_rows));
    let judge = Judge {
        rows: &permuted,
        censoring: &censoring,
        times: &evaluation.brier_times,
        replicates: config.bootstrap.replicates,
        repeats: config.permutation_repeats,
        seed: config.bootstrap.seed,
    };
    let importance = permutation_importance(bundle, &judge)?;
    progress.advance(1);
    let spec = dataset.spec();
    let examination = Examination {
        bundle: facts(bundle, dir)?,
        data: data::study(dataset, rows, &censoring)?,
        calibration,
        incidence,
        at_risk,
        detection,
        life,
        slices,
        causes,
        attribution,
        example,
        importance,
        drift: drift(spec, &train, &judged_rows)?,
        drift_later: later
            .map(|(set, rows)| Ok::<_, TrainError>((set.manifest().name.clone(), drift(spec, &train, rows)?)))
            .transpose()?,
        config: config.clone(),
        evaluation,
    };
    progress.advance(1);
    progress.end();
    Ok(examination)
}

/// What the parts of an examination are told.
struct Context<'a> {
    request: &'a Request<'a>,
    rows: &'a LabeledBatch,
    censoring: &'a CensoringWeights,
    evaluation: &'a Evaluation,
    config: &'a ExamineConfig,
}

impl Context<'_> {
    fn observations(&self) -> &[Observation] {
        &self.rows.observations
    }

    fn info(&self) -> &BundleInfo {
        self.request.bundle.info()
    }

    /// Each row's part of the integrated Brier score.
    fn brier(&self, curves: &[SurvivalCurve]) -> Result<Vec<f64>> {
        let times = &self.evaluation.brier_times;
        Ok(integrated_brier_contributions(self.observations(), curves, times, self.censoring)?)
    }
}

/// Curves of the bundle, the floor and the others on the same rows.
fn predictions(request: &Request<'_>, training: &[Observation], rows: &LabeledBatch) -> Result<Vec<Predicted>> {
    let info = request.bundle.info();
    let curves = request.bundle.predict(&rows.features)?;
    let own = Predicted::new(info.name.clone(), info.kind, curves, &info.readout, &info.alarms, None)?;
    let table = AalenJohansen::fit(training, info.causes.len())?.on_grid(request.dataset.grid())?;
    // One curve for all alarms for all rows or for none: it has no level.
    let never = AlarmLevels { elevated: 1.0, high: 1.0, ..info.alarms.clone() };
    let readout = request.dataset.readout();
    let table = vec![table; rows.rows()];
    let floor = Predicted::new(FLOOR.to_owned(), ModelKind::KaplanMeier, table, readout, &never, None)?;
    let mut predicted = vec![own, floor];
    for other in request.against {
        let info = other.info();
        let name = distinct_name(&predicted, info);
        let curves = other.predict(&rows.features)?;
        predicted.push(Predicted::new(name, info.kind, curves, &info.readout, &info.alarms, None)?);
    }
    Ok(predicted)
}

fn fits(info: &BundleInfo, dataset: &Dataset) -> Result<()> {
    if info.spec_hash != dataset.manifest().spec_hash {
        return Err(another_spec(info, dataset));
    }
    if info.grid != *dataset.grid() || info.causes != dataset.causes() {
        let reason =
            format!("bundle {} has another time grid or other causes than {}", info.name, dataset.manifest().name);
        return Err(TrainError::Study { what: "report".to_owned(), reason });
    }
    Ok(())
}

fn another_spec(info: &BundleInfo, dataset: &Dataset) -> TrainError {
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let reason = format!(
        "bundle {} expects feature spec {}, {} has {}; choose a bundle made for it or build the data set again",
        info.name,
        short(&info.spec_hash),
        dataset.manifest().name,
        short(&dataset.manifest().spec_hash)
    );
    TrainError::Study { what: "report".to_owned(), reason }
}

fn facts(bundle: &LoadedBundle, dir: &Path) -> Result<BundleFacts> {
    let info = bundle.info();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io(dir))? {
        let entry = entry.map_err(io(dir))?;
        let size = entry.metadata().map_err(io(&entry.path()))?.len();
        files.push((entry.file_name().to_string_lossy().into_owned(), size));
    }
    files.sort();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).map_err(io(&dir.join(name)));
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")?).unwrap_or_default();
    let normalizer = bundle.predictor().normalizer();
    Ok(BundleFacts {
        name: info.name.clone(),
        version: info.version.clone(),
        digest: info.digest.clone(),
        kind: info.kind,
        built_with: manifest.get("built_with").and_then(|v| v.as_str()).unwrap_or("unknown").to_owned(),
        spec_hash: info.spec_hash.clone(),
        columns: normalizer.width(),
        window: normalizer.window(),
        parameters: bundle.predictor().model().network().map(Module::num_params),
        files,
        device: bundle.device().name.clone(),
        device_why: bundle.device().why.clone(),
        card: info.card.clone(),
        training: read("training.toml")?,
    })
}

/// At most `wanted` of `rows` row numbers, evenly spread.
fn spread(rows: usize, wanted: usize) -> Vec<usize> {
    if rows <= wanted {
        return (0..rows).collect();
    }
    (0..wanted).map(|at| at * rows / wanted).collect()
}

fn riskiest(curves: &[SurvivalCurve], horizon: f64) -> Result<usize> {
    let mut best = (0, f64::NEG_INFINITY);
    for (row, curve) in curves.iter().enumerate() {
        let probability = curve.failure_probability(horizon)?;
        if probability > best.1 {
            best = (row, probability);
        }
    }
    Ok(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        assert!(ExamineConfig::default().validate("x").is_ok());
        let refused = |config: ExamineConfig| config.validate("report.toml").unwrap_err().to_string();
        let message = refused(ExamineConfig { cost_ratios: vec![0.5, 0.1], ..ExamineConfig::default() });
        assert!(message.contains("report.toml") && message.contains("cost_ratios"), "{message}");
        let message = refused(ExamineConfig { attributed_rows: 0, ..ExamineConfig::default() });
        assert!(message.contains("attributed_rows"), "{message}");
        let message = refused(ExamineConfig { alarm_budgets: vec![f64::NAN], ..ExamineConfig::default() });
        assert!(message.contains("alarm_budgets"), "{message}");
    }

    #[test]
    fn rows_are_spread_over_all() {
        assert_eq!(spread(3, 5), [0, 1, 2]);
        assert_eq!(spread(10, 4), [0, 2, 5, 7]);
    }
}
