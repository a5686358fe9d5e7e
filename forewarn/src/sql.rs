//! `forewarn sql`: one query over a lake and data sets.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use datasets::sql::{SqlContext, SqlSources, SqlWriter};

use crate::args::{SqlArgs, SqlFormat};
use crate::exit::usage;

pub(crate) fn run(args: SqlArgs) -> anyhow::Result<()> {
    if args.lake.is_none() && args.datasets.is_empty() {
        return Err(usage("give --lake DIR or --dataset [NAME=]DIR to ask about"));
    }
    let datasets = args.datasets.iter().map(|text| match text.split_once('=') {
        Some((name, dir)) => (Some(name.to_owned()), dir.into()),
        None => (None, text.into()),
    });
    let sources = SqlSources { lake: args.lake.clone(), datasets: datasets.collect(), memory_mib: args.memory };
    let writer = match (args.format, &args.out) {
        (SqlFormat::Parquet, None) => return Err(usage("--format parquet needs --out FILE")),
        (SqlFormat::Parquet, Some(path)) => SqlWriter::parquet(path)?,
        (format, out) => {
            let sink: Box<dyn Write + Send> = match out {
                Some(path) => Box::new(BufWriter::new(File::create(path)?)),
                None => Box::new(io::stdout()),
            };
            match format {
                SqlFormat::Csv => SqlWriter::csv(sink),
                SqlFormat::Json => SqlWriter::json(sink),
                SqlFormat::Table | SqlFormat::Parquet => SqlWriter::table(sink, args.limit),
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = runtime.block_on(async { SqlContext::open(&sources).await?.run(&args.query, writer).await })?;
    if args.out.is_some() {
        eprintln!("{rows} rows");
    }
    Ok(())
}
