//! The straight line in steps: at each one input after another moves on, and is given the difference it makes.
//!
//! The differences telescope, so that the shares sum to F(x) − F(0) exactly. Each stretch is walked in both orders of the
//! inputs and averaged, which is right to second order in the step; the limit of ever smaller steps is the integrated
//! gradient where there is one (the Aumann–Shapley price). A model of steps, such as a tree, has no gradient and is walked
//! all the same.

use features::Design;

use super::{Attribution, Scorer, baseline};
use crate::error::Result;

/// Stretches of the line.
const STRETCHES: usize = 8;

/// Place of an input.
#[derive(Clone, Copy)]
enum Place {
    Flat(usize),
    Window(usize),
}

pub(super) fn stepwise(scorer: &Scorer<'_>, point: &Design) -> Result<Attribution> {
    let start = scorer.probabilities(&baseline(point))?[0];
    let end = scorer.probabilities(point)?[0];
    let window = reads_window(scorer, point, start, end)?;
    let mut places: Vec<Place> = (0..point.width).filter(|&at| point.flat[at] != 0.0).map(Place::Flat).collect();
    if window {
        places.extend((0..point.sequence.len()).filter(|&at| point.sequence[at] != 0.0).map(Place::Window));
    }
    let mut flat = vec![0.0; point.flat.len()];
    let mut sequence = vec![0.0; point.sequence.len()];
    if places.is_empty() {
        return Ok(Attribution::new(end, start, flat, sequence, window));
    }
    let mut before = start;
    for stretch in 0..STRETCHES {
        let mut after = before;
        for forwards in [true, false] {
            let order: Vec<Place> = if forwards { places.clone() } else { places.iter().rev().copied().collect() };
            let values = scorer.probabilities(&moved(point, stretch, &order, window))?;
            let mut previous = before;
            for (&place, &value) in order.iter().zip(&values) {
                let share = 0.5 * (value - previous);
                match place {
                    Place::Flat(at) => flat[at] += share,
                    Place::Window(at) => sequence[at] += share,
                }
                previous = value;
            }
            after = previous;
        }
        before = after;
    }
    // Where the window is not read the last point still differs from the row in nothing that is.
    Ok(Attribution::new(end, start, flat, sequence, window))
}

/// The start of a stretch with one more input moved on in each row.
#[expect(clippy::cast_precision_loss, reason = "a handful of stretches")]
fn moved(point: &Design, stretch: usize, order: &[Place], window: bool) -> Design {
    let at = |stretch: usize| stretch as f32 / STRETCHES as f32;
    let (from, to) = (at(stretch), at(stretch + 1));
    let scaled = |x: &[f32], by: f32| -> Vec<f32> { x.iter().map(|x| x * by).collect() };
    let mut flat = scaled(&point.flat, from);
    let mut sequence = scaled(&point.sequence, if window { from } else { 0.0 });
    let mut rows = Design {
        rows: order.len(),
        width: point.width,
        flat: Vec::with_capacity(order.len() * flat.len()),
        steps: point.steps,
        channels: point.channels,
        sequence: Vec::with_capacity(order.len() * sequence.len()),
    };
    for &place in order {
        match place {
            Place::Flat(at) => flat[at] = point.flat[at] * to,
            Place::Window(at) => sequence[at] = point.sequence[at] * to,
        }
        rows.flat.extend_from_slice(&flat);
        rows.sequence.extend_from_slice(&sequence);
    }
    rows
}

/// Whether the window moves the prediction at either end of the line; linear models over summaries do not read it.
fn reads_window(scorer: &Scorer<'_>, point: &Design, start: f64, end: f64) -> Result<bool> {
    if point.sequence.iter().all(|&x| x == 0.0) {
        return Ok(false);
    }
    let mut without = point.clone();
    without.sequence.fill(0.0);
    let mut alone = baseline(point);
    alone.sequence.clone_from(&point.sequence);
    let moves =
        |design: &Design, from: f64| -> Result<bool> { Ok((scorer.probabilities(design)?[0] - from).abs() > 0.0) };
    Ok(moves(&without, end)? || moves(&alone, start)?)
}
