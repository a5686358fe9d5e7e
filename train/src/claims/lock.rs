//! `claims.lock`: which settings, data and code the test labels were first opened with.
//!
//! The first opening writes it; a later run with the same three is a reproduction, any other is refused by the name of
//! what differs. The lock is committed itself, so "the same code" means: the recorded commit, or one after it that
//! changed nothing but the lock, documents and Markdown.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, TrainError, io};

/// What stands where the code is of no known commit.
pub const UNKNOWN: &str = "unknown";
/// Beside `claims.toml`.
pub const FILE_NAME: &str = "claims.lock";
/// Paths that are no code: the lock, and texts for people.
const NO_CODE: [&str; 4] = [".", ":(exclude,top)claims.lock", ":(exclude,top)docs", ":(exclude,top,glob)**/*.md"];

/// The three things that may not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// SHA-256 of `claims.toml`.
    pub config: String,
    /// Commit of the code, or [`UNKNOWN`].
    pub commit: String,
    /// SHA-256 of every data file, by its path below `--data`.
    pub files: BTreeMap<String, String>,
}

/// Which run this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// Nothing was opened before.
    First,
    /// The same settings, data and code as the first time.
    Reproduction,
}

impl Lock {
    /// What a run would be locked to: digests of `config` and of every file below `data`, and the commit of the
    /// repository `config` lies in.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of(config: &Path, data: &Path, files: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut digests = BTreeMap::new();
        for file in files {
            digests.insert(file.clone(), sha256(&data.join(&file))?);
        }
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { config: sha256(config)?, commit: commit(folder), files: digests })
    }

    /// Compares with the lock at `path`, if there is one; writes nothing.
    ///
    /// # Errors
    /// When settings, data or code differ from those locked, or nothing is locked and the code is of no known commit.
    pub fn check(&self, path: &Path) -> Result<Opening> {
        let refuse = |reason: String| Err(TrainError::Config { file: path.display().to_string(), reason });
        let locked = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.commit == UNKNOWN {
                    return refuse(
                        "the test labels were not opened yet, and a first opening needs code of a known commit: run in a \
                         repository of git with every change committed"
                            .to_owned(),
                    );
                }
                return Ok(Opening::First);
            }
            other => other.map_err(io(path))?,
        };
        let locked: Self = serde_json::from_slice(&locked)
            .map_err(|error| TrainError::Config { file: path.display().to_string(), reason: error.to_string() })?;
        let told = "opened before with others, so this run is no reproduction; restore them, or report it as a new \
                    register under another name";
        if locked.config != self.config {
            return refuse(format!(
                "claims.toml differs (locked {}, now {}): {told}",
                short(&locked.config),
                short(&self.config)
            ));
        }
        for file in locked.files.keys().chain(self.files.keys()) {
            let (then, now) = (locked.files.get(file), self.files.get(file));
            if then != now {
                let shown = |digest: Option<&String>| digest.map_or("absent", |digest| short(digest)).to_owned();
                return refuse(format!(
                    "the data file {file} differs (locked {}, now {}): {told}",
                    shown(then),
                    shown(now)
                ));
            }
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if locked.commit != self.commit && !same_code(folder, &locked.commit, &self.commit) {
            return refuse(format!(
                "the code differs (locked commit {}, now {}): {told}",
                short(&locked.commit),
                short(&self.commit)
            ));
        }
        Ok(Opening::Reproduction)
    }

    /// Writes the lock, staged and renamed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        use std::io::Write;
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| TrainError::Config { file: path.display().to_string(), reason: error.to_string() })?;
        text.push('\n');
        let staged = path.with_extension("lock.staging");
        let mut file = std::fs::File::create(&staged).map_err(io(&staged))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io(&staged))?;
        std::fs::rename(&staged, path).map_err(io(path))
    }
}

/// The first characters of a digest, enough to tell two apart.
#[must_use]
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).map_err(io(path))?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut piece).map_err(io(path))?;
        if read == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&piece[..read]);
    }
}

/// HEAD of the repository `folder` is in, when every change to code is committed; files it does not track are no code.
fn commit(folder: &Path) -> String {
    let changed = git(folder, &["status", "--porcelain", "--untracked-files=no", "--"], true);
    match (changed, git(folder, &["rev-parse", "HEAD"], false)) {
        (Some(changed), Some(head)) if changed.is_empty() && !head.is_empty() => head,
        _ => UNKNOWN.to_owned(),
    }
}

fn same_code(folder: &Path, locked: &str, now: &str) -> bool {
    locked != UNKNOWN
        && now != UNKNOWN
        && git(folder, &["diff", "--name-only", locked, now, "--"], true).is_some_and(|files| files.is_empty())
}

/// What git prints, `None` where it fails; with `code`, of code only.
fn git(folder: &Path, arguments: &[&str], code: bool) -> Option<String> {
    let top = Command::new("git").arg("-C").arg(folder).args(["rev-parse", "--show-toplevel"]).output().ok()?;
    let top = String::from_utf8(top.stdout).ok().filter(|_| top.status.success())?;
    let mut command = Command::new("git");
    command.arg("-C").arg(top.trim_end()).args(arguments);
    if code {
        command.args(NO_CODE);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Repository {
        _folder: tempfile::TempDir,
        at: PathBuf,
    }

    impl Repository {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path().to_owned();
            let made = Self { _folder: folder, at };
            made.git(&["init", "-q"]);
            for (file, text) in [
                ("claims.toml", "a = 1\n"),
                ("code.rs", "fn a() {}\n"),
                (".gitignore", "data\n"),
                ("data/x.csv", "1\n"),
            ] {
                made.write(file, text);
            }
            made.commit();
            made
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.at.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn git(&self, arguments: &[&str]) {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"];
            let output = Command::new("git").arg("-C").arg(&self.at).args(identity).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }

        fn commit(&self) {
            self.git(&["add", "-A"]);
            self.git(&["commit", "-q", "-m", "change"]);
        }

        fn lock(&self) -> Lock {
            Lock::of(&self.at.join("claims.toml"), &self.at.join("data"), ["x.csv".to_owned()]).unwrap()
        }

        fn check(&self) -> Result<Opening> {
            self.lock().check(&self.at.join(FILE_NAME))
        }
    }

    #[test]
    fn the_first_opening_is_locked_and_the_same_again_is_a_reproduction() {
        let made = Repository::new();
        assert_eq!(made.check().unwrap(), Opening::First);
        assert!(!made.at.join(FILE_NAME).exists(), "a check writes nothing");
        made.lock().write(&made.at.join(FILE_NAME)).unwrap();
        assert_eq!(made.check().unwrap(), Opening::Reproduction);
        // The lock is committed, and a document after it: the code is the same.
        made.write("docs/a.txt", "what came of it\n");
        made.write("README.md", "what came of it\n");
        made.commit();
        assert_eq!(made.check().unwrap(), Opening::Reproduction);
    }

    #[test]
    fn each_kind_of_change_is_refused_by_its_name() {
        for (file, text, commit, says) in [
            ("claims.toml", "a = 2\n", true, "claims.toml differs"),
            ("data/x.csv", "2\n", false, "data file x.csv differs"),
            ("code.rs", "fn b() {}\n", true, "code differs"),
            ("code.rs", "fn b() {}\n", false, "now unknown"),
        ] {
            let made = Repository::new();
            made.lock().write(&made.at.join(FILE_NAME)).unwrap();
            made.commit();
            made.write(file, text);
            if commit {
                made.commit();
            }
            let message = made.check().unwrap_err().to_string();
            assert!(message.contains(says), "{file}: {message}");
        }
    }

    #[test]
    fn a_first_opening_needs_a_known_commit() {
        let made = Repository::new();
        made.write("code.rs", "fn changed() {}\n");
        assert_eq!(made.lock().commit, UNKNOWN);
        assert!(made.check().unwrap_err().to_string().contains("known commit"));
        std::fs::remove_dir_all(made.at.join(".git")).unwrap();
        assert_eq!(made.lock().commit, UNKNOWN);
    }
}
