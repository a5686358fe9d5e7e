//! Calls per second through the whole path, beside a tonic service that does nothing, in one run on one machine.
//!
//! `cargo bench --workspace --bench score`; the client shares the cores with the server, so only ratios carry over.
//! `FOREWARN_BUNDLE` names a bundle to measure beside them.

#[path = "../tests/common/mod.rs"]
mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Server, assert_same, batch, info_with, request, spec};
use features::spec::{FlatColumn, FlatSource};
use features::{FeatureBatch, FeatureSpec};
use model::{BundleInfo, DeviceChoice, LoadedBundle, Predictor};
use proto::v1::risk_service_client::RiskServiceClient;
use proto::v1::risk_service_server::{RiskService, RiskServiceServer};
use proto::v1::{GetModelRequest, ModelCard, ScoreRequest, ScoreResponse};
use serve::ServeConfig;
use survival::{Prediction, SurvivalCurve};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

const COLUMNS: usize = 64;
const INTERVALS: u32 = 24;
const ROUNDS: usize = 3;
const SECONDS: f64 = 2.0;

/// Calls in flight, connections they share, rows per call.
const LOADS: [(usize, usize, usize); 3] = [(1, 1, 1), (16, 4, 1), (4, 4, 256)];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let spec = wide_spec();
        let bundle = info_with(spec.clone(), INTERVALS);
        let stub = stub(&bundle).await;
        let targets = [
            ("tonic stub, no model", stub, None),
            served("forewarn, constant", &bundle, || Constant::new(&bundle)).await,
            served("forewarn, 64-128-64 MLP", &bundle, || Mlp::new(&bundle)).await,
        ];
        println!("| load | service | calls/s | rows/s | p50 us | p99 us | CPU s per 1000 calls, client included |");
        println!("|---|---|---|---|---|---|---|");
        for (in_flight, connections, rows) in LOADS {
            let asked = request(&batch(&spec, rows, 11));
            let mut results: Vec<Vec<Measured>> = targets.iter().map(|_| Vec::new()).collect();
            for round in 0..ROUNDS {
                for turn in 0..targets.len() {
                    let index = (turn + round) % targets.len();
                    results[index].push(drive(targets[index].1, &asked, in_flight, connections).await);
                }
            }
            for ((name, _, _), runs) in targets.iter().zip(&mut results) {
                print_row(name, in_flight, rows, runs);
            }
        }
        for (_, _, server) in targets {
            if let Some(server) = server {
                server.stop().await;
            }
        }
        if let Ok(dir) = std::env::var("FOREWARN_BUNDLE") {
            real_bundle(Path::new(&dir)).await;
        }
    });
}

/// The same loads against a bundle from disk, on the CPU; its rows are made up for its own spec.
async fn real_bundle(dir: &Path) {
    let load = || LoadedBundle::load(dir, DeviceChoice::Cpu).expect("the bundle of FOREWARN_BUNDLE").into_parts();
    let info = load().0;
    let name = format!("forewarn, {} from disk", info.name);
    let (_, address, server) = served("bundle", &info, || load().1).await;
    for (in_flight, connections, rows) in LOADS {
        let asked = request(&batch(&info.spec, rows, 11));
        let mut runs = Vec::new();
        for _ in 0..ROUNDS {
            runs.push(drive(address, &asked, in_flight, connections).await);
        }
        print_row(&name, in_flight, rows, &mut runs);
    }
    if let Some(server) = server {
        server.stop().await;
    }
}

/// One line of the table: the median run, with the slowest and fastest rate.
fn print_row(name: &str, in_flight: usize, rows: usize, runs: &mut [Measured]) {
    runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let median = &runs[ROUNDS / 2];
    #[expect(clippy::cast_precision_loss, reason = "hundreds of rows")]
    let rows_per_second = median.rate * rows as f64;
    println!(
        "| {in_flight} in flight x {rows} row | {name} | {:.0} ({:.0}..{:.0}) | {rows_per_second:.0} | {:.0} | {:.0} | {:.3} |",
        median.rate,
        runs[0].rate,
        runs[ROUNDS - 1].rate,
        median.p50,
        median.p99,
        median.cpu,
    );
}

/// Starts a server and makes sure that its answers are the library's before anything is timed.
async fn served<P: Predictor + 'static>(
    name: &'static str,
    bundle: &BundleInfo,
    predictor: impl Fn() -> P,
) -> (&'static str, SocketAddr, Option<Server>) {
    let server = Server::start_with(bundle.clone(), predictor(), ServeConfig::default()).await;
    let rows = batch(&bundle.spec, 32, 11);
    let response = server.client().await.score(request(&rows)).await.expect("an answer").into_inner();
    let curves = predictor().predict(&rows).expect("curves");
    assert_eq!(response.risks.len(), curves.len());
    for (risk, curve) in response.risks.iter().zip(&curves) {
        assert_same(risk, &Prediction::from_curve(curve, &bundle.readout).expect("a prediction"));
    }
    (name, server.address, Some(server))
}

struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

/// Closed loop: each of `in_flight` tasks asks again as soon as it is answered.
async fn drive(address: SocketAddr, asked: &ScoreRequest, in_flight: usize, connections: usize) -> Measured {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("a URI").tcp_nodelay(true);
        clients.push(RiskServiceClient::new(endpoint.connect().await.expect("a connection")));
    }
    for client in &mut clients {
        for _ in 0..200 / connections {
            client.score(asked.clone()).await.expect("a warm-up answer");
        }
    }
    let (start, cpu_before) = (Instant::now(), cpu_seconds());
    let end = start + Duration::from_secs_f64(SECONDS);
    let tasks: Vec<_> = (0..in_flight)
        .map(|task| {
            let (mut client, asked) = (clients[task % connections].clone(), asked.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let sent = Instant::now();
                    let response = client.score(asked.clone()).await.expect("an answer").into_inner();
                    assert!(!response.risks.is_empty());
                    times.push(sent.elapsed().as_secs_f64() * 1e6);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a task"));
    }
    let (took, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    times.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "thousands of calls")]
    let calls = times.len() as f64;
    let quantile = |percent: usize| times[(times.len() - 1) * percent / 100];
    Measured { rate: calls / took, p50: quantile(50), p99: quantile(99), cpu: cpu / calls * 1000.0 }
}

/// User and system time of this process, in seconds; 0 where there is no `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // Fields 14 and 15 of proc(5), in hundredths of a second on Linux.
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn wide_spec() -> FeatureSpec {
    let flat = (0..COLUMNS)
        .map(|column| FlatColumn {
            name: format!("a{column}"),
            source: FlatSource::Attribute { attribute: format!("a{column}") },
        })
        .collect();
    FeatureSpec { flat, steps: 0, channels: vec![], ..spec() }
}

/// Every row gets the same curve: what is left is the path.
struct Constant(SurvivalCurve);

impl Constant {
    fn new(bundle: &BundleInfo) -> Self {
        let hazards = vec![vec![0.01, 0.02]; bundle.grid.intervals()];
        Self(SurvivalCurve::from_hazards(Arc::clone(&bundle.grid), &hazards).expect("a curve"))
    }
}

impl Predictor for Constant {
    fn predict(&self, batch: &FeatureBatch) -> model::Result<Vec<SurvivalCurve>> {
        Ok(vec![self.0.clone(); batch.rows()])
    }
}

/// About the arithmetic of a small hazard network, written out plainly.
struct Mlp {
    layers: Vec<(usize, Vec<f32>)>,
    bundle: BundleInfo,
}

impl Mlp {
    fn new(bundle: &BundleInfo) -> Self {
        let sizes = [COLUMNS, 128, 64, bundle.grid.intervals() * bundle.causes.len()];
        let mut state = 7_u32;
        let mut weight = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f32::from_bits(0x3f80_0000 | (state >> 9)) - 1.5) * 0.2
        };
        let layers =
            sizes.windows(2).map(|pair| (pair[0], (0..pair[0] * pair[1]).map(|_| weight()).collect())).collect();
        Self { layers, bundle: bundle.clone() }
    }

    fn curve(&self, row: &[f32]) -> SurvivalCurve {
        let mut values: Vec<f32> = row.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect();
        for (width, weights) in &self.layers {
            values = weights
                .chunks_exact(*width)
                .map(|weights| {
                    let mut lanes = [0.0_f32; 8];
                    for (w, v) in weights.as_chunks::<8>().0.iter().zip(values.as_chunks::<8>().0) {
                        for lane in 0..8 {
                            lanes[lane] += w[lane] * v[lane];
                        }
                    }
                    lanes.iter().sum::<f32>().tanh()
                })
                .collect();
        }
        let causes = self.bundle.causes.len();
        let hazards: Vec<Vec<f64>> = values
            .chunks_exact(causes)
            .map(|logits| {
                let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) - 4.0).exp()).collect();
                let total = 1.0 + weights.iter().sum::<f64>();
                weights.iter().map(|weight| weight / total).collect()
            })
            .collect();
        SurvivalCurve::from_hazards(Arc::clone(&self.bundle.grid), &hazards).expect("a curve")
    }
}

impl Predictor for Mlp {
    fn predict(&self, batch: &FeatureBatch) -> model::Result<Vec<SurvivalCurve>> {
        Ok((0..batch.rows()).map(|row| self.curve(batch.flat_row(row))).collect())
    }
}

/// Decodes the same request and sends an answer of the same size that was made beforehand.
struct Stub {
    one: ScoreResponse,
    many: ScoreResponse,
}

#[tonic::async_trait]
impl RiskService for Stub {
    async fn score(&self, request: Request<ScoreRequest>) -> Result<Response<ScoreResponse>, Status> {
        let single = match &request.get_ref().body {
            Some(proto::v1::score_request::Body::Features(features)) => features.entities.len() == 1,
            _ => false,
        };
        Ok(Response::new(if single { self.one.clone() } else { self.many.clone() }))
    }

    async fn get_model(&self, _: Request<GetModelRequest>) -> Result<Response<ModelCard>, Status> {
        Err(Status::unimplemented("a stub"))
    }
}

async fn stub(bundle: &BundleInfo) -> SocketAddr {
    let server = Server::start_with(bundle.clone(), Constant::new(bundle), ServeConfig::default()).await;
    let mut client = server.client().await;
    let mut ask = async |rows| {
        let asked = request(&batch(&bundle.spec, rows, 11));
        client.score(asked).await.expect("an answer").into_inner()
    };
    let stub = Stub { one: ask(1).await, many: ask(256).await };
    server.stop().await;
    let listener = serve::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving =
        tonic::transport::Server::builder().add_service(RiskServiceServer::new(stub)).serve_with_incoming(incoming);
    tokio::spawn(serving);
    address
}
