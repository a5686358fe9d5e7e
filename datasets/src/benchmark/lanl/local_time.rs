//! Local times of a site in the Mountain time zone of the United States, made absolute.
//!
//! Rule: standard time is UTC − 7 h; until 2006 daylight time (UTC − 6 h) ran from 02:00 on the first Sunday of April to
//! 02:00 on the last Sunday of October. The hour that a clock shows twice in October has two passings, of which
//! whoever asks must choose; the hour that it skips in April is read as standard time.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, Weekday};

/// Seconds since 1970 UTC of a local time, its first passing; `None` outside 1987 to 2006, where other rules held.
pub(super) fn mountain_seconds(local: NaiveDateTime) -> Option<i64> {
    let (begin, end) = daylight(local)?;
    let hours = if begin <= local && local < end { 6 } else { 7 };
    Some((local + Duration::hours(hours)).and_utc().timestamp())
}

/// The second passing of a local time that the clock shows twice.
pub(super) fn second_passing(local: NaiveDateTime) -> Option<i64> {
    let (_, end) = daylight(local)?;
    let twice = end - Duration::hours(1) <= local && local < end;
    twice.then(|| (local + Duration::hours(7)).and_utc().timestamp())
}

/// What the clock shows when daylight time has begun, and when it ends, in the year of `local`.
fn daylight(local: NaiveDateTime) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let year = local.year();
    if !(1987..=2006).contains(&year) {
        return None;
    }
    let begin = first_sunday(NaiveDate::from_ymd_opt(year, 4, 1)?)?.and_hms_opt(3, 0, 0)?;
    let end = first_sunday(NaiveDate::from_ymd_opt(year, 10, 25)?)?.and_hms_opt(2, 0, 0)?;
    Some((begin, end))
}

/// The first Sunday on or after a day.
fn first_sunday(day: NaiveDate) -> Option<NaiveDate> {
    let ahead = (7 - day.weekday().days_since(Weekday::Sun)) % 7;
    day.checked_add_signed(Duration::days(i64::from(ahead)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    fn seconds(text: &str) -> i64 {
        mountain_seconds(local(text)).unwrap()
    }

    #[test]
    fn an_hour_is_lost_in_april_and_won_in_october() {
        // 1999: 4 April and 31 October, the last Sunday being the last day of the month.
        assert_eq!(seconds("1999-04-04 03:00") - seconds("1999-04-04 01:59"), 60);
        assert_eq!(seconds("1999-10-31 02:00") - seconds("1999-10-31 01:59"), 3600 + 60);
        let twice = local("1999-10-31 01:30");
        assert_eq!(second_passing(twice), Some(mountain_seconds(twice).unwrap() + 3600));
        assert_eq!(second_passing(local("1999-10-31 02:00")), None);
        assert_eq!(second_passing(local("1999-10-31 00:59")), None);
        // 2004: 4 April and 31 October; 2005: 3 April and 30 October.
        assert_eq!(seconds("2005-10-30 12:00") - seconds("2005-10-29 12:00"), 25 * 3600);
        assert_eq!(seconds("2005-04-03 12:00") - seconds("2005-04-02 12:00"), 23 * 3600);
        assert_eq!(seconds("2005-01-01 00:00"), 1_104_562_800);
        assert_eq!(seconds("2005-07-01 00:00"), 1_120_197_600);
    }

    #[test]
    fn years_of_other_rules_are_not_answered() {
        let late = NaiveDate::from_ymd_opt(2007, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
        assert_eq!(mountain_seconds(late), None);
    }
}
