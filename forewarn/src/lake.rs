//! `forewarn lake`: status, compact, prune, verify, migrate.

use datasets::Lake;
use datasets::lake::{CompactOptions, LakeStatus, compact, migrate, prune};
use datasets::lake_source::refresh_events;
use features::Catalogue;

use crate::args::{LakeAction, LakeArgs};
use crate::bar::{Bar, Style};

pub(crate) fn run(args: LakeArgs) -> anyhow::Result<()> {
    let style = |json| if json { Style::Script } else { Style::Person };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let options = CompactOptions::at(i64::try_from(now)?);
    match args.action {
        LakeAction::Status { lake, json } => {
            let status = Lake::open(&lake)?.status()?;
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                print_status(&lake.display().to_string(), &status);
            }
        }
        LakeAction::Compact { lake, today, json } => {
            let options = CompactOptions { open_days: today, ..options };
            let report = compact(&lake, &options, &Bar::new(style(json)))?;
            let events = refresh_events(&lake, i64::try_from(now)?)?;
            if json {
                let mut value = serde_json::to_value(&report)?;
                value["events"] = serde_json::to_value(&events)?;
                println!("{}", serde_json::to_string_pretty(&value)?);
            } else {
                println!(
                    "{}: {} days, {} files merged into {}, {} duplicates fell out, {} tiles written, {} old files deleted",
                    lake.display(),
                    report.days,
                    report.merged.0,
                    report.merged.1,
                    report.duplicates,
                    report.tiles,
                    report.deleted
                );
                for (kind, count) in &events {
                    println!("  {count} failures of {kind} told, in the table events");
                }
            }
        }
        LakeAction::Prune { lake, keep_raw, without_tiles, json } => {
            let needed = features::event::metrics(&Catalogue::standard());
            let report = prune(&lake, keep_raw, &needed, without_tiles, &options, &Bar::new(style(json)))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                println!(
                    "{}: {} days pruned, {} of {} rows and {} of {} bytes kept for events",
                    lake.display(),
                    report.days,
                    report.rows.1,
                    report.rows.0,
                    report.bytes.1,
                    report.bytes.0
                );
                if !report.without_tiles.is_empty() {
                    println!(
                        "left alone, because their tiles are not written (run `forewarn lake compact`): {}",
                        report.without_tiles.join(", ")
                    );
                }
            }
        }
        LakeAction::Verify { lake, json } => {
            let files = Lake::open(&lake)?.verify(&Bar::new(style(json)))?;
            if json {
                println!("{}", serde_json::json!({ "files": files, "ok": true }));
            } else {
                println!("{}: {files} files, every digest, order and reference as the commit says", lake.display());
            }
        }
        LakeAction::Migrate { lake } => {
            let from = migrate(&lake)?;
            println!("{}: format {from} is this release's, nothing to do", lake.display());
        }
    }
    Ok(())
}

fn print_status(name: &str, status: &LakeStatus) {
    let moment =
        |time: i64| chrono::DateTime::from_timestamp_millis(time).map_or_else(|| time.to_string(), |t| t.to_rfc3339());
    println!(
        "{name}: commit {}, {} rows, {} series, {} bytes",
        status.commit, status.rows, status.series, status.bytes
    );
    if let Some((first, last)) = status.times {
        println!("  from {} to {}", moment(first), moment(last));
    }
    println!(
        "  {} identical and {} differing duplicates dropped; {} log segments wait to become Parquet",
        status.duplicates, status.conflicts, status.log_segments
    );
    for (kind, entities) in &status.entities {
        println!("  {kind}: {entities} entities");
        for (date, day) in status.days.get(kind).into_iter().flatten() {
            let pruned = if day.pruned { ", pruned" } else { "" };
            println!("    {date}  {} files, {} rows, {} bytes{pruned}", day.files, day.rows, day.bytes);
        }
    }
    for (import, progress) in &status.imports {
        println!("  import {import}: {progress}");
    }
}
