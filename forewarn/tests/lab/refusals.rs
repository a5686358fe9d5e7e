//! What is refused before anything starts, with what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::truth::Ending;
use lab::{Families, Record};

use super::sitting::{Lab, families, forewarn, lab_run};
use super::traces::{nothing_is_left, traces};

/// Nobody in particular.
const NOBODY: u32 = 65_534;

pub(crate) fn without_root() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    // Where the command was built, others may not be allowed to look.
    let program = folder.path().join("forewarn");
    fs::copy(env!("CARGO_BIN_EXE_forewarn"), &program).unwrap();
    for path in [folder.path(), &program] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let out = folder.path().join("out");
    let mut command = Command::new(&program);
    command.args(["lab", "run", "--out"]).arg(&out).current_dir(folder.path());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Lab::start(command).end().refused(69, &["needs root", "sudo"]);
    assert!(!out.exists(), "something was written");
}

/// A small disk; unmounted whatever the trial's end.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "forewarn-test"]).arg(&at).status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

pub(crate) fn full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let small = Small::mount(folder.path().join("small"));
    let out = small.0.join("runs/out");
    let ended = Lab::start(lab_run(&out, "quick.toml", 1, 2)).end();
    ended.refused(69, &["MiB are free", "128 MiB are needed", "--concurrency"]);
    assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0, "something was written");
    nothing_is_left(&out);
}

pub(crate) fn other_folder() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |out: &Path, scripts: &str, says: &[&str]| {
        Lab::start(lab_run(out, scripts, 1, 1)).end().refused(65, says);
        nothing_is_left(out);
    };
    let letters = folder.path().join("letters");
    fs::create_dir(&letters).unwrap();
    fs::write(letters.join("mine"), "precious").unwrap();
    refused(&letters, "quick.toml", &["letters", "not empty", "another --out"]);
    assert_eq!(fs::read_to_string(letters.join("mine")).unwrap(), "precious");
    assert_eq!(fs::read_dir(&letters).unwrap().count(), 1, "something was written");

    // The command gives seed 3.
    let began = |name: &str, seed: u64, scripts: &str| {
        let out = folder.path().join(name);
        fs::create_dir(&out).unwrap();
        let families = Families::read(&families(scripts)).unwrap();
        let record = Record::new("r1".to_owned(), seed, families.text().to_owned(), families.digest());
        record.write(&out).unwrap();
        (out, record)
    };
    let (out, record) = began("other-seed", 4, "quick.toml");
    refused(&out, "quick.toml", &["other-seed", "seed 4", "asked for is 3"]);
    assert_eq!(Record::read(&out).unwrap().unwrap(), record);
    let (out, record) = began("other-families", 3, "quick.toml");
    refused(&out, "stubborn.toml", &["other-families", "families", &record.families_digest[..12]]);
    assert_eq!(Record::read(&out).unwrap().unwrap(), record);

    let (out, _) = began("later-release", 3, "quick.toml");
    let text = fs::read_to_string(out.join("lab.json")).unwrap();
    assert!(text.contains("\"format\": 1,"), "{text}");
    fs::write(out.join("lab.json"), text.replace("\"format\": 1,", "\"format\": 9,")).unwrap();
    refused(&out, "quick.toml", &["lab.json", "format 9"]);
}

pub(crate) fn second_lab() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let mut lab = Lab::start(lab_run(&first, "quick.toml", 1_000, 2));
    lab.until(&first, |lives| !lives.is_empty());
    let says = ["/run/forewarn-lab.lock", "another run of the lab", "wait for its end"];
    Lab::start(lab_run(&second, "quick.toml", 1, 1)).end().refused(65, &says);
    assert!(!second.exists(), "something was written");
    // Nor may its containers be taken away.
    Lab::start(forewarn(&["lab", "clean"])).end().refused(65, &says);
    let there = traces(&first);
    assert!(there.iter().any(|trace| trace.starts_with("mount ")), "{there:#?}");
    // The first one does not notice.
    lab.until(&first, |lives| lives.iter().any(|life| life.ending.is_some_and(|ending| ending != Ending::Lost)));
    lab.ask_to_stop();
    assert_eq!(lab.end().code, Some(0));
    nothing_is_left(&first);
}
