//! The server gives the numbers of the library, whoever else is asking.

mod common;

use std::sync::atomic::Ordering;

use common::{Server, TILE, Toy, assert_same, attributes, batch, expected, info, request, spec};
use features::window::RowAssembler;
use features::{Catalogue, Entity, EntityKind, EntityTiles, Facts, Sample};
use proto::v1::score_request::Body;
use proto::v1::{Alarm, RawWindow, RawWindows, ScoreRequest, Series};
use serve::ServeConfig;

#[tokio::test]
async fn scoring_features_equals_the_library_to_the_bit() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let rows = batch(&spec(), 100, 1);
    let response = server.client().await.score(request(&rows)).await.unwrap();
    for name in ["x-queue-us", "x-compute-us", "x-batch-rows"] {
        assert!(response.metadata().contains_key(name), "{name}");
    }
    let response = response.into_inner();
    let (info, wanted) = (info(), expected(&rows, &info().readout));
    assert_eq!(response.risks.len(), 100);
    for (row, risk) in response.risks.iter().enumerate() {
        assert_same(risk, &wanted[row]);
        assert_eq!(risk.entity.as_ref(), Some(&common::key(&rows.entities()[row])));
        assert_eq!(risk.as_of, rows.as_of()[row]);
        // Horizon 4 is the alarm's and the second of the readout.
        let probability = wanted[row].failure_probability[1];
        let alarm = if probability >= 0.6 {
            Alarm::High
        } else if probability >= 0.3 {
            Alarm::Elevated
        } else {
            Alarm::None
        };
        assert_eq!(risk.alarm(), alarm);
    }
    assert_eq!((response.model, response.version, response.digest), (info.name, info.version, info.digest));
    assert_eq!((response.causes, response.quantiles), (info.causes, info.readout.quantiles));
    server.stop().await;
}

#[tokio::test]
async fn a_row_alone_equals_the_row_in_a_batch() {
    let server = Server::start(Toy::new(), ServeConfig { pad_batches: true, ..ServeConfig::default() }).await;
    let mut client = server.client().await;
    let rows = batch(&spec(), 37, 2);
    let together = client.score(request(&rows)).await.unwrap().into_inner();
    for row in 0..rows.rows() {
        let alone = client.score(request(&rows.slice(row, row + 1))).await.unwrap().into_inner();
        assert_eq!(alone.risks[0], together.risks[row]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_of_64_callers_gets_its_own_rows() {
    let config = ServeConfig { max_batch_rows: 48, batch_window_ms: 2, ..ServeConfig::default() };
    let toy = Toy::new();
    let server = Server::start(toy.clone(), config).await;
    let client = server.client().await;
    let callers: Vec<_> = (0..64_u32)
        .map(|caller| {
            let mut client = client.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let rows = batch(&spec(), 1 + (caller as usize) % 7, caller * 10 + round);
                    let response = client.score(request(&rows)).await.unwrap().into_inner();
                    for (risk, wanted) in response.risks.iter().zip(expected(&rows, &info().readout)) {
                        assert_same(risk, &wanted);
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (rows, batches) = (toy.computed.load(Ordering::SeqCst), toy.batches.load(Ordering::SeqCst));
    assert!(batches < rows / 3, "{rows} rows in {batches} batches: nobody shared one");
    server.stop().await;
}

#[tokio::test]
async fn a_request_larger_than_a_batch_is_split_and_put_together() {
    let toy = Toy::new();
    let server = Server::start(toy.clone(), ServeConfig { max_batch_rows: 16, ..ServeConfig::default() }).await;
    let rows = batch(&spec(), 100, 3);
    let response = server.client().await.score(request(&rows)).await.unwrap();
    assert_eq!(response.metadata().get("x-batch-rows").unwrap(), "16");
    for (risk, wanted) in response.into_inner().risks.iter().zip(expected(&rows, &info().readout)) {
        assert_same(risk, &wanted);
    }
    assert_eq!(toy.batches.load(Ordering::SeqCst), 7);
    server.stop().await;
}

#[tokio::test]
async fn horizons_of_the_request_replace_those_of_the_bundle() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let rows = batch(&spec(), 3, 4);
    let horizons = vec![0.5, 2.25];
    let asked = ScoreRequest {
        horizons: horizons.clone(),
        model: "toy".to_owned(),
        version: "0123456789ab".to_owned(),
        ..request(&rows)
    };
    let response = server.client().await.score(asked).await.unwrap().into_inner();
    assert_eq!(response.horizons, horizons);
    let readout = survival::Readout { horizons, ..info().readout };
    for (risk, wanted) in response.risks.iter().zip(expected(&rows, &readout)) {
        assert_same(risk, &wanted);
    }
    server.stop().await;
}

/// Samples of one entity as history has them: metric, time, known at, value.
fn samples(as_of: i64, tilt: f64) -> Vec<(&'static str, i64, i64, f64)> {
    let mut samples = Vec::new();
    for step in 0..20_i64 {
        let time = as_of - (20 - step) * TILE / 2 - 7;
        #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
        let growth = step as f64;
        samples.push(("mem.working_set", time, time + 1500, 1e8 + tilt * growth * 1e6));
        if step % 3 == 0 {
            samples.push(("mem.limit", time, time + 10, 5e8));
        }
        samples.push(("cpu.time", time, time, if step == 11 { 0.25 } else { growth * 1.5 }));
    }
    samples
}

#[tokio::test]
async fn scoring_raw_windows_equals_the_library_to_the_bit() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let (spec, catalogue) = (spec(), Catalogue::standard());
    let mut assembler = RowAssembler::try_new(&spec, &catalogue).unwrap();
    let mut windows = Vec::new();
    for row in 0..5_i64 {
        let as_of = (28_333_334 + row) * TILE;
        let entity = Entity::try_new(EntityKind::Container, format!("shop/web-{row}/app"), "uid").unwrap();
        let samples = samples(as_of, 1.0 + f64::from(i32::try_from(row).unwrap()));
        let (born, failures) = (as_of - 50 * TILE - 11, vec![as_of - 90 * TILE, as_of - 30 * TILE]);

        let mut sorted: Vec<Sample> = samples
            .iter()
            .map(|&(metric, time, known_at, value)| {
                Sample::try_new(&catalogue, catalogue.id(metric).unwrap(), time, known_at, value).unwrap()
            })
            .collect();
        sorted.sort_by_key(|sample| (sample.metric(), sample.time()));
        let tiles = EntityTiles::build(&spec, &catalogue, entity.key(), &sorted).unwrap();
        let attributes = attributes(4.0);
        let facts = Facts { born: Some(born), attributes: &attributes, failures: &failures, causes: &[], shown: &[] };
        assembler.push(&entity, &facts, &tiles, as_of).unwrap();

        let series = ["mem.working_set", "cpu.time", "mem.limit"].map(|metric| {
            let mine: Vec<_> = samples.iter().filter(|sample| sample.0 == metric).collect();
            let mut previous = 0;
            let time_deltas = mine.iter().map(|sample| sample.1 - std::mem::replace(&mut previous, sample.1)).collect();
            Series {
                metric: metric.to_owned(),
                time_deltas,
                values: mine.iter().map(|sample| sample.3).collect(),
                known_at_deltas: mine.iter().map(|sample| sample.2 - sample.1).collect(),
            }
        });
        windows.push(RawWindow {
            entity: Some(common::key(&entity)),
            as_of,
            born: Some(born),
            attributes: attributes.into_iter().collect(),
            failures,
            series: series.to_vec(),
        });
    }
    let rows = assembler.finish().unwrap();
    assert!(rows.flat().iter().all(|value| value.is_finite()), "every column is observed: {:?}", rows.flat_row(0));
    let asked = ScoreRequest { body: Some(Body::Windows(RawWindows { windows })), ..ScoreRequest::default() };
    let mut client = server.client().await;
    // Twice: the second time the assembler has been used before.
    for _ in 0..2 {
        let response = client.score(asked.clone()).await.unwrap().into_inner();
        assert_eq!(response.risks.len(), 5);
        for (risk, wanted) in response.risks.iter().zip(expected(&rows, &info().readout)) {
            assert_same(risk, &wanted);
        }
    }
    let by_features = client.score(request(&rows)).await.unwrap().into_inner();
    let by_windows = client.score(asked).await.unwrap().into_inner();
    assert_eq!(by_features.risks, by_windows.risks);
    server.stop().await;
}
