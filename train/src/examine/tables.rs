//! The numbers behind every figure as Parquet, one file per figure, so that a notebook can draw it again.

use std::path::Path;

use datasets::table::Table;

use super::{CalibrationState, Examination};
use crate::drift::FeatureDrift;
use crate::error::{Result, io};

/// Writes every table into a folder that must not exist yet, and returns the file names.
///
/// # Errors
/// When the folder exists or a file cannot be written.
pub fn write(examination: &Examination, dir: &Path) -> Result<Vec<String>> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(io(parent))?;
    }
    std::fs::create_dir(dir).map_err(io(dir))?;
    let mut names = Vec::new();
    for (name, table) in tables(examination) {
        let file = format!("{name}.parquet");
        table.write(&dir.join(&file))?;
        names.push(file);
    }
    Ok(names)
}

/// Every table with its name.
#[must_use]
pub fn tables(examination: &Examination) -> Vec<(&'static str, Table)> {
    let mut all = vec![
        ("scores", scores(examination)),
        ("differences", differences(examination)),
        ("kaplan_meier", kaplan_meier(examination)),
        ("survival_by_risk", survival_by_risk(examination)),
        ("at_risk", at_risk(examination)),
        ("incidence", incidence(examination)),
        ("incidence_groups", incidence_groups(examination)),
        ("reliability", reliability(examination)),
        ("d_calibration", tenths(examination)),
        ("precision_recall", precision_recall(examination)),
        ("brier_over_time", brier(examination)),
        ("remaining_life", remaining_life(examination)),
        ("remaining_life_bins", remaining_life_bins(examination)),
        ("slices", slices(examination)),
        ("causes", causes(examination)),
        ("attribution", attribution(examination)),
        ("attribution_steps", attribution_steps(examination)),
        ("deletion", deletion(examination)),
        ("example", example(examination)),
        ("importance", importance(examination)),
        ("drift", drift(&examination.drift)),
        ("parts", parts(examination)),
        ("missing", missing(examination)),
        ("censoring", censoring(examination)),
        ("counts", counts(examination)),
    ];
    if let Some((_, later)) = &examination.drift_later {
        all.push(("drift_later", drift(later)));
    }
    all.extend(detection(examination));
    all
}

fn scores(examination: &Examination) -> Table {
    let models = &examination.evaluation.models;
    let pick = |of: &dyn Fn(&crate::evaluate::ModelScores) -> f64| models.iter().map(of).collect::<Vec<_>>();
    Table::new()
        .text("model", models.iter().map(|m| m.name.as_str()))
        .text("kind", models.iter().map(|m| m.kind.name()))
        .number("integrated_brier", pick(&|m| m.integrated_brier.estimate))
        .number("integrated_brier_low", pick(&|m| m.integrated_brier.low))
        .number("integrated_brier_high", pick(&|m| m.integrated_brier.high))
        .number("concordance", pick(&|m| m.concordance.estimate))
        .number("concordance_low", pick(&|m| m.concordance.low))
        .number("concordance_high", pick(&|m| m.concordance.high))
        .number("log_loss", pick(&|m| m.log_loss.estimate))
        .number("d_calibration_p", pick(&|m| m.d_calibration_p))
}

fn differences(examination: &Examination) -> Table {
    let all = &examination.evaluation.differences;
    Table::new()
        .text("a", all.iter().map(|d| d.a.as_str()))
        .text("b", all.iter().map(|d| d.b.as_str()))
        .text("score", all.iter().map(|d| d.score.as_str()))
        .number("difference", all.iter().map(|d| d.difference.difference))
        .number("low", all.iter().map(|d| d.difference.low))
        .number("high", all.iter().map(|d| d.difference.high))
        .number("p_value", all.iter().map(|d| d.difference.p_value))
        .text("verdict", all.iter().map(|d| d.verdict.as_str()))
}

fn kaplan_meier(examination: &Examination) -> Table {
    let points = &examination.evaluation.figures.kaplan_meier;
    Table::new()
        .number("time", points.iter().map(|p| p[0]))
        .number("survival", points.iter().map(|p| p[1]))
        .number("low", points.iter().map(|p| p[2]))
        .number("high", points.iter().map(|p| p[3]))
}

fn survival_by_risk(examination: &Examination) -> Table {
    let mut rows = Vec::new();
    for (model, groups) in &examination.evaluation.figures.by_risk {
        for (quarter, group) in groups.iter().enumerate() {
            for (at, &edge) in examination.evaluation.edges.iter().enumerate() {
                rows.push((model, quarter + 1, group.rows, edge, group.predicted[at], group.observed[at]));
            }
        }
    }
    Table::new()
        .text("model", rows.iter().map(|r| r.0.as_str()))
        .count("quarter", rows.iter().map(|r| r.1))
        .count("rows", rows.iter().map(|r| r.2))
        .number("time", rows.iter().map(|r| r.3))
        .number("predicted", rows.iter().map(|r| r.4))
        .number("observed", rows.iter().map(|r| r.5))
}

fn at_risk(examination: &Examination) -> Table {
    let at_risk = &examination.at_risk;
    let mut table = Table::new().number("time", at_risk.times.iter().copied()).count("all", at_risk.all.clone());
    for (quarter, counts) in at_risk.quarters.iter().enumerate() {
        table = table.count(&format!("quarter_{}", quarter + 1), counts.clone());
    }
    table
}

fn incidence(examination: &Examination) -> Table {
    let edges = &examination.evaluation.edges;
    let all = || {
        examination.incidence.iter().flat_map(|of| {
            edges
                .iter()
                .enumerate()
                .map(move |(at, &edge)| (of.cause.as_str(), edge, of.predicted[at], of.observed[at]))
        })
    };
    Table::new()
        .text("cause", all().map(|r| r.0))
        .number("time", all().map(|r| r.1))
        .number("predicted", all().map(|r| r.2))
        .number("observed", all().map(|r| r.3))
}

fn incidence_groups(examination: &Examination) -> Table {
    let all = || {
        examination.incidence.iter().flat_map(|of| {
            of.groups.iter().enumerate().map(move |(at, group)| (of.cause.as_str(), of.horizon, at + 1, *group))
        })
    };
    Table::new()
        .text("cause", all().map(|r| r.0))
        .number("horizon", all().map(|r| r.1))
        .count("group", all().map(|r| r.2))
        .count("rows", all().map(|r| r.3.0))
        .number("predicted", all().map(|r| r.3.1))
        .number("observed", all().map(|r| r.3.2))
}

fn states(examination: &Examination) -> [(&'static str, &CalibrationState); 2] {
    [("before", &examination.calibration.before), ("after", &examination.calibration.after)]
}

fn reliability(examination: &Examination) -> Table {
    let mut rows = Vec::new();
    for (state, of) in states(examination) {
        for table in of.tables.iter().flatten() {
            rows.extend(table.bins.iter().enumerate().map(|(at, bin)| (state, table.horizon, at + 1, *bin)));
        }
    }
    Table::new()
        .text("calibration", rows.iter().map(|r| r.0))
        .number("horizon", rows.iter().map(|r| r.1))
        .count("bin", rows.iter().map(|r| r.2))
        .count("rows", rows.iter().map(|r| r.3.rows))
        .number("smallest", rows.iter().map(|r| r.3.range.0))
        .number("largest", rows.iter().map(|r| r.3.range.1))
        .number("predicted", rows.iter().map(|r| r.3.predicted))
        .number("observed", rows.iter().map(|r| r.3.observed))
        .number("low", rows.iter().map(|r| r.3.low))
        .number("high", rows.iter().map(|r| r.3.high))
}

fn tenths(examination: &Examination) -> Table {
    let rows = || {
        states(examination).into_iter().flat_map(|(state, of)| {
            of.d_counts.iter().enumerate().map(move |(at, &count)| (state, at + 1, count, of.d_p_value))
        })
    };
    Table::new()
        .text("calibration", rows().map(|r| r.0))
        .count("tenth", rows().map(|r| r.1))
        .number("rows", rows().map(|r| r.2))
        .number("p_value", rows().map(|r| r.3))
}

fn precision_recall(examination: &Examination) -> Table {
    let own = examination.evaluation.models.first().map_or("", |m| m.name.as_str());
    let mut rows: Vec<(&str, &str, f64, f64)> = Vec::new();
    if let Some(detection) = &examination.detection {
        rows.extend(detection.points.iter().map(|p| (own, "threshold", p[0], p[1])));
        rows.extend(detection.alarms.iter().map(|a| (own, a.name.as_str(), a.recall, a.precision)));
    }
    for (model, points) in examination.evaluation.figures.precision_recall.iter().filter(|(name, _)| *name != own) {
        rows.extend(points.iter().map(|p| (model.as_str(), "threshold", p[0], p[1])));
    }
    Table::new()
        .text("model", rows.iter().map(|r| r.0))
        .text("point", rows.iter().map(|r| r.1))
        .number("recall", rows.iter().map(|r| r.2))
        .number("precision", rows.iter().map(|r| r.3))
}

fn brier(examination: &Examination) -> Table {
    let all = || {
        let models = examination.evaluation.figures.brier.iter();
        models.flat_map(|(model, points)| points.iter().map(move |p| (model.as_str(), p[0], p[1])))
    };
    Table::new()
        .text("model", all().map(|r| r.0))
        .number("time", all().map(|r| r.1))
        .number("brier", all().map(|r| r.2))
}

fn detection(examination: &Examination) -> Vec<(&'static str, Table)> {
    let Some(detection) = &examination.detection else { return Vec::new() };
    let budgets = &detection.budgets;
    let quartile = |at: usize| budgets.iter().map(move |b| b.lead.map_or(f64::NAN, |lead| lead[at]));
    let lead = Table::new()
        .number("budget", budgets.iter().map(|b| b.budget))
        .number("level", budgets.iter().map(|b| b.level))
        .count("alarms", budgets.iter().map(|b| b.alarms))
        .count("known_false", budgets.iter().map(|b| b.false_alarms))
        .count("failures", budgets.iter().map(|b| b.failures))
        .count("caught", budgets.iter().map(|b| b.caught))
        .number("lead_lower_quartile", quartile(0))
        .number("lead_median", quartile(1))
        .number("lead_upper_quartile", quartile(2))
        .number("alarms_per_entity_day", budgets.iter().map(|b| b.alarms_per_entity_day.unwrap_or(f64::NAN)));
    let points = || detection.costs.iter().flat_map(|c| c.points.iter().map(move |p| (c.ratio, p[0], p[1])));
    let curve = Table::new()
        .number("ratio", points().map(|r| r.0))
        .number("threshold", points().map(|r| r.1))
        .number("cost_of_running_to_failure", points().map(|r| r.2));
    let costs = &detection.costs;
    let summary = Table::new()
        .number("ratio", costs.iter().map(|c| c.ratio))
        .number("best_threshold", costs.iter().map(|c| c.best[0]))
        .number("best_cost", costs.iter().map(|c| c.best[1]))
        .number("cost_at_ratio", costs.iter().map(|c| c.at_ratio))
        .number("cost_at_high", costs.iter().map(|c| c.at_high))
        .number("cost_by_age", costs.iter().map(|c| c.by_age.unwrap_or(f64::NAN)));
    vec![
        ("lead_by_budget", lead),
        ("lead_times", Table::new().number("lead", detection.lead.iter().copied())),
        ("cost_curve", curve),
        ("costs", summary),
    ]
}

fn remaining_life(examination: &Examination) -> Table {
    let rows = examination.life.as_ref().map_or(&[][..], |life| &life.rows);
    let told = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Table::new()
        .number("truth", rows.iter().map(|r| r.truth))
        .number("median", rows.iter().map(|r| told(r.median)))
        .number("low", rows.iter().map(|r| told(r.low)))
        .number("high", rows.iter().map(|r| told(r.high)))
}

fn remaining_life_bins(examination: &Examination) -> Table {
    let bins = examination.life.as_ref().map_or(&[][..], |life| &life.bins);
    Table::new()
        .number("shortest", bins.iter().map(|b| b.range.0))
        .number("longest", bins.iter().map(|b| b.range.1))
        .count("rows", bins.iter().map(|b| b.rows))
        .count("within_grid", bins.iter().map(|b| b.told))
        .number("bias", bins.iter().map(|b| b.bias))
        .number("absolute_error", bins.iter().map(|b| b.absolute))
        .number("within_fifth", bins.iter().map(|b| b.within_fifth))
        .number("coverage", bins.iter().map(|b| b.coverage))
        .number("width", bins.iter().map(|b| b.width))
}

fn slices(examination: &Examination) -> Table {
    let all = &examination.slices;
    let of = |pick: fn(&survival::Interval) -> f64| all.iter().map(move |s| s.score.as_ref().map_or(f64::NAN, pick));
    let paired = |pick: fn(&survival::PairedInterval) -> f64| {
        all.iter().map(move |s| s.difference.as_ref().map_or(f64::NAN, pick))
    };
    Table::new()
        .text("by", all.iter().map(|s| s.by.as_str()))
        .text("value", all.iter().map(|s| s.value.as_str()))
        .count("rows", all.iter().map(|s| s.rows))
        .count("failures", all.iter().map(|s| s.failures))
        .count("groups", all.iter().map(|s| s.groups))
        .number("integrated_brier", of(|i| i.estimate))
        .number("low", of(|i| i.low))
        .number("high", of(|i| i.high))
        .number("floor", all.iter().map(|s| s.floor.unwrap_or(f64::NAN)))
        .number("difference", paired(|d| d.difference))
        .number("difference_low", paired(|d| d.low))
        .number("difference_high", paired(|d| d.high))
}

fn causes(examination: &Examination) -> Table {
    let all = &examination.causes;
    let told = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Table::new()
        .text("cause", all.iter().map(|c| c.cause.as_str()))
        .count("failures", all.iter().map(|c| c.failures))
        .number("horizon", all.iter().map(|c| c.horizon))
        .number("average_precision", all.iter().map(|c| told(c.average_precision)))
        .number("prevalence", all.iter().map(|c| told(c.prevalence)))
        .number("roc_area", all.iter().map(|c| told(c.roc_area)))
        .number("integrated_brier", all.iter().map(|c| c.score.estimate))
        .number("low", all.iter().map(|c| c.score.low))
        .number("high", all.iter().map(|c| c.score.high))
        .number("difference", all.iter().map(|c| c.difference.difference))
        .number("difference_low", all.iter().map(|c| c.difference.low))
        .number("difference_high", all.iter().map(|c| c.difference.high))
}

fn attribution(examination: &Examination) -> Table {
    let inputs = &examination.attribution.inputs;
    Table::new()
        .text("input", inputs.iter().map(|i| i.0.as_str()))
        .number("mean_absolute", inputs.iter().map(|i| i.1))
        .number("mean", inputs.iter().map(|i| i.2))
}

fn attribution_steps(examination: &Examination) -> Table {
    let all = || {
        let channels = examination.attribution.channels.iter();
        channels.flat_map(|(channel, steps)| steps.iter().enumerate().map(move |(at, &v)| (channel.as_str(), at, v)))
    };
    Table::new()
        .text("channel", all().map(|r| r.0))
        .count("step", all().map(|r| r.1))
        .number("mean_absolute", all().map(|r| r.2))
}

fn deletion(examination: &Examination) -> Table {
    let curve = &examination.attribution.deletion;
    Table::new()
        .count("replaced", curve.replaced.iter().copied())
        .number("top", curve.top.iter().copied())
        .number("random", curve.random.iter().copied())
}

fn example(examination: &Examination) -> Table {
    let inputs = &examination.example.contributions;
    Table::new()
        .text("input", inputs.iter().map(|c| c.input.as_str()))
        .number("share", inputs.iter().map(|c| c.share))
        .number("value", inputs.iter().map(|c| c.value.map_or(f64::NAN, f64::from)))
        .number("strongest_ago", inputs.iter().map(|c| c.strongest_ago.unwrap_or(f64::NAN)))
}

fn importance(examination: &Examination) -> Table {
    let all = &examination.importance;
    Table::new()
        .text("group", all.iter().map(|g| g.group.as_str()))
        .count("columns", all.iter().map(|g| g.columns))
        .number("loss", all.iter().map(|g| g.loss.difference))
        .number("low", all.iter().map(|g| g.loss.low))
        .number("high", all.iter().map(|g| g.loss.high))
        .number("p_value", all.iter().map(|g| g.loss.p_value))
}

fn drift(features: &[FeatureDrift]) -> Table {
    Table::new()
        .text("feature", features.iter().map(|f| f.feature.as_str()))
        .number("index", features.iter().map(|f| f.index))
        .number("by_chance", features.iter().map(|f| f.by_chance))
        .number("missing_reference", features.iter().map(|f| f.missing_reference))
        .number("missing_later", features.iter().map(|f| f.missing_later))
        .number("mean_reference", features.iter().map(|f| f.mean_reference))
        .number("mean_later", features.iter().map(|f| f.mean_later))
}

fn parts(examination: &Examination) -> Table {
    let spans = &examination.data.spans;
    Table::new()
        .text("part", spans.iter().map(|s| s.part.as_str()))
        .count("rows", spans.iter().map(|s| s.rows))
        .number("from", spans.iter().map(|s| s.from))
        .number("until", spans.iter().map(|s| s.until))
        .count("shared_groups", spans.iter().map(|s| s.shared_groups))
}

fn missing(examination: &Examination) -> Table {
    let all = &examination.data.description.missing;
    Table::new().text("column", all.iter().map(|m| m.0.as_str())).number("share", all.iter().map(|m| m.1))
}

fn censoring(examination: &Examination) -> Table {
    let points = &examination.data.censoring;
    Table::new().number("time", points.iter().map(|p| p[0])).number("not_censored", points.iter().map(|p| p[1]))
}

fn counts(examination: &Examination) -> Table {
    let counts = &examination.data.description.counts;
    let groups = [
        ("failures by cause", &counts.events_by_cause),
        ("rows by cause", &counts.rows_by_cause),
        ("rows by censoring reason", &counts.rows_by_censor_reason),
        ("ends by reason", &counts.ends_by_reason),
        ("left out", &counts.excluded),
    ];
    let all = || {
        groups.iter().flat_map(|(what, counts)| {
            counts.iter().map(|(name, n)| (*what, name.as_str(), usize::try_from(*n).unwrap_or(usize::MAX)))
        })
    };
    Table::new().text("what", all().map(|r| r.0)).text("name", all().map(|r| r.1)).count("n", all().map(|r| r.2))
}
