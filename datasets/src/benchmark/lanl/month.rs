//! Calendar months of the site's local time.

use chrono::{DateTime, Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::local_time::mountain_seconds;
use crate::error::{DatasetError, Result};

/// A calendar month of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Month {
    /// 1987 to 2006.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
}

impl Month {
    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month >= 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }

    /// Its first second, UTC since 1970.
    ///
    /// # Errors
    /// When it is no month, or of a year whose clock rules are not known here.
    pub fn start(self) -> Result<i64> {
        NaiveDate::from_ymd_opt(self.year, self.month, 1)
            .and_then(|day| mountain_seconds(day.and_hms_opt(0, 0, 0)?))
            .ok_or_else(|| DatasetError::config("lanl", format!("{self} is not a month of 1987 to 2006")))
    }

    /// `5-Apr` and `Nov-96`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (left, right) = text.split_once('-')?;
        let (year, name) = match left.parse::<i32>() {
            Ok(year @ 0..=9) => (2000 + year, right),
            Ok(_) => return None,
            Err(_) => (1900 + right.parse::<i32>().ok().filter(|year| (87..=99).contains(year))?, left),
        };
        let position = NAMES.iter().position(|known| *known == name)?;
        Some(Self { year, month: u32::try_from(position).ok()? + 1 })
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// The month a second lies in.
pub(super) fn month_of(seconds: i64) -> Result<Month> {
    let day = DateTime::from_timestamp(seconds, 0)
        .ok_or_else(|| DatasetError::config("lanl", format!("{seconds} is no time")))?;
    let month = Month { year: day.year(), month: day.month() };
    // Local time is behind UTC: the first hours of a UTC month belong to the month before.
    if month.start()? <= seconds {
        return Ok(month);
    }
    Ok(if month.month == 1 {
        Month { year: month.year - 1, month: 12 }
    } else {
        Month { year: month.year, month: month.month - 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_as_a_spreadsheet_left_them() {
        let month = |year, month| Some(Month { year, month });
        assert_eq!(Month::parse("5-Apr"), month(2005, 4));
        assert_eq!(Month::parse("Nov-96"), month(1996, 11));
        assert_eq!(Month::parse("2-Dec").unwrap().next(), Month { year: 2003, month: 1 });
        for wrong in ["Apr", "12-Apr", "Nov-05", "5-Apx", "current", ""] {
            assert_eq!(Month::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Month { year: 2005, month: 4 }.to_string(), "2005-04");
        assert!(Month { year: 2005, month: 13 }.start().is_err() && Month { year: 2050, month: 1 }.start().is_err());
        let start = Month { year: 2005, month: 1 }.start().unwrap();
        assert_eq!(month_of(start).unwrap().to_string(), "2005-01");
        assert_eq!(month_of(start - 1).unwrap().to_string(), "2004-12");
    }
}
