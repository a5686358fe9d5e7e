//! Save → load → the same curves; a changed byte, another schema or another spec is refused by name.

mod common;

use std::fs;
use std::path::Path;

use model::bundle::write;
use model::{DeviceChoice, Fitted, LoadedBundle, ModelError, ModelKind, Predictor};

fn load_error(dir: &Path) -> String {
    LoadedBundle::load(dir, DeviceChoice::Cpu).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_bundle_comes_back_with_the_same_curves() {
    for (kind, fitted) in [(ModelKind::HazardNet, common::network()), (ModelKind::Cox, common::cox())] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("bundle");
        let expected = common::predictor(&fitted).predict(&common::batch(40)).unwrap();
        let info = write(common::parts(kind, fitted), &dir).unwrap();
        let loaded = LoadedBundle::load(&dir, DeviceChoice::Auto).unwrap();
        assert_eq!(loaded.info().digest, info.digest);
        assert_eq!(loaded.info().kind, kind);
        let got = loaded.predict(&common::batch(40)).unwrap();
        assert_eq!(got, expected, "{}", kind.name());
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_refused_by_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    write(common::parts(ModelKind::HazardNet, common::network()), &dir).unwrap();
    for name in ["model.json", "weights.safetensors", "golden.json", "card.md", "training.toml"] {
        let path = dir.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut broken = bytes.clone();
        let middle = broken.len() / 2;
        broken[middle] ^= 1;
        fs::write(&path, &broken).unwrap();
        match LoadedBundle::load(&dir, DeviceChoice::Cpu).map(|_| ()).unwrap_err() {
            ModelError::Digest { file, .. } => assert_eq!(file, name),
            error => panic!("{name}: {error}"),
        }
        fs::write(&path, &bytes).unwrap();
    }
    LoadedBundle::load(&dir, DeviceChoice::Cpu).unwrap();
}

#[test]
fn a_missing_or_truncated_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    assert!(load_error(&dir).contains("no manifest.json"), "{}", load_error(&dir));
    write(common::parts(ModelKind::HazardNet, common::network()), &dir).unwrap();
    let manifest = fs::read(dir.join("manifest.json")).unwrap();
    fs::write(dir.join("manifest.json"), &manifest[..manifest.len() / 2]).unwrap();
    assert!(load_error(&dir).contains("manifest.json is no JSON"), "{}", load_error(&dir));
    fs::write(dir.join("manifest.json"), &manifest).unwrap();
    fs::remove_file(dir.join("weights.safetensors")).unwrap();
    assert!(load_error(&dir).contains("weights.safetensors"), "{}", load_error(&dir));
}

#[test]
fn another_schema_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    write(common::parts(ModelKind::Cox, common::cox()), &dir).unwrap();
    let text = fs::read_to_string(dir.join("manifest.json")).unwrap().replace("\"schema\": 2", "\"schema\": 9");
    fs::write(dir.join("manifest.json"), text).unwrap();
    assert!(load_error(&dir).contains("schema is 9, this build reads 1 to 2"), "{}", load_error(&dir));
}

#[test]
fn rows_of_another_spec_are_refused_with_both_hashes() {
    let predictor = common::predictor(&common::cox());
    let mut spec = common::spec();
    spec.ingest_lag += 1;
    let error = predictor.predict(&common::batch_of(&spec, 3)).unwrap_err().to_string();
    assert!(error.contains(&spec.hash()) && error.contains(&common::spec().hash()), "{error}");
}

#[test]
fn golden_rows_that_do_not_come_out_refuse_the_bundle() {
    use sha2::{Digest, Sha256};
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    write(common::parts(ModelKind::Cox, common::cox()), &dir).unwrap();
    // Another answer, with digests made right again: what a device with wrong arithmetic looks like.
    let before = fs::read(dir.join("golden.json")).unwrap();
    let mut golden: serde_json::Value = serde_json::from_slice(&before).unwrap();
    let curve = &mut golden["curves"][2];
    for edge in 1..5 {
        curve["survival"][edge] = serde_json::json!(0.5);
        curve["incidence"][0][edge] = serde_json::json!(0.5);
        curve["incidence"][1][edge] = serde_json::json!(0.0);
    }
    let after = serde_json::to_vec_pretty(&golden).unwrap();
    fs::write(dir.join("golden.json"), &after).unwrap();
    let manifest = fs::read_to_string(dir.join("manifest.json")).unwrap();
    let manifest = manifest.replace(&hex::encode(Sha256::digest(&before)), &hex::encode(Sha256::digest(&after)));
    fs::write(dir.join("manifest.json"), manifest).unwrap();
    match LoadedBundle::load(&dir, DeviceChoice::Cpu).map(|_| ()).unwrap_err() {
        ModelError::GoldenRow { row, .. } => assert_eq!(row, 2),
        error => panic!("{error}"),
    }
}

#[test]
fn an_existing_folder_and_an_unusable_name_are_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    let mut parts = common::parts(ModelKind::Cox, common::cox());
    parts.name = "../up".to_owned();
    assert!(write(parts, &dir).unwrap_err().to_string().contains("../up"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::create_dir(&dir).unwrap();
    let error = write(common::parts(ModelKind::Cox, common::cox()), &dir).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::Tensor;
    struct Poison;
    impl ModuleMapper for Poison {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.mul_scalar(f32::NAN))
        }
    }
    let Fitted::Neural(network, config, shape) = common::network() else { unreachable!("a network") };
    let folder = tempfile::tempdir().unwrap();
    let fitted = Fitted::Neural(Box::new(network.map(&mut Poison)), config, shape);
    let error = write(common::parts(ModelKind::HazardNet, fitted), &folder.path().join("b")).unwrap_err().to_string();
    assert!(error.contains("diverged"), "{error}");
}
