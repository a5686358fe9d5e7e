//! The data card: what a person should know before using a data set, written from its manifest.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::dataset::{explanation, missing_share};
use crate::manifest::Manifest;
use crate::source::SplitRule;

/// `README.md` of a data set, with the header that Hugging Face reads.
#[must_use]
pub fn render(manifest: &Manifest) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_card(&mut text, manifest);
    text
}

fn write_card(out: &mut String, manifest: &Manifest) -> std::fmt::Result {
    let counts = &manifest.counts;
    writeln!(
        out,
        "---\npretty_name: {:?}\nconfigs:\n- config_name: rows\n  default: true\n  data_files: rows/*.parquet",
        manifest.title
    )?;
    writeln!(out, "- config_name: events\n  data_files: events.parquet")?;
    if manifest.has_truth {
        writeln!(out, "- config_name: truth\n  data_files: truth.parquet")?;
    }
    writeln!(out, "---\n\n# {}\n", manifest.title)?;
    writeln!(out, "**Source.** {}\n\n**Licence.** {}\n", manifest.source, manifest.licence)?;
    writeln!(
        out,
        "{} rows from {} histories in {} groups; {} rows end in a failure.\n",
        counts.rows, counts.entities, counts.groups, counts.failures
    )?;

    writeln!(out, "| part | rows | ending in failure | histories | groups |\n|---|---|---|---|---|")?;
    for (name, part) in &counts.splits {
        writeln!(out, "| {name} | {} | {} | {} | {} |", part.rows, part.failures, part.entities, part.groups)?;
    }
    writeln!(out)?;
    if let SplitRule::ByGroup { test_only, .. } = &manifest.split
        && !test_only.is_empty()
    {
        writeln!(
            out,
            "Only in the test part, whatever their hash, with all groups below them: `{}`.\n",
            test_only.join("`, `")
        )?;
    }
    table(out, "failure", "events", &counts.events_by_cause)?;
    table(out, "end without failure", "histories", &counts.ends_by_reason)?;
    if !counts.rows_by_censor_reason.is_empty() {
        writeln!(out, "| censoring | rows | what it says |\n|---|---|---|")?;
        for (reason, rows) in &counts.rows_by_censor_reason {
            writeln!(out, "| {reason} | {rows} | {} |", explanation(reason))?;
        }
        writeln!(out)?;
    }
    table(out, "left out", "cuts or records", &counts.excluded)?;
    writeln!(
        out,
        "Late samples left out: {}. Identical duplicates dropped: {}.\n",
        counts.late_samples, counts.duplicate_samples
    )?;

    if let Some(watched) = &counts.watched {
        writeln!(
            out,
            "Gaps: {} in {} histories, {:.2} % of the watched time. {} histories were older than their first sample (left truncation).\n",
            watched.gaps,
            watched.histories_with_gaps,
            missing_share(watched),
            watched.joined_late
        )?;
    }
    if let Some(since) = manifest.raw_since {
        writeln!(out, "Raw samples are kept from tick {since} on: from there another spec can be built.\n")?;
    }
    let unit = manifest.grid.unit().short();
    writeln!(out, "## Time\n")?;
    writeln!(
        out,
        "Durations are in {unit}, counted from `as_of` ({} ticks to the {unit}); horizons {:?}, grid of {} intervals up to {} {unit}.\n",
        manifest.spec.time.ticks_per_unit,
        manifest.readout.horizons,
        manifest.grid.intervals(),
        manifest.grid.last_edge()
    )?;
    writeln!(out, "## Columns\n")?;
    let names: Vec<String> = manifest.spec.flat.iter().map(|column| format!("`{}`", column.name)).collect();
    writeln!(out, "Flat: {}.\n", if names.is_empty() { "none".to_owned() } else { names.join(", ") })?;
    if manifest.spec.steps > 0 {
        let names: Vec<String> = manifest.spec.channels.iter().map(|channel| format!("`{}`", channel.name)).collect();
        writeln!(
            out,
            "`window`: {} steps of {} ticks, oldest first, little-endian f32, NaN where not observed; channels {}.\n",
            manifest.spec.steps,
            manifest.spec.step,
            names.join(", ")
        )?;
    }
    writeln!(out, "Exactly one of `cause` and `censor_reason` is given in each row.\n")?;
    if !manifest.notes.is_empty() {
        writeln!(out, "## Traps and treatment\n")?;
        for note in &manifest.notes {
            writeln!(out, "- {note}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "## Made from\n")?;
    for input in &manifest.inputs {
        writeln!(out, "- `{}` sha256 `{}`", input.name, input.sha256)?;
    }
    writeln!(out, "\nFeature spec `{}`, code {}.", manifest.spec_hash, manifest.code_version)
}

fn table(out: &mut String, what: &str, of: &str, counts: &BTreeMap<String, u64>) -> std::fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(out, "| {what} | {of} |\n|---|---|")?;
    for (name, count) in counts {
        writeln!(out, "| {name} | {count} |")?;
    }
    writeln!(out)
}
