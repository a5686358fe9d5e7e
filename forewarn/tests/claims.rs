//! One question asked of a small simulated fleet, and a register that opens nothing it was not told of.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn forewarn(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forewarn")).args(arguments).output().expect("the command starts")
}

fn run(arguments: &[&str]) -> String {
    let output = forewarn(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refused(code: i32, arguments: &[&str], says: &str) {
    let output = forewarn(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(message.contains(says), "{arguments:?}: {says:?} is not in: {message}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_data_set_of_ones_own_is_answered_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("fleet.toml"), "world = \"log_linear\"\nworkloads = 80\nhours = 144\n").unwrap();
    fs::write(at("bench.toml"), "[base.fit]\nepochs = 2\npatience = 1\n").unwrap();
    let (data, out) = (at("data"), at("out"));
    run(&["dataset", "simulate", "--config", text(&at("fleet.toml")), "--out", text(&data)]);
    let ask = |more: &[&str]| {
        let mut arguments = vec![
            "claims",
            "--dataset",
            text(&data),
            "--out",
            text(&out),
            "--models",
            "hazard-net,cox,kaplan-meier",
            "--seeds",
            "1",
            "--trials",
            "1",
            "--json",
        ];
        let settings = at("bench.toml");
        arguments.extend_from_slice(&["--settings", text(&settings)]);
        arguments.extend_from_slice(more);
        forewarn(&arguments)
    };
    let first = ask(&[]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let report: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(
        report,
        serde_json::from_slice::<serde_json::Value>(&fs::read(out.join("claims.json")).unwrap()).unwrap()
    );
    let headline = report["headline"].as_str().unwrap();
    assert!(headline.contains("hazard-net") && headline.contains("cox"), "{headline}");
    // Proportional hazards, two epochs: whatever else holds, the network cannot be said to pay.
    assert!(!headline.contains("the neural model pays"), "{headline}");

    let row = |id: &str| report["rows"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap();
    // No curve rises; a few hundred curves are too few to bound the share of those that might, and the verdict says so.
    let law = row("T1.1");
    assert_eq!(law["counts"]["violations"], 0, "{law}");
    assert!(law["counts"]["cases"].as_u64().is_some_and(|cases| cases > 100), "{law}");
    assert_ne!(law["verdict"], "refuted", "{law}");
    let table = row("T9.2");
    assert_eq!(table["rivals"].as_array().unwrap().len(), 2);
    for number in ["p", "adjusted_p", "margin"] {
        assert!(table[number].as_f64().is_some_and(|value| value >= 0.0), "{number}: {table}");
    }
    // Lives are compared where they are known, and otherwise the row says what is missing.
    let lives = row("T5.2");
    assert!(lives["effect"].is_object() || lives["reason"].as_str().unwrap().contains("lives"), "{lives}");
    assert!(row("T8.2")["endpoint"].as_str().unwrap().contains("average precision"), "{}", row("T8.2"));

    let controls = &report["controls"][0];
    assert_eq!(controls["permutation"]["passed"], true, "{controls}");
    assert_eq!(controls["leaks"]["canary_found"], true, "{controls}");
    assert_eq!(controls["leaks"]["columns"].as_array().unwrap().len(), 0, "{controls}");

    let page = fs::read_to_string(out.join("claims.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("T9.2") && !page.contains("<script") && !page.contains("NaN"));

    // Again: every fit is found, not one number differs.
    let again = ask(&[]);
    assert_eq!(String::from_utf8_lossy(&first.stdout), String::from_utf8_lossy(&again.stdout));
    // With another budget the folder is refused rather than mixed.
    let other = ask(&["--minutes", "3"]);
    assert_eq!(other.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&other.stderr).contains("other settings or data"));
}

#[test]
fn a_question_that_cannot_be_asked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let simulate = |name: &str, fleet: &str| {
        fs::write(at("fleet.toml"), fleet).unwrap();
        run(&["dataset", "simulate", "--config", text(&at("fleet.toml")), "--out", text(&at(name))]);
    };
    simulate("few", "workloads = 12\nhours = 144\n");
    let ask = |data: &str, models: &str, code: i32, says: &str| {
        let (data, out) = (at(data), at("out"));
        refused(code, &["claims", "--dataset", text(&data), "--out", text(&out), "--models", models], says);
        let _ = fs::remove_dir_all(out);
    };
    ask("few", "hazard-net,cox", 65, "groups, 20 are needed");
    ask("few", "hazard-nett,cox", 64, "hazard-nett");
    ask("absent", "hazard-net,cox", 66, "absent");
    simulate("small", "workloads = 30\nhours = 144\n");
    ask("small", "cox,weibull", 65, "no neural family");
    let out = at("out");
    refused(64, &["claims", "--out", text(&out)], "--config");
    refused(64, &["claims", "--out", text(&out), "--config", "claims.toml"], "--data");
    refused(64, &["claims", "--dataset", "d", "--out", text(&out), "--dry-run"], "--dry-run");
}

#[test]
fn a_dry_run_of_the_register_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../claims.toml");
    let config = at("claims.toml");
    fs::copy(committed, &config).unwrap();
    let out = at("out");
    let arguments =
        ["claims", "--config", text(&config), "--data", text(folder.path()), "--out", text(&out), "--dry-run"];
    // Nothing there at all: the first missing file is named.
    refused(66, &arguments, "alibaba_gpu_pods_2023");
    let text_of = fs::read_to_string(committed).unwrap();
    for line in text_of.lines().filter_map(|line| line.strip_prefix("files = ")) {
        for file in line.trim_matches(['[', ']']).split(", ") {
            let path = folder.path().join(file.trim_matches('"'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "not the data\n").unwrap();
        }
    }
    // Other files than were said beforehand, and outside of a repository.
    refused(78, &arguments, "input_digest");
    assert!(!out.exists() && !at("claims.lock").exists(), "a dry run wrote something");
    let shown = String::from_utf8(forewarn(&arguments).stdout).unwrap();
    assert!(shown.contains("T9.2") && shown.contains("nothing was opened"), "{shown}");
    // A run without --dry-run is refused for the same reason and opens nothing either.
    refused(78, &arguments[..7], "input_digest");
    assert!(!out.exists() && !at("claims.lock").exists());
}
