//! Where each processor was, for how long, and which of its events came last.

use std::collections::HashMap;

use crate::benchmark::table::Table;
use crate::error::Result;

/// Causes of death, as the events of the table name them in capitals.
pub(super) const CAUSES: [&str; 2] = ["dbe", "otb"];

/// A place: column and row of the cabinet, then cage, slot and node in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(pub(super) [i64; 5]);

impl Place {
    pub(super) const COLUMNS: [&'static str; 5] = ["col", "row", "cage", "slot", "node"];
    /// Columns 0 to 24, rows 0 to 7, cages 0 to 2, slots 0 to 7, nodes 0 to 3.
    const MOST: [i64; 5] = [24, 7, 2, 7, 3];

    /// From `c11-2c1s4n1`.
    fn parse(text: &str) -> Option<Self> {
        let (cabinet, inside) = text.strip_prefix('c')?.split_once('c')?;
        let (col, row) = cabinet.split_once('-')?;
        let (cage, inside) = inside.split_once('s')?;
        let (slot, node) = inside.split_once('n')?;
        let mut place = [0; 5];
        for (number, text) in place.iter_mut().zip([col, row, cage, slot, node]) {
            *number = text.parse().ok()?;
        }
        Self::known(place)
    }

    pub(super) fn known(place: [i64; 5]) -> Option<Self> {
        place.iter().zip(Self::MOST).all(|(number, most)| (0..=most).contains(number)).then_some(Self(place))
    }

    pub(super) fn cabinet(self) -> String {
        format!("c{}-{}", self.0[0], self.0[1])
    }

    /// Cage and node as levels, the first left out; the rest as numbers.
    pub(super) fn attributes(self) -> impl Iterator<Item = (String, f64)> {
        let [col, row, cage, slot, node] = self.0;
        let number = |name: &str, value: i64| (name.to_owned(), f64::from(i32::try_from(value).unwrap_or_default()));
        let is = |name: &str, value: i64, level: i64| (format!("{name}_{level}"), f64::from(u8::from(value == level)));
        let levels = (1..=2).map(move |level| is("cage", cage, level)).chain((1..=3).map(move |l| is("node", node, l)));
        levels.chain([number("slot", slot), number("row", row), number("col", col)])
    }
}

/// What the stays say of one processor.
#[derive(Debug, Clone)]
pub(super) struct Stays {
    /// Insertion and place of the first stay.
    pub(super) first: (String, Place),
    /// Seconds in all stays.
    pub(super) seconds: i64,
    /// Time and cause of the last event, and whether it stands in the row of a stay.
    pub(super) last_event: Option<(String, bool, &'static str)>,
}

/// Times are `YYYY-MM-DD HH:MM:SS`, whose order is that of the text.
fn check_time(table: &Table, row: usize, column: usize) -> Result<String> {
    let text = table.text(row, column);
    match chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S") {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            let name = &table.names()[column];
            Err(table.refuse(row, format!("column {name:?} is {text:?}, expected YYYY-MM-DD HH:MM:SS")))
        }
    }
}

/// Reads the table of stays, by serial number.
pub(super) fn read(table: &Table) -> Result<HashMap<String, Stays>> {
    let [serial, location, insert] = table.columns(["SN", "location", "insert"])?;
    let [remove, duration, event] = table.columns(["remove", "duration", "event"])?;
    let mut stays: HashMap<String, Stays> = HashMap::new();
    let mut events: Vec<(usize, &str, String, bool, &'static str)> = Vec::new();
    for row in 0..table.len() {
        let is_stay = !table.text(row, insert).is_empty();
        match table.text(row, event) {
            "" => {}
            "DBE" | "OTB" => {
                let cause = CAUSES[usize::from(table.text(row, event) == "OTB")];
                events.push((row, table.text(row, serial), check_time(table, row, remove)?, is_stay, cause));
            }
            other => {
                return Err(table.refuse(row, format!("column \"event\" is {other:?}, expected DBE, OTB or nothing")));
            }
        }
        if !is_stay {
            continue;
        }
        let inserted = check_time(table, row, insert)?;
        let seconds = table.whole(row, duration)?;
        if seconds < 0 {
            return Err(table.refuse(row, format!("column \"duration\" is {seconds}, it cannot be negative")));
        }
        let text = table.text(row, location);
        let place = Place::parse(text).ok_or_else(|| {
            table.refuse(row, format!("column \"location\" is {text:?}, expected one like c11-2c1s4n1"))
        })?;
        let new = Stays { first: (inserted.clone(), place), seconds: 0, last_event: None };
        let stay = stays.entry(table.text(row, serial).to_owned()).or_insert(new);
        stay.seconds += seconds;
        if inserted < stay.first.0 {
            stay.first = (inserted, place);
        }
    }
    for (row, serial, time, is_stay, cause) in events {
        let stay = stays
            .get_mut(serial)
            .ok_or_else(|| table.refuse(row, format!("an event of {serial}, which has no stay")))?;
        // At one moment the event that ended the stay counts, not the one noted beside it.
        if stay.last_event.as_ref().is_none_or(|(last, of_stay, _)| (&time, is_stay) > (last, *of_stay)) {
            stay.last_event = Some((time, is_stay, cause));
        }
    }
    Ok(stays)
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_is_read_whole_or_not_at_all() {
        assert_eq!(Place::parse("c11-2c1s4n3"), Some(Place([11, 2, 1, 4, 3])));
        for wrong in
            ["", "c11-2", "c25-2c1s4n3", "c11-2c3s4n3", "c11-2c1s4n", "c11-2c1s4n3x", "11-2c1s4n3", "c-1-2c1s4n3"]
        {
            assert_eq!(Place::parse(wrong), None, "{wrong:?}");
        }
    }
}
