//! SQL over a lake and data sets, by DataFusion: read only, streamed, bounded in memory.
//!
//! Tables of a lake: `samples` (entity_id, metric, series_id, ts, value, known_at), `tiles`, `events`, `series`,
//! `metrics`, and the views `entities`, `incarnations` and `relations` (which pod ran on which node, which was part of
//! which workload, which machine was on which host, each with the time it was seen so), and `samples_named` (kind, key,
//! metric name, part, ts, value). Tables of a data set: `rows`, `labels` (a row per cut, cause and horizon: 1, 0, or
//! null where nobody can say) and `dataset_events`, or under a name given, `NAME.rows`, `NAME.labels`, `NAME.events`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext, col};
use futures_util::StreamExt;
use parquet::arrow::ArrowWriter;

use crate::error::{DatasetError, Result};
use crate::lake::{Lake, Table, tile_schema};
use crate::{Dataset, lake};

/// What a query may ask about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlSources {
    /// A lake.
    pub lake: Option<PathBuf>,
    /// Data sets, each with the name its tables stand under, if any.
    pub datasets: Vec<(Option<String>, PathBuf)>,
    /// Memory a query may take, MiB; past it, it is refused.
    pub memory_mib: usize,
}

/// Where the rows of an answer go.
pub struct SqlWriter(Form);

enum Form {
    Table { sink: Box<dyn Write + Send>, most: usize, batches: Vec<RecordBatch>, held: usize },
    Csv(datafusion::arrow::csv::Writer<Box<dyn Write + Send>>),
    Json(datafusion::arrow::json::LineDelimitedWriter<Box<dyn Write + Send>>),
    Parquet { path: PathBuf, writer: Option<ArrowWriter<std::fs::File>> },
}

impl SqlWriter {
    /// A table for people, at most `most` rows of it.
    #[must_use]
    pub fn table(sink: Box<dyn Write + Send>, most: usize) -> Self {
        Self(Form::Table { sink, most, batches: Vec::new(), held: 0 })
    }

    /// Comma-separated, with a header.
    #[must_use]
    pub fn csv(sink: Box<dyn Write + Send>) -> Self {
        Self(Form::Csv(datafusion::arrow::csv::Writer::new(sink)))
    }

    /// One JSON object a line.
    #[must_use]
    pub fn json(sink: Box<dyn Write + Send>) -> Self {
        Self(Form::Json(datafusion::arrow::json::LineDelimitedWriter::new(sink)))
    }

    /// A Parquet file that must not exist yet.
    ///
    /// # Errors
    /// When it exists.
    pub fn parquet(path: &Path) -> Result<Self> {
        if path.exists() {
            return Err(DatasetError::Exists { path: path.to_owned(), problem: "a file already".to_owned() });
        }
        Ok(Self(Form::Parquet { path: path.to_owned(), writer: None }))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let refuse = |error: arrow::error::ArrowError| DatasetError::config("answer", error.to_string());
        match &mut self.0 {
            Form::Table { most, batches, held, .. } => {
                let room = most.saturating_sub(*held).min(batch.num_rows());
                *held += room;
                if room > 0 {
                    batches.push(batch.slice(0, room));
                }
                Ok(())
            }
            Form::Csv(writer) => writer.write(batch).map_err(refuse),
            Form::Json(writer) => writer.write(batch).map_err(refuse),
            Form::Parquet { path, writer } => {
                let named = DatasetError::parquet(path);
                let writer = match writer {
                    Some(writer) => writer,
                    None => {
                        let file =
                            std::fs::File::create_new(&*path).map_err(DatasetError::io(path, "create the file"))?;
                        writer.insert(ArrowWriter::try_new(file, batch.schema(), None).map_err(&named)?)
                    }
                };
                writer.write(batch).map_err(named)
            }
        }
    }

    fn finish(self, rows: u64) -> Result<()> {
        let refuse = |error: arrow::error::ArrowError| DatasetError::config("answer", error.to_string());
        match self.0 {
            Form::Table { mut sink, batches, held, .. } => {
                let text = pretty_format_batches(&batches).map_err(refuse)?;
                let more =
                    if rows > held as u64 { format!("\n{held} of {rows} rows") } else { format!("\n{rows} rows") };
                writeln!(sink, "{text}{more}").map_err(DatasetError::io(Path::new("answer"), "write the table"))
            }
            Form::Csv(_) => Ok(()),
            Form::Json(mut writer) => writer.finish().map_err(refuse),
            Form::Parquet { path, writer } => match writer {
                Some(writer) => writer.close().map(drop).map_err(DatasetError::parquet(&path)),
                None => Ok(()),
            },
        }
    }
}

/// Tables that can be asked about.
pub struct SqlContext {
    session: SessionContext,
    /// Kept open, so that no compaction deletes its files under a query.
    _lake: Option<Lake>,
}

impl SqlContext {
    /// Opens the lake at its newest commit and the data sets.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub async fn open(sources: &SqlSources) -> Result<Self> {
        let named = |error: DataFusionError| DatasetError::config("sql", first_line(&error));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(sources.memory_mib.max(16) << 20, 1.0)
            .build_arc()
            .map_err(named)?;
        let config = SessionConfig::new()
            .with_information_schema(true)
            .set_bool("datafusion.sql_parser.enable_ident_normalization", true);
        let context = SessionContext::new_with_config_rt(config, runtime);
        let lake = match &sources.lake {
            Some(dir) => Some(open_lake(&context, dir).await?),
            None => None,
        };
        for (name, dir) in &sources.datasets {
            let dataset = Dataset::open(dir)?;
            let rows: Vec<PathBuf> = dataset.manifest().parts().map(|file| dir.join(&file.path)).collect();
            let events = vec![dir.join(crate::builder::EVENTS)];
            let (rows_name, labels_name, events_name) = match name {
                Some(name) => {
                    context.sql(&format!("CREATE SCHEMA IF NOT EXISTS \"{name}\"")).await.map_err(named)?;
                    (format!("\"{name}\".rows"), format!("\"{name}\".labels"), format!("\"{name}\".events"))
                }
                None => ("rows".to_owned(), "labels".to_owned(), "dataset_events".to_owned()),
            };
            register(&context, &rows_name, &rows, None, &[]).await?;
            context.sql(&labels(&dataset, &rows_name, &labels_name)).await.map_err(named)?;
            register(&context, &events_name, &events, None, &[]).await?;
        }
        Ok(Self { session: context, _lake: lake })
    }

    /// Runs one query; returns how many rows it has.
    ///
    /// # Errors
    /// When it is no query (nothing is ever written), names what is not there, or needs more memory than allowed.
    pub async fn run(&self, query: &str, mut writer: SqlWriter) -> Result<u64> {
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let refuse = |error: DataFusionError| DatasetError::config("query", first_line(&error));
        let answer = self.session.sql_with_options(query, options).await.map_err(refuse)?;
        let mut stream = answer.execute_stream().await.map_err(refuse)?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(refuse)?;
            rows += batch.num_rows() as u64;
            writer.write(&batch)?;
        }
        writer.finish(rows)?;
        Ok(rows)
    }
}

/// Horizon labels of a data set: whether a failure of the cause is known to have happened within the horizon. A row
/// that was censored before it says nothing (null), nor does one whose failure lies in an interval that spans it.
fn labels(dataset: &Dataset, rows: &str, name: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let causes: Vec<String> = dataset.causes().iter().map(|cause| format!("({})", quoted(cause))).collect();
    let horizons: Vec<String> =
        dataset.readout().horizons.iter().map(|horizon| format!("(CAST({horizon:?} AS DOUBLE))")).collect();
    format!(
        "CREATE VIEW {name} AS SELECT r.entity, r.incarnation, r.split, r.as_of, h.horizon, c.cause, \
         CASE WHEN r.known_alive >= h.horizon THEN 0 \
         WHEN r.cause IS NULL OR r.duration > h.horizon THEN NULL \
         WHEN r.cause = c.cause THEN 1 ELSE 0 END AS event_within \
         FROM {rows} r CROSS JOIN (VALUES {}) AS h(horizon) CROSS JOIN (VALUES {}) AS c(cause)",
        horizons.join(", "),
        causes.join(", ")
    )
}

async fn open_lake(context: &SessionContext, dir: &Path) -> Result<Lake> {
    let opened = Lake::open(dir)?;
    let files =
        |table: Table| -> Vec<PathBuf> { opened.snapshot().table(table).map(|file| dir.join(&file.path)).collect() };
    let samples = Arc::new(lake::sample_schema());
    register(context, "samples", &files(Table::Samples), Some(samples), &["entity_id", "metric", "series_id", "ts"])
        .await?;
    register(context, "tiles", &files(Table::Tiles), Some(tile_schema()), &[]).await?;
    register(context, "events", &files(Table::Events), Some(Arc::new(lake::event_schema())), &[]).await?;
    register(context, "series", &files(Table::Series), Some(lake::series_schema()), &[]).await?;
    register(context, "metrics", &files(Table::Metrics), None, &[]).await?;
    let label = |name: &str| format!("regexp_match(s.part, '(?:^|,){name}=([^,]*)')[1]");
    // An info series is a relation over the time in which it was seen.
    let relations = [
        ("pod.info", "runs_on", "node", label("node")),
        ("owner", "part_of", "workload", format!("concat({}, '/', {})", label("owner_kind"), label("owner_name"))),
        ("vm.info", "runs_on", "node", label("host_name")),
    ]
    .map(|(metric, relation, kind, name)| {
        format!(
            "SELECT s.kind AS child_kind, s.key AS child, s.incarnation, '{relation}' AS relation, '{kind}' AS parent_kind, \
             {name} AS parent, min(x.ts) AS valid_from, max(x.ts) AS valid_to FROM samples x JOIN series s \
             ON x.series_id = s.series_id JOIN metrics m ON x.metric = m.metric WHERE m.id = '{metric}' \
             AND {name} IS NOT NULL GROUP BY s.kind, s.key, s.incarnation, s.part"
        )
    });
    let relations = format!("CREATE VIEW relations AS {}", relations.join(" UNION ALL "));
    let views = [
        relations.as_str(),
        "CREATE VIEW incarnations AS SELECT s.entity_id, s.kind, s.key, s.incarnation, min(x.ts) AS valid_from, \
         max(x.ts) AS valid_to FROM samples x JOIN series s ON x.series_id = s.series_id \
         GROUP BY s.entity_id, s.kind, s.key, s.incarnation",
        "CREATE VIEW entities AS SELECT DISTINCT entity_id, kind, key FROM series",
        "CREATE VIEW samples_named AS SELECT s.kind, s.key, s.incarnation, m.id AS metric, s.part, x.ts, x.value, x.known_at \
         FROM samples x JOIN series s ON x.series_id = s.series_id JOIN metrics m ON x.metric = m.metric",
    ];
    for view in views {
        context.sql(view).await.map_err(|error| DatasetError::config("sql", first_line(&error)))?;
    }
    Ok(opened)
}

/// Files as one table; without any, an empty one of the schema given.
async fn register(
    context: &SessionContext,
    name: &str,
    files: &[PathBuf],
    empty: Option<SchemaRef>,
    order: &[&str],
) -> Result<()> {
    let named = |error: DataFusionError| DatasetError::config(format!("table {name}"), first_line(&error));
    if files.is_empty() {
        let schema = empty.unwrap_or_else(|| Arc::new(Schema::empty()));
        let table = MemTable::try_new(schema, vec![Vec::new()]).map_err(named)?;
        context.register_table(name, Arc::new(table)).map_err(named)?;
        return Ok(());
    }
    let mut urls = Vec::with_capacity(files.len());
    for file in files {
        let path = std::path::absolute(file).map_err(DatasetError::io(file, "find the file"))?;
        urls.push(ListingTableUrl::parse(path.to_string_lossy()).map_err(named)?);
    }
    let mut options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    if !order.is_empty() {
        let order = order.iter().map(|column| col(*column).sort(true, false)).collect();
        options = options.with_file_sort_order(vec![order]);
    }
    let schema = options.infer_schema(&context.state(), &urls[0]).await.map_err(named)?;
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    let table = ListingTable::try_new(config).map_err(named)?;
    context.register_table(name, Arc::new(table)).map_err(named)?;
    Ok(())
}

/// What DataFusion says, without its backtrace.
fn first_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}
