//! What all threads of one run share: its script, its clock and its ways to end.

use std::io;
use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs, process, thread};

use crate::report::Report;
use crate::script::Script;

/// Stack of the program's own threads in bytes; none calls deeply or keeps large arrays.
const STACK: usize = 128 * 1024;
/// Error numbers of Linux that a met limit gives: too many open files, no more threads, no space left.
const LIMITS: [(i32, &str); 3] = [(24, "emfile"), (11, "eagain"), (28, "enospc")];

/// One run of the container.
pub(crate) struct Life {
    pub(crate) script: Script,
    /// Also the file that a leak of handles opens again and again.
    pub(crate) script_path: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) report: Report,
    start: Instant,
}

impl Life {
    /// Reads the script and opens the report; an error says what could not be read.
    pub(crate) fn begin() -> Result<Self, String> {
        let start = Instant::now();
        let folder = PathBuf::from(env::var_os("FOREWARN_DIR").unwrap_or_else(|| "/run/forewarn".into()));
        let data = PathBuf::from(env::var_os("FOREWARN_DATA").unwrap_or_else(|| "/data".into()));
        let script_path = folder.join("script");
        let text = fs::read_to_string(&script_path).map_err(|error| format!("{}: {error}", script_path.display()))?;
        let script = Script::parse(&text).map_err(|error| format!("{}: {error}", script_path.display()))?;
        let path = folder.join("report");
        let report = Report::open(&path, script.run).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { script, script_path, socket: folder.join("probe.sock"), data, report, start })
    }

    /// Milliseconds since the start.
    pub(crate) fn ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds from the start to a moment.
    pub(crate) fn seconds_at(&self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.start).as_secs_f64()
    }

    /// Whether the worker has stopped for ever.
    pub(crate) fn locked(&self) -> bool {
        self.script.lock.as_ref().is_some_and(|lock| lock.onset_ms <= self.ms())
    }

    /// Writes a last line and exits.
    pub(crate) fn end(&self, event: &'static str, detail: &str, code: u8) -> ! {
        self.report.write(event, detail);
        process::exit(i32::from(code));
    }

    /// Exits because something could not be done: a met limit by its own name, all else as an error.
    pub(crate) fn fail(&self, doing: &str, error: &io::Error) -> ! {
        let known = LIMITS.iter().find(|(number, _)| error.raw_os_error() == Some(*number));
        self.end(known.map_or("error", |(_, event)| event), &format!("{doing}: {error}"), 1);
    }
}

/// Starts one of the program's own threads.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body);
    thread.map(drop).map_err(|error| format!("starting the thread {name}: {error}"))
}
