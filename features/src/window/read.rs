//! Values of the parts of an entity, and how they become one number.

use super::program::Fold;

/// Values read for one row: per cell, (part, value) in order of parts. Kept between rows, so that a row costs no
/// allocation once the vectors have grown.
#[derive(Debug, Default)]
pub(super) struct Cells {
    values: Vec<Vec<(u32, f64)>>,
}

impl Cells {
    pub(super) fn new(count: usize) -> Self {
        Self { values: vec![Vec::new(); count] }
    }

    pub(super) fn clear(&mut self) {
        for cell in &mut self.values {
            cell.clear();
        }
    }

    /// Sets the value of a part; missing ones are not kept.
    #[inline]
    pub(super) fn set(&mut self, cell: usize, part: u32, value: f64) {
        if !value.is_nan() {
            self.values[cell].push((part, value));
        }
    }

    /// All parts as one; `nothing` where no part has a value.
    pub(super) fn folded(&self, cell: usize, fold: Fold, nothing: f64) -> f64 {
        folded(self.values[cell].iter().map(|&(_, value)| value), fold).unwrap_or(nothing)
    }

    /// `combine` of two cells per part, folded; `sum over sum` where parts are summed.
    pub(super) fn paired(&self, top: usize, bottom: usize, fold: Fold, combine: impl Fn(f64, f64) -> f64) -> f64 {
        let (tops, bottoms) = (&self.values[top], &self.values[bottom]);
        if fold == Fold::Sum {
            let (mut above, mut below, mut whole) = (None, None, false);
            for &(part, value) in tops {
                let Some((partner, divisor)) = partner(bottoms, part) else { continue };
                add(&mut above, value);
                // A limit of the whole entity is one limit, however many parts share it.
                if partner > 0 || !std::mem::replace(&mut whole, true) {
                    add(&mut below, divisor);
                }
            }
            return match (above, below) {
                (Some(above), Some(below)) => combine(above, below),
                _ => f64::NAN,
            };
        }
        let pairs = tops.iter().filter_map(|&(part, value)| {
            let (_, divisor) = partner(bottoms, part)?;
            Some(combine(value, divisor))
        });
        folded(pairs.filter(|value| !value.is_nan()), fold).unwrap_or(f64::NAN)
    }

    /// Values of one cell with its parts.
    pub(super) fn parts(&self, cell: usize) -> &[(u32, f64)] {
        &self.values[cell]
    }

    /// Value of a part, or of the whole entity where the part has none.
    pub(super) fn partner(&self, cell: usize, part: u32) -> Option<f64> {
        partner(&self.values[cell], part).map(|(_, value)| value)
    }
}

fn add(sum: &mut Option<f64>, value: f64) {
    *sum = Some(sum.unwrap_or(0.0) + value);
}

fn partner(values: &[(u32, f64)], part: u32) -> Option<(u32, f64)> {
    let of = |wanted: u32| values.binary_search_by_key(&wanted, |&(part, _)| part).ok().map(|index| values[index]);
    of(part).or_else(|| of(0))
}

/// Values as one, in the order given; `None` where there are none.
pub(super) fn folded(values: impl Iterator<Item = f64>, fold: Fold) -> Option<f64> {
    values.reduce(|a, b| match fold {
        Fold::Max => crate::tile::larger(a, b),
        Fold::Min => crate::tile::smaller(a, b),
        Fold::Sum => a + b,
    })
}
