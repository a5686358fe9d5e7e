//! The whole way of a new user: history into a lake, a data set from it, a model, tonight's fleet.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const START: i64 = 1_795_000_200_000;
const SCRAPE: i64 = 60_000;
const HOURS: i64 = 3_600_000;
const SCRAPES: i64 = 36 * HOURS / SCRAPE;
const PODS: u64 = 40;

fn forewarn(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_forewarn")).args(arguments).output().expect("the command starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let out = forewarn(arguments);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A line of VictoriaMetrics' export.
fn line(out: &mut String, name: &str, labels: &str, times: &[i64], values: &[f64]) {
    let times: Vec<String> = times.iter().map(i64::to_string).collect();
    let values: Vec<String> = values.iter().map(f64::to_string).collect();
    let _ = writeln!(
        out,
        "{{\"metric\":{{\"__name__\":\"{name}\",{labels}}},\"values\":[{}],\"timestamps\":[{}]}}",
        values.join(","),
        times.join(",")
    );
}

/// Containers whose memory grows until they are killed, each at a pace of its own; as their exporters name them.
fn history() -> String {
    let mut out = String::new();
    for pod in 0..PODS {
        let uid = format!("00000000-0000-4000-8000-{pod:012}");
        let name = format!("web{pod}-6f7d8c9b5-abcde");
        let state = format!("\"namespace\":\"shop\",\"pod\":\"{name}\",\"container\":\"app\",\"uid\":\"{uid}\"");
        let usage = format!(
            "\"namespace\":\"shop\",\"pod\":\"{name}\",\"container\":\"app\",\"id\":\"/kubepods/burstable/pod{uid}/abc\",\"image\":\"i\",\"name\":\"n\""
        );
        let times: Vec<i64> = (0..SCRAPES).map(|step| START + step * SCRAPE).collect();
        // 5 to 15 hours from start to limit.
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let pace = 1.0 / (300.0 + (pod * 7919 % 600) as f64);
        let (mut level, mut restarts) = (0.3, 0.0);
        let (mut memory, mut counts) = (Vec::new(), Vec::new());
        let (mut killed_at, mut reasons) = (Vec::new(), Vec::new());
        for &time in &times {
            level += pace;
            if level >= 1.0 {
                (level, restarts) = (0.3, restarts + 1.0);
            }
            memory.push((level * 4e8_f64).round());
            counts.push(restarts);
            if restarts > 0.0 {
                killed_at.push(time);
                reasons.push(1.0);
            }
        }
        let limit = vec![4e8; times.len()];
        line(&mut out, "container_memory_working_set_bytes", &usage, &times, &memory);
        line(&mut out, "container_spec_memory_limit_bytes", &usage, &times, &limit);
        line(&mut out, "kube_pod_container_status_restarts_total", &state, &times, &counts);
        if !reasons.is_empty() {
            let with = format!("{state},\"reason\":\"OOMKilled\"");
            line(&mut out, "kube_pod_container_status_last_terminated_reason", &with, &killed_at, &reasons);
        }
    }
    out
}

const SPEC: &str = r#"
name = "shop"
kind = "container"
[labels]
causes = ["container_oom"]
[cuts]
first = "1h"
every = "30m"
[features]
file = "features.toml"
"#;

const FEATURES: &str = r#"
unit = "hours"
tile = "5m"
ingest_lag = "1m"
scrape_interval = "1m"
[[family]]
metric = "mem.working_set"
windows = ["1h"]
statistics = ["last", "slope"]
[[column]]
name = "mem.saturation"
from = "saturation"
used = "mem.working_set"
limit = "mem.limit"
windows = ["15m"]
"#;

#[test]
fn from_an_export_to_tonights_risks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("export.jsonl"), history()).unwrap();
    std::fs::write(at("spec.toml"), SPEC).unwrap();
    std::fs::write(at("features.toml"), FEATURES).unwrap();
    let (lake, dataset, bundle) = (at("lake"), at("dataset"), at("bundle"));

    let import =
        ["ingest", "files", "--format", "victoria", "--lake", text(&lake), text(&at("export.jsonl")), "--json"]
            .map(str::to_owned);
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    let first = json(&import);
    assert!(first["rows"].as_u64().unwrap() > 0, "{first}");
    assert_eq!(json(&import)["already_complete"], true, "what is there is not imported again");

    let compacted = json(&["lake", "compact", "--today", text(&lake), "--json"]);
    assert!(compacted["events"]["container"].as_u64().unwrap() > PODS, "{compacted}");
    assert_eq!(json(&["lake", "verify", text(&lake), "--json"])["ok"], true);
    let status = json(&["lake", "status", text(&lake), "--json"]);
    assert_eq!(status["entities"]["container"].as_u64(), Some(PODS), "{status}");
    let counted = forewarn(&[
        "sql",
        "--lake",
        text(&lake),
        "--format",
        "csv",
        "select cause, count(*) as n from events group by cause",
    ]);
    assert_eq!(counted.lines().nth(1), Some(format!("container_oom,{}", compacted["events"]["container"]).as_str()));

    forewarn(&["dataset", "build", "--lake", text(&lake), "--spec", text(&at("spec.toml")), "--out", text(&dataset)]);
    assert_eq!(json(&["dataset", "verify", text(&dataset), "--json"])["ok"], true);
    let page = at("fleet.html");
    let described =
        json(&["dataset", "describe", text(&dataset), "--json", "--html", text(&page), "--audit", "7", "--seed", "3"]);
    assert_eq!(described["events"].as_array().unwrap().len(), 7);
    assert!(described["events"][0]["evidence"].as_str().unwrap().contains("restart.count"), "{described}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
    let card = std::fs::read_to_string(dataset.join("README.md")).unwrap();
    assert!(card.contains("| end_of_observation |") && card.contains("alive when watching ended"), "{card}");

    forewarn(&["train", "--dataset", text(&dataset), "--model", "cox", "--out", text(&bundle), "--device", "cpu"]);
    let scores = at("scores");
    let night = ["score", "--lake", text(&lake), "--bundle", text(&bundle), "--out", text(&scores), "--device", "cpu"];
    forewarn(&night);
    forewarn(&night);
    let ranked = forewarn(&[
        "evaluate",
        "--dataset",
        text(&dataset),
        "--bundle",
        text(&bundle),
        "--out",
        text(&at("judged")),
        "--device",
        "cpu",
        "--json",
    ]);
    let ranked: serde_json::Value = serde_json::from_str(&ranked).unwrap();
    assert!(ranked.is_object());

    // A night of the past, judged by what came after it.
    let past = (START + 20 * HOURS).to_string();
    forewarn(&[&night[..], &["--as-of", &past]].concat());
    let judge = ["evaluate", "--scores", text(&scores), "--lake", text(&lake), "--out"];
    let outcomes =
        json(&[&judge[..], &[text(&at("outcomes")), "--until", &(START + 21 * HOURS).to_string(), "--json"]].concat());
    let bundle = &outcomes["bundles"][0];
    assert_eq!(bundle["alarm_horizon_guessed"], false, "{outcomes}");
    let total = &bundle["total"];
    let count = |value: &serde_json::Value| value.as_u64().unwrap();
    assert_eq!((count(&total["rows"]), count(&total["nights"])), (PODS, 1), "{total}");
    // Everybody is killed every 5 to 15 hours, and followed for 16.
    let within: Vec<u64> = total["horizons"].as_array().unwrap().iter().map(|at| count(&at["failures"])).collect();
    assert!(within[0] < within[1] && within[1] < within[2] && within[2] == PODS, "{within:?}");
    assert!(total["brier"]["at"][1].as_f64().unwrap() < total["reference"]["at"][1].as_f64().unwrap(), "{total}");
    for level in total["alerts"].as_array().unwrap() {
        assert_eq!(count(&level["caught"]) + count(&level["missed"]), count(&level["failures"]), "{level}");
    }
    let written = std::fs::read(at("outcomes").join("outcomes.json")).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&written).unwrap(), outcomes);
    assert!(at("outcomes").join("outcomes.parquet").is_file());
    let table = forewarn(&[&judge[..], &[text(&at("both"))]].concat());
    assert!(table.contains("total") && table.contains("end_of_observation"), "{table}");

    for arguments in [
        // The folder is there, a lake is missing, and both ways at once.
        [&judge[..], &[text(&at("outcomes"))]].concat(),
        vec!["evaluate", "--scores", text(&scores), "--out", text(&at("no"))],
        [&judge[..], &[text(&at("no")), "--dataset", text(&dataset), "--bundle", text(&at("bundle"))]].concat(),
        vec!["evaluate", "--out", text(&at("no"))],
    ] {
        let refused =
            Command::new(env!("CARGO_BIN_EXE_forewarn")).args(&arguments).output().expect("the command starts");
        assert_eq!(refused.status.code(), Some(64), "{arguments:?}: {}", String::from_utf8_lossy(&refused.stderr));
    }
}
