//! Tests on the public data sets: each runs where its set is, and says in its name that it is not, elsewhere.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};

/// Folder of a set.
pub(crate) fn data(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(set)
}

/// Runs (name, set, test).
pub(crate) fn run(tests: &[(&str, &str, fn())]) -> ! {
    let arguments = Arguments::from_args();
    let trials = tests
        .iter()
        .map(|&(name, set, test)| {
            let present = data(set).exists();
            let name = if present { name.to_owned() } else { format!("{name} (../shared/data/{set} is not here)") };
            let trial = Trial::test(name, move || {
                test();
                Ok(())
            });
            trial.with_ignored_flag(!present)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit()
}
