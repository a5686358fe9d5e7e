//! Which part of the data a row belongs to, by group or by time, never by row.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Everything fitted is fitted here.
    Train,
    /// Early stopping and choices.
    Validation,
    /// Calibration of probabilities, intervals and alarm levels.
    Calibration,
    /// Opened once, for the scores.
    Test,
}

impl Split {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Calibration, Self::Test];

    /// The name used in Parquet and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Calibration => "calibration",
            Self::Test => "test",
        }
    }

    /// The part with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

/// Shares in per cent of the groups that go to train, validation and calibration; the rest is test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// Per cent of groups.
    pub train: u32,
    /// Per cent of groups.
    pub validation: u32,
    /// Per cent of groups.
    pub calibration: u32,
}

impl Shares {
    /// Whether the three shares leave something for the test part.
    #[must_use]
    pub fn valid(self) -> bool {
        self.train > 0 && self.train + self.validation + self.calibration <= 100
    }

    /// The part of a group: `int(sha256(salt ∥ group)[:8 hex digits], 16) mod 100` against the shares.
    #[must_use]
    pub fn by_group(self, salt: &str, group: &str) -> Split {
        let bucket = group_bucket(salt, group);
        if bucket < self.train {
            Split::Train
        } else if bucket < self.train + self.validation {
            Split::Validation
        } else if bucket < self.train + self.validation + self.calibration {
            Split::Calibration
        } else {
            Split::Test
        }
    }
}

/// `int(sha256(salt ∥ group)[:8 hex digits], 16) mod 100`.
#[must_use]
pub fn group_bucket(salt: &str, group: &str) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(salt.as_bytes());
    hasher.update(group.as_bytes());
    let digest = hasher.finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % 100
}

/// Whether a group is one of these, or lies below one: `shop` names `shop` and `shop/cart`, and not `shopping/cart`.
#[must_use]
pub fn is_named(group: &str, names: &[String]) -> bool {
    let below =
        |name: &String| group.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    names.iter().any(below)
}

/// Borders of a split by time, in ticks: validation, calibration and test start there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeBorders {
    /// First tick of validation.
    pub validation: i64,
    /// First tick of calibration.
    pub calibration: i64,
    /// First tick of test.
    pub test: i64,
    /// Rows whose `as_of` lies less than this before a border are dropped: largest horizon + longest window.
    pub purge: i64,
}

impl TimeBorders {
    /// The part of a row, or `None` when it is purged.
    #[must_use]
    pub fn by_time(self, as_of: i64) -> Option<Split> {
        let borders = [self.validation, self.calibration, self.test];
        if borders.iter().any(|&border| as_of < border && as_of >= border - self.purge) {
            return None;
        }
        Some(match borders.iter().filter(|&&border| as_of >= border).count() {
            0 => Split::Train,
            1 => Split::Validation,
            2 => Split::Calibration,
            _ => Split::Test,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn a_name_stands_for_itself_and_for_what_lies_below_it() {
        let names = ["shop".to_owned(), "db/postgres".to_owned()];
        for (group, expected) in [
            ("shop", true),
            ("shop/cart", true),
            ("shop/cart/blue", true),
            ("shopping/cart", false),
            ("my/shop", false),
            ("db", false),
            ("db/postgres", true),
            ("db/postgres-replica", false),
            ("", false),
        ] {
            assert_eq!(is_named(group, &names), expected, "{group:?}");
            assert!(!is_named(group, &[]), "{group:?}");
        }
    }
}
