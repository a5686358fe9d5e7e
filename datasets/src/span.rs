//! Lengths of time as people write them.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds, written `90s`, `5m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub i64);

const UNITS: [(&str, i64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 7 * 86_400_000)];

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit = UNITS.iter().find(|(name, _)| *name == &text[digits..]);
        match (text[..digits].parse::<i64>(), unit) {
            (Ok(number), Some((_, scale))) => {
                number.checked_mul(*scale).map(Self).ok_or_else(|| format!("{text:?} is too long a time"))
            }
            _ => Err(format!("{text:?} is no length of time such as 90s, 5m, 1h or 7d")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.iter().rev().find(|(_, scale)| self.0 % scale == 0);
        let (name, scale) = fits.copied().unwrap_or(("ms", 1));
        if self.0 == 0 { formatter.write_str("0s") } else { write!(formatter, "{}{name}", self.0 / scale) }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_they_are_written() {
        for (text, milliseconds) in
            [("0s", 0), ("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000)]
        {
            assert_eq!(text.parse(), Ok(Span(milliseconds)), "{text}");
            assert_eq!(Span(milliseconds).to_string().parse(), Ok(Span(milliseconds)), "{text}");
        }
        for wrong in ["", "5", "m", "5 m", "-5m", "1.5h", "9999999999999999d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
