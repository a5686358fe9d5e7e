//! Every column says what its definition says, computed here the slow way from the samples themselves.

mod common;

use common::{Arrival, END, GAP, HOUR, METRICS, TICKS_PER_SECOND, TILE, arrivals, build, names, row_of, samples, spec};
use features::spec::{FlatSource, Statistic};
use features::{Combine, MetricKind};
use proptest::prelude::*;

const SINCE: f64 = 10.0;

/// What was in time and lies in `[from, until)`, of one metric and part, stale marks included.
fn seen<'a>(all: &'a [Arrival], metric: &str, part: u32, from: i64, until: i64) -> Vec<&'a Arrival> {
    all.iter()
        .filter(|a| METRICS[usize::from(a.metric.0)].0 == metric && a.part == part)
        .filter(|a| !a.is_late() && (from..until).contains(&a.time))
        .collect()
}

fn window(length: i64, as_of: i64) -> (i64, i64) {
    // Long windows end at the roll-up edge at or before the moment.
    let until = if length >= 2 * HOUR { as_of.div_euclid(HOUR) * HOUR } else { as_of };
    (until - length, until)
}

fn parts(metric: &str) -> u32 {
    METRICS.iter().find(|m| m.0 == metric).unwrap().3
}

fn combine(metric: &str) -> Combine {
    METRICS.iter().find(|m| m.0 == metric).unwrap().2
}

fn kind(metric: &str) -> MetricKind {
    METRICS.iter().find(|m| m.0 == metric).unwrap().1
}

fn fold(values: &[f64], how: Combine) -> f64 {
    let values = values.iter().copied().filter(|value| !value.is_nan());
    let folded = match how {
        Combine::Max => values.reduce(f64::max),
        Combine::Min => values.reduce(f64::min),
        Combine::Sum => values.reduce(|a, b| a + b),
    };
    folded.unwrap_or(f64::NAN)
}

fn sample_variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 { f64::NAN } else { values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) }
}

/// A step of a counter: tile it belongs to, ticks, growth, whether it was a reset.
struct Step {
    tile: i64,
    ticks: i64,
    growth: f64,
    reset: bool,
}

/// Starts of lives known in a tile.
fn lives(all: &[Arrival], tile: i64) -> Vec<i64> {
    let told = seen(all, "start.time", 0, i64::MIN, (tile + 1) * TILE);
    told.iter().filter(|a| a.value.is_finite()).map(|a| (a.value * TICKS_PER_SECOND).floor() as i64).collect()
}

/// Pairs of neighbouring values with nothing that separates them.
fn linked<'a>(samples: &[&'a Arrival]) -> Vec<(&'a Arrival, &'a Arrival)> {
    let pairs = samples.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.filter(|(a, b)| a.value.is_finite() && b.value.is_finite() && b.time - a.time <= GAP).collect()
}

fn steps(all: &[Arrival], metric: &str, samples: &[&Arrival]) -> Vec<Step> {
    let step = |(a, b): (&Arrival, &Arrival)| {
        let tile = b.time.div_euclid(TILE);
        let reborn = metric != "restart.count" && lives(all, tile).iter().any(|&s| s > a.time && s <= b.time);
        let reset = reborn || b.value < a.value;
        Step { tile, ticks: b.time - a.time, growth: if reset { b.value } else { b.value - a.value }, reset }
    };
    linked(samples).into_iter().map(step).collect()
}

/// One statistic of one part.
fn statistic(all: &[Arrival], metric: &str, part: u32, what: Statistic, length: i64, as_of: i64) -> f64 {
    let (from, until) = window(length, as_of);
    over(all, metric, part, what, from, until, as_of)
}

fn over(all: &[Arrival], metric: &str, part: u32, what: Statistic, from: i64, until: i64, as_of: i64) -> f64 {
    let marked = seen(all, metric, part, from, until);
    let samples: Vec<&Arrival> = marked.iter().copied().filter(|a| a.value.is_finite()).collect();
    let values: Vec<f64> = samples.iter().map(|a| a.value).collect();
    let Some(first) = samples.first() else { return if what == Statistic::Count { 0.0 } else { f64::NAN } };
    let last = samples.last().unwrap();
    let n = values.len() as f64;
    let units = |ticks: i64| ticks as f64 / SINCE;
    let steps = if kind(metric) == MetricKind::Counter { steps(all, metric, &marked) } else { Vec::new() };
    let growths: Vec<f64> = steps.iter().map(|step| step.growth).collect();
    // A life that began in the window, no longer than the gap before its first sample, counts from zero.
    let known = lives(all, first.time.div_euclid(TILE));
    let born = known.into_iter().filter(|&start| start <= first.time).max();
    let born = born.filter(|&s| s >= from && first.time - s <= GAP && metric != "restart.count");
    let (grown, since) = born.map_or((0.0, 0), |start| (first.value, first.time - start));
    let covered: i64 = steps.iter().map(|step| step.ticks).sum();
    let mut tiles: Vec<i64> = samples.iter().map(|a| a.time.div_euclid(TILE)).collect();
    tiles.dedup();
    let per_tile = |tile: i64| {
        let of = steps.iter().filter(move |step| step.tile == tile);
        of.fold((0.0, 0), |(growth, ticks), step| (growth + step.growth, ticks + step.ticks))
    };
    match what {
        Statistic::Count => n,
        Statistic::Last => last.value,
        Statistic::Mean => values.iter().sum::<f64>() / n,
        Statistic::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        Statistic::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Statistic::Std => sample_variance(&values).sqrt(),
        Statistic::Slope => {
            let mean_time = samples.iter().map(|a| a.time as f64).sum::<f64>() / n;
            let mean = values.iter().sum::<f64>() / n;
            let spread: f64 = samples.iter().map(|a| (a.time as f64 - mean_time).powi(2)).sum();
            let both: f64 = samples.iter().map(|a| (a.time as f64 - mean_time) * (a.value - mean)).sum();
            if values.len() > 1 { both / spread * SINCE } else { f64::NAN }
        }
        Statistic::Increase if kind(metric) == MetricKind::Delta => values.iter().sum(),
        Statistic::Increase => growths.iter().sum::<f64>() + grown,
        Statistic::Rate if covered + since > 0 => (growths.iter().sum::<f64>() + grown) / units(covered + since),
        Statistic::RateMax => {
            let rates = tiles.iter().map(|&tile| per_tile(tile)).filter(|(_, ticks)| *ticks > 0);
            rates.map(|(growth, ticks)| growth / units(ticks)).fold(f64::NAN, f64::max)
        }
        Statistic::MaxStep => growths.iter().copied().fold(0.0, f64::max),
        Statistic::StepStd => sample_variance(&growths).sqrt(),
        Statistic::Fano => {
            let growths: Vec<f64> = tiles.iter().map(|&tile| per_tile(tile).0).collect();
            let mean = growths.iter().sum::<f64>() / growths.len() as f64;
            if mean > 0.0 { sample_variance(&growths) / mean } else { f64::NAN }
        }
        Statistic::Resets => steps.iter().filter(|step| step.reset).count() as f64,
        Statistic::Transitions => {
            linked(&marked).iter().filter(|(a, b)| a.value.to_bits() != b.value.to_bits()).count() as f64
        }
        Statistic::Changes => values.windows(2).filter(|pair| pair[0].to_bits() != pair[1].to_bits()).count() as f64,
        Statistic::LongestGap => samples.windows(2).map(|p| units(p[1].time - p[0].time)).fold(f64::NAN, f64::max),
        Statistic::Staleness => units(as_of - last.time),
        Statistic::Rate => f64::NAN,
    }
}

/// Per part, pairs of a numerator and its denominator: that of the same part, or of the whole.
fn ratio(metric: &str, top: impl Fn(u32) -> f64, bottom: impl Fn(u32) -> f64) -> f64 {
    let parts: Vec<(u32, f64)> =
        (0..parts(metric)).map(|part| (part, top(part))).filter(|(_, value)| !value.is_nan()).collect();
    let own = |part: u32| Some((part, bottom(part))).filter(|(_, value)| !value.is_nan());
    let pairs: Vec<(f64, (u32, f64))> =
        parts.into_iter().filter_map(|(part, top)| Some((top, own(part).or_else(|| own(0))?))).collect();
    if combine(metric) == Combine::Sum {
        let mut bottoms: Vec<(u32, f64)> = pairs.iter().map(|pair| pair.1).collect();
        bottoms.dedup();
        bottoms.sort_by_key(|bottom| bottom.0);
        bottoms.dedup();
        let below: f64 = bottoms.iter().map(|bottom| bottom.1).sum();
        return if below > 0.0 { pairs.iter().map(|pair| pair.0).sum::<f64>() / below } else { f64::NAN };
    }
    let ratios: Vec<f64> = pairs.into_iter().filter(|pair| pair.1.1 > 0.0).map(|(top, (_, b))| top / b).collect();
    fold(&ratios, combine(metric))
}

fn expected(all: &[Arrival], failures: &[(i64, &str)], source: &FlatSource, as_of: i64) -> f64 {
    let of = |metric: &str, part: u32, what, window| statistic(all, metric, part, what, window, as_of);
    let part_count = |metric: &str| 0..parts(metric);
    let past = |cause: &Option<String>| -> Vec<i64> {
        let wanted = |name: &str| cause.as_ref().is_none_or(|cause| cause == name);
        failures.iter().filter(|(time, name)| *time < as_of && wanted(name)).map(|failure| failure.0).collect()
    };
    match source {
        FlatSource::Attribute { .. } => 4.0,
        FlatSource::Age => (as_of + 7) as f64 / SINCE,
        FlatSource::Tile { metric, statistic, window } => {
            let values: Vec<f64> = part_count(metric).map(|part| of(metric, part, *statistic, *window)).collect();
            let how = match statistic {
                Statistic::Increase | Statistic::Resets | Statistic::Count | Statistic::Transitions => Combine::Sum,
                Statistic::Changes => Combine::Sum,
                Statistic::LongestGap => Combine::Max,
                Statistic::Staleness => Combine::Min,
                _ => combine(metric),
            };
            fold(&values, how)
        }
        FlatSource::Saturation { used, limit, window } => {
            ratio(used, |p| of(used, p, Statistic::Last, *window), |p| of(limit, p, Statistic::Last, *window))
        }
        FlatSource::LoadOfLimit { metric, limit, window } => {
            // The unit of the axis is the second.
            ratio(metric, |p| of(metric, p, Statistic::Rate, *window), |p| of(limit, p, Statistic::Last, *window))
        }
        FlatSource::IncreaseRatio { numerator, denominator, window } => ratio(
            numerator,
            |p| of(numerator, p, Statistic::Increase, *window),
            |p| of(denominator, p, Statistic::Increase, *window),
        ),
        FlatSource::StallShare { metric, window } => {
            let values: Vec<f64> = part_count(metric).map(|p| of(metric, p, Statistic::Rate, *window)).collect();
            fold(&values, combine(metric))
        }
        FlatSource::SlopeRatio { metric, short, long } => {
            let (short, long) = (of(metric, 0, Statistic::Slope, *short), of(metric, 0, Statistic::Slope, *long));
            if long == 0.0 { f64::NAN } else { short / long }
        }
        FlatSource::TimeToLimit { used, limit, window } => {
            let (now, slope) = (of(used, 0, Statistic::Last, *window), of(used, 0, Statistic::Slope, *window));
            let limit = of(limit, 0, Statistic::Last, *window);
            if slope > 0.0 && limit > 0.0 { ((limit - now) / slope).max(0.0) } else { f64::NAN }
        }
        FlatSource::StateShare { metric, state, window } => {
            let (from, until) = common_window(*window, as_of);
            let index = common::STATES.iter().position(|known| known == state).unwrap() as f64;
            let samples = seen(all, metric, 0, from, until);
            let pairs = linked(&samples);
            let ticks = |pairs: &mut dyn Iterator<Item = &(&Arrival, &Arrival)>| -> i64 {
                pairs.map(|(a, b)| b.time - a.time).sum()
            };
            let whole = ticks(&mut pairs.iter());
            let held = ticks(&mut pairs.iter().filter(|(a, _)| a.value.to_bits() == index.to_bits()));
            if whole > 0 { held as f64 / whole as f64 } else { f64::NAN }
        }
        FlatSource::TimeSince { metric, window } => {
            as_of as f64 / TICKS_PER_SECOND - of(metric, 0, Statistic::Last, *window)
        }
        FlatSource::Completeness { metric, window } => {
            // Whether a part exists at all is not known before it is seen.
            let known: Vec<f64> =
                part_count(metric).map(|p| of(metric, p, Statistic::Count, *window)).filter(|&n| n > 0.0).collect();
            let least = fold(&known, Combine::Min);
            if least.is_nan() { 0.0 } else { least / (*window as f64 / 10.0) }
        }
        FlatSource::Present { metric, window } => f64::from(u8::from(of(metric, 0, Statistic::Last, *window) > 0.0)),
        FlatSource::EventCount { window, cause } => {
            past(cause).iter().filter(|&&time| time >= as_of - window).count() as f64
        }
        FlatSource::SinceEvent { cause } => past(cause).last().map_or(f64::NAN, |time| (as_of - time) as f64 / SINCE),
        FlatSource::EventDecay { half_life, cause } => past(cause)
            .iter()
            .map(|&time| (-((as_of - time) as f64) / *half_life as f64).exp2())
            .fold(0.0, |a, b| a + b),
        FlatSource::Season { metric, period, cycles } => {
            let values: Vec<f64> =
                part_count(metric).map(|part| residual(all, metric, part, *period, *cycles, as_of, 0)).collect();
            fold(&values, combine(metric))
        }
        FlatSource::Cusum { metric, period, cycles, steps } => {
            let residuals =
                (0..i64::from(*steps)).rev().map(|back| residual(all, metric, 0, *period, *cycles, as_of, back));
            let known: Vec<f64> = residuals.filter(|value| !value.is_nan()).collect();
            if known.is_empty() { f64::NAN } else { known.iter().fold(0.0, |sum: f64, r| (sum + r).max(0.0)) }
        }
        FlatSource::Neighbour { .. } => f64::NAN,
    }
}

fn common_window(length: i64, as_of: i64) -> (i64, i64) {
    window(length, as_of)
}

fn residual(all: &[Arrival], metric: &str, part: u32, period: i64, cycles: u32, as_of: i64, back: i64) -> f64 {
    let what = if kind(metric) == MetricKind::Counter { Statistic::Rate } else { Statistic::Mean };
    let until = as_of.div_euclid(HOUR) * HOUR - back * HOUR;
    let level = |until: i64| over(all, metric, part, what, until - HOUR, until, as_of);
    let before: Vec<f64> =
        (1..=i64::from(cycles)).map(|cycle| level(until - cycle * period)).filter(|v| !v.is_nan()).collect();
    if before.is_empty() { f64::NAN } else { level(until) - before.iter().sum::<f64>() / before.len() as f64 }
}

/// Single precision, except where a small number is the difference of large ones.
fn close(got: f32, expected: f64) -> bool {
    let got = f64::from(got);
    (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= 1e-6 * expected.abs() + 1e-9
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_column_is_what_its_definition_says(
        arrivals in arrivals(),
        mut failures in proptest::collection::vec((0..END, prop::sample::select(vec!["oom", "crash"])), 0..6),
        cut in 0..END / TILE,
    ) {
        failures.sort_unstable();
        let as_of = cut * TILE;
        let spec = spec();
        let row = row_of(&build(&samples(&arrivals)), &failures, as_of);
        for (column, &got) in spec.flat.iter().zip(&row) {
            let expected = expected(&arrivals, &failures, &column.source, as_of);
            // Deviations and slopes of equal values are zero up to rounding on the slow side.
            prop_assert!(close(got, expected), "{} at {as_of}: {got}, expected {expected}", column.name);
        }

        // Steps of the sequence, oldest first.
        let step = |index: i64| {
            let until = as_of - (5 - index) * 2 * TILE;
            (until - 2 * TILE, until)
        };
        let of = |metric: &str, part, what, index| {
            let (from, until) = step(index);
            over(&arrivals, metric, part, what, from, until, as_of)
        };
        for index in 0..6 {
            let limit = |part| if part == 0 { of("limit", 0, Statistic::Last, index) } else { f64::NAN };
            let rates: Vec<f64> = (0..2).map(|part| of("total", part, Statistic::Rate, index)).collect();
            let growths: Vec<f64> = (0..2).map(|part| of("total", part, Statistic::Increase, index)).collect();
            let expected = [
                ratio("level", |part| of("level", part, Statistic::Mean, index), limit),
                ratio("free", |part| of("free", part, Statistic::Last, index), limit),
                fold(&rates, Combine::Max),
                fold(&growths, Combine::Sum),
            ];
            let at = spec.flat.len() + 4 * usize::try_from(index).unwrap();
            for ((&got, expected), name) in row[at..at + 4].iter().zip(expected).zip(&names()[at..at + 4]) {
                prop_assert!(close(got, expected), "{name} at {as_of}: {got}, expected {expected}");
            }
        }
    }
}
