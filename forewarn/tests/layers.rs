//! The arrows of ARCHITECTURE.md, read from `cargo tree`.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates a package links, by name, dev-dependencies left out.
fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "-e", "normal", "-f", "{p}"])
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn names(arguments: &[&str]) -> BTreeSet<String> {
    tree(arguments).iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn links_none(package: &[&str], forbidden: &[&str]) {
    let linked = names(package);
    for name in forbidden {
        assert!(!linked.contains(*name), "{package:?} links {name}");
    }
}

#[test]
fn survival_rests_on_nothing_that_knows_tables_tensors_or_wires() {
    links_none(&["-p", "survival"], &["features", "arrow", "parquet", "burn", "tonic", "prost", "tokio", "datafusion"]);
}

#[test]
fn features_does_no_input_output_and_knows_no_tensors() {
    links_none(&["-p", "features"], &["datasets", "burn", "parquet", "tokio", "tonic", "datafusion"]);
}

#[test]
fn the_server_links_neither_training_nor_autodiff_nor_data_sets() {
    links_none(&["-p", "serve"], &["train", "datasets", "datafusion", "burn-autodiff", "burn-optim", "parquet"]);
    let lean = ["-p", "forewarn", "--no-default-features", "--features", "serve"];
    links_none(&lean, &["train", "datasets", "score", "datafusion", "burn-autodiff", "parquet"]);
}

#[test]
fn models_and_the_night_know_nothing_of_training() {
    links_none(&["-p", "model"], &["train", "datasets", "burn-autodiff", "tonic", "parquet"]);
    links_none(&["-p", "score"], &["train", "serve", "burn-autodiff", "tonic"]);
    links_none(&["-p", "datasets"], &["model", "train", "burn", "tonic"]);
}

#[test]
fn there_is_one_arrow_one_parquet_one_prost_one_tonic_one_burn_and_one_wgpu() {
    let all: BTreeSet<String> = tree(&["--workspace"]).into_iter().map(|line| line.replace(" (*)", "")).collect();
    for name in ["arrow", "parquet", "prost", "tonic", "burn", "wgpu", "ndarray"] {
        let versions: Vec<&String> = all.iter().filter(|line| line.split(' ').next() == Some(name)).collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
}
