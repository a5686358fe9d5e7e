//! A small bundle, predictors of our own making, and a real server with its client.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own share")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, Statistic};
use features::{Catalogue, Entity, EntityKind, FeatureBatch, FeatureSpec, TimeAxis};
use model::{AlarmLevels, BundleInfo, ModelKind, Predictor};
use proto::v1::risk_service_client::RiskServiceClient;
use proto::v1::score_request::Body;
use proto::v1::{EntityKey, FeatureRows, Risk, RowStatus, ScoreRequest};
use serve::{Model, ServeConfig, ServeError};
use survival::{Prediction, Readout, SurvivalCurve, TimeGrid, TimeUnit};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel as Connection;

/// One minute in milliseconds: the tile of the test spec.
pub const TILE: i64 = 60_000;

pub fn spec() -> FeatureSpec {
    let tile = |metric: &str, statistic| FlatSource::Tile { metric: metric.to_owned(), statistic, window: 10 * TILE };
    let column = |name: &str, source| FlatColumn { name: name.to_owned(), source };
    FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Hours, ticks_per_unit: 3_600_000 },
        tile: TILE,
        ingest_lag: 2 * TILE,
        longest_gap: 60 * TILE,
        flat: vec![
            column("age", FlatSource::Age),
            column("cores", FlatSource::Attribute { attribute: "cores".to_owned() }),
            column("memory_mean", tile("mem.working_set", Statistic::Mean)),
            column("memory_slope", tile("mem.working_set", Statistic::Slope)),
            column("cpu_increase", tile("cpu.time", Statistic::Increase)),
            column(
                "memory_share",
                FlatSource::Saturation {
                    used: "mem.working_set".to_owned(),
                    limit: "mem.limit".to_owned(),
                    window: 10 * TILE,
                },
            ),
            column("failures", FlatSource::EventCount { window: 100 * TILE, cause: None }),
            column("since_failure", FlatSource::SinceEvent { cause: None }),
        ],
        steps: 4,
        step: TILE,
        channels: vec![
            Channel {
                name: "memory".to_owned(),
                metric: "mem.working_set".to_owned(),
                statistic: Statistic::Mean,
                divide_by: Some("mem.limit".to_owned()),
            },
            Channel {
                name: "cpu".to_owned(),
                metric: "cpu.time".to_owned(),
                statistic: Statistic::Increase,
                divide_by: None,
            },
        ],
        regimes: vec![],
        summaries: vec![],
        scrape_interval: None,
        rollup: None,
        catalogue_digest: Catalogue::standard().digest(),
    }
}

pub fn info() -> BundleInfo {
    info_with(spec(), 8)
}

/// A bundle around a spec, with a grid of `intervals` hours.
pub fn info_with(spec: FeatureSpec, intervals: u32) -> BundleInfo {
    let edges = (0..=intervals).map(f64::from).collect();
    BundleInfo {
        name: "toy".to_owned(),
        version: "0123456789ab".to_owned(),
        digest: "0123456789ab".repeat(5) + "cdef",
        kind: ModelKind::HazardNet,
        spec_hash: spec.hash(),
        spec,
        catalogue: Catalogue::standard(),
        grid: Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges).unwrap()),
        causes: vec!["oom".to_owned(), "crash".to_owned()],
        readout: Readout {
            horizons: vec![1.0, 4.0, 8.0],
            quantiles: vec![0.05, 0.5, 0.95],
            quantile_levels: vec![0.04, 0.5, 0.96],
            restricted_to: 6.0,
        },
        alarms: AlarmLevels { horizon: 4.0, elevated_budget: 0.1, elevated: 0.3, high_budget: 0.01, high: 0.6 },
        card: "# toy".to_owned(),
    }
}

/// Curves that depend on every bit of a row and on nothing else.
#[derive(Clone)]
pub struct Toy {
    pub grid: Arc<TimeGrid>,
    /// Rows computed, warm-up and probes left out.
    pub computed: Arc<AtomicUsize>,
    /// Batches computed, likewise.
    pub batches: Arc<AtomicUsize>,
    pub pause: Duration,
    /// Panic when a batch holds an entity with this key.
    pub poison: Option<&'static str>,
}

impl Toy {
    pub fn new() -> Self {
        let grid = info().grid;
        Self { grid, computed: Arc::default(), batches: Arc::default(), pause: Duration::ZERO, poison: None }
    }

    fn curve(&self, batch: &FeatureBatch, row: usize) -> SurvivalCurve {
        let mut state = 0x9e37_79b9_u32;
        for value in batch.flat_row(row).iter().chain(batch.sequence_row(row)) {
            state = (state ^ value.to_bits()).wrapping_mul(0x85eb_ca6b).rotate_left(13);
        }
        let hazards: Vec<Vec<f64>> = (0..self.grid.intervals())
            .map(|_| {
                let mut draw = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    0.3 * f64::from(state) / f64::from(u32::MAX)
                };
                vec![draw(), draw()]
            })
            .collect();
        SurvivalCurve::from_hazards(Arc::clone(&self.grid), &hazards).unwrap()
    }
}

impl Predictor for Toy {
    fn predict(&self, batch: &FeatureBatch) -> model::Result<Vec<SurvivalCurve>> {
        if batch.entities()[0].key() != "nothing-observed" {
            self.computed.fetch_add(batch.rows(), Ordering::SeqCst);
            self.batches.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(self.pause);
        }
        if let Some(poison) = self.poison {
            assert!(batch.entities().iter().all(|entity| entity.key() != poison), "a poisoned row");
        }
        Ok((0..batch.rows()).map(|row| self.curve(batch, row)).collect())
    }
}

/// A server in this process; dropping it stops it.
pub struct Server {
    pub address: SocketAddr,
    pub http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub running: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub async fn start(predictor: impl Predictor + 'static, config: ServeConfig) -> Self {
        Self::start_with(info(), predictor, config).await
    }

    pub async fn start_with(info: BundleInfo, predictor: impl Predictor + 'static, config: ServeConfig) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = serve::bind(any).await.unwrap();
        let http: TcpListener = serve::bind(any).await.unwrap();
        let (address, http_address) = (listener.local_addr().unwrap(), http.local_addr().unwrap());
        let model = Model { info, predictor: Box::new(predictor), device: "cpu (test)".to_owned() };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let running = tokio::spawn(serve::run(listener, Some(http), model, config, shutdown));
        Self { address, http: http_address, stop: Some(stop), running }
    }

    pub async fn connect(&self) -> Connection {
        Connection::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn client(&self) -> RiskServiceClient<Connection> {
        RiskServiceClient::new(self.connect().await)
    }

    /// Sends the shutdown signal.
    pub fn signal(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops and waits for the end.
    pub async fn stop(mut self) {
        self.signal();
        self.running.await.unwrap().unwrap();
    }

    /// An HTTP/1.1 answer, headers and all.
    pub async fn http(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The value of one counter or gauge, given with its labels; 0 when it is not there yet.
    pub async fn metric(&self, line: &str) -> u64 {
        let text = self.http("/metrics").await;
        let found = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |value| value.parse().unwrap())
    }
}

/// Distinct rows of a spec, with a missing value here and there.
pub fn batch(spec: &FeatureSpec, rows: usize, seed: u32) -> FeatureBatch {
    let (width, size) = (spec.flat.len(), spec.steps * spec.channels.len());
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut value = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 28 == 0 { f32::NAN } else { f32::from_bits(0x3f80_0000 | (state >> 9)) - 1.5 }
    };
    let flat = (0..rows * width).map(|_| value()).collect();
    let sequence = (0..rows * size).map(|_| value()).collect();
    let entities = (0..rows)
        .map(|row| Entity::try_new(EntityKind::Pod, format!("shop/web-{seed}-{row}"), "uid").unwrap())
        .collect();
    let as_of = (0..rows).map(|row| 1_700_000_040_000 + TILE * i64::try_from(row).unwrap()).collect();
    FeatureBatch::try_new(spec, spec.hash(), entities, as_of, flat, sequence).unwrap()
}

pub fn request(batch: &FeatureBatch) -> ScoreRequest {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into();
    ScoreRequest {
        body: Some(Body::Features(FeatureRows {
            feature_spec_hash: batch.spec_hash().to_owned(),
            entities: batch.entities().iter().map(key).collect(),
            as_of: batch.as_of().to_vec(),
            flat: bytes(batch.flat()),
            sequence: bytes(batch.sequence()),
        })),
        ..ScoreRequest::default()
    }
}

pub fn key(entity: &Entity) -> EntityKey {
    EntityKey {
        kind: entity.kind().name().to_owned(),
        key: entity.key().to_owned(),
        incarnation: entity.incarnation().to_owned(),
    }
}

/// The library's answer to the same rows.
pub fn expected(batch: &FeatureBatch, readout: &Readout) -> Vec<Prediction> {
    let curves = Toy::new().predict(batch).unwrap();
    curves.iter().map(|curve| Prediction::from_curve(curve, readout).unwrap()).collect()
}

/// Every number of the two, bit for bit.
pub fn assert_same(risk: &Risk, prediction: &Prediction) {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(risk.status(), RowStatus::Ok, "{}", risk.status_detail);
    assert_eq!(bits(&risk.failure_probability), bits(&prediction.failure_probability));
    let quantiles: Vec<_> = risk.rul_quantiles.iter().map(|quantile| quantile.value.map(f64::to_bits)).collect();
    let wanted: Vec<_> = prediction.rul_quantiles.iter().map(|value| value.map(f64::to_bits)).collect();
    assert_eq!(quantiles, wanted);
    assert_eq!(risk.restricted_mean.map(f64::to_bits), Some(prediction.restricted_mean.to_bits()));
    assert_eq!(risk.incidence.len(), prediction.incidence.len());
    for (got, wanted) in risk.incidence.iter().zip(&prediction.incidence) {
        assert_eq!(bits(&got.incidence), bits(wanted));
    }
    assert_eq!(risk.cause, Some(u32::from(prediction.cause.0)));
    assert_eq!(risk.cause_share.map(f64::to_bits), Some(prediction.cause_share.to_bits()));
    assert_eq!(risk.health_indicator.map(f64::to_bits), Some(prediction.health_indicator.to_bits()));
}

pub fn attributes(cores: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([("cores".to_owned(), cores)])
}
