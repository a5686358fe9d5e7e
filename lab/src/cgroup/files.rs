//! Reading the kernel's small files with few calls: one buffer and one path for all files of a folder.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::Stall;
use crate::error::{LabError, Result, io};

/// "No such device": a cgroup that was removed while its file was open.
const ENODEV: i32 = 19;
/// "Operation not supported": pressure files of a kernel that was booted with `psi=0`.
const EOPNOTSUPP: i32 = 95;

/// Files of one folder after the other.
pub(super) struct Files {
    path: String,
    /// Where the folder ends in `path`.
    folder: usize,
    buffer: Vec<u8>,
}

impl Files {
    pub(super) fn new() -> Self {
        // The longest of them, memory.stat, has about 2 KiB.
        Self { path: String::with_capacity(256), folder: 0, buffer: vec![0; 8192] }
    }

    /// Reads from the cgroup `path` of the hierarchy mounted at `mount` from now on.
    pub(super) fn enter(&mut self, mount: &str, path: &str) {
        self.path.clear();
        self.path.push_str(mount);
        self.path.push_str(path);
        self.path.push('/');
        self.folder = self.path.len();
    }

    /// The text of a file; `None` when it or its folder is not there (any more).
    pub(super) fn text(&mut self, name: &str) -> Result<Option<&str>> {
        self.read(name, false)
    }

    /// The text of a file that is a list of any length.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<&str>> {
        self.read(name, true)
    }

    fn read(&mut self, name: &str, in_pieces: bool) -> Result<Option<&str>> {
        self.path.truncate(self.folder);
        self.path.push_str(name);
        match fill(&self.path, &mut self.buffer, in_pieces) {
            Ok(length) => match std::str::from_utf8(&self.buffer[..length]) {
                Ok(text) => Ok(Some(text)),
                Err(error) => {
                    Err(LabError::Cgroup { reason: format!("{}: {error}; the kernel writes text", self.path) })
                }
            },
            Err(error) if gone(&error) => Ok(None),
            Err(error) => Err(io(Path::new(&self.path), "read")(error)),
        }
    }

    /// The only number of a file; `None` also for `max`.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>> {
        Ok(self.text(name)?.and_then(number))
    }

    /// Stalls of a pressure file.
    pub(super) fn pressure(&mut self, name: &str) -> Result<Option<Stall>> {
        Ok(self.text(name)?.and_then(pressure_of))
    }
}

/// Reads all of a file into the buffer, which grows when it has to.
///
/// The kernel hands most of these files over in one piece, as much as there is room for, so that a piece that leaves room
/// is all of it and the look at the end is saved. Lists come in pieces.
fn fill(path: &str, buffer: &mut Vec<u8>, in_pieces: bool) -> std::io::Result<usize> {
    let mut file = File::open(path)?;
    let mut length = 0;
    loop {
        match file.read(&mut buffer[length..]) {
            Ok(0) => return Ok(length),
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if length == buffer.len() {
            buffer.resize(2 * length, 0);
        } else if !in_pieces {
            return Ok(length);
        }
    }
}

fn gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ENODEV | EOPNOTSUPP))
}

/// A number that stands alone; `None` for words such as `max` and for -1, which mean that there is no limit.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim_ascii().parse().ok()
}

/// Lines of a name and a number.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, number(value)?))
    })
}

/// Seconds of a count of microseconds.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
pub(super) fn from_micros(count: u64) -> f64 {
    count as f64 / 1e6
}

/// Seconds of a count of nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "a nanosecond in 104 days, then a few")]
pub(super) fn from_nanos(count: u64) -> f64 {
    count as f64 / 1e9
}

/// Stalls in the text of a pressure file, of a cgroup or of the host; `None` when it has none.
pub(crate) fn pressure_of(text: &str) -> Option<Stall> {
    let total = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        line.split_ascii_whitespace().find_map(|word| word.strip_prefix("total=")).and_then(number).map(from_micros)
    };
    Some(Stall { some: total("some ")?, full: total("full ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_pressure_are_seconds() {
        let text = "some avg10=6.88 avg60=5.49 avg300=2.99 total=2306215033\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n";
        let stall = pressure_of(text).unwrap();
        assert!((stall.some - 2_306.215_033).abs() < 1e-9);
        assert!((stall.full.unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(pressure_of("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"), Some(Stall::default()));
        assert_eq!(pressure_of(""), None);
    }

    #[test]
    fn what_means_no_limit_is_no_number() {
        assert_eq!(number("123\n"), Some(123));
        assert_eq!(number("max\n"), None);
        assert_eq!(number("-1\n"), None);
        assert_eq!(pairs("a 1\nb max\nc\nd 4\n").collect::<Vec<_>>(), [("a", 1), ("d", 4)]);
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let folder = std::env::temp_dir().join(format!("lab-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let long = "0123456789abcdef".repeat(2000);
        std::fs::write(folder.join("long"), &long).unwrap();
        std::fs::write(folder.join("short"), "7\n").unwrap();
        let mut files = Files::new();
        files.enter(folder.to_str().unwrap(), "");
        assert_eq!(files.text("long").unwrap(), Some(long.as_str()));
        assert_eq!(files.list("long").unwrap(), Some(long.as_str()));
        assert_eq!(files.number("short").unwrap(), Some(7), "what was read before is forgotten");
        assert_eq!(files.text("none").unwrap(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
