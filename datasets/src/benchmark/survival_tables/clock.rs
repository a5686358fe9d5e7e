//! Published times as whole ticks, refused where that would change them.

use features::TimeAxis;
use survival::TimeUnit;

use super::Half;
use super::published::Published;
use crate::error::Result;

/// Days by which a time may be rounded to its tick.
const MOST_ROUNDED: f64 = 1e-3;

/// From published times to ticks.
pub(super) struct Clock {
    pub(super) axis: TimeAxis,
    days_per_unit: f64,
    /// Largest difference between a time and its tick, in days.
    pub(super) rounded: f64,
    /// Times that are one tick with the time before them, being the same but for the last place of a 32-bit number.
    pub(super) same: usize,
}

impl Clock {
    /// Checks every time of the tables.
    pub(super) fn of(published: &Published, tables: &[Half]) -> Result<Self> {
        let axis = TimeAxis { unit: TimeUnit::Days, ticks_per_unit: published.ticks_per_day };
        let mut clock = Self { axis, days_per_unit: published.days_per_unit, rounded: 0.0, same: 0 };
        let mut times = Vec::new();
        for (_, table, _) in tables {
            let column = table.column("time")?;
            for row in 0..table.len() {
                let time = table.number(row, column)?;
                if time < 0.0 {
                    return Err(table.refuse(row, format!("column \"time\" is {time}, it cannot be negative")));
                }
                let tick = clock.tick(time);
                let rounded = (axis.units(tick) - time * clock.days_per_unit).abs();
                if rounded > MOST_ROUNDED {
                    let problem = format!(
                        "column \"time\" is {time}, which is no multiple of 1/{} day; another table than the published one?",
                        axis.ticks_per_unit
                    );
                    return Err(table.refuse(row, problem));
                }
                clock.rounded = clock.rounded.max(rounded);
                times.push((time, tick, table, row));
            }
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        // A time above 0 on the tick of 0 would be dropped with those that are 0.
        let mut before = (0.0, 0);
        for (time, tick, table, row) in times {
            if time > before.0 && tick == before.1 {
                if time - before.0 > 2.0 * f64::from(f32::EPSILON) * time {
                    let problem = format!("times {} and {time} fall on one tick; their order would be lost", before.0);
                    return Err(table.refuse(row, problem));
                }
                clock.same += 1;
            }
            before = (time, tick);
        }
        Ok(clock)
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks in a day are at most a million")]
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and the rounding check refuses what does")]
    pub(super) fn tick(&self, time: f64) -> i64 {
        (time * self.days_per_unit * self.axis.ticks_per_unit as f64).round() as i64
    }
}
