//! Faults of a request are statuses, faults of a row stay with the row.

mod common;

use common::{Server, TILE, Toy, batch, request, spec};
use proto::v1::score_request::Body;
use proto::v1::{EntityKey, FeatureRows, RawWindow, RawWindows, RowStatus, ScoreRequest, Series};
use serve::ServeConfig;
use tonic::{Code, Status};

fn features(request: &mut ScoreRequest) -> &mut FeatureRows {
    match &mut request.body {
        Some(Body::Features(features)) => features,
        other => panic!("{other:?}"),
    }
}

async fn refused(server: &Server, request: ScoreRequest) -> Status {
    server.client().await.score(request).await.unwrap_err()
}

#[tokio::test]
async fn a_fault_of_the_request_is_a_status_that_names_both_sides() {
    let server = Server::start(Toy::new(), ServeConfig { rows_per_request: 8, ..ServeConfig::default() }).await;
    let good = request(&batch(&spec(), 2, 1));
    let change = |change: &dyn Fn(&mut ScoreRequest)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let hash = spec().hash();
    type Change<'a> = &'a dyn Fn(&mut ScoreRequest);
    let cases: [(Change<'_>, Code, &[&str]); 15] = [
        (&|r| features(r).feature_spec_hash = "17ab".to_owned(), Code::FailedPrecondition, &[&hash, "17ab"]),
        (&|r| features(r).feature_spec_hash.clear(), Code::FailedPrecondition, &[&hash]),
        (
            &|r| features(r).flat = vec![0; 60].into(),
            Code::InvalidArgument,
            &["2 rows x 8 columns", "expected 64, got 60"],
        ),
        (
            &|r| features(r).sequence = vec![0; 4].into(),
            Code::InvalidArgument,
            &["4 steps x 2 channels", "expected 64, got 4"],
        ),
        (&|r| features(r).as_of.push(1), Code::InvalidArgument, &["as_of", "expected 2, got 3"]),
        (
            &|r| *features(r) = FeatureRows { feature_spec_hash: hash.clone(), ..FeatureRows::default() },
            Code::InvalidArgument,
            &["no rows"],
        ),
        (&|r| r.body = None, Code::InvalidArgument, &["neither features nor windows"]),
        (&|r| r.horizons = vec![1.0, 8.5], Code::InvalidArgument, &["horizon 8.5 h", "last edge 8 h"]),
        (&|r| r.horizons = vec![2.0, 2.0], Code::InvalidArgument, &["horizon 2 comes after 2"]),
        (&|r| r.horizons = vec![0.0], Code::InvalidArgument, &["horizon 0"]),
        (&|r| r.horizons = vec![f64::NAN], Code::InvalidArgument, &["horizon NaN"]),
        (&|r| r.horizons = vec![1.0; 33], Code::ResourceExhausted, &["33", "the limit is 32", "horizons_per_request"]),
        (&|r| r.model = "../other".to_owned(), Code::NotFound, &["../other", "toy"]),
        (&|r| r.version = "9".to_owned(), Code::NotFound, &["\"9\"", "0123456789ab"]),
        (
            &|r| *r = request(&batch(&spec(), 9, 1)),
            Code::ResourceExhausted,
            &["9", "the limit is 8", "rows_per_request"],
        ),
    ];
    for (index, (apply, code, words)) in cases.into_iter().enumerate() {
        let status = refused(&server, change(apply)).await;
        assert_eq!(status.code(), code, "case {index}: {status:?}");
        for word in words {
            assert!(status.message().contains(word), "case {index}: {word:?} in {:?}", status.message());
        }
        assert!(status.metadata().get("grpc-retry-pushback-ms").is_none(), "trying again does not help");
    }
    assert!(server.client().await.score(good).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_resource_exhausted() {
    let server = Server::start(Toy::new(), ServeConfig { decode_limit_bytes: 4096, ..ServeConfig::default() }).await;
    let status = refused(&server, request(&batch(&spec(), 100, 1))).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    server.stop().await;
}

#[tokio::test]
async fn bad_rows_keep_to_themselves() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let mut client = server.client().await;
    let rows = batch(&spec(), 8, 5);
    let mut asked = request(&rows);
    let good = client.score(asked.clone()).await.unwrap().into_inner();

    let spoil =
        |bytes: &mut Vec<u8>, at: usize, value: f32| bytes[at * 4..at * 4 + 4].copy_from_slice(&value.to_le_bytes());
    let rows = features(&mut asked);
    let (mut flat, mut sequence) = (rows.flat.to_vec(), rows.sequence.to_vec());
    spoil(&mut flat, 8 + 2, f32::INFINITY);
    spoil(&mut sequence, 2 * 8 + 5, f32::NEG_INFINITY);
    spoil(&mut flat, 7 * 8, f32::NAN);
    (rows.flat, rows.sequence) = (flat.into(), sequence.into());
    rows.entities[3].kind = "toaster".to_owned();
    rows.entities[4].key.clear();
    rows.entities[5].key = "k".repeat(513);
    let response = client.score(asked).await.unwrap().into_inner();

    let wanted = [
        (1, RowStatus::NonFinite, "column \"memory_mean\" is infinite"),
        (2, RowStatus::NonFinite, "column \"cpu\" is infinite"),
        (3, RowStatus::InvalidInput, "unknown entity kind \"toaster\""),
        (4, RowStatus::InvalidInput, "empty key"),
        (5, RowStatus::InvalidInput, "513 bytes, the limit is 512"),
    ];
    for (row, status, words) in wanted {
        let risk = &response.risks[row];
        assert_eq!(risk.status(), status);
        assert!(risk.status_detail.contains(words), "{}", risk.status_detail);
        assert!(risk.failure_probability.is_empty() && risk.health_indicator.is_none() && risk.cause.is_none());
    }
    for row in [0, 6] {
        assert_eq!(response.risks[row], good.risks[row]);
    }
    assert_eq!(response.risks[7].status(), RowStatus::Ok, "missing is not bad");
    let labels = |status| {
        format!(
            "forewarn_rows_total{{model=\"toy\",version=\"0123456789ab\",class=\"interactive\",row_status=\"{status}\"}}"
        )
    };
    assert_eq!(server.metric(&labels("ok")).await, 11);
    assert_eq!(server.metric(&labels("non_finite")).await, 2);
    assert_eq!(server.metric(&labels("invalid_input")).await, 3);
    server.stop().await;
}

#[tokio::test]
async fn bad_windows_keep_to_themselves() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let as_of = 28_333_334 * TILE;
    let series = |metric: &str, time: i64, value: f64| Series {
        metric: metric.to_owned(),
        time_deltas: vec![time],
        values: vec![value],
        known_at_deltas: vec![],
    };
    let good = RawWindow {
        entity: Some(EntityKey { kind: "pod".to_owned(), key: "a".to_owned(), incarnation: String::new() }),
        as_of,
        series: vec![series("mem.working_set", as_of - 5, 1e8)],
        ..RawWindow::default()
    };
    let with = |change: &dyn Fn(&mut RawWindow)| {
        let mut window = good.clone();
        change(&mut window);
        window
    };
    type Case<'a> = (&'a dyn Fn(&mut RawWindow), RowStatus, &'a str);
    let stale = f64::from_bits(features::sample::STALE_NAN_BITS);
    let cases: [Case<'_>; 18] = [
        (&|_| {}, RowStatus::Ok, ""),
        (&|w| w.entity = None, RowStatus::InvalidInput, "no entity"),
        (
            &|w| w.series[0].metric = "mem.magic".to_owned(),
            RowStatus::InvalidInput,
            "metric \"mem.magic\" is not in the catalogue",
        ),
        (&|w| w.series.clear(), RowStatus::InsufficientHistory, "no sample of the model's metrics"),
        (
            &|w| w.series[0] = series("mem.working_set", as_of - 11 * TILE, 1.0),
            RowStatus::InsufficientHistory,
            "within the 600000 ticks",
        ),
        (&|w| w.series[0] = series("fd.open", as_of - 5, 1.0), RowStatus::InsufficientHistory, "the model's metrics"),
        (&|w| w.series[0].values[0] = stale, RowStatus::InsufficientHistory, "no sample"),
        (&|w| w.series[0].values[0] = f64::INFINITY, RowStatus::NonFinite, "mem.working_set"),
        (&|w| w.series[0].values[0] = -1.0, RowStatus::InvalidInput, "negative"),
        (&|w| w.series[0].values[0] = 1e300, RowStatus::NonFinite, "column \"memory_mean\" is infinite"),
        (&|w| w.series[0].time_deltas[0] = as_of + 1, RowStatus::InvalidInput, "later than as_of"),
        (&|w| w.series[0].time_deltas.push(1), RowStatus::InvalidInput, "2 times, 1 values"),
        (&|w| w.series.push(w.series[0].clone()), RowStatus::InvalidInput, "given twice"),
        (&|w| w.series[0].known_at_deltas = vec![-1], RowStatus::InvalidInput, "known before its own time"),
        (&|w| w.as_of -= 1, RowStatus::InvalidInput, "not on a tile edge"),
        (&|w| w.as_of = i64::MAX, RowStatus::InvalidInput, "ticks go up to"),
        (&|w| w.failures = vec![as_of - 1, as_of - 2], RowStatus::InvalidInput, "sort them"),
        (&|w| w.born = Some(as_of + 1), RowStatus::InvalidInput, "later than as_of"),
    ];
    let mut windows: Vec<_> = cases.iter().map(|(change, _, _)| with(change)).collect();
    windows.push(good);
    let asked = ScoreRequest { body: Some(Body::Windows(RawWindows { windows })), ..ScoreRequest::default() };
    let response = server.client().await.score(asked).await.unwrap().into_inner();
    for ((risk, (_, status, words)), index) in response.risks.iter().zip(&cases).zip(0..) {
        assert_eq!(risk.status(), *status, "case {index}: {}", risk.status_detail);
        assert!(risk.status_detail.contains(words), "case {index}: {}", risk.status_detail);
    }
    assert_eq!(response.risks.last(), response.risks.first(), "the row after the bad ones is the one before them");
    server.stop().await;
}
