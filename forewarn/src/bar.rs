//! Progress: a bar on a terminal, a line per stage elsewhere, JSON lines where a script reads.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Bars on a terminal, lines elsewhere.
    Person,
    /// JSON lines on standard error.
    Script,
}

/// Progress of the stages of one command.
pub(crate) struct Bar {
    style: Style,
    terminal: bool,
    stage: Mutex<Option<Stage>>,
}

struct Stage {
    what: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    told: Instant,
    bar: ProgressBar,
}

/// Without a terminal, at most one line in this time.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

impl Bar {
    pub(crate) fn new(style: Style) -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self { style, terminal, stage: Mutex::new(None) }
    }

    fn line(&self, stage: &Stage, finished: bool) {
        let seconds = stage.started.elapsed().as_secs_f64();
        if self.style == Style::Script {
            let line = serde_json::json!({
                "stage": stage.what, "done": stage.done, "total": stage.total,
                "seconds": (seconds * 10.0).round() / 10.0, "finished": finished,
            });
            eprintln!("{line}");
        } else if finished {
            eprintln!("{}: done in {seconds:.1} s", stage.what);
        } else {
            let total = stage.total.map_or(String::new(), |total| format!(" of {total}"));
            eprintln!("{}: {}{total}, {seconds:.0} s", stage.what, stage.done);
        }
    }
}

#[cfg(feature = "data")]
impl datasets::Progress for Bar {
    fn begin(&self, what: &str, total: Option<u64>) {
        let bar = if self.terminal && self.style == Style::Person {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let template = if total.is_some() {
                "{msg:40} [{bar:30}] {pos}/{len} {elapsed}, {eta} left"
            } else {
                "{msg:40} {spinner} {pos} {elapsed}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        let now = Instant::now();
        let stage = Stage { what: what.to_owned(), total, done: 0, started: now, told: now, bar };
        if let Ok(mut current) = self.stage.lock() {
            *current = Some(stage);
        }
    }

    fn advance(&self, by: u64) {
        let Ok(mut current) = self.stage.lock() else { return };
        let Some(stage) = current.as_mut() else { return };
        stage.done += by;
        stage.bar.inc(by);
        let quiet = self.terminal && self.style == Style::Person;
        if !quiet && stage.told.elapsed() >= BETWEEN_LINES {
            stage.told = Instant::now();
            self.line(stage, false);
        }
    }

    fn end(&self) {
        let Ok(mut current) = self.stage.lock() else { return };
        let Some(stage) = current.take() else { return };
        stage.bar.finish_and_clear();
        // A stage of less than a second is not worth a line.
        if self.style == Style::Script || stage.started.elapsed() >= Duration::from_secs(1) {
            self.line(&stage, true);
        }
    }
}
