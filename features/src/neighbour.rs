//! What the neighbours show: pods of the same node, replicas of the same workload, at the same moment.
//!
//! Two passes over finished rows. The first adds every row's values of the pooled columns to its groups
//! ([`Neighbours::collect`]); the second reads what the others of a group show and fills the columns that
//! [`FlatSource::Neighbour`] declares ([`NeighbourReader::fill`]). A row is compared with the others: its own
//! value is taken out again. Sums are exact whole-number arithmetic over the bits of the values, so the order
//! of rows, and how passes over parts of the fleet are joined, never shows in a result. Memory grows with
//! groups × moments × pooled columns, not with rows.

mod exact;

use std::collections::{BTreeMap, HashMap};

use crate::entity::EntityKind;
use crate::spec::{FeatureSpec, FlatSource, Neighbourhood, Pooled};
use crate::{FeatureError, Result};
use exact::{Exact, deviation};

/// Where an entity is at the moment of a row; `None` where that is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// The node it runs on (a node: itself).
    pub node: Option<&'a str>,
    /// The workload it is a replica of.
    pub workload: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn group(&self, within: Neighbourhood) -> Option<&'a str> {
        match within {
            Neighbourhood::Node => self.node,
            Neighbourhood::Workload => self.workload,
        }
    }
}

/// One pooled column of the members.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    within: Neighbourhood,
    name: String,
    /// Position among the members' flat columns.
    index: usize,
    squares: bool,
}

/// Values of one column in one group at one moment.
#[derive(Debug, Clone, PartialEq)]
struct Pool {
    count: u32,
    largest: f32,
    /// How many have it.
    of_largest: u32,
    second: f32,
    sum: Exact,
    squares: Option<Box<Exact>>,
}

impl Pool {
    fn new(squares: bool) -> Self {
        Self {
            count: 0,
            largest: f32::NEG_INFINITY,
            of_largest: 0,
            second: f32::NEG_INFINITY,
            sum: Exact::ZERO,
            squares: squares.then(|| Box::new(Exact::ZERO)),
        }
    }

    fn add(&mut self, value: f32) {
        self.count += 1;
        // Of zeros with either sign, whichever came first would be kept; the sum makes -0 a 0.
        self.rank(value + 0.0, 1);
        self.sum.add(f64::from(value));
        if let Some(squares) = &mut self.squares {
            // 24 bits squared are 48: exact.
            squares.add(f64::from(value) * f64::from(value));
        }
    }

    fn rank(&mut self, value: f32, times: u32) {
        if value > self.largest {
            self.second = self.largest;
            self.largest = value;
            self.of_largest = times;
        } else if value >= self.largest {
            self.of_largest += times;
        } else if value > self.second {
            self.second = value;
        }
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.rank(other.largest, other.of_largest);
        self.rank(other.second, 0);
        self.sum.join(&other.sum);
        if let (Some(squares), Some(other)) = (&mut self.squares, &other.squares) {
            squares.join(other);
        }
    }

    /// What the others show; `own` is taken out. NaN where too few others have a value.
    fn read(&self, pooled: Pooled, own: Option<f32>) -> f64 {
        let others = self.count - u32::from(own.is_some());
        if pooled == Pooled::Count {
            return f64::from(others);
        }
        if others == 0 {
            return f64::NAN;
        }
        let own_value = own.map_or(0.0, f64::from);
        let mut sum = self.sum.clone();
        sum.add(-own_value);
        let mean = sum.value() / f64::from(others);
        match pooled {
            Pooled::Count => f64::from(others),
            Pooled::Sum => sum.value(),
            Pooled::Mean => mean,
            Pooled::Max => {
                let alone = own.is_some_and(|own| own >= self.largest) && self.of_largest == 1;
                f64::from(if alone { self.second } else { self.largest })
            }
            Pooled::ZScore => {
                let (Some(own), Some(squares)) = (own, &self.squares) else { return f64::NAN };
                let mut squares = squares.as_ref().clone();
                squares.add(-(own_value * own_value));
                let spread = deviation(others, &sum, &squares);
                if spread > 0.0 { (f64::from(own) - mean) / spread } else { f64::NAN }
            }
        }
    }
}

/// The first pass: values of one kind of entity, pooled.
#[derive(Debug, Clone)]
pub struct Neighbours {
    kind: EntityKind,
    columns: Vec<Column>,
    groups: HashMap<(Neighbourhood, String), u32>,
    /// By (column, group, moment).
    pools: HashMap<(usize, u32, i64), Pool>,
}

impl Neighbours {
    /// Pools what `readers` (kind of their rows, spec) ask of entities of `kind`, whose rows have `spec`.
    ///
    /// # Errors
    /// When a reader asks for a column `spec` does not have.
    pub fn try_new(kind: EntityKind, spec: &FeatureSpec, readers: &[(EntityKind, &FeatureSpec)]) -> Result<Self> {
        let mut columns: BTreeMap<(Neighbourhood, String), Column> = BTreeMap::new();
        for (reader, reading) in readers {
            for (asking, within, name, pooled) in asked(reading, *reader, kind) {
                let index = spec.flat.iter().position(|column| column.name == name).ok_or_else(|| {
                    let reason = format!("column {asking:?} pools {name:?}, which rows of {} lack", kind.name());
                    FeatureError::Spec { reason }
                })?;
                let column = columns.entry((within, name.to_owned())).or_insert_with(|| Column {
                    within,
                    name: name.to_owned(),
                    index,
                    squares: false,
                });
                column.squares |= pooled == Pooled::ZScore;
            }
        }
        let columns = columns.into_values().collect();
        Ok(Self { kind, columns, groups: HashMap::new(), pools: HashMap::new() })
    }

    /// Whether anybody asks; without, no second pass is needed.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Adds one finished row (its flat values) of the first pass.
    pub fn collect(&mut self, place: &Place<'_>, as_of: i64, flat: &[f32]) {
        for (index, column) in self.columns.iter().enumerate() {
            let Some(group) = place.group(column.within) else { continue };
            let Some(&value) = flat.get(column.index).filter(|value| value.is_finite()) else { continue };
            let group = group_number(&mut self.groups, column.within, group);
            self.pools.entry((index, group, as_of)).or_insert_with(|| Pool::new(column.squares)).add(value);
        }
    }

    /// Adds what another first pass over other rows of the same kind has pooled.
    ///
    /// # Errors
    /// When the other pools other columns.
    pub fn join(&mut self, other: &Self) -> Result<()> {
        if self.kind != other.kind || self.columns != other.columns {
            return Err(FeatureError::Spec { reason: "pools of different columns cannot be joined".to_owned() });
        }
        let mut numbers = HashMap::new();
        for ((within, group), number) in &other.groups {
            numbers.insert(*number, group_number(&mut self.groups, *within, group));
        }
        for (&(column, group, as_of), pool) in &other.pools {
            let squares = self.columns[column].squares;
            self.pools.entry((column, numbers[&group], as_of)).or_insert_with(|| Pool::new(squares)).join(pool);
        }
        Ok(())
    }

    /// Forgets moments before `time`.
    pub fn forget_before(&mut self, time: i64) {
        self.pools.retain(|&(.., as_of), _| as_of >= time);
    }

    /// Reads for rows of `kind` and `spec` in the second pass.
    ///
    /// # Errors
    /// When the spec asks for a column that is not pooled here.
    pub fn reader(&self, kind: EntityKind, spec: &FeatureSpec) -> Result<NeighbourReader<'_>> {
        let mut reads = Vec::new();
        for (asking, within, name, pooled) in asked(spec, kind, self.kind) {
            let column = self.columns.iter().position(|c| c.within == within && c.name == name);
            let squares = column.is_some_and(|column| self.columns[column].squares);
            let Some(column) = column.filter(|_| squares || pooled != Pooled::ZScore) else {
                return Err(FeatureError::Spec {
                    reason: format!("column {asking:?} pools {name:?}, which was not collected for it"),
                });
            };
            let target = spec.flat.iter().position(|column| column.name == asking).unwrap_or(usize::MAX);
            reads.push((target, column, pooled));
        }
        Ok(NeighbourReader { neighbours: self, reads, member: kind == self.kind })
    }
}

/// The number of a group, given when it is first seen; nothing depends on which it is.
fn group_number(groups: &mut HashMap<(Neighbourhood, String), u32>, within: Neighbourhood, group: &str) -> u32 {
    let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
    *groups.entry((within, group.to_owned())).or_insert(next)
}

/// Neighbour columns of rows of `reader` that pool entities of `kind`: (name, within, pooled column, what).
fn asked(
    spec: &FeatureSpec,
    reader: EntityKind,
    kind: EntityKind,
) -> impl Iterator<Item = (&str, Neighbourhood, &str, Pooled)> {
    spec.flat.iter().filter_map(move |column| match &column.source {
        FlatSource::Neighbour { within, column: name, pooled, kind: of } if of.unwrap_or(reader) == kind => {
            Some((column.name.as_str(), *within, name.as_str(), *pooled))
        }
        _ => None,
    })
}

/// The second pass.
#[derive(Debug)]
pub struct NeighbourReader<'a> {
    neighbours: &'a Neighbours,
    /// (column to fill, pooled column, what).
    reads: Vec<(usize, usize, Pooled)>,
    /// Rows read here were collected too.
    member: bool,
}

impl NeighbourReader<'_> {
    /// Fills the neighbour columns of one row of flat values; missing where the place is not known.
    pub fn fill(&self, place: &Place<'_>, as_of: i64, flat: &mut [f32]) {
        for &(target, column, pooled) in &self.reads {
            let value = self.value(place, as_of, flat, column, pooled);
            #[expect(clippy::cast_possible_truncation, reason = "features are stored in single precision")]
            if let Some(slot) = flat.get_mut(target) {
                *slot = value as f32;
            }
        }
    }

    fn value(&self, place: &Place<'_>, as_of: i64, flat: &[f32], index: usize, pooled: Pooled) -> f64 {
        let column = &self.neighbours.columns[index];
        let Some(group) = place.group(column.within) else { return f64::NAN };
        let group = self.neighbours.groups.get(&(column.within, group.to_owned()));
        let Some(pool) = group.and_then(|&group| self.neighbours.pools.get(&(index, group, as_of))) else {
            return if pooled == Pooled::Count { 0.0 } else { f64::NAN };
        };
        let own = flat.get(column.index).copied().filter(|value| self.member && value.is_finite());
        pool.read(pooled, own)
    }
}
