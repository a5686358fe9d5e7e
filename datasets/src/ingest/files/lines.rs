//! Text of one series or sample a line, read in pieces of whole lines.
//!
//! What a line of an exposition means may depend on lines before it: on the last `# TYPE`, and in OpenMetrics on the
//! `_created` line of the same labels. A piece therefore begins with the `# TYPE` line that is in effect there, and ends
//! where no sample waits for its start.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use features::decode::exposition::{self, Dialect};
use features::decode::{SeriesSink, SourceSeries};

use super::{Run, open, reading};
use crate::ingest::wire;
use crate::{DatasetError, Result};

/// Lines are taken together from this many bytes on.
const PIECE: usize = 1 << 20;
/// A piece of this many bytes is not made longer to keep lines together: no labels have that many samples of a moment.
const LONGEST_PIECE: usize = 4 * PIECE;
/// Past this it is no line.
const MAX_LINE: usize = 64 << 20;

/// What the lines are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Exposition(Option<i64>),
    Vm,
}

pub(super) fn read(run: &mut Run<'_>, form: Form) -> Result<()> {
    let path = run.path.to_owned();
    let mut exposition = match form {
        Form::Exposition(at) => Some(Exposition { at, dialect: dialect(run)?, family: Vec::new() }),
        Form::Vm => None,
    };
    let stored = run.position.done;
    let mut lines = Lines::open(&path)?;
    let mut piece = Piece::default();
    let mut line = Vec::new();
    loop {
        let more = lines.read_line(&mut line)?;
        if more && lines.read <= stored {
            // Stored by an earlier run, but it may say of what type the next ones are.
            if let Some(exposition) = &mut exposition {
                exposition.pass(&line);
            }
            continue;
        }
        let may_end = piece.text.len() >= LONGEST_PIECE
            || piece.text.len() >= PIECE
                && exposition.as_ref().is_none_or(|text| text.may_cut(piece.last_line(), &line));
        if piece.lines > 0 && (may_end || !more) {
            take(run, exposition.as_ref(), &piece)?;
            piece = Piece::default();
        }
        if !more {
            return Ok(());
        }
        if let Some(exposition) = &mut exposition {
            if piece.lines == 0 {
                piece.repeat(&exposition.family);
            }
            exposition.pass(&line);
        }
        piece.push(&line);
    }
}

/// Lines taken together.
#[derive(Default)]
struct Piece {
    text: Vec<u8>,
    /// Lines of the file in it.
    lines: u64,
    /// 1 where its first line is one of an earlier piece.
    repeated: u64,
    /// Where its last line begins.
    last: usize,
}

impl Piece {
    fn repeat(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.repeated = u64::from(!line.is_empty());
    }

    fn push(&mut self, line: &[u8]) {
        self.last = self.text.len();
        self.text.extend_from_slice(line);
        self.lines += 1;
    }

    fn last_line(&self) -> &[u8] {
        &self.text[self.last..]
    }
}

fn take(run: &mut Run<'_>, exposition: Option<&Exposition>, piece: &Piece) -> Result<()> {
    let read_at = run.read_at;
    let first = run.position.done + 1;
    let text = piece.text.as_slice();
    let mut bad = (0, None);
    let taken = run.importer.take(read_at, |sink| match exposition {
        Some(exposition) => {
            bad = wire::exposition(text, exposition.dialect, exposition.at, sink)?;
            Ok(())
        }
        None => wire::vm_lines(text, sink),
    });
    // Lines of the piece to lines of the file.
    let number = |line: u64| first + line.saturating_sub(piece.repeated);
    let before = |at: usize| text[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() as u64;
    taken.map_err(|failure| run.fail(failure, |at| number(before(at))))?;
    if let (lines, Some((line, problem))) = bad {
        // One torn line does not spoil a dump; that it was there is said.
        let problem = format!("line {}, {problem}", number(line as u64 - 1));
        tracing::warn!(path = %run.path.display(), lines, problem, "lines that cannot be read were left out");
        run.importer.bad_lines(lines, problem);
    }
    run.advance(piece.lines)
}

/// What is known of an exposition where a piece of it begins.
struct Exposition {
    /// When it was scraped.
    at: Option<i64>,
    dialect: Dialect,
    /// The `# TYPE` line that is in effect, with its end; empty where there is none.
    family: Vec<u8>,
}

impl Exposition {
    /// Notices a line that was read.
    fn pass(&mut self, line: &[u8]) {
        match comment(line) {
            // One that cannot be read says nothing of the lines behind it, and is complained of once.
            Some((b"TYPE", _)) if !can_be_read(line, self.dialect) => self.family.clear(),
            Some((b"TYPE", _)) => self.family = line.to_vec(),
            Some((b"EOF", true)) => self.family.clear(),
            _ => {}
        }
    }

    /// Whether lines up to `last` can be understood without those from `next` on.
    fn may_cut(&self, last: &[u8], next: &[u8]) -> bool {
        if self.dialect == Dialect::Text || matches!(comment(next), Some((b"TYPE" | b"EOF", _))) {
            return true;
        }
        let is_sample = |line: &[u8]| comment(line).is_none() && !line.trim_ascii().is_empty();
        is_sample(last) && is_sample(next) && group(last) != group(next)
    }
}

fn can_be_read(line: &[u8], dialect: Dialect) -> bool {
    struct Nobody;
    impl SeriesSink for Nobody {
        fn take(&mut self, _series: &SourceSeries<'_>) {}
    }
    std::str::from_utf8(line).is_ok_and(|line| exposition::text(line, dialect, 0, &mut Nobody).1.is_empty())
}

/// The first word of a comment, and whether it is the only one.
fn comment(line: &[u8]) -> Option<(&[u8], bool)> {
    let comment = line.trim_ascii_start().strip_prefix(b"#")?;
    let mut words = comment.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Some((words.next().unwrap_or_default(), words.next().is_none()))
}

/// Labels of a sample in any order, but for its bucket or quantile: samples that share them share their start.
fn group(line: &[u8]) -> Vec<&[u8]> {
    let mut labels = Vec::new();
    let Some(brace) = line.iter().position(|&byte| byte == b'{') else { return labels };
    if line[..brace].trim_ascii().iter().any(u8::is_ascii_whitespace) {
        // Behind the value: an exemplar's.
        return labels;
    }
    let (mut quoted, mut escaped, mut start) = (false, false, brace + 1);
    for (at, &byte) in line.iter().enumerate().skip(brace + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' | b'}' if !quoted => {
                labels.push(line[start..at].trim_ascii());
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    labels.retain(|label| !(label.is_empty() || label.starts_with(b"le=") || label.starts_with(b"quantile=")));
    labels.sort_unstable();
    labels
}

/// In which dialect a file is written, told once from all of it: its end mark is its last line.
fn dialect(run: &mut Run<'_>) -> Result<Dialect> {
    let open = match run.position.open_metrics {
        Some(open) => open,
        None => {
            let mut lines = Lines::open(run.path)?;
            let mut line = Vec::new();
            loop {
                if !lines.read_line(&mut line)? {
                    break false;
                }
                if is_open_metrics(&line) {
                    break true;
                }
            }
        }
    };
    run.position.open_metrics = Some(open);
    Ok(if open { Dialect::OpenMetrics } else { Dialect::Text })
}

/// OpenMetrics gives itself away by its end mark, its units, or times with a fraction.
fn is_open_metrics(line: &[u8]) -> bool {
    match comment(line) {
        Some((b"EOF", alone)) => return alone,
        Some((word, _)) => return word == b"UNIT",
        None => {}
    }
    let Ok(line) = std::str::from_utf8(line) else { return false };
    // What follows is an exemplar.
    let sample = line.split(" # {").next().unwrap_or(line).trim_end();
    sample.rsplit_once([' ', '\t']).is_some_and(|(rest, time)| {
        // The last word is a time only where a value comes before it.
        time.contains('.')
            && time.len() > 10
            && rest.trim_end().rsplit([' ', '\t', '}']).next().is_some_and(|value| value.parse::<f64>().is_ok())
    })
}

/// Lines of a file, one after the other.
struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<Box<dyn Read>>,
    /// So many so far.
    read: u64,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        Ok(Self { path, reader: BufReader::with_capacity(1 << 20, open(path)?), read: 0 })
    }

    /// Reads the next one with its end; `false` after the last.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        let mut limited = Read::take(&mut self.reader, MAX_LINE as u64);
        let read = limited.read_until(b'\n', line).map_err(|error| reading(self.path, error))?;
        self.read += u64::from(read > 0);
        if read == MAX_LINE {
            let problem = format!("a line of more than {MAX_LINE} bytes");
            return Err(DatasetError::Line { path: self.path.to_owned(), line: self.read, problem });
        }
        Ok(read > 0)
    }
}
