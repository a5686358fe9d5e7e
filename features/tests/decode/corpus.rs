//! The committed corpus: every file holds what its target demands, and the seeds are what the generator writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{oracle, seeds};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

#[test]
fn every_file_of_the_corpus_passes() {
    for target in oracle::TARGETS {
        let folder = corpus().join(target);
        let mut files = 0;
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            oracle::check(target, &std::fs::read(&path).unwrap());
            files += 1;
        }
        assert!(files > 0, "{} is empty", folder.display());
    }
}

/// `FOREWARN_WRITE_SEEDS=1 cargo test --release -p features --test decode seeds` writes them anew.
#[test]
fn seeds_are_what_the_generator_writes() {
    let write = std::env::var_os("FOREWARN_WRITE_SEEDS").is_some();
    let mut targets = BTreeSet::new();
    for (target, name, bytes) in seeds::all() {
        targets.insert(target);
        let path = corpus().join(target).join(format!("seed-{name}"));
        if write {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == bytes, "{} differs from what the generator writes", path.display());
    }
    assert_eq!(targets, BTreeSet::from(oracle::TARGETS), "every target has seeds");
}
