//! Outcomes for people, and the joined rows for whoever wants to count again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use datasets::table::Table;
use survival::Outcome;

use super::join::{Fate, Joined};
use super::slice::Slice;
use super::{BundleOutcomes, Head, Outcomes};

impl Outcomes {
    /// The tables of the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: Vec<String> = self.bundles.iter().map(of_bundle).collect();
        parts.join("\n")
    }
}

fn of_bundle(bundle: &BundleOutcomes) -> String {
    let mut out = String::new();
    let (unit, horizon) = (&bundle.unit, bundle.alarm_horizon);
    let _ = writeln!(
        out,
        "{}@{}, {}: {} rows of {} nights, {} to {}; lake until {}",
        bundle.model,
        bundle.version,
        bundle.kind,
        bundle.total.rows,
        bundle.total.nights,
        bundle.as_of.0,
        bundle.as_of.1,
        bundle.lake.1
    );
    let slices = || bundle.weeks.iter().chain([&bundle.total]);

    let _ = writeln!(
        out,
        "\n{:<9} {:>8} {:>8} {:>7}  {:>7} {:<17} {:>9} {:>9}",
        "week", "rows", "entities", "judged", "IBS", "95 %", "all alike", "D-cal p"
    );
    for slice in slices() {
        let interval =
            slice.brier.interval.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.4} to {high:.4}"));
        let _ = writeln!(
            out,
            "{:<9} {:>8} {:>8} {:>7}  {:>7} {:<17} {:>9} {:>9}",
            slice.week,
            slice.rows,
            slice.entities,
            slice.brier.rows,
            number(slice.brier.integrated),
            interval,
            number(slice.reference.integrated),
            slice.d_calibration.as_ref().map_or_else(|| "-".to_owned(), |found| format!("{:.3}", found.p_value)),
        );
    }

    let _ = writeln!(
        out,
        "\n{:<9} {:>8} {:>7} {:>8} {:>9}  {:>9} {:>8} {:>9} {:<17} {:>7} {:>9}",
        "week",
        "horizon",
        "failed",
        "lived",
        "undecided",
        "predicted",
        "moved",
        "observed",
        "95 %",
        "Brier",
        "all alike"
    );
    for slice in slices() {
        for (at, figures) in slice.horizons.iter().enumerate() {
            let observed = figures.observed;
            let interval = observed.map_or_else(|| "-".to_owned(), |o| format!("{:.4} to {:.4}", o.low, o.high));
            let _ = writeln!(
                out,
                "{:<9} {:>8} {:>7} {:>8} {:>9}  {:>9.4} {:>8} {:>9} {:<17} {:>7} {:>9}",
                slice.week,
                figures.horizon,
                figures.failures,
                figures.lived,
                figures.undecided,
                figures.predicted,
                figures.moved.map_or_else(|| "-".to_owned(), |moved| format!("{moved:+.4}")),
                number(observed.map(|o| o.share)),
                interval,
                number(slice.brier.at.get(at).copied().flatten()),
                number(slice.reference.at.get(at).copied().flatten()),
            );
        }
    }

    let guess = if bundle.alarm_horizon_guessed { " (the last horizon: these nights do not say)" } else { "" };
    let _ = writeln!(out, "\nalarms for {horizon}{unit} ahead{guess}");
    let _ = writeln!(
        out,
        "{:<9} {:<9} {:>7} {:>6} {:>6} {:>9}  {:>8} {:>7} {:>7} {:>10} {:>11}",
        "week",
        "level",
        "alerts",
        "kept",
        "false",
        "undecided",
        "failures",
        "caught",
        "missed",
        "not scored",
        "median lead"
    );
    for slice in slices() {
        for level in &slice.alerts {
            let lead = level.lead.map_or_else(|| "-".to_owned(), |lead| format!("{:.1}{unit}", lead.median));
            let _ = writeln!(
                out,
                "{:<9} {:<9} {:>7} {:>6} {:>6} {:>9}  {:>8} {:>7} {:>7} {:>10} {:>11}",
                slice.week,
                level.level,
                level.alerts,
                level.kept,
                level.false_alarms,
                level.undecided.values().sum::<usize>(),
                level.failures,
                level.caught,
                level.missed,
                level.not_scored,
                lead,
            );
        }
    }
    out.push('\n');
    out.push_str(&left(&bundle.total));
    out
}

/// Who was not followed to the end, and on whom somebody acted.
fn left(total: &Slice) -> String {
    let mut out = String::new();
    let counts = |counts: &BTreeMap<String, usize>| {
        counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    if !total.censored.is_empty() {
        let _ = writeln!(out, "left before the last horizon, censored: {}", counts(&total.censored));
    }
    if !total.excluded.is_empty() {
        let _ = writeln!(out, "nothing known, left out: {}", counts(&total.excluded));
    }
    let acted = &total.interventions;
    if acted.rows > 0 {
        let ibs = |brier: &Option<super::Brier>| number(brier.as_ref().and_then(|brier| brier.integrated));
        let _ = writeln!(
            out,
            "acted upon: {} rows of {} entities, {} of them after an alarm; IBS with them censored {}, left out {}, as failures {}",
            acted.rows,
            acted.entities,
            acted.after_alarm,
            number(total.brier.integrated),
            ibs(&acted.left_out),
            ibs(&acted.as_failures),
        );
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// Every row with its outcome. Horizons another bundle has are null.
pub(super) fn table(bundles: &[(Head, Vec<Joined>)]) -> Table {
    let rows = || bundles.iter().flat_map(|(head, rows)| rows.iter().map(move |row| (head, row)));
    let moment = |row: &Joined| usize::try_from(row.risk.as_of).unwrap_or(0);
    let mut table = Table::new()
        .text("entity", rows().map(|(_, row)| row.risk.key.clone()))
        .text("kind", rows().map(|(head, _)| head.kind.clone()))
        .text("incarnation", rows().map(|(_, row)| row.risk.incarnation.clone()))
        .text("model", rows().map(|(head, _)| head.model.clone()))
        .text("version", rows().map(|(head, _)| head.version.clone()))
        .text("week", rows().map(|(_, row)| row.week.to_string()))
        .count("as_of", rows().map(|(_, row)| moment(row)))
        .text("alarm", rows().map(|(_, row)| row.risk.alarm.name()))
        .text("outcome", rows().map(|(_, row)| outcome(row).0))
        .text("reason", rows().map(|(_, row)| outcome(row).1))
        .number("duration", rows().map(|(_, row)| row.observation().map_or(f64::NAN, |seen| seen.duration())))
        .text("unit", rows().map(|(head, _)| head.terms.unit.short()));
    let mut names: Vec<String> = Vec::new();
    for (head, _) in bundles {
        for &horizon in &head.terms.horizons {
            let name = crate::horizon_label(horizon, head.terms.unit);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for name in names {
        let value = |(head, row): (&Head, &Joined)| {
            let same = |horizon: &f64| crate::horizon_label(*horizon, head.terms.unit) == name;
            head.terms.horizons.iter().position(same).map_or(f64::NAN, |at| row.risk.failure_probability[at])
        };
        table = table.number(&format!("failure_probability_{name}"), rows().map(value).collect::<Vec<_>>());
    }
    table
}

/// `failed` and its cause, `censored` and the reason, `excluded` and the rule.
fn outcome(row: &Joined) -> (&'static str, String) {
    match &row.fate {
        Fate::Excluded(rule) => ("excluded", (*rule).to_owned()),
        Fate::Observed { observation, cause, .. } => match observation.outcome() {
            Outcome::Failed(_) => ("failed", cause.clone().unwrap_or_default()),
            Outcome::Censored(reason) => ("censored", reason.name().to_owned()),
        },
    }
}
