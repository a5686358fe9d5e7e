//! A lab that runs beside the trial: started, waited for, asked to stop, and never left behind.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::truth::{self, Life};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than any trial takes on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// In this a lab that is asked to stop has ended: the 21.5 seconds that a container gets which will not die, and some.
const STOPS: Duration = Duration::from_secs(40);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A file of families that is there for these trials.
pub(crate) fn families(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/tests").join(name)
}

/// `forewarn`.
pub(crate) fn forewarn(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command.args(arguments);
    command
}

/// `forewarn lab run` with a file of families, seed 3 and no data set.
pub(crate) fn lab_run(out: &Path, scripts: &str, lives: usize, concurrency: usize) -> Command {
    let mut command = forewarn(&["lab", "run", "--seed", "3", "--no-dataset", "--json"]);
    command.arg("--scripts").arg(families(scripts)).arg("--out").arg(out);
    command.args(["--lives", &lives.to_string(), "--concurrency", &concurrency.to_string()]);
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) printed: String,
    /// Standard error.
    pub(crate) said: String,
}

impl Ended {
    /// That it failed with this code, and its message holds every one of these.
    pub(crate) fn refused(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in says {
            assert!(self.said.contains(word), "{word:?} is not in: {}", self.said);
        }
    }
}

/// A lab, or any other command, that runs beside the trial.
pub(crate) struct Lab {
    child: Child,
    printed: File,
    said: File,
}

impl Lab {
    pub(crate) fn start(mut command: Command) -> Self {
        // Files, because nobody empties a pipe meanwhile.
        let (printed, said) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(said.try_clone().unwrap());
        Self { child: command.spawn().expect("the command starts"), printed, said }
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Ended {
        let code = self.ended_within(PATIENCE).expect("it ends by itself");
        Ended { code, printed: text(&mut self.printed), said: text(&mut self.said) }
    }

    /// Waits until the journal of its run holds enough; its lives so far.
    pub(crate) fn until(&mut self, out: &Path, enough: impl Fn(&[Life]) -> bool) -> Vec<Life> {
        let began = Instant::now();
        loop {
            // Not there, or in the middle of being made.
            let lives = truth::read(out).unwrap_or_default();
            if enough(&lives) {
                return lives;
            }
            if let Some(code) = self.ended_within(PAUSE) {
                panic!("ended with {code:?} before its time: {}", text(&mut self.said));
            }
            assert!(began.elapsed() < PATIENCE, "waited too long, the journal holds {lives:#?}");
        }
    }

    /// Asks it to stop.
    pub(crate) fn ask_to_stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
    }

    /// Kills it, so that it can clean nothing up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its exit code, none of one that was killed; none at all where it runs on.
    fn ended_within(&mut self, time: Duration) -> Option<Option<i32>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.code());
            }
            if began.elapsed() >= time {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// After a trial that failed nothing may stay: neither a lab, which would go on for long, nor what a killed one left.
impl Drop for Lab {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_stop();
            if self.ended_within(STOPS).is_none() {
                self.kill();
            }
        }
        if std::thread::panicking() {
            let _ = forewarn(&["lab", "clean"]).output();
        }
    }
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
