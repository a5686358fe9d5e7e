//! What every protocol asks of a label set, and how a series is told from others.

use std::fmt::Write as _;

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::DecodeError;
use crate::labels::Labels;

/// A series with more labels is refused.
pub const MOST_LABELS: usize = 128;
/// A series with a longer label name or value, in bytes, is refused.
pub const LONGEST_LABEL: usize = 64 * 1024;
/// A series whose label names and values together have more bytes is refused.
pub const LONGEST_LABELS: usize = 256 * 1024;

/// Bytes of a series that an error shows.
const SHOWN: usize = 200;

/// Protocols do not share identities: the bytes hashed mean something else in each.
const PAIRS: u64 = 1;
const TEXT: u64 = 2;
const REFUSED: u64 = 3;

/// Checks the pairs before anything is copied: a name, no label twice, none too long, not too many.
pub(super) fn labels_of(pairs: &[(&str, &str)], what: &'static str, at: usize) -> Result<Labels, DecodeError> {
    let refuse = |problem: String| DecodeError { what, at, problem };
    if pairs.len() > MOST_LABELS {
        let count = pairs.len();
        return Err(refuse(format!("series {} has {count} labels, at most {MOST_LABELS} are taken", outline(pairs))));
    }
    let mut total = 0;
    for (name, value) in pairs {
        for (part, bytes) in [("name", name.len()), ("value", value.len())] {
            if bytes > LONGEST_LABEL {
                return Err(refuse(format!(
                    "series {}: the {part} of label {:?} has {bytes} bytes, at most {LONGEST_LABEL} are taken",
                    outline(pairs),
                    cut(name, 40),
                )));
            }
            total += bytes;
        }
        if name.is_empty() && !value.is_empty() {
            return Err(refuse(format!("series {}: a label without a name", outline(pairs))));
        }
    }
    if total > LONGEST_LABELS {
        return Err(refuse(format!(
            "series {}: its labels have {total} bytes, at most {LONGEST_LABELS} are taken",
            outline(pairs)
        )));
    }
    let owned = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let labels = Labels::try_new(owned)
        .map_err(|name| refuse(format!("series {}: label {:?} is given twice", outline(pairs), cut(&name, 40))))?;
    if labels.name().is_empty() {
        return Err(refuse(format!("series {} has no metric name (label __name__)", outline(pairs))));
    }
    Ok(labels)
}

/// The beginning of a label set, for errors: the name, then labels as they came.
fn outline(pairs: &[(&str, &str)]) -> String {
    let name = pairs.iter().find(|(name, _)| *name == "__name__").map_or("", |(_, value)| value);
    let mut text = cut(name, SHOWN).to_owned();
    text.push('{');
    let mut first = true;
    for (name, value) in pairs.iter().filter(|(name, _)| *name != "__name__") {
        if text.len() > SHOWN {
            text.push_str(", …");
            break;
        }
        if !first {
            text.push_str(", ");
        }
        first = false;
        // Writing to a string does not fail.
        let _ = write!(text, "{}={:?}", cut(name, 40), cut(value, 60));
    }
    text.push('}');
    text
}

/// At most so many bytes, at the edge of a character.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Identity of a label set in the form of text, as it stands there.
pub(super) fn text_identity(text: &str) -> u128 {
    xxh3_128_with_seed(text.as_bytes(), TEXT)
}

/// Identity of pairs in this order. `scratch` is memory used again.
pub(super) fn pairs_identity<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    for (name, value) in pairs {
        for text in [name, value] {
            // With its length in front no text runs into the next.
            scratch.extend_from_slice(&(text.len() as u64).to_le_bytes());
            scratch.extend_from_slice(text.as_bytes());
        }
    }
    xxh3_128_with_seed(scratch, PAIRS)
}

/// Identity of what no good label set can be.
pub(super) fn refused_identity(bytes: &[u8]) -> u128 {
    xxh3_128_with_seed(bytes, REFUSED)
}

/// Identity of encoded labels: the hash of their bytes, wherever in the series they lie.
///
/// Every known encoder writes the labels of a series side by side; where they lie apart, their bytes are put together.
pub(super) struct LabelBytes<'s> {
    first: Option<(usize, usize)>,
    apart: bool,
    scratch: &'s mut Vec<u8>,
}

impl<'s> LabelBytes<'s> {
    pub(super) fn new(scratch: &'s mut Vec<u8>) -> Self {
        Self { first: None, apart: false, scratch }
    }

    /// A label field lies at `from..until` of `series`.
    #[inline]
    pub(super) fn add(&mut self, series: &[u8], from: usize, until: usize) {
        match self.first {
            None => self.first = Some((from, until)),
            Some((start, end)) if end == from && !self.apart => self.first = Some((start, until)),
            Some((start, end)) => {
                if !self.apart {
                    self.apart = true;
                    self.scratch.clear();
                    self.scratch.extend_from_slice(&series[start..end]);
                }
                self.scratch.extend_from_slice(&series[from..until]);
            }
        }
    }

    pub(super) fn identity(&self, series: &[u8]) -> u128 {
        match self.first {
            _ if self.apart => xxh3_128(self.scratch),
            Some((from, until)) => xxh3_128(&series[from..until]),
            None => refused_identity(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> String {
        labels_of(pairs, "test", 5).unwrap_err().to_string()
    }

    #[test]
    fn refusals_name_the_series_and_the_label() {
        let long = "v".repeat(LONGEST_LABEL + 1);
        assert_eq!(refusal(&[]), "test, byte 5: series {} has no metric name (label __name__)");
        assert_eq!(
            refusal(&[("job", "a"), ("__name__", "up"), ("job", "b")]),
            "test, byte 5: series up{job=\"a\", job=\"b\"}: label \"job\" is given twice"
        );
        assert_eq!(
            refusal(&[("__name__", "up"), ("", "a")]),
            "test, byte 5: series up{=\"a\"}: a label without a name"
        );
        assert_eq!(
            refusal(&[("__name__", "up"), ("blob", &long)]),
            format!(
                "test, byte 5: series up{{blob={:?}}}: the value of label \"blob\" has 65537 bytes, at most 65536 are taken",
                "v".repeat(60)
            )
        );
        let many: Vec<(String, String)> = (0..129).map(|n| (format!("l{n}"), "x".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let refused = refusal(&many);
        assert!(refused.contains("has 129 labels, at most 128 are taken"), "{refused}");
        assert!(refused.len() < 600, "{refused}");
    }

    #[test]
    fn long_labels_that_are_each_allowed_are_refused_together() {
        let long = "é".repeat(LONGEST_LABEL / 2);
        let names = ["a", "b", "c", "d", "e"];
        let mut pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, long.as_str())).collect();
        pairs.push(("__name__", "up"));
        assert!(refusal(&pairs).contains("its labels have 327695 bytes, at most 262144 are taken"));
        pairs.drain(..2);
        assert_eq!(labels_of(&pairs, "test", 0).unwrap().get("e"), long);
    }

    #[test]
    fn a_label_without_a_value_is_not_there() {
        let labels = labels_of(&[("b", "1"), ("__name__", "up"), ("a", "")], "test", 0).unwrap();
        assert_eq!(labels.to_string(), "up{b=\"1\"}");
    }

    #[test]
    fn labels_that_lie_apart_have_the_identity_of_those_that_do_not() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let mut together = LabelBytes::new(&mut one);
        together.add(b"abcd", 0, 2);
        together.add(b"abcd", 2, 4);
        let mut apart = LabelBytes::new(&mut two);
        apart.add(b"abXcdY", 0, 1);
        apart.add(b"abXcdY", 1, 2);
        apart.add(b"abXcdY", 3, 4);
        apart.add(b"abXcdY", 4, 5);
        assert_eq!(together.identity(b"abcd"), apart.identity(b"abXcdY"));
    }

    #[test]
    fn a_cut_keeps_characters_whole() {
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("aéb", 3), "aé");
        assert_eq!(cut("aéb", 30), "aéb");
    }
}
