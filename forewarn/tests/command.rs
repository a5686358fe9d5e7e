//! The command as a person types it: one clear error and an exit code for each mistake, nothing half-written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn forewarn(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forewarn")).args(arguments).output().expect("the command starts")
}

/// Runs a command that must fail with this code, and whose message must hold every one of these.
fn refused(code: i32, arguments: &[&str], says: &[&str]) {
    let output = forewarn(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    for word in says {
        assert!(message.contains(word), "{arguments:?}: {word:?} is not in: {message}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn help_names_every_subcommand_and_the_exit_codes() {
    let output = forewarn(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout);
    for word in [
        "demo",
        "ingest",
        "lake",
        "metrics",
        "sql",
        "dataset",
        "train",
        "evaluate",
        "report",
        "explain",
        "score",
        "serve",
        "predict",
        "device",
        "Exit codes",
        "75 try again",
    ] {
        assert!(help.contains(word), "{word} is not in: {help}");
    }
    for command in
        ["demo", "ingest", "lake", "metrics", "sql", "lab", "train", "evaluate", "score", "serve", "predict", "device"]
    {
        let help = forewarn(&[command, "--help"]);
        assert!(help.status.success() && help.stdout.len() > 200, "{command}");
    }
}

#[test]
fn a_command_line_that_contradicts_itself_is_a_usage_error() {
    refused(64, &["nonsense"], &["nonsense"]);
    refused(64, &["demo", "--source", "cmapss"], &["cmapss needs --from"]);
    refused(64, &["demo", "--source", "simulate", "--from", "x"], &["the simulator needs none"]);
    refused(64, &["demo", "--source", "lab", "--world", "interaction"], &["--source simulate"]);
    // The tests run where no published run lies.
    refused(64, &["demo"], &["datasets/lab is not here", "--from", "--source simulate"]);
    refused(64, &["demo", "--open-test"], &["claims file"]);
    refused(64, &["score", "--lake", "x", "--bundle", "y", "--out", "z", "--as-of", "all"], &["--as-of all"]);
    refused(64, &["ingest", "--listen", "127.0.0.1:0"], &["--lake"]);
    refused(64, &["ingest", "--listen", "0.0.0.0:0", "--lake", "x"], &["0.0.0.0:0", "--token-file"]);
    refused(64, &["score", "--dataset", "x", "--bundle", "y", "--out", "z"], &["--as-of is missing"]);
    refused(64, &["score", "--dataset", "x", "--bundle", "y", "--out", "z", "--as-of", "noon"], &["noon"]);
    refused(
        64,
        &["score", "--dataset", "x", "--bundle", "y", "--out", "z", "--as-of", "all", "--shard", "8/8"],
        &["shard 8 of 8"],
    );
    let import = ["dataset", "import", "--from", "x", "--out", "y", "--source", "survival-tables"];
    refused(64, &import, &["--table"]);
    refused(64, &[&import[..], &["--table", "iris"]].concat(), &["iris", "gbsg2", "deepsurv-whas"]);
    refused(64, &["serve", "--bundle", "x", "--listen", "0.0.0.0:0"], &["0.0.0.0:0", "--insecure"]);
    refused(64, &["device", "--device", "abacus"], &["abacus", "auto, gpu, cpu, software"]);
}

#[test]
fn a_missing_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing");
    let out = folder.path().join("out");
    refused(66, &["dataset", "describe", text(&missing)], &["nothing"]);
    refused(66, &["train", "--dataset", text(&missing), "--out", text(&out)], &["nothing"]);
    refused(66, &["train", "--dataset", "x", "--out", text(&out), "--config", text(&missing)], &["nothing"]);
    refused(78, &["serve", "--bundle", text(&missing)], &["nothing", "manifest.json"]);
    refused(
        66,
        &["dataset", "import", "--source", "cmapss", "--from", text(&missing), "--out", text(&out)],
        &["nothing"],
    );
    for (source, file) in [
        (&["survival-tables", "--table", "deepsurv-gbsg"][..], "deepsurv_gbsg_train.csv"),
        (&["titan-gpu", "--places", "intervals"], "gpu_intervals.csv"),
        (&["backblaze-drives"], "drives.csv"),
    ] {
        let import = ["dataset", "import", "--from", text(&missing), "--out", text(&out), "--source"];
        refused(66, &[&import[..], source].concat(), &["nothing", file]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn a_configuration_with_an_unknown_or_contradictory_key_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let with = |body: &str| {
        let path = folder.path().join("settings.toml");
        fs::write(&path, body).unwrap();
        path
    };
    let path = with("[fit]\nepocs = 3\n");
    refused(
        78,
        &["train", "--dataset", "x", "--out", text(&out), "--config", text(&path)],
        &["settings.toml", "epocs"],
    );
    let path = with("[fit]\nepochs = 3\npatience = 9\n");
    refused(
        78,
        &["train", "--dataset", "x", "--out", text(&out), "--config", text(&path)],
        &["fit.patience (9)", "fit.epochs (3)"],
    );
    let path = with("[alarms]\nelevated_budget = 0.01\nhigh_budget = 0.2\n");
    refused(
        78,
        &["train", "--dataset", "x", "--out", text(&out), "--config", text(&path)],
        &["high_budget (0.2)", "elevated_budget (0.01)"],
    );
    let path = with("world = \"flat\"\n");
    refused(78, &["dataset", "simulate", "--out", text(&out), "--config", text(&path)], &["flat"]);
    let path = with("max_batch_rows = 0\n");
    let output = forewarn(&["serve", "--bundle", "x", "--config", text(&path)]);
    assert_eq!(output.status.code(), Some(78), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!out.exists());
}

#[test]
fn an_output_that_exists_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "precious").unwrap();
    refused(64, &["demo", "--source", "simulate", "--out", text(&out)], &["exists already"]);
    refused(64, &["train", "--dataset", "x", "--out", text(&out)], &["exists already"]);
    assert_eq!(fs::read_to_string(out.join("mine")).unwrap(), "precious");
}

#[test]
fn a_port_in_use_is_one_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (data, bundle) = small_bundle(folder.path());
    refused(69, &["serve", "--bundle", &bundle, "--listen", &address], &[&address]);
    refused(69, &["predict", "--dataset", &data, "--address", "127.0.0.1:1"], &["127.0.0.1:1", "forewarn serve"]);
}

#[test]
fn a_bundle_with_a_flipped_bit_or_of_another_spec_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (data, bundle) = small_bundle(folder.path());
    let out = folder.path().join("scores");
    let path = Path::new(&bundle).join("weights.json");
    let bytes = fs::read(&path).unwrap();
    let mut broken = bytes.clone();
    broken[100] ^= 4;
    fs::write(&path, &broken).unwrap();
    let score = ["score", "--dataset", &data, "--bundle", &bundle, "--out", text(&out), "--as-of", "all"];
    refused(78, &score, &["weights.json", "sha256"]);
    fs::write(&path, &bytes).unwrap();

    let other = folder.path().join("other");
    let settings = folder.path().join("other.toml");
    fs::write(&settings, "workloads = 30\nhours = 96\nscrape_seconds = 600\n").unwrap();
    let made = forewarn(&["dataset", "simulate", "--config", text(&settings), "--out", text(&other)]);
    if made.status.success() {
        refused(
            78,
            &["score", "--dataset", text(&other), "--bundle", &bundle, "--out", text(&out), "--as-of", "all"],
            &["feature spec"],
        );
    }
    assert!(!out.join("as_of=all").exists(), "something was written");
}

/// A small simulated data set and a Cox bundle of it.
fn small_bundle(folder: &Path) -> (String, String) {
    let settings = folder.join("fleet.toml");
    fs::write(&settings, "world = \"log_linear\"\nworkloads = 40\nhours = 144\n").unwrap();
    let (data, bundle) = (folder.join("data"), folder.join("cox"));
    let made = forewarn(&["dataset", "simulate", "--config", text(&settings), "--out", text(&data)]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = forewarn(&["train", "--dataset", text(&data), "--model", "cox", "--out", text(&bundle)]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (text(&data).to_owned(), text(&bundle).to_owned())
}
