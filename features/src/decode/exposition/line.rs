//! One sample line: scanned without copying, its labels copied only when they are asked for.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::super::DecodeError;
use super::super::labels::{cut, labels_of};
use super::{Dialect, Fault};
use crate::labels::Labels;

/// A sample line that is in order.
#[derive(Debug, PartialEq)]
pub(super) struct Scanned<'t> {
    /// The metric's name as it stands there.
    pub(super) name: &'t str,
    /// Where name and labels end.
    pub(super) series_end: usize,
    /// Labels in any order, but for the bucket or quantile.
    pub(super) group: u64,
    pub(super) value: f64,
    /// The value as it is written.
    pub(super) word: &'t str,
    /// Milliseconds.
    pub(super) time: Option<i64>,
}

/// Reads `name{label="value"} value [timestamp] [# exemplar]`.
pub(super) fn scan(line: &str, dialect: Dialect) -> Result<Scanned<'_>, Fault> {
    let mut cursor = Cursor { line, at: 0 };
    let mut group = 0_u64;
    let name = cursor.series(&mut |name, value| {
        if !matches!(name, "le" | "quantile") {
            // A sum of hashes does not depend on the order.
            let pair = xxh3_64(name.as_bytes()).rotate_left(17) ^ xxh3_64(value.as_bytes());
            group = group.wrapping_add(pair | 1);
        }
    })?;
    let series_end = cursor.at;
    let (at, word) = cursor.word().ok_or_else(|| Fault::new(line.len(), "no value after the series"))?;
    let value = word.parse().map_err(|_| Fault::new(at, format!("{:?} is no value", cut(word, 40))))?;
    let mut time = None;
    let mut next = cursor.word();
    if let Some((at, word)) = next.filter(|(_, word)| !word.starts_with('#')) {
        let (read, unit) = match dialect {
            Dialect::Text => (word.parse().ok(), "whole milliseconds"),
            Dialect::OpenMetrics => (seconds(word), "seconds"),
        };
        time = Some(read.ok_or_else(|| Fault::new(at, format!("{:?} is no time in {unit}", cut(word, 40))))?);
        next = cursor.word();
    }
    match next {
        Some((_, word)) if word.starts_with('#') => {}
        Some((at, word)) => return Err(Fault::new(at, format!("{:?} after the sample", cut(word, 40)))),
        None => {}
    }
    Ok(Scanned { name, series_end, group, value, word, time })
}

/// The labels of a line that was scanned.
pub(super) fn labels(line: &str) -> Result<Labels, DecodeError> {
    const WHAT: &str = "text exposition";
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let name = Cursor { line, at: 0 }.series(&mut |name, value| pairs.push((unescape(name), unescape(value))));
    let name = name.map_err(|fault| DecodeError { what: WHAT, at: fault.at, problem: fault.problem })?;
    pairs.push((Cow::Borrowed("__name__"), unescape(name)));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    labels_of(&pairs, WHAT, 0)
}

/// Undoes `\\`, `\"` and `\n`; other characters behind a backslash stay as they are, with it.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some(escaped @ ('\\' | '"' | 'n'))) => {
                rest.next();
                text.push(if escaped == 'n' { '\n' } else { escaped });
            }
            _ => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// A decimal number of seconds as milliseconds, floored. Digits are moved, not multiplied: 1.001 s are 1001 ms.
pub(super) fn seconds(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return exponent(word);
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let milliseconds = whole.checked_mul(1000)?.checked_add(100 * digit(0) + 10 * digit(1) + digit(2))?;
    let finer = fraction.bytes().skip(3).any(|byte| byte != b'0');
    Some(if negative { -milliseconds - i64::from(finer) } else { milliseconds })
}

/// Seconds in the form `1.7e9`, nearest millisecond.
fn exponent(word: &str) -> Option<i64> {
    let milliseconds = word.parse::<f64>().ok()? * 1000.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be far inside the range")]
    (milliseconds.abs() < 9e15).then(|| milliseconds.round() as i64)
}

struct Cursor<'t> {
    line: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        &self.line[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.line.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    /// Up to the next blank, with where it begins.
    fn word(&mut self) -> Option<(usize, &'t str)> {
        self.blanks();
        let at = self.at;
        self.at += self.rest().bytes().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
        (self.at > at).then(|| (at, &self.line[at..self.at]))
    }

    /// A name that needs no quotes; empty where there is none.
    fn plain(&mut self, colon: bool) -> &'t str {
        let at = self.at;
        let fits = |index: usize, byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b':' => colon,
            b'0'..=b'9' => index > 0,
            _ => false,
        };
        self.at += self.rest().bytes().enumerate().take_while(|&(index, byte)| fits(index, byte)).count();
        &self.line[at..self.at]
    }

    /// What stands between quotes, escapes and all; the cursor is on the first of them.
    fn quoted(&mut self) -> Result<&'t str, Fault> {
        let start = self.at;
        if !self.eat(b'"') {
            return Err(self.expected("a quote"));
        }
        let mut escaped = false;
        for (offset, byte) in self.rest().bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let text = &self.line[self.at..self.at + offset];
                    self.at += offset + 1;
                    return Ok(text);
                }
                _ => {}
            }
        }
        Err(Fault::new(start, "a quote without an end"))
    }

    fn expected(&self, what: &str) -> Fault {
        let seen = match self.rest().chars().next() {
            Some(c) => format!("{c:?}"),
            None => "the end of the line".to_owned(),
        };
        Fault::new(self.at, format!("{what} is expected, {seen} is there"))
    }

    /// Name and labels, each label given to `each` as it stands there; returns the metric's name.
    fn series(&mut self, each: &mut dyn FnMut(&'t str, &'t str)) -> Result<&'t str, Fault> {
        self.blanks();
        let start = self.at;
        let mut metric = Some(self.plain(true)).filter(|name| !name.is_empty());
        let named_at = self.at;
        self.blanks();
        if !self.eat(b'{') {
            // The blanks belong to what follows.
            self.at = named_at;
            let Some(name) = metric else { return Err(self.expected("a metric name")) };
            return match self.line.as_bytes().get(self.at) {
                None | Some(b' ' | b'\t') => Ok(name),
                Some(_) => Err(self.expected("a blank or { after the metric name")),
            };
        }
        loop {
            self.blanks();
            if self.eat(b'}') {
                break;
            }
            let at = self.at;
            let is_quoted = self.line.as_bytes().get(at) == Some(&b'"');
            let name = if is_quoted { self.quoted()? } else { self.plain(false) };
            if name.is_empty() {
                return Err(self.expected("a label name or }"));
            }
            self.blanks();
            if self.eat(b'=') {
                self.blanks();
                each(name, self.quoted()?);
            } else if is_quoted && metric.is_none() {
                metric = Some(name);
            } else {
                return Err(self.expected("= after a label name"));
            }
            self.blanks();
            if !self.eat(b',') && self.line.as_bytes().get(self.at) != Some(&b'}') {
                return Err(self.expected(", or } after a label"));
            }
        }
        metric.ok_or_else(|| Fault::new(start, "a sample without a metric name"))
    }
}
