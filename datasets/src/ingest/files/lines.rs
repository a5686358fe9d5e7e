//! Text of one series or sample a line, read in pieces of whole lines.

use std::io::{BufRead, BufReader};

use features::decode::exposition::Dialect;

use super::{Run, open, reading};
use crate::ingest::wire;
use crate::{DatasetError, Result};

/// Lines are taken together up to this many bytes.
const PIECE: usize = 1 << 20;
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
    let mut reader = BufReader::with_capacity(1 << 20, open(&path)?);
    let mut skip = run.position.done;
    let mut piece = Vec::new();
    let mut lines = 0;
    loop {
        let before = piece.len();
        let mut limited = std::io::Read::take(&mut reader, MAX_LINE as u64);
        let read = limited.read_until(b'\n', &mut piece).map_err(|error| reading(&path, error))?;
        if read == MAX_LINE {
            let line = run.position.done + lines + 1;
            let problem = format!("a line of more than {MAX_LINE} bytes");
            return Err(DatasetError::Line { path, line, problem });
        }
        if read > 0 && skip > 0 {
            skip -= 1;
            piece.truncate(before);
            continue;
        }
        lines += u64::from(read > 0);
        if piece.len() >= PIECE || (read == 0 && !piece.is_empty()) {
            take(run, form, &piece, lines)?;
            piece.clear();
            lines = 0;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn take(run: &mut Run<'_>, form: Form, piece: &[u8], lines: u64) -> Result<()> {
    let read_at = run.read_at;
    let first = run.position.done + 1;
    let mut bad = (0, None);
    let taken = run.importer.take(read_at, |sink| match form {
        Form::Exposition(at) => {
            bad = wire::exposition(piece, dialect(piece), at, sink)?;
            Ok(())
        }
        Form::Vm => wire::vm_lines(piece, sink),
    });
    let before = |at: usize| piece[..at.min(piece.len())].iter().filter(|&&byte| byte == b'\n').count() as u64;
    taken.map_err(|failure| run.fail(failure, |at| first + before(at)))?;
    if let (lines, Some((line, problem))) = bad {
        // One torn line does not spoil a dump; that it was there is said.
        let problem = format!("line {}, {problem}", first + line as u64 - 1);
        tracing::warn!(path = %run.path.display(), lines, problem, "lines that cannot be read were left out");
        run.importer.bad_lines(lines, problem);
    }
    run.advance(lines)
}

/// OpenMetrics gives itself away by its end mark, or by times with a fraction.
fn dialect(piece: &[u8]) -> Dialect {
    let text = String::from_utf8_lossy(piece);
    let fraction = |line: &str| {
        !line.starts_with('#')
            && line.rsplit_once(' ').is_some_and(|(rest, time)| {
                // The last word is a time only where a value comes before it.
                time.contains('.')
                    && time.len() > 10
                    && rest.rsplit([' ', '}']).next().is_some_and(|value| value.parse::<f64>().is_ok())
            })
    };
    let open = text.lines().any(|line| line == "# EOF" || line.starts_with("# UNIT ") || fraction(line));
    if open { Dialect::OpenMetrics } else { Dialect::Text }
}
