//! What really happened: one journal line when a run of a container begins, one when it ends.
//!
//! Kept apart from the metrics, so that no feature can see it. The journal is what a run of the lab resumes from: a life
//! that began and has no end was cut off with the lab.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result, io};

/// Cause of a death among neighbours that used up the node's memory.
pub const NODE_PRESSURE: &str = "node_pressure";
/// Cause of a death among neighbours that used up the node's CPU.
pub const CPU_STARVATION: &str = "cpu_starvation";

/// How a run of a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Killed by the kernel for want of memory: exit status 137 and the cgroup's count of such kills rose.
    Oom,
    /// Ended by itself with an exit code other than 0, or by a signal nobody here sent.
    Exit,
    /// Killed after missed liveness probes.
    Probe,
    /// Killed because its node ran short of memory.
    Evicted,
    /// Ended by itself with exit code 0.
    Completed,
    /// Deleted as planned.
    Planned,
    /// Still alive when the lab's run ended.
    Alive,
    /// The lab itself was stopped or killed, or the container could not be started or killed.
    Lost,
}

impl Ending {
    /// Whether it was a failure.
    #[must_use]
    pub fn failed(self) -> bool {
        matches!(self, Self::Oom | Self::Exit | Self::Probe | Self::Evicted)
    }

    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::Exit => "exit",
            Self::Probe => "probe",
            Self::Evicted => "evicted",
            Self::Completed => "completed",
            Self::Planned => "planned",
            Self::Alive => "alive",
            Self::Lost => "lost",
        }
    }
}

/// One run of a container, from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Number of the pod in the plan.
    pub index: u64,
    /// `namespace/pod/container`, as the metrics name it.
    pub key: String,
    /// Uid of the pod.
    pub uid: String,
    /// Node it ran on.
    pub node: String,
    /// Recipe of its script.
    pub family: String,
    /// Whether the recipe is only ever tested on.
    pub held_out: bool,
    /// What the script was written to die of; none for one that should live.
    pub written: Option<String>,
    /// Starts of this container before this one.
    pub run: u32,
    /// Milliseconds since the epoch, UTC.
    pub started_ms: i64,
    /// When its first probe was answered.
    pub ready_ms: Option<i64>,
    /// When the damage began, as the workload said.
    pub onset_ms: Option<i64>,
    /// When it ended; none in the line of its beginning.
    pub ended_ms: Option<i64>,
    /// How it ended; none in the line of its beginning.
    pub ending: Option<Ending>,
    /// Exit status: 128 and the signal where it was killed.
    pub exit_code: Option<i32>,
    /// What it died of; none where it did not die.
    pub cause: Option<String>,
    /// How often its container waited out a back-off after this end.
    pub backed_off: bool,
    /// The script, with seed and number of the run.
    pub script: Vec<String>,
}

impl Life {
    /// What a death was of, from how it ended and what the script was written for.
    ///
    /// A death that a script was not written for is its neighbours' or its machine's doing: killed for missed probes, it was
    /// short of CPU; killed for memory without ever having hit its own limit (`limit_hits`), or evicted, its node was short of
    /// memory. A container whose memory is at its limit answers late before it dies: a probe kill of a memory leak that has hit
    /// it is one of the leak.
    #[must_use]
    pub fn cause_of(ending: Ending, written: Option<&str>, limit_hits: u64) -> Option<String> {
        let own = match (ending, written.unwrap_or_default()) {
            (Ending::Oom, _) if limit_hits == 0 => Some(NODE_PRESSURE),
            (Ending::Oom, "memory_leak" | "cache_thrash")
            | (Ending::Exit, "fd_leak" | "thread_leak" | "disk_full" | "poison" | "bad_start")
            | (Ending::Probe, "cpu_starvation" | "lock_up" | "cache_thrash") => written,
            (Ending::Probe, "memory_leak") if limit_hits > 0 => written,
            (Ending::Probe, _) => Some(CPU_STARVATION),
            (Ending::Evicted, _) => Some(NODE_PRESSURE),
            (Ending::Oom, _) => Some("unplanned_oom"),
            (Ending::Exit, _) => Some("unplanned_exit"),
            _ => None,
        };
        own.map(str::to_owned)
    }

    /// Namespace and workload: what a split keeps together.
    #[must_use]
    pub fn group(&self) -> String {
        let mut parts = self.key.split('/');
        let (namespace, pod) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("{namespace}/{}", pod.split('-').next().unwrap_or_default())
    }
}

/// The journal of one run of the lab.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// Name of the journal in a run's folder.
pub const FILE: &str = "truth.jsonl";

impl Journal {
    /// Opens the journal of a run's folder for more lines, and reads what it holds.
    ///
    /// # Errors
    /// When a line before the last cannot be read; a last line that was cut off is dropped.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Life>)> {
        let path = folder.join(FILE);
        let lives = if path.exists() { read_and_mend(&path)? } else { Vec::new() };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path, "open the journal"))?;
        Ok((Self { path, file: Mutex::new(file) }, lives))
    }

    /// Adds a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&self, life: &Life) -> Result<()> {
        let mut line = serde_json::to_vec(life)
            .map_err(|error| LabError::Run { path: self.path.clone(), reason: error.to_string() })?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = file.metadata().map_err(io(&self.path, "look at the journal"))?.len();
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            // A full disk may have taken half a line, and the next one would be appended to it.
            let _ = file.set_len(before);
        }
        written.map_err(io(&self.path, "add to the journal"))
    }
}

/// The lives of a run's folder: of each start the last line.
///
/// # Errors
/// When there is no journal, or a line cannot be read.
pub fn read(folder: &Path) -> Result<Vec<Life>> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(io(&path, "read the journal"))?;
    Ok(parse(&path, &text)?.0)
}

fn read_and_mend(path: &Path) -> Result<Vec<Life>> {
    let text = std::fs::read_to_string(path).map_err(io(path, "read the journal"))?;
    let (lives, whole) = parse(path, &text)?;
    if whole < text.len() {
        let file = OpenOptions::new().write(true).open(path).map_err(io(path, "mend the journal"))?;
        file.set_len(whole as u64).map_err(io(path, "cut off the journal's torn last line"))?;
    }
    Ok(lives)
}

/// Lives in the order of their starts, and the bytes of whole lines.
fn parse(path: &Path, text: &str) -> Result<(Vec<Life>, usize)> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut lives: Vec<Life> = Vec::new();
    let mut places: BTreeMap<(String, u32, i64), usize> = BTreeMap::new();
    for (number, line) in text[..whole].lines().enumerate() {
        let life: Life = serde_json::from_str(line).map_err(|error| LabError::Run {
            path: path.to_owned(),
            reason: format!("line {}: {error}; the journal was changed by something else", number + 1),
        })?;
        let name = (life.uid.clone(), life.run, life.started_ms);
        match places.get(&name) {
            Some(&place) => lives[place] = life,
            None => {
                places.insert(name, lives.len());
                lives.push(life);
            }
        }
    }
    Ok((lives, whole))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn life(index: u64, ending: Option<Ending>) -> Life {
        Life {
            index,
            key: format!("leak/w{index:04}-abc-xyz/app"),
            uid: format!("uid-{index}"),
            node: "node-0".to_owned(),
            family: "leak".to_owned(),
            held_out: false,
            written: Some("memory_leak".to_owned()),
            run: 0,
            started_ms: 1_000,
            ready_ms: None,
            onset_ms: None,
            ended_ms: ending.map(|_| 2_000),
            ending,
            exit_code: None,
            cause: ending.and_then(|ending| Life::cause_of(ending, Some("memory_leak"), 1)),
            backed_off: false,
            script: Vec::new(),
        }
    }

    #[test]
    fn a_journal_gives_back_the_last_line_of_every_life_and_drops_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, before) = Journal::open(folder.path()).unwrap();
        assert!(before.is_empty());
        for life in [life(0, None), life(1, None), life(0, Some(Ending::Oom))] {
            journal.add(&life).unwrap();
        }
        drop(journal);
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"index\":7,\"key").unwrap();
        let (journal, lives) = Journal::open(folder.path()).unwrap();
        assert_eq!(lives, [life(0, Some(Ending::Oom)), life(1, None)]);
        journal.add(&life(1, Some(Ending::Planned))).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [life(0, Some(Ending::Oom)), life(1, Some(Ending::Planned))]);
    }

    #[test]
    fn a_line_that_is_no_life_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{}\n").unwrap();
        let said = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(said.contains("line 1"), "{said}");
    }

    #[test]
    fn a_death_is_named_by_its_script_or_by_what_the_neighbours_did() {
        let cause = |ending, written| Life::cause_of(ending, written, 0);
        assert_eq!(Life::cause_of(Ending::Oom, Some("memory_leak"), 1).as_deref(), Some("memory_leak"));
        assert_eq!(Life::cause_of(Ending::Oom, Some("poison"), 1).as_deref(), Some("unplanned_oom"));
        assert_eq!(cause(Ending::Oom, Some("memory_leak")).as_deref(), Some(NODE_PRESSURE));
        assert_eq!(cause(Ending::Evicted, Some("memory_leak")).as_deref(), Some(NODE_PRESSURE));
        assert_eq!(cause(Ending::Oom, Some("poison")).as_deref(), Some(NODE_PRESSURE));
        assert_eq!(cause(Ending::Probe, None).as_deref(), Some(CPU_STARVATION));
        assert_eq!(cause(Ending::Probe, Some("poison")).as_deref(), Some(CPU_STARVATION));
        assert_eq!(cause(Ending::Probe, Some("lock_up")).as_deref(), Some("lock_up"));
        assert_eq!(cause(Ending::Probe, Some("memory_leak")).as_deref(), Some(CPU_STARVATION));
        assert_eq!(Life::cause_of(Ending::Probe, Some("memory_leak"), 3).as_deref(), Some("memory_leak"));
        assert_eq!(cause(Ending::Planned, Some("memory_leak")), None);
        assert_eq!(life(3, None).group(), "leak/w0003");
    }
}
