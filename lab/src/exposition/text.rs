//! The text format: families one after the other, each with what it is and all its samples.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write as _;

/// Type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Untyped,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Untyped => "untyped",
        }
    }
}

/// Value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(u64),
    Signed(i64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self::Signed(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl Number {
    fn write(self, out: &mut String) {
        // Writing to a string does not fail.
        let _ = match self {
            Self::Whole(value) => write!(out, "{value}"),
            Self::Signed(value) => write!(out, "{value}"),
            Self::Real(value) if value.is_nan() => write!(out, "NaN"),
            Self::Real(value) if value.is_infinite() => write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' }),
            Self::Real(value) => write!(out, "{value}"),
        };
    }
}

/// Labels as they stand between the braces, put together once for all samples that carry them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        let mut labels =
            Self(String::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum()));
        for (name, value) in pairs {
            if !labels.0.is_empty() {
                labels.0.push(',');
            }
            labels.0.push_str(name);
            labels.0.push_str("=\"");
            escape(&mut labels.0, value);
            labels.0.push('"');
        }
        labels
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// Line feeds, quotes and backslashes would end a value.
fn escape(out: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// An exposition that grows.
pub(super) struct Text<'o> {
    out: &'o mut String,
}

impl<'o> Text<'o> {
    pub(super) fn new(out: &'o mut String) -> Self {
        Self { out }
    }

    /// Begins a family; it is not mentioned unless it gets a sample. `help` has no line feeds or backslashes.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family { out: self.out, name, kind, help, begun: false }
    }
}

/// A family that grows.
pub(super) struct Family<'o> {
    out: &'o mut String,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    begun: bool,
}

impl Family<'_> {
    /// A sample under the name of the family. `labels` are pieces of label text that follow each other; empty ones are
    /// passed over.
    pub(super) fn sample(&mut self, labels: &[&str], value: impl Into<Number>) {
        self.part("", labels, value);
    }

    /// A sample under the name of the family and an ending, as histograms have them.
    pub(super) fn part(&mut self, ending: &str, labels: &[&str], value: impl Into<Number>) {
        if !self.begun {
            self.begun = true;
            let Self { name, help, .. } = self;
            let kind = self.kind.word();
            let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        self.out.push_str(self.name);
        self.out.push_str(ending);
        let mut mark = '{';
        for piece in labels.iter().filter(|piece| !piece.is_empty()) {
            self.out.push(mark);
            self.out.push_str(piece);
            mark = ',';
        }
        self.out.push_str(if mark == '{' { " " } else { "} " });
        value.into().write(self.out);
        self.out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let labels = Labels::of(&[("a", "plain"), ("b", "q\"q\\n\nend"), ("c", "é")]);
        assert_eq!(labels.text(), "a=\"plain\",b=\"q\\\"q\\\\n\\nend\",c=\"é\"");
    }

    #[test]
    fn a_family_is_announced_once_and_only_with_a_sample() {
        let mut out = String::new();
        let mut text = Text::new(&mut out);
        text.family("never", Kind::Gauge, "Not seen.");
        let mut family = text.family("some_total", Kind::Counter, "Seen.");
        family.sample(&["a=\"1\"", "", "b=\"2\""], 7_u64);
        family.sample(&[], 1.5);
        let expected =
            "# HELP some_total Seen.\n# TYPE some_total counter\nsome_total{a=\"1\",b=\"2\"} 7\nsome_total 1.5\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn numbers_are_written_as_the_format_spells_them() {
        let mut out = String::new();
        let mut text = Text::new(&mut out);
        let mut family = text.family("x", Kind::Untyped, "X.");
        for value in [0.1, 1.79e9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            family.sample(&[], value);
        }
        family.sample(&[], u64::MAX);
        family.sample(&[], -1_i32);
        family.sample(&[], true);
        let values: Vec<&str> = out.lines().skip(2).filter_map(|line| line.strip_prefix("x ")).collect();
        assert_eq!(values, ["0.1", "1790000000", "NaN", "+Inf", "-Inf", "18446744073709551615", "-1", "1"]);
    }
}
