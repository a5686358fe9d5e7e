//! The report as one page that needs nothing beside it.

use std::fmt::Write;

use datasets::page::number::{p_value, short};
use datasets::page::{Layout, document, figure, gap, signed, text};
use datasets::svg::{Axis, Look, Plot, Rows};

use crate::claims::judge::{ClaimRow, RivalLine};
use crate::claims::maintenance::{Rates, Replay};
use crate::claims::report::ClaimsReport;

/// Cost of one policy at one ratio.
type CostOf = fn(&Rates) -> f64;

pub(super) fn page(report: &ClaimsReport) -> String {
    let body = [
        header(report),
        table(report),
        effects(report),
        rivals(report),
        maintenance(&report.maintenance),
        controls(report),
        frame(report),
    ]
    .concat();
    document("Claims", &body)
}

fn header(report: &ClaimsReport) -> String {
    let problems: String = report.problems().iter().map(|problem| format!("<li>{}</li>", signed(problem))).collect();
    let problems = if problems.is_empty() { String::new() } else { format!("<ul>{problems}</ul>\n") };
    format!(
        "<header><p class=\"verdict\">{}</p>\n{problems}<p class=\"facts\">Verdicts hold for the data, the budget and the \
         margin named, no further. Supported: the interval excludes 0 and the effect exceeds the margin. Refuted: the \
         opposite, a counterexample, or equality shown where superiority was claimed. Undecided: neither. Not testable: no \
         quantity or no data.</p></header>\n",
        text(&report.headline)
    )
}

fn table(report: &ClaimsReport) -> String {
    let rows: String = report.rows.iter().map(|row| claim_row(row, report)).collect();
    format!(
        "<section><h2>Claims</h2>\n<div class=\"scroll\"><table class=\"plain\"><thead><tr><th scope=\"col\">Claim</th>\
         <th scope=\"col\">Restated</th><th scope=\"col\">Data</th><th scope=\"col\">Effect</th>\
         <th scope=\"col\">Margin</th><th scope=\"col\">p</th><th scope=\"col\">Adjusted p</th>\
         <th scope=\"col\">Verdict</th><th scope=\"col\">Why</th><th scope=\"col\">Expected</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\n<p class=\"note\">Effects are turned so that positive favours the claim; in \
         brackets the interval from resampling whole groups. The adjusted p is Holm's over the primary results with an \
         effect.</p></section>\n"
    )
}

fn claim_row(row: &ClaimRow, report: &ClaimsReport) -> String {
    let effect = row.effect.map_or_else(
        || match row.counts {
            Some(counts) => text(&format!("{} of {}", counts.violations, counts.cases)),
            None => gap("nothing was measured"),
        },
        |effect| {
            format!(
                "{} <small>[{}, {}]</small>",
                signed(&short(effect.estimate)),
                signed(&short(effect.low)),
                signed(&short(effect.high))
            )
        },
    );
    let number =
        |value: Option<f64>, shown: fn(f64) -> String| value.map_or_else(|| gap("no effect"), |v| text(&shown(v)));
    let overall = report.claims.get(&row.id).filter(|_| row.primary);
    let differs = overall.filter(|verdict| **verdict != row.verdict);
    let overall = differs.map_or_else(String::new, |verdict| format!("<small>over all data: {verdict}</small>"));
    let secondary = if row.primary { "" } else { "<span class=\"badge\">secondary</span>" };
    let note = if row.note.is_empty() { String::new() } else { format!(" <small>{}</small>", signed(&row.note)) };
    format!(
        "<tr><th scope=\"row\"><b>{}</b> {}{secondary}</th><td>{} <small>{}</small></td><td>{}</td><td>{effect}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td><b>{}</b> {overall}</td><td>{}{note}</td><td>{}</td></tr>\n",
        text(&row.id),
        text(&row.claim),
        text(&row.restated),
        text(&row.endpoint),
        text(&row.data),
        number(row.margin, short),
        number(row.p, p_value),
        number(row.adjusted_p, p_value),
        row.verdict,
        signed(&row.reason),
        text(&row.prior)
    )
}

/// Every effect in units of its margin, so that one axis serves all.
fn effects(report: &ClaimsReport) -> String {
    let shown: Vec<(String, [f64; 3])> = report
        .rows
        .iter()
        .filter_map(|row| {
            let (effect, margin) = (row.effect?, row.margin.filter(|margin| *margin > 0.0)?);
            let of_margin = [effect.estimate, effect.low, effect.high].map(|value| value / margin);
            Some((format!("{} {}", row.id, row.data), of_margin))
        })
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let reach = shown.iter().flat_map(|(_, values)| values.iter().map(|v| v.abs())).fold(2.0, f64::max).min(50.0);
    let mut rows = Rows::new("Effects in units of their margins", Axis::new("effect / margin", -reach, reach));
    rows.reference(0.0);
    for (label, [estimate, low, high]) in &shown {
        let clamp = |value: f64| value.clamp(-reach, reach);
        rows.dot(label, clamp(*estimate), Some((clamp(*low), clamp(*high))), &Look::series(0));
    }
    let caption = "Right of 0 favours the claim; it is supported right of 1 with the interval clear of 0. Longer effects \
                   are cut at the frame.";
    let drawn = figure("Effects", Layout::Alone, &[(String::new(), rows.render())], caption);
    format!("<section><h2>Figures</h2>\n{drawn}</section>\n")
}

fn rivals(report: &ClaimsReport) -> String {
    let line = |row: &ClaimRow, rival: &RivalLine| {
        let value = |value: Option<f64>| value.map_or_else(|| gap("not given"), |v| signed(&short(v)));
        let effect = rival.effect.map_or_else(
            || gap("not given"),
            |e| {
                format!(
                    "{} <small>[{}, {}]</small>",
                    signed(&short(e.estimate)),
                    signed(&short(e.low)),
                    signed(&short(e.high))
                )
            },
        );
        let p = rival.p.map_or_else(|| gap("not given"), |p| text(&p_value(p)));
        format!(
            "<tr><th scope=\"row\">{} {}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{effect}</td><td>{p}</td></tr>\n",
            text(&row.id),
            text(&row.data),
            text(&row.endpoint),
            text(&rival.name),
            value(rival.claimed_value),
            value(rival.rival_value)
        )
    };
    let rows: String =
        report.rows.iter().flat_map(|row| row.rivals.iter().map(move |rival| line(row, rival))).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2>Rivals</h2>\n<div class=\"scroll\"><table class=\"plain\"><thead><tr><th scope=\"col\">Claim, data</th>\
         <th scope=\"col\">Score</th><th scope=\"col\">Rival</th><th scope=\"col\">Claimed</th><th scope=\"col\">Rival's</th>\
         <th scope=\"col\">Effect</th><th scope=\"col\">p, not adjusted</th></tr></thead><tbody>{rows}</tbody></table></div>\n\
         <p class=\"note\">The hardest rival stands first; the verdict is against it.</p></section>\n"
    )
}

fn maintenance(replays: &[Replay]) -> String {
    if replays.is_empty() {
        return String::new();
    }
    let panels: Vec<(String, String)> = replays
        .iter()
        .map(|replay| {
            let last = replay.sweep.last().map_or(50.0, |rates| rates.ratio);
            let x = Axis::new("cost of a failure / planned replacement", 1.0, last);
            let mut plot = Plot::small(&replay.data, x, Axis::new("cost / run to failure", 0.0, 1.2));
            let policies: [(&str, CostOf, Look); 3] = [
                ("best age", |rates| rates.age_based, Look::series(1)),
                ("predictive", |rates| rates.predictive, Look::series(0)),
                ("oracle", |rates| rates.oracle, Look::reference()),
            ];
            for (name, of, look) in policies {
                let points: Vec<[f64; 2]> =
                    replay.sweep.iter().map(|rates| [rates.ratio, of(rates) / rates.run_to_failure]).collect();
                plot.line(&points, &look);
                plot.name_line(&look, name);
            }
            (replay.data.clone(), plot.render())
        })
        .collect();
    let even: Vec<String> = replays
        .iter()
        .map(|replay| {
            let from = replay.break_even.map_or("nowhere in the sweep".to_owned(), |ratio| format!("from 1:{ratio}"));
            format!(
                "{}: predictive costs least {from} ({} units, {} left out)",
                replay.data, replay.units, replay.left_out
            )
        })
        .collect();
    let caption =
        format!("Cost per unit of service against the cost of a failure; 1 is run to failure. {}.", even.join("; "));
    format!(
        "<section><h2>Maintenance replayed</h2>\n{}</section>\n",
        figure("Cost curve", Layout::Equal, &panels, &caption)
    )
}

fn controls(report: &ClaimsReport) -> String {
    if report.controls.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for controls in &report.controls {
        let permutation = controls.permutation.as_ref().map_or_else(
            || gap("not run"),
            |found| {
                format!(
                    "{} {} <small>[{}, {}]</small>",
                    if found.passed { "passed" } else { "<b>failed</b>" },
                    signed(&short(found.concordance.estimate)),
                    signed(&short(found.concordance.low)),
                    signed(&short(found.concordance.high))
                )
            },
        );
        let leaks = controls.leaks.as_ref().map_or_else(
            || gap("not run"),
            |found| {
                let names: Vec<&str> = found.columns.iter().map(|(name, _)| name.as_str()).collect();
                let columns = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let canary = if found.canary_found { "planted leak found" } else { "planted leak not found" };
                text(&format!("{columns}; {canary}"))
            },
        );
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{permutation}</td><td>{leaks}</td></tr>",
            text(&controls.data)
        );
    }
    format!(
        "<section><h2>Controls</h2>\n<div class=\"scroll\"><table class=\"plain\"><thead><tr><th scope=\"col\">Data</th>\
         <th scope=\"col\">C on shuffled outcomes</th><th scope=\"col\">Columns that leak</th></tr></thead><tbody>{rows}\
         </tbody></table></div>\n<p class=\"note\">Outcomes shuffled over groups leave nothing to learn: the 99 % interval of \
         C must hold ½. A planted column that knows the outcome must be found by the leak check.</p></section>\n"
    )
}

fn frame(report: &ClaimsReport) -> String {
    let frame = &report.frame;
    let mut settings = vec![
        ("Families".to_owned(), text(&frame.models.join(", "))),
        (
            "Tuning per family and part held out".to_owned(),
            text(&format!("{} s, {} trials at most", frame.seconds, frame.trials)),
        ),
        ("Seeds".to_owned(), text(&format!("1 to {}", frame.seeds))),
        ("Level".to_owned(), text(&frame.alpha.to_string())),
        ("Bootstrap replicates".to_owned(), frame.replicates.to_string()),
        ("Version".to_owned(), text(&frame.version)),
    ];
    if let Some(lock) = &frame.lock {
        settings.push(("claims.toml, SHA-256".to_owned(), text(&lock.config)));
        settings.push(("Commit".to_owned(), text(&lock.commit)));
        for (file, digest) in &lock.files {
            settings.push((format!("{file}, SHA-256"), text(digest)));
        }
    }
    for (data, digest) in &frame.input_digests {
        settings.push((format!("Input digest of {data}"), text(digest)));
    }
    let rows: String = settings
        .iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{}</th><td>{value}</td></tr>\n", text(name)))
        .collect();
    format!(
        "<section><h2>Frame</h2>\n<div class=\"scroll\"><table class=\"plain\"><tbody>{rows}</tbody></table></div></section>\n"
    )
}
