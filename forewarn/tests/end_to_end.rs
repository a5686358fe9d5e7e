//! Simulate → train → evaluate → score → serve → predict; the night survives a kill, and server and night agree.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_forewarn"))
}

fn run(arguments: &[&str]) -> String {
    let output = binary().args(arguments).output().expect("the command starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every file below a folder with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_path_from_metrics_to_answers() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("fleet.toml"), "world = \"log_linear\"\nworkloads = 60\nhours = 144\n").unwrap();
    fs::write(at("fit.toml"), "[fit]\nepochs = 3\npatience = 2\n").unwrap();
    let (data, net, cox) = (at("data"), at("net"), at("cox"));
    run(&["dataset", "simulate", "--config", text(&at("fleet.toml")), "--out", text(&data)]);
    run(&["dataset", "verify", text(&data)]);
    run(&[
        "train",
        "--dataset",
        text(&data),
        "--model",
        "hazard-net",
        "--config",
        text(&at("fit.toml")),
        "--out",
        text(&net),
        "--device",
        "cpu",
    ]);
    run(&["train", "--dataset", text(&data), "--model", "cox", "--out", text(&cox)]);
    assert!(!at("net.run").exists(), "checkpoints are left behind");

    let printed = run(&[
        "evaluate",
        "--dataset",
        text(&data),
        "--bundle",
        text(&net),
        text(&cox),
        "--out",
        text(&at("eval")),
        "--json",
    ]);
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(at("eval").join("evaluation.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(written["models"].as_array().unwrap().len(), 2);
    assert!(fs::read_to_string(at("eval").join("report.html")).unwrap().contains("<svg"));

    // The night: once whole, once in shards; the same rows either way, and a second time changes no byte.
    let score = |out: &Path, more: &[&str]| {
        let mut arguments = vec![
            "score",
            "--dataset",
            text(&data),
            "--bundle",
            text(&net),
            "--out",
            text(out),
            "--as-of",
            "all",
            "--device",
            "cpu",
        ];
        arguments.extend_from_slice(more);
        run(&arguments)
    };
    let night = at("night");
    score(&night, &[]);
    let first = files(&night);
    score(&night, &[]);
    assert!(first == files(&night), "a second night changed something");
    let sharded = at("sharded");
    for shard in ["0/3", "1/3", "2/3"] {
        score(&sharded, &["--shard", shard]);
    }
    let rows = |out: &Path| -> u64 {
        let manifest = files(out).into_iter().find(|(path, _)| path.ends_with("manifest.json")).unwrap().1;
        serde_json::from_slice::<serde_json::Value>(&manifest).unwrap()["rows"].as_u64().unwrap()
    };
    assert_eq!(rows(&night), rows(&sharded));

    // The server answers with the numbers of the night.
    let mut server = Server(
        binary()
            .args(["serve", "--bundle", text(&net), "--listen", "127.0.0.1:0", "--device", "cpu"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts"),
    );
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split(" on ").nth(1).and_then(|rest| rest.split(',').next()).expect("an address").to_owned();
    let answers = run(&[
        "predict",
        "--address",
        &address,
        "--dataset",
        text(&data),
        "--as-of",
        "all",
        "--top",
        "1000000",
        "--json",
    ]);
    let answers: serde_json::Value = serde_json::from_str(&answers).unwrap();
    let by_night = night_rows(&night);
    let mut compared = 0;
    for row in answers["rows"].as_array().unwrap() {
        let key = (
            row["entity"].as_str().unwrap().to_owned(),
            row["incarnation"].as_str().unwrap().to_owned(),
            row["as_of"].as_i64().unwrap(),
        );
        for (a, b) in row["failure_probability"].as_array().unwrap().iter().zip(&by_night[&key]) {
            assert!((a.as_f64().unwrap() - b).abs() <= 1e-6, "{key:?}: {a} against {b}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * by_night.len());
}

/// Failure probabilities of a night, by (entity, incarnation, as_of).
fn night_rows(out: &Path) -> BTreeMap<(String, String, i64), Vec<f64>> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int64Type};
    let mut rows = BTreeMap::new();
    for (path, _) in files(out).into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "parquet")) {
        let file = fs::File::open(out.join(path)).unwrap();
        let reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
            let (entity, incarnation) = (text("entity"), text("incarnation"));
            let as_of = batch.column_by_name("as_of").unwrap().as_primitive::<Int64Type>().clone();
            let horizons: Vec<_> = ["1h", "6h", "24h"]
                .iter()
                .map(|h| {
                    batch
                        .column_by_name(&format!("failure_probability_{h}"))
                        .unwrap()
                        .as_primitive::<Float64Type>()
                        .clone()
                })
                .collect();
            for row in 0..batch.num_rows() {
                let key = (entity.value(row).to_owned(), incarnation.value(row).to_owned(), as_of.value(row));
                rows.insert(key, horizons.iter().map(|h| h.value(row)).collect());
            }
        }
    }
    rows
}

#[test]
fn a_night_killed_again_and_again_ends_with_the_files_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("fleet.toml"), "world = \"log_linear\"\nworkloads = 60\nhours = 144\n").unwrap();
    let (data, cox) = (at("data"), at("cox"));
    run(&["dataset", "simulate", "--config", text(&at("fleet.toml")), "--out", text(&data)]);
    run(&["train", "--dataset", text(&data), "--model", "cox", "--out", text(&cox)]);
    let settings = |out: &Path| {
        let text = format!(
            "dataset = {:?}\nbundle = {:?}\nout = {:?}\nas_of = \"all\"\nshards = 2\npart_rows = 100\n",
            data, cox, out
        );
        let path = out.with_extension("toml");
        fs::write(&path, text).unwrap();
        path
    };
    let whole = at("whole");
    let path = settings(&whole);
    run(&["score", "--config", text(&path)]);

    let killed = at("killed");
    let path = settings(&killed);
    for delay_ms in 0..20_u64 {
        let mut child = binary()
            .args(["score", "--config", text(&path)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5 + 3 * delay_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&["score", "--config", text(&path)]);
    // The saved settings name the folder, which differs; every other byte must be equal.
    let risks = |dir: &Path| {
        let mut all = files(dir);
        all.retain(|path, _| !path.ends_with("score.toml"));
        all
    };
    let (whole, killed) = (risks(&whole), risks(&killed));
    assert_eq!(whole.keys().collect::<Vec<_>>(), killed.keys().collect::<Vec<_>>());
    for (path, bytes) in &whole {
        assert!(killed[path] == *bytes, "{} differs", path.display());
    }
}
