//! Precision and recall, lead time within budgets, what acting costs.

use datasets::page::number::{count, fixed, percent, short, small_percent, time};
use datasets::page::{Layout, absent, figure, gap, signed, text};
use datasets::svg::{Axis, Look, Plot};

use super::table;
use crate::examine::{CostCurve, Detection, Examination};
use crate::report::figures::counts;

pub(super) fn figures(examination: &Examination) -> String {
    let Some(detection) = &examination.detection else {
        let why = "no or too few rows are known to fail within the horizon";
        return ["Precision and recall", "Lead time within a budget of alarms", "Cost of acting"]
            .map(|title| absent(title, why))
            .concat();
    };
    [precision_recall(examination, detection), lead(examination, detection), cost(examination, detection)].concat()
}

fn precision_recall(examination: &Examination, detection: &Detection) -> String {
    let evaluation = &examination.evaluation;
    let x = Axis::new("Recall: share of failing rows alarmed", 0.0, 1.0);
    let mut plot = Plot::wide("Precision and recall", x, Axis::new("Precision: share of alarms that fail", 0.0, 1.0));
    let prevalence = detection.prevalence;
    plot.line(&[[0.0, prevalence], [1.0, prevalence]], &Look::reference());
    for (index, model) in evaluation.models.iter().enumerate() {
        // Figures of the evaluation are at the last horizon with failures, which need not be the one of the alarms.
        let same = evaluation.figures.prevalence.is_some_and(|(h, _)| (h - detection.horizon).abs() <= 1e-9 * h.abs());
        let points = match index {
            0 => Some(&detection.points),
            // The floor's curve is the prevalence line.
            1 => None,
            _ if same => evaluation.figures.precision_recall.get(&model.name),
            _ => None,
        };
        if let Some(points) = points {
            plot.line(points, &Look::series(index));
            plot.name_line(&Look::series(index), &model.name);
        }
    }
    plot.name_line(&Look::reference(), &format!("prevalence {}", small_percent(prevalence)));
    for (index, alarm) in detection.alarms.iter().enumerate() {
        let look = Look::series(index + 2);
        plot.dot([alarm.recall, alarm.precision], (f64::NAN, f64::NAN), &look);
        plot.name_dot(&look, &format!("level {}", alarm.name));
    }
    let caption = format!(
        "Every threshold on the probability of failing within {}, at the natural prevalence, each row weighted for \
         censoring; the bundle's alarm levels are marked. {}",
        time(detection.horizon, &evaluation.unit),
        counts(evaluation)
    );
    let rows: Vec<Vec<String>> = detection
        .alarms
        .iter()
        .map(|alarm| {
            let precision =
                if alarm.precision.is_finite() { percent(alarm.precision) } else { gap("no row reaches this level") };
            vec![
                text(&alarm.name),
                fixed(alarm.level, 4),
                small_percent(alarm.budget),
                small_percent(alarm.alarmed),
                precision,
                percent(alarm.recall),
            ]
        })
        .collect();
    figure("Precision and recall", Layout::Alone, &[(String::new(), plot.render())], &caption)
        + &table(&["Level", "From probability", "Budget of rows", "Rows alarmed here", "Precision", "Recall"], &rows)
}

fn lead(examination: &Examination, detection: &Detection) -> String {
    const TITLE: &str = "Lead time within a budget of alarms";
    let evaluation = &examination.evaluation;
    let unit = &evaluation.unit;
    let longest = detection.budgets.iter().filter_map(|b| b.lead).map(|lead| lead[2]).fold(0.0, f64::max);
    if longest <= 0.0 {
        return absent(TITLE, "no failure was announced within any budget");
    }
    let most = detection.budgets.last().map_or(1.0, |b| b.budget);
    let x = || Axis::new("Rows alarmed, %", 0.0, 100.0 * most);
    let mut lead = Plot::small("Lead time", x(), Axis::new(&format!("Lead time ({unit})"), 0.0, 1.08 * longest));
    let points = |at: usize| -> Vec<[f64; 2]> {
        detection.budgets.iter().map(|b| [100.0 * b.budget, b.lead.map_or(f64::NAN, |lead| lead[at])]).collect()
    };
    let band: Vec<[f64; 3]> = points(0).iter().zip(points(2)).map(|(a, b)| [a[0], a[1], b[1]]).collect();
    lead.band(&band, &Look::series(0));
    lead.line(&points(1), &Look::series(0));
    lead.name_line(&Look::series(0), "median");
    lead.name_band(&Look::series(0), "quartiles");
    let mut caught = Plot::small("Failures announced", x(), Axis::new("Share of failures announced", 0.0, 1.0));
    #[expect(clippy::cast_precision_loss, reason = "counts of failures")]
    let share = |caught: usize, of: usize| caught as f64 / of.max(1) as f64;
    let shares: Vec<[f64; 2]> =
        detection.budgets.iter().map(|b| [100.0 * b.budget, share(b.caught, b.failures)]).collect();
    caught.line(&[[0.0, 0.0], [100.0 * most, most]], &Look::reference());
    caught.line(&shares, &Look::series(1));
    caught.name_line(&Look::series(1), "announced");
    caught.name_line(&Look::reference(), "share of rows");
    let rows: Vec<Vec<String>> = detection
        .budgets
        .iter()
        .map(|b| {
            let days = b.alarms_per_entity_day;
            vec![
                small_percent(b.budget),
                fixed(b.level, 4),
                count(b.alarms),
                count(b.false_alarms),
                format!("{} of {}", count(b.caught), count(b.failures)),
                b.lead.map_or_else(
                    || gap("no failure was announced"),
                    |lead| text(&format!("{} [{}, {}] {unit}", short(lead[1]), short(lead[0]), short(lead[2]))),
                ),
                days.map_or_else(|| gap("time is not that of a clock, or entities have one row"), short),
            ]
        })
        .collect();
    let caption = format!(
        "The level that keeps each budget on these rows; per failure, the time from the first row at or above it. A failure \
         counts as announced however early the alarm came: read the lead time beside it. {}",
        counts(evaluation)
    );
    let heads =
        ["Budget of rows", "Level", "Rows alarmed", "Known false", "Announced", "Lead time", "Alarms per entity-day"];
    let panels = [("Lead time".to_owned(), lead.render()), ("Failures announced".to_owned(), caught.render())];
    figure(TITLE, Layout::Equal, &panels, &caption) + &table(&heads, &rows)
}

fn cost(examination: &Examination, detection: &Detection) -> String {
    const TITLE: &str = "Cost of acting";
    let evaluation = &examination.evaluation;
    let thresholds = detection.costs.iter().flat_map(|c| &c.points).map(|p| p[0]).filter(|t| *t < 1.0);
    let end = thresholds.fold(0.0, f64::max);
    let x = Axis::new("Acts from this probability on", 0.0, if end > 0.0 { end } else { 1.0 });
    let mut plot = Plot::wide(TITLE, x, Axis::new("Cost over running to failure", 0.0, 1.6));
    plot.line(&[[0.0, 1.0], [end, 1.0]], &Look::ink());
    plot.name_line(&Look::ink(), "running to failure");
    for (index, curve) in detection.costs.iter().enumerate() {
        let look = Look::series(index);
        let points: Vec<[f64; 2]> = curve.points.iter().rev().copied().filter(|p| p[0] < 1.0).collect();
        plot.line(&points, &look);
        plot.line(&[[0.0, curve.ratio], [end, curve.ratio]], &look.clone().dashed());
        plot.name_line(&look, &format!("ratio {}", short(curve.ratio)));
    }
    let row = |curve: &CostCurve| {
        let told = |cost: f64| if cost.is_finite() { percent(cost) } else { gap("no row reaches the level") };
        let best = match curve.best[1] < 1.0 {
            true => format!("{} <small>from {}</small>", percent(curve.best[1]), fixed(curve.best[0], 4)),
            false => text("never act"),
        };
        vec![
            format!("{} : 1", short(curve.ratio)),
            percent(curve.ratio),
            told(curve.at_ratio),
            told(curve.at_high),
            best,
            curve.by_age.map_or_else(|| gap("the spec has no age, or rows miss it"), told),
            percent(curve.ratio),
        ]
    };
    let rows: Vec<Vec<String>> = detection.costs.iter().map(row).collect();
    let caption = format!(
        "Expected cost per row of acting on every alarm, over that of running to failure ({} of rows fail within {}, each \
         costing 1). An action costs the ratio and prevents the failure it announces; dashed: perfect foresight, which acts \
         on failing rows alone. An alarm pays where its precision exceeds the ratio. Costs are per decision on a row: rows of \
         one entity are not one action. {}",
        small_percent(detection.prevalence),
        time(detection.horizon, &evaluation.unit),
        counts(evaluation)
    );
    let heads = [
        "Preventive : corrective",
        "Break-even precision",
        "At threshold = ratio",
        "At the high level",
        "Best here (after the fact)",
        "Best limit on age (after the fact)",
        "Perfect",
    ];
    figure(TITLE, Layout::Alone, &[(String::new(), plot.render())], &caption)
        + &table(&heads, &rows)
        + &format!(
            "<p class=\"note\">{}</p>\n",
            signed(
                "In per cent of running to failure. The thresholds of two columns were chosen on these very rows and flatter both alike."
            )
        )
}
