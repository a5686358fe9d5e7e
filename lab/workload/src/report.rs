//! Lines the lab reads afterwards: what really happened in a run, and when.
//!
//! `{"at_ms":…,"run":…,"event":"…","detail":"…"}`, time in Unix milliseconds. Events: `started`, `ready`; `onset` with
//! the kind that begins to grow or stop, harm or not; `backlog` when a request first waits 0.3 seconds; the ends
//! `emfile`, `eagain`, `enospc`, `poison`, `bad_start`, `finished`, `stopped`, `error`.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The report, open from the start so that it can be written when no more file can be opened.
pub(crate) struct Report {
    file: File,
    run: u32,
}

impl Report {
    pub(crate) fn open(path: &Path, run: u32) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(path)?, run })
    }

    /// Appends one line with one call, so that lines of two threads do not mix. What cannot be written is lost: the
    /// container lives and dies as scripted all the same.
    pub(crate) fn write(&self, event: &str, detail: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_millis());
        let _ = (&self.file).write(line(now, self.run, event, detail).as_bytes());
    }
}

fn line(at_ms: u128, run: u32, event: &str, detail: &str) -> String {
    let mut line = format!("{{\"at_ms\":{at_ms},\"run\":{run},\"event\":\"{event}\",\"detail\":\"");
    for letter in detail.chars() {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            letter if letter.is_control() => {
                // Writing to a String does not fail.
                let _ = write!(line, "\\u{:04x}", u32::from(letter));
            }
            letter => line.push(letter),
        }
    }
    line.push_str("\"}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_the_detail() {
        assert_eq!(
            line(5, 2, "error", "a \"b\"\n\\"),
            "{\"at_ms\":5,\"run\":2,\"event\":\"error\",\"detail\":\"a \\\"b\\\"\\u000a\\\\\"}\n"
        );
    }
}
