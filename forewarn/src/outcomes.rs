//! `forewarn evaluate --scores --lake`: past nights against what happened since, `outcomes.json`, `outcomes.parquet`.

use std::path::Path;

use score::OutcomesConfig;

use crate::args::PastArgs;
use crate::config_file;
use crate::exit::usage;
use crate::score::rules;

pub(crate) fn run(scores: &Path, args: &PastArgs, out: &Path, json: bool) -> anyhow::Result<()> {
    config_file::fresh(out)?;
    let lake =
        args.lake.clone().ok_or_else(|| usage("--lake is missing; give the lake the nights were scored from"))?;
    let config = OutcomesConfig {
        scores: scores.to_owned(),
        lake,
        rules: rules(args.rules.as_deref())?,
        actions: args.actions.clone(),
        since: args.since,
        until: args.until,
    };
    let (outcomes, rows) = score::outcomes(&config)?;
    for reason in &outcomes.left_out {
        eprintln!("left out: {reason}");
    }
    config_file::write(&out.join("outcomes.json"), &serde_json::to_vec_pretty(&outcomes)?)?;
    rows.write(&out.join("outcomes.parquet"))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    } else {
        println!("{}", outcomes.text());
        println!("rows: {}", out.join("outcomes.parquet").display());
    }
    Ok(())
}
