//! The script of a container: which behaviours it shows, how strongly and from when.
//!
//! One line per behaviour, `kind key=value key=value`, numbers in plain base units: bytes, milliseconds (keys that end
//! in `_ms`), per second, shares, cores. The first two lines are `seed N` and `run N`; run 0 is the first start of the
//! pod, 1 the first restart. Empty lines and lines that begin with `#` are skipped. A kind appears at most once. Nothing
//! is guessed: a kind or key that is not known, a key that is missing and a number out of range are errors.
//!
//! | kind | keys |
//! |---|---|
//! | `load` | see [`Load`] |
//! | `heap`, `files_open`, `threads` | see [`Level`], in bytes, handles and threads |
//! | `burn` | see [`Level`], in cores |
//! | `disk` | see [`Level`], bytes written so far; `rotate` bytes, optional; `fresh` 0 or 1 |
//! | `cache` | see [`Level`], bytes of the working file; `read` bytes per request |
//! | `lock` | `onset_ms`; optional together `stutter_ms`, `pause_ms` |
//! | `poison` | `onset_ms`, `code` |
//! | `bad_start` | `after_ms`, `code`; `until_run`, optional |
//! | `warmup` | `for_ms`, `cores`, `bytes` |
//! | `finish` | `at_ms` |
//! | `stubborn` | none |

mod kinds;
mod level;
mod line;
mod load;

pub use kinds::{BadStart, Cache, Disk, Lock, Poison, Stutter, Warmup};
pub use level::{Level, Shape};
use line::Line;
pub use line::ScriptError;
pub use load::{Load, Pattern};

/// All that a container does in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Seed of the pod's random numbers.
    pub seed: u64,
    /// Starts of this container before this one.
    pub run: u32,
    /// Simulated requests.
    pub load: Option<Load>,
    /// Bytes held.
    pub heap: Option<Level>,
    /// Files held open.
    pub files_open: Option<Level>,
    /// Sleeping threads.
    pub threads: Option<Level>,
    /// Bytes written to the volume.
    pub disk: Option<Disk>,
    /// A file on the volume that requests read.
    pub cache: Option<Cache>,
    /// Cores a background thread burns.
    pub burn: Option<Level>,
    /// The worker stops for ever.
    pub lock: Option<Lock>,
    /// Sudden exit.
    pub poison: Option<Poison>,
    /// Exit soon after the start.
    pub bad_start: Option<BadStart>,
    /// Busy time before the container is ready.
    pub warmup: Option<Warmup>,
    /// Milliseconds after the start at which the job is done and the container exits with 0.
    pub finish_ms: Option<u64>,
    /// A request to stop is not heard.
    pub stubborn: bool,
}

impl Script {
    /// Reads a whole script.
    ///
    /// # Errors
    /// The first line that is not understood, or a script without `seed` or `run`.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|(index, line)| (index + 1, line));
        let seed = header(lines.next(), "seed")?;
        let run = header(lines.next(), "run")?;
        let run = u32::try_from(run).map_err(|_| whole("run", &format!("{run} runs are too many")))?;
        let mut script = Self {
            seed,
            run,
            load: None,
            heap: None,
            files_open: None,
            threads: None,
            disk: None,
            cache: None,
            burn: None,
            lock: None,
            poison: None,
            bad_start: None,
            warmup: None,
            finish_ms: None,
            stubborn: false,
        };
        let mut seen: Vec<&str> = Vec::new();
        for (number, text) in lines {
            let mut line = Line::parse(number, text)?;
            if seen.contains(&line.kind) {
                return Err(line.error("", "", "a kind appears at most once"));
            }
            seen.push(line.kind);
            script.read(&mut line)?;
            line.end()?;
        }
        if script.cache.is_some() && script.load.is_none() {
            return Err(whole("cache", "requests read the file, so a load line is needed"));
        }
        Ok(script)
    }

    /// When each behaviour begins to differ from rest: milliseconds after the start, and its kind. Not for `poison` and
    /// `bad_start`, which say so themselves as they exit.
    pub fn onsets(&self) -> Vec<(u64, &'static str)> {
        let levels = [
            (self.heap.as_ref(), "heap"),
            (self.files_open.as_ref(), "files_open"),
            (self.threads.as_ref(), "threads"),
            (self.disk.as_ref().map(|disk| &disk.level), "disk"),
            (self.cache.as_ref().map(|cache| &cache.level), "cache"),
            (self.burn.as_ref(), "burn"),
        ];
        let mut onsets: Vec<(u64, &'static str)> =
            levels.into_iter().filter_map(|(level, kind)| Some((level?.onset_ms()?, kind))).collect();
        onsets.extend(self.load.as_ref().and_then(Load::onset_ms).map(|at| (at, "load")));
        // A lock-up that stutters before has begun when it begins to stutter.
        let begins = |lock: &Lock| lock.onset_ms.saturating_sub(lock.stutter.as_ref().map_or(0, |s| s.lead_ms));
        onsets.extend(self.lock.as_ref().map(|lock| (begins(lock), "lock")));
        onsets.sort_unstable();
        onsets
    }

    fn read(&mut self, line: &mut Line<'_>) -> Result<(), ScriptError> {
        match line.kind {
            "load" => self.load = Some(Load::read(line)?),
            "heap" => self.heap = Some(Level::read(line)?),
            "files_open" => self.files_open = Some(Level::read(line)?),
            "threads" => self.threads = Some(Level::read(line)?),
            "burn" => self.burn = Some(Level::read(line)?),
            "disk" => {
                let level = Level::read(line)?;
                let rotate = line.optional_positive("rotate")?;
                let fresh = line.word("fresh", &[("0", false), ("1", true)])?;
                self.disk = Some(Disk { level, rotate, fresh });
            }
            "cache" => self.cache = Some(Cache { level: Level::read(line)?, read: line.positive("read")? }),
            "lock" => {
                let onset_ms = line.whole("onset_ms")?;
                let stutter = match line.optional_whole("stutter_ms")? {
                    Some(lead_ms) => Some(Stutter { lead_ms, pause_ms: line.whole("pause_ms")? }),
                    None => None,
                };
                self.lock = Some(Lock { onset_ms, stutter });
            }
            "poison" => self.poison = Some(Poison { onset_ms: line.whole("onset_ms")?, code: line.code()? }),
            "bad_start" => {
                let (after_ms, code) = (line.whole("after_ms")?, line.code()?);
                let until_run = line.optional_run("until_run")?;
                self.bad_start = Some(BadStart { after_ms, code, until_run });
            }
            "warmup" => {
                let (for_ms, cores) = (line.whole("for_ms")?, line.number("cores")?);
                self.warmup = Some(Warmup { for_ms, cores, bytes: line.number("bytes")? });
            }
            "finish" => self.finish_ms = Some(line.whole("at_ms")?),
            "stubborn" => self.stubborn = true,
            _ => return Err(line.error("", "", "unknown kind; the table in lab/workload/src/script.rs lists them")),
        }
        Ok(())
    }
}

fn header(line: Option<(usize, &str)>, name: &str) -> Result<u64, ScriptError> {
    let (number, text) = line.unwrap_or((0, ""));
    text.strip_prefix(name).and_then(|rest| rest.trim().parse().ok()).ok_or_else(|| ScriptError {
        line: number,
        kind: text.to_owned(),
        key: String::new(),
        value: String::new(),
        reason: format!("the script begins with `seed N` and `run N`; `{name} N` is wanted here"),
    })
}

fn whole(kind: &str, reason: &str) -> ScriptError {
    ScriptError { line: 0, kind: kind.to_owned(), key: String::new(), value: String::new(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "seed 7\nrun 0\n";

    fn parse(lines: &str) -> Result<Script, ScriptError> {
        Script::parse(&format!("{HEAD}{lines}"))
    }

    fn refusal(lines: &str) -> String {
        parse(lines).expect_err(lines).to_string()
    }

    #[test]
    fn every_kind_of_the_table_is_read() {
        let script = parse(
            "load rate=20 cores=0.01 scratch=4096 pattern=sine period_ms=30000 amplitude=0.5 growth=0.1 onset_ms=1000\n\
             heap base=1048576 shape=linear rate=1000 onset_ms=5000 saw=1000 saw_ms=2000\n\
             files_open base=3 shape=steps step=4 period_ms=1000 onset_ms=0\n\
             threads base=0 shape=accelerating rate=0.1 period_ms=60000 onset_ms=0\n\
             disk base=0 shape=linear rate=1000 onset_ms=0 rotate=65536 fresh=1\n\
             cache base=65536 shape=plateau rate=10 cap=100000 onset_ms=9000 read=16384\n\
             burn base=0 shape=linear rate=0.01 onset_ms=100 cap=0.3\n\
             lock onset_ms=60000 stutter_ms=20000 pause_ms=250\n\
             poison onset_ms=99000 code=3\n\
             bad_start after_ms=2000 code=1 until_run=2\n\
             warmup for_ms=20000 cores=0.05 bytes=1000000\n\
             finish at_ms=100000\n\
             stubborn\n",
        )
        .expect("a good script");
        assert_eq!(script.poison, Some(Poison { onset_ms: 99_000, code: 3 }));
        assert_eq!(script.finish_ms, Some(100_000));
        assert!(script.stubborn && script.warmup.is_some() && script.lock.is_some());
        let kinds: Vec<_> = script.onsets().into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, ["disk", "files_open", "threads", "burn", "load", "heap", "cache", "lock"]);
    }

    #[test]
    fn a_steady_container_has_no_onset() {
        let script = parse("load rate=5 cores=0.01 scratch=0 pattern=constant\nheap base=1 shape=constant\n");
        assert_eq!(script.expect("a good script").onsets(), []);
    }

    #[test]
    fn what_is_not_known_is_refused_with_line_key_and_value() {
        let text = refusal("heap base=1 shape=constant colour=red\n");
        assert!(text.contains("line 3") && text.contains("heap colour=red"), "{text}");
        assert!(refusal("leak rate=1\n").contains("unknown kind"));
    }

    #[test]
    fn a_missing_key_is_named() {
        let text = refusal("\npoison onset_ms=5\n");
        assert!(text.contains("line 4") && text.contains("code="), "{text}");
    }

    #[test]
    fn a_number_out_of_range_is_refused() {
        for line in [
            "heap base=-1 shape=constant",
            "heap base=nan shape=constant",
            "heap base=1e999 shape=constant",
            "poison onset_ms=1.5 code=1",
            "poison onset_ms=1 code=300",
            "load rate=0 cores=0.1 scratch=0 pattern=constant",
            "disk base=0 shape=constant fresh=2",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_kind_or_a_key_given_twice_is_refused() {
        assert!(refusal("finish at_ms=1\nfinish at_ms=2\n").contains("at most once"));
        assert!(refusal("finish at_ms=1 at_ms=2\n").contains("twice"));
    }

    #[test]
    fn a_script_without_its_head_is_refused() {
        assert!(Script::parse("").is_err());
        assert!(Script::parse("run 1\nseed 1\n").is_err());
        assert!(Script::parse("seed 1\nfinish at_ms=1\n").expect_err("no run").to_string().contains("line 2"));
    }

    #[test]
    fn a_working_file_without_requests_is_refused() {
        assert!(refusal("cache base=1 shape=constant read=1\n").contains("load"));
    }
}
