//! Arguments of everything between a running monitoring system and a data set.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::duration;

#[cfg(feature = "ingest")]
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct IngestArgs {
    #[command(subcommand)]
    pub(crate) from: Option<IngestFrom>,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
}

/// Receive remote write and OTLP until stopped.
#[cfg(feature = "ingest")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ListenArgs {
    /// HTTP address of remote write (POST /api/v1/write), OTLP over HTTP (POST /v1/metrics), /metrics and /-/ready;
    /// port 0 takes a free one, which is printed.
    #[arg(long, value_name = "ADDR", required = true)]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of OTLP over gRPC, usually port 4317; off unless given.
    #[arg(long, value_name = "ADDR")]
    pub(crate) otlp: Option<SocketAddr>,
    /// The lake; made if it is not there.
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) lake: Option<PathBuf>,
    /// File with a token that senders must give as `Authorization: Bearer …`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Allow an address other machines can reach without a token; there is no encryption yet.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Longest time rows stay in the log before they become Parquet; 1s or more.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = flush_every)]
    pub(crate) flush_every: i64,
    /// Series the lake may hold; new ones past this are refused by name, known ones go on.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub(crate) max_series: usize,
    /// Samples further ahead of the clock than this are dropped and counted.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) max_future: i64,
    /// Merge the small files of closed days, and write their tiles and events, this often; 0 leaves it to `forewarn lake compact`.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration_or_never)]
    pub(crate) compact_every: i64,
}

#[cfg(feature = "ingest")]
#[derive(Debug, Subcommand)]
pub(crate) enum IngestFrom {
    /// Fetch history from Prometheus by remote read (streamed chunks); a killed run goes on where it was.
    Prometheus(PullArgs),
    /// Fetch history from VictoriaMetrics (/api/v1/export); a killed run goes on where it was.
    Victoria(PullArgs),
    /// Import Parquet, CSV, text expositions or VictoriaMetrics export lines.
    Files(FilesArgs),
}

// No documentation comment: clap would show it instead of the command's own.
#[cfg(feature = "ingest")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ServiceArgs {
    /// Base address of the server, such as http://prometheus:9090.
    #[arg(long)]
    pub(crate) url: String,
    /// File with a bearer token.
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) token_file: Option<PathBuf>,
    /// Name for basic authentication; the password is read from --password-file.
    #[arg(long, requires = "password_file")]
    pub(crate) user: Option<String>,
    /// File with the password.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// Header to send along, `name: value`; may be given several times (X-Scope-OrgID).
    #[arg(long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
}

#[cfg(feature = "ingest")]
impl ServiceArgs {
    /// Who to ask and how, the secrets read from their files.
    pub(crate) fn endpoint(&self) -> anyhow::Result<datasets::ingest::Endpoint> {
        use datasets::ingest::{Auth, Endpoint};

        let mut endpoint = Endpoint::new(&self.url);
        endpoint.auth = match (&self.token_file, &self.user, &self.password_file) {
            (Some(file), ..) => Auth::Bearer(crate::ingest::secret(file)?),
            (None, Some(user), Some(file)) => {
                Auth::Basic { user: user.clone(), password: crate::ingest::secret(file)? }
            }
            _ => Auth::None,
        };
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| crate::exit::usage(format!("--header {header:?} is not `name: value`")))?;
            endpoint.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(endpoint)
    }
}

#[cfg(feature = "ingest")]
#[derive(Debug, ClapArgs)]
pub(crate) struct PullArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// First moment: RFC 3339 (2026-11-01T00:00:00Z), or so long ago (30d). The same command run again goes on where it
    /// stopped, or from its last end.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: String,
    /// Last moment, the same forms.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) to: String,
    /// The lake; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) lake: PathBuf,
    /// Ask remote read for plain samples instead of streamed chunks; for servers that cannot stream.
    #[arg(long)]
    pub(crate) samples: bool,
    /// How long after its time a sample of the past counts as known; history carries no receive time.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) ingest_lag: i64,
    /// Series the lake may hold.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub(crate) max_series: usize,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "ingest")]
#[derive(Debug, ClapArgs)]
pub(crate) struct FilesArgs {
    /// The files; `.gz` is unpacked.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What they are.
    #[arg(long, value_enum)]
    pub(crate) format: FileFormat,
    /// Names time, entity, metric and value columns, TOML; needed for csv and parquet.
    #[arg(long, value_name = "FILE")]
    pub(crate) mapping: Option<PathBuf>,
    /// The lake; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) lake: PathBuf,
    /// How long after its time a sample of the past counts as known.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) ingest_lag: i64,
    /// Series the lake may hold.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub(crate) max_series: usize,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Form of imported files.
#[cfg(feature = "ingest")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated with a header.
    Csv,
    /// Parquet.
    Parquet,
    /// Prometheus text or OpenMetrics, with timestamps.
    Exposition,
    /// One VictoriaMetrics JSON object a line.
    Victoria,
}

#[cfg(feature = "data")]
#[derive(Debug, ClapArgs)]
pub(crate) struct LakeArgs {
    #[command(subcommand)]
    pub(crate) action: LakeAction,
}

#[cfg(feature = "data")]
#[derive(Debug, Subcommand)]
pub(crate) enum LakeAction {
    /// Show what a lake holds: files, rows, days, entities and series by kind, what waits in the log.
    Status {
        /// The lake.
        lake: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Merge small files, write tiles and events of closed days. Safe beside a running receiver.
    Compact {
        /// The lake.
        lake: PathBuf,
        /// The day that is still open as well.
        #[arg(long)]
        today: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Drop raw samples of old days whose tiles are written; samples that events need are kept. Safe beside a running receiver.
    Prune {
        /// The lake.
        lake: PathBuf,
        /// Keep raw samples this long.
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration)]
        keep_raw: i64,
        /// Drop days without tiles as well; they are gone for good.
        #[arg(long)]
        without_tiles: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Recompute every digest and check order and references.
    Verify {
        /// The lake.
        lake: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Bring a lake of an earlier release to this one's format.
    Migrate {
        /// The lake.
        lake: PathBuf,
    },
}

#[cfg(feature = "data")]
#[derive(Debug, ClapArgs)]
pub(crate) struct MetricsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<MetricsAction>,
    /// Only metrics of this source, such as cadvisor.
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "data")]
#[derive(Debug, Subcommand)]
pub(crate) enum MetricsAction {
    /// Say which canonical metrics a Prometheus lacks, and what each lack costs.
    #[cfg(feature = "ingest")]
    Check {
        #[command(flatten)]
        service: ServiceArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Where the rows of an answer go.
#[cfg(feature = "sql")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    /// A table for people.
    Table,
    /// Comma-separated with a header.
    Csv,
    /// One JSON object a line.
    Json,
    /// A Parquet file; needs --out.
    Parquet,
}

#[cfg(feature = "sql")]
#[derive(Debug, ClapArgs)]
pub(crate) struct SqlArgs {
    /// The query. Tables of a lake: samples, samples_named, entities, incarnations, relations, series, metrics, tiles, events; of a data set: rows, labels, dataset_events.
    pub(crate) query: String,
    /// The lake.
    #[arg(long, value_name = "DIR")]
    pub(crate) lake: Option<PathBuf>,
    /// A data set; `name=DIR` puts its tables under that name, and may be given several times.
    #[arg(long = "dataset", value_name = "[NAME=]DIR")]
    pub(crate) datasets: Vec<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: SqlFormat,
    /// File for the answer, instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Rows a table for people shows; all are counted.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Memory the query may take, in MiB; past it, it is refused.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub(crate) memory: usize,
}

/// Every flush writes files of their own.
#[cfg(feature = "ingest")]
fn flush_every(text: &str) -> Result<i64, String> {
    let every = duration(text)?;
    if every < 1000 {
        return Err(format!("every flush writes Parquet files, and {text} between two is too short; give 1s or more"));
    }
    Ok(every)
}

/// A length of time, or 0.
#[cfg(feature = "ingest")]
fn duration_or_never(text: &str) -> Result<i64, String> {
    if text == "0" { Ok(0) } else { duration(text) }
}

#[cfg(all(test, feature = "ingest"))]
mod tests {
    use clap::Parser;

    use super::super::{Args, Command};
    use super::{IngestFrom, ListenArgs, MetricsAction};

    fn parse(line: &str) -> Result<Command, String> {
        let words = std::iter::once("forewarn").chain(line.split(' '));
        Args::try_parse_from(words).map(|args| args.command).map_err(|error| error.to_string())
    }

    fn listen(options: &str) -> Result<ListenArgs, String> {
        match parse(&format!("ingest --listen 127.0.0.1:0 --lake x {options}"))? {
            Command::Ingest(ingest) => Ok(ingest.listen),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn compaction_may_be_left_to_the_other_command() {
        for (option, every) in [("0", 0), ("0s", 0), ("90m", 5_400_000)] {
            assert_eq!(listen(&format!("--compact-every {option}")).unwrap().compact_every, every);
        }
        assert!(listen("--compact-every never").unwrap_err().contains("\"never\" is no length of time"));
    }

    #[test]
    fn flushing_without_a_pause_is_refused() {
        assert_eq!(listen("--flush-every 1s").unwrap().flush_every, 1000);
        for option in ["0s", "999ms"] {
            let error = listen(&format!("--flush-every {option}")).unwrap_err();
            assert!(error.contains("--flush-every") && error.contains("give 1s or more"), "{error}");
        }
    }

    #[test]
    fn a_check_knows_a_service_as_an_import_does() {
        let who = "--url http://p:9090 --user me --password-file pw --header X-Scope-OrgID:a";
        let check = match parse(&format!("metrics check {who}")).unwrap() {
            Command::Metrics(metrics) => match metrics.action {
                Some(MetricsAction::Check { service, .. }) => service,
                None => panic!("no action"),
            },
            other => panic!("{other:?}"),
        };
        let import = match parse(&format!("ingest prometheus --from 30d --lake x {who}")).unwrap() {
            Command::Ingest(ingest) => match ingest.from {
                Some(IngestFrom::Prometheus(pull)) => pull.service,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(format!("{check:?}"), format!("{import:?}"));
        assert_eq!(check.user.as_deref(), Some("me"));
        let error = parse("metrics check --url http://p:9090 --user me").unwrap_err();
        assert!(error.contains("--password-file"), "{error}");
    }
}
