//! `forewarn ingest`: receive, fetch, import.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use datasets::ingest::files::{FileKind, FileTarget, TablePlan, import};
use datasets::ingest::history::{Moment, Period};
use datasets::ingest::prometheus::Mode;
use datasets::ingest::{
    HistoryOptions, HistoryReport, Listeners, Pipeline, ReceiverOptions, now, prometheus, serve, victoria,
};
use datasets::lake::CompactOptions;
use datasets::{LakeOptions, LakeWriter};
use features::Catalogue;
use features::canonical::Limits;
use features::mapping::MappingSet;
use tokio::net::TcpListener;

use crate::args::{FileFormat, FilesArgs, IngestArgs, IngestFrom, ListenArgs, PullArgs, duration};
use crate::bar::{Bar, Style};
use crate::exit::usage;

pub(crate) fn run(args: IngestArgs) -> anyhow::Result<()> {
    match args.from {
        None => listen(args.listen),
        Some(IngestFrom::Prometheus(pull)) => fetch(pull, true),
        Some(IngestFrom::Victoria(pull)) => fetch(pull, false),
        Some(IngestFrom::Files(files)) => files_into(files),
    }
}

fn listen(args: ListenArgs) -> anyhow::Result<()> {
    let (Some(http), Some(dir)) = (args.listen, args.lake) else {
        return Err(usage("--listen ADDR and --lake DIR are needed, or a subcommand; see `forewarn ingest --help`"));
    };
    let token = args.token_file.as_deref().map(secret).transpose()?;
    for address in [Some(http), args.otlp].into_iter().flatten() {
        if !address.ip().is_loopback() && token.is_none() && !args.insecure {
            return Err(usage(format!(
                "{address} can be reached from other machines, and anybody could write to the lake; give --token-file, or --insecure if that is meant"
            )));
        }
    }
    let writer =
        Arc::new(LakeWriter::open(&dir, LakeOptions { max_series: args.max_series, ..LakeOptions::default() })?);
    let replayed = writer.stats().replayed;
    if replayed > 0 {
        eprintln!("{}: {replayed} rows of the log of an earlier run are taken up again", dir.display());
    }
    let pipeline = pipeline(&writer, args.max_series, args.max_future);
    let options = ReceiverOptions {
        token,
        flush_every: Duration::from_millis(u64::try_from(args.flush_every).unwrap_or(60_000)),
        ..ReceiverOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stats = runtime.block_on(async {
        let listeners = Listeners { http: Some(bind(http).await?), otlp: bind_some(args.otlp).await? };
        for (what, listener) in [("remote write, OTLP over HTTP", &listeners.http), ("OTLP over gRPC", &listeners.otlp)]
        {
            if let Some(listener) = listener {
                println!("listening on {} ({what})", listener.local_addr()?);
            }
        }
        if args.compact_every > 0 {
            tokio::spawn(keep_compact(dir.clone(), args.compact_every));
        }
        anyhow::Ok(serve(listeners, pipeline, options, crate::stop::signal()).await?)
    })?;
    println!("{}", serde_json::to_string_pretty(&stats)?);
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn bind_some(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(bind(address).await?)),
        None => Ok(None),
    }
}

/// Rows of a lake up to which its failures are told with every compaction.
const OFTEN: u64 = 200_000_000;

/// Merges files from time to time: those of closed days, and those of today once there are many.
async fn keep_compact(lake: std::path::PathBuf, every: i64) {
    let mut clock = tokio::time::interval(Duration::from_millis(u64::try_from(every).unwrap_or(3_600_000)));
    clock.tick().await;
    loop {
        clock.tick().await;
        let lake = lake.clone();
        let done = tokio::task::spawn_blocking(move || {
            let options = CompactOptions { open_days: true, fewest_files: 16, ..CompactOptions::at(now()) };
            let report = datasets::lake::compact(&lake, &options, &datasets::Silent)?;
            // Failures are told anew from the whole history: of a large lake once a day has closed, not all the time.
            let rows = datasets::Lake::open(&lake)?.status()?.rows;
            if report.tiles > 0 || rows < OFTEN {
                datasets::lake_source::refresh_events(&lake, now())?;
            }
            Ok::<(), datasets::DatasetError>(())
        });
        if let Ok(Err(error)) = done.await {
            tracing::warn!(%error, "compaction failed; it will be tried again");
        }
    }
}

fn pipeline(writer: &Arc<LakeWriter>, max_series: usize, max_future: i64) -> Arc<Pipeline> {
    let catalogue = Arc::new(Catalogue::standard());
    let mappings = Arc::new(MappingSet::standard(&catalogue));
    let limits = Limits { max_series, max_future, ..Limits::default() };
    Arc::new(Pipeline::new(writer.clone(), catalogue, mappings, limits))
}

fn fetch(args: PullArgs, from_prometheus: bool) -> anyhow::Result<()> {
    let endpoint = args.service.endpoint()?;
    let period = Period { from: moment(&args.from)?, until: moment(&args.to)? };
    if period.from.at() >= period.until.at() {
        return Err(usage(format!("--from {} is not before --to {}", args.from, args.to)));
    }
    let writer =
        Arc::new(LakeWriter::open(&args.lake, LakeOptions { max_series: args.max_series, ..LakeOptions::default() })?);
    let pipeline = pipeline(&writer, args.max_series, Limits::default().max_future);
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let options = HistoryOptions { known_after: args.ingest_lag, ..HistoryOptions::default() };
    let catalogue = Catalogue::standard();
    let names: Vec<String> = MappingSet::standard(&catalogue).names().into_iter().map(str::to_owned).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        if from_prometheus {
            let mode = if args.samples { Mode::Samples } else { Mode::Streamed };
            prometheus::backfill(&endpoint, mode, &names, &period, &options, pipeline, &bar).await
        } else {
            victoria::backfill(&endpoint, &names, &period, &options, pipeline, &bar).await
        }
    })?;
    writer.flush()?;
    print(&endpoint.name(), &report, args.json)
}

fn files_into(args: FilesArgs) -> anyhow::Result<()> {
    let writer =
        Arc::new(LakeWriter::open(&args.lake, LakeOptions { max_series: args.max_series, ..LakeOptions::default() })?);
    let catalogue = Arc::new(Catalogue::standard());
    let mappings = Arc::new(MappingSet::standard(&catalogue));
    let plan = || -> anyhow::Result<TablePlan> {
        let path = args.mapping.as_deref().ok_or_else(|| usage("csv and parquet need --mapping FILE"))?;
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(TablePlan::parse(&text)?)
    };
    let kind = match args.format {
        FileFormat::Csv => FileKind::Csv(plan()?),
        FileFormat::Parquet => FileKind::Parquet(plan()?),
        FileFormat::Exposition => FileKind::Exposition { at: None },
        FileFormat::Victoria => FileKind::VmLines,
    };
    let target = FileTarget {
        store: writer.clone(),
        catalogue,
        mappings,
        limits: Limits { max_series: args.max_series, ..Limits::default() },
        options: HistoryOptions { known_after: args.ingest_lag, ..HistoryOptions::default() },
    };
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    for file in &args.files {
        let report = import(file, &kind, &target, &bar)?;
        print(&file.display().to_string(), &report, args.json)?;
    }
    writer.flush()?;
    Ok(())
}

fn print(what: &str, report: &HistoryReport, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    print!("{}", summary(what, report));
    Ok(())
}

/// What an import brought, and what it left out, for people.
fn summary(what: &str, report: &HistoryReport) -> String {
    if report.already_complete {
        return format!("{what}: imported before, nothing to do\n");
    }
    let resumed = if report.resumed { ", going on where an earlier run stopped" } else { "" };
    let mut text = format!("{what}: {} samples, {} rows stored{resumed}\n", report.samples, report.rows);
    for (reason, count) in &report.dropped {
        text += &format!("  {count} samples left out: {reason}\n");
    }
    if report.bad_lines > 0 {
        text += &format!("  {} lines left out: they cannot be read\n", report.bad_lines);
    }
    if let Some(refusal) = &report.refusal {
        text += &format!("  first refusal: {refusal}\n");
    }
    text
}

/// What a file holds, without the line's end that editors add.
pub(crate) fn secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// RFC 3339, milliseconds, or a length of time before now.
fn moment(text: &str) -> anyhow::Result<Moment> {
    if let Ok(back) = duration(text) {
        return Ok(Moment::ago(text, now() - back));
    }
    if let Ok(milliseconds) = text.parse::<i64>() {
        return Ok(Moment::fixed(milliseconds));
    }
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| Moment::fixed(time.timestamp_millis()))
        .map_err(|_| usage(format!("{text:?} is neither a moment (2026-11-01T00:00:00Z) nor a length of time (30d)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_however_it_is_written() {
        let written = ["2026-11-24T10:00:00+01:00", "2026-11-24T09:00:00Z", "1795510800000"];
        let moments = written.map(|text| moment(text).unwrap());
        assert!(moments.iter().all(|one| *one == moments[0]), "{moments:?}");
        assert_ne!(moment("1d").unwrap(), moment("24h").unwrap(), "an import is known by its words");
        assert!(moment("noon").unwrap_err().to_string().contains("\"noon\""));
    }

    #[test]
    fn a_summary_says_what_was_left_out() {
        let report = HistoryReport {
            samples: 10,
            rows: 6,
            dropped: vec![("far_future", 4)],
            bad_lines: 3,
            refusal: Some("line 7, column 1: torn".to_owned()),
            ..HistoryReport::default()
        };
        assert_eq!(
            summary("a.prom", &report),
            "a.prom: 10 samples, 6 rows stored\n  4 samples left out: far_future\n  3 lines left out: they cannot be read\n  \
             first refusal: line 7, column 1: torn\n"
        );
        let done = HistoryReport { already_complete: true, resumed: true, ..HistoryReport::default() };
        assert_eq!(summary("a.prom", &done), "a.prom: imported before, nothing to do\n");
    }
}
