//! `forewarn explain`: one prediction, shared out over its inputs.

use std::fmt::Write;

use anyhow::Context;
use datasets::Dataset;
use features::FeatureBatch;
use model::LoadedBundle;
use train::attribution::{Explanation, explain};

use crate::args::ExplainArgs;
use crate::exit::usage;

pub(crate) fn run(args: ExplainArgs) -> anyhow::Result<()> {
    let dataset = Dataset::open(&args.dataset)?;
    let bundle = LoadedBundle::load(&args.bundle, args.device)?;
    let rows = dataset.rows()?.features;
    let row = match (&args.entity, args.row) {
        (Some(key), _) => newest(&rows, key)
            .ok_or_else(|| usage(format!("no row of {} is of an entity {key:?}", args.dataset.display())))?,
        (None, Some(row)) if row < rows.rows() => row,
        (None, row) => {
            let row = row.unwrap_or(0);
            let reason = format!("there is no row {row} in {}: it has {}", args.dataset.display(), rows.rows());
            return Err(usage(format!("{reason}, counted from 0")));
        }
    };
    let info = bundle.info();
    let horizon = args.horizon.unwrap_or(info.alarms.horizon);
    if !(horizon > 0.0 && horizon <= info.grid.last_edge()) {
        let unit = info.grid.unit().short();
        let end = info.grid.last_edge();
        return Err(usage(format!(
            "--horizon {horizon} must be above 0 and within the grid, which ends at {end} {unit}"
        )));
    }
    let explanation = explain(&bundle, &rows, row, horizon)
        .with_context(|| format!("explaining row {row} of {}", args.dataset.display()))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        print!("{}", lines(&explanation, args.top));
    }
    Ok(())
}

/// The newest row of an entity.
fn newest(rows: &FeatureBatch, key: &str) -> Option<usize> {
    (0..rows.rows()).filter(|&row| rows.entities()[row].key() == key).max_by_key(|&row| rows.as_of()[row])
}

fn lines(found: &Explanation, top: usize) -> String {
    let mut text = String::new();
    let unit = &found.unit;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} {} [{}] as of {}, by {}",
        found.kind, found.entity, found.incarnation, found.as_of, found.model
    );
    let _ = writeln!(
        text,
        "P(failure within {} {unit}) = {:.4}; at the means of training {:.4}; shares by {}, off by {:.1e}\n",
        found.horizon,
        found.probability,
        found.baseline,
        found.method.name(),
        found.gap
    );
    let shown: Vec<_> = found.contributions.iter().take(top).filter(|c| c.share != 0.0).collect();
    let widest = shown.iter().map(|c| c.input.chars().count()).max().unwrap_or(5).max(5);
    let _ = writeln!(text, "{:<widest$}  {:>8}  {:>10}  strongest step", "input", "share", "value");
    for c in shown {
        let value = c.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        let ago = c.strongest_ago.map_or_else(String::new, |ago| format!("{ago:.3} {unit} ago"));
        let _ = writeln!(text, "{:<widest$}  {:>+8.4}  {value:>10}  {ago}", c.input, c.share);
    }
    let rest: f64 = found.contributions.iter().skip(top).map(|c| c.share).sum();
    let _ = writeln!(text, "{:<widest$}  {rest:>+8.4}\n", "others");
    let _ = write!(text, "{:>10}  {:>7}", format!("t ({unit})"), "S");
    for cause in &found.causes {
        let _ = write!(text, "  {cause:>16}");
    }
    let _ = writeln!(text);
    for (at, edge) in found.edges.iter().enumerate() {
        let _ = write!(text, "{edge:>10.2}  {:>7.4}", found.survival[at]);
        for values in &found.incidence {
            let _ = write!(text, "  {:>16.4}", values[at]);
        }
        let _ = writeln!(text);
    }
    text
}
