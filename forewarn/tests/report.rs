//! `forewarn report` and `forewarn explain` as a person types them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;

fn forewarn(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forewarn")).args(arguments).output().expect("the command starts")
}

fn run(arguments: &[&str]) -> String {
    let output = forewarn(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

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

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    builder.build().unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_report_and_an_explanation_of_a_small_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("fleet.toml"), "world = \"log_linear\"\nworkloads = 60\nhours = 144\n").unwrap();
    fs::write(at("fit.toml"), "[fit]\nepochs = 3\npatience = 2\n").unwrap();
    fs::write(
        at("report.toml"),
        "attributed_rows = 8\npermuted_rows = 300\npermutation_repeats = 1\n[bootstrap]\nreplicates = 100\nrank_replicates = 20\n",
    )
    .unwrap();
    let (data, net, cox) = (at("data"), at("net"), at("cox"));
    run(&["dataset", "simulate", "--config", text(&at("fleet.toml")), "--out", text(&data)]);
    let fit = at("fit.toml");
    let arguments =
        ["train", "--dataset", text(&data), "--model", "hazard-net", "--config", text(&fit), "--device", "cpu"];
    run(&[&arguments[..], &["--out", text(&net)]].concat());
    run(&["train", "--dataset", text(&data), "--model", "cox", "--out", text(&cox)]);

    let (page, settings) = (at("page.html"), at("report.toml"));
    let arguments = ["report", text(&net), "--dataset", text(&data), "--config", text(&settings), "--device", "cpu"];
    let printed =
        run(&[&arguments[..], &["--out", text(&page), "--against", text(&cox), "--drift", text(&data)]].concat());
    assert!(printed.contains("page.html: written") && printed.contains("check of the shares by deletion"), "{printed}");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("page.data (Parquet)") && html.contains("<svg") && !html.contains("href="));

    // Every table can be read, and the numbers are those of the page's sentences.
    let tables = at("page.data");
    let mut seen = 0;
    for entry in fs::read_dir(&tables).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            read(&path);
            seen += 1;
        }
    }
    assert!(seen >= 29, "{seen} tables");
    let scores = &read(&tables.join("scores.parquet"))[0];
    let names = scores.column_by_name("model").unwrap().as_string::<i32>();
    let names: Vec<&str> = names.iter().flatten().collect();
    assert_eq!(names, ["hazard-net", "Kaplan–Meier of training", "cox"]);
    let deletion = &read(&tables.join("deletion.parquet"))[0];
    let column = |name: &str| deletion.column_by_name(name).unwrap();
    let (top, random) = (column("top").as_primitive::<Float64Type>(), column("random").as_primitive::<Float64Type>());
    assert!(top.value(0) > random.value(0));
    assert_eq!(column("replaced").as_primitive::<Int64Type>().value(0), 1);

    // Once more over it is refused, and so is a page that would take the name of its folder.
    refused(64, &[&arguments[..], &["--out", text(&page)]].concat(), &["page.html", "exists already"]);
    refused(64, &[&arguments[..], &["--out", text(&at("new.data"))]].concat(), &["new.data", ".html"]);
    fs::write(&settings, "attributed_rows = 0\n").unwrap();
    refused(78, &[&arguments[..], &["--out", text(&at("other.html"))]].concat(), &["report.toml", "attributed_rows"]);
    let never = at("x.html");
    let validation = ["report", text(&cox), "--dataset", text(&data), "--part", "training", "--out", text(&never)];
    refused(64, &validation, &["training", "validation"]);
    assert!(!at("other.html").exists() && !never.exists() && !at("other.data").exists());

    // One row: the shares sum to the difference, and the probability is the curve's.
    for bundle in [&net, &cox] {
        let explain = ["explain", text(bundle), "--dataset", text(&data), "--device", "cpu"];
        let found = run(&[&explain[..], &["--row", "5", "--json"]].concat());
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let number = |key: &str| found[key].as_f64().unwrap();
        let shares = found["contributions"].as_array().unwrap().iter().map(|c| c["share"].as_f64().unwrap());
        let difference = number("probability") - number("baseline");
        assert!((shares.sum::<f64>() - difference).abs() <= (0.02 * difference.abs()).max(1e-4) + 1e-9);
        let last = found["survival"].as_array().unwrap().last().unwrap().as_f64().unwrap();
        assert!((1.0 - last - number("probability")).abs() < 1e-6, "the horizon of the alarms is the end of the grid");
        let key = found["entity"].as_str().unwrap().to_owned();
        let printed = run(&[&explain[..], &["--entity", &key]].concat());
        assert!(printed.contains(&key) && printed.contains("strongest step") && printed.contains("P(failure within"));
        refused(64, &[&explain[..], &["--row", "99999999"]].concat(), &["no row 99999999", "counted from 0"]);
        refused(64, &[&explain[..], &["--entity", "nobody"]].concat(), &["nobody"]);
        refused(64, &[&explain[..], &["--row", "5", "--horizon", "1000"]].concat(), &["1000", "grid"]);
        refused(64, &explain, &["--row"]);
    }
}
