//! The small arithmetic the benchmark needs: robust statistics, linear systems, correlations, one distribution.

use survival::special_beta::beta_regularised;

/// Makes the median absolute deviation of a normal sample its standard deviation.
const NORMAL: f64 = 1.4826;

/// Median of the finite values; `None` without any.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Quantile of the finite values, linear between order statistics; `None` without any.
pub(super) fn quantile(values: &[f64], level: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = level * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    Some(sorted[below] + (place - below as f64) * (sorted[above] - sorted[below]))
}

/// Median and robust scale. The scale never falls below a hundredth of the median or a tenth of the standard deviation,
/// so that a metric that rests most of the time is not infinitely far from its rest; 0 where nothing ever moved from 0.
pub(super) fn location_scale(values: &[f64]) -> Option<(f64, f64)> {
    let centre = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    let spread = NORMAL * median(&deviations)?;
    Some((centre, spread.max(0.01 * centre.abs()).max(0.1 * deviation(values))))
}

/// Standard deviation of the finite values (divided by their number); 0 without any.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if finite.is_empty() {
        return 0.0;
    }
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    (finite.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / finite.len() as f64).sqrt()
}

/// sign(x)·ln(1 + |x|): keeps order and sign, tames the far ends.
pub(super) fn signed_log(value: f64) -> f64 {
    value.signum() * value.abs().ln_1p()
}

/// Pearson correlation over the rows where both are finite; 0 where one does not move or fewer than four rows are left.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let pairs: Vec<(f64, f64)> =
        a.iter().zip(b).filter(|(x, y)| x.is_finite() && y.is_finite()).map(|(x, y)| (*x, *y)).collect();
    if pairs.len() < 4 {
        return 0.0;
    }
    let rows = pairs.len() as f64;
    let (mean_a, mean_b) =
        (pairs.iter().map(|(x, _)| x).sum::<f64>() / rows, pairs.iter().map(|(_, y)| y).sum::<f64>() / rows);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in &pairs {
        let (x, y) = (x - mean_a, y - mean_b);
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    let product = (aa * bb).sqrt();
    if product > 1e-300 { (ab / product).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Solves A·x = b for a symmetric positive definite A (row by row) by Cholesky; `None` where A is not.
pub(super) fn solve_positive(matrix: &[f64], right: &[f64]) -> Option<Vec<f64>> {
    let size = right.len();
    let mut lower = matrix.to_vec();
    for column in 0..size {
        for row in column..size {
            let mut sum = lower[row * size + column];
            for inner in 0..column {
                sum -= lower[row * size + inner] * lower[column * size + inner];
            }
            if row == column {
                if sum.is_nan() || sum <= 0.0 {
                    return None;
                }
                lower[row * size + column] = sum.sqrt();
            } else {
                lower[row * size + column] = sum / lower[column * size + column];
            }
        }
    }
    let mut solution = right.to_vec();
    for row in 0..size {
        for inner in 0..row {
            solution[row] -= lower[row * size + inner] * solution[inner];
        }
        solution[row] /= lower[row * size + row];
    }
    for row in (0..size).rev() {
        for inner in row + 1..size {
            solution[row] -= lower[inner * size + row] * solution[inner];
        }
        solution[row] /= lower[row * size + row];
    }
    Some(solution)
}

/// Least squares with a ridge on every coefficient: coefficients and Σ of squared residuals.
pub(super) fn least_squares(rows: &[Vec<f64>], target: &[f64], ridge: f64) -> Option<(Vec<f64>, f64)> {
    let width = rows.first()?.len();
    let mut gram = vec![0.0; width * width];
    let mut moment = vec![0.0; width];
    for (row, y) in rows.iter().zip(target) {
        for i in 0..width {
            moment[i] += row[i] * y;
            for j in 0..width {
                gram[i * width + j] += row[i] * row[j];
            }
        }
    }
    for i in 0..width {
        gram[i * width + i] += ridge;
    }
    let coefficients = solve_positive(&gram, &moment)?;
    let residual = rows
        .iter()
        .zip(target)
        .map(|(row, y)| (y - row.iter().zip(&coefficients).map(|(x, c)| x * c).sum::<f64>()).powi(2))
        .sum();
    Some((coefficients, residual))
}

/// P(F > f) for Fisher's F with `numerator` and `denominator` degrees of freedom.
pub(super) fn fisher_survival(f: f64, numerator: f64, denominator: f64) -> f64 {
    if f <= 0.0 {
        return 1.0;
    }
    // Degrees of freedom are above 0 by the callers' counts; were they not, nothing would be significant.
    beta_regularised(0.5 * denominator, 0.5 * numerator, denominator / (denominator + numerator * f)).unwrap_or(1.0)
}

/// A number in [0, 1) that follows from the seed and the words alone (FNV-1a, then the mixer of SplitMix64).
pub(super) fn hashed_unit(seed: u64, words: &[&str]) -> f64 {
    let mut state = fnv(words.iter().flat_map(|word| word.bytes().chain([0])), seed ^ 0xCBF2_9CE4_8422_2325);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^= state >> 31;
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

/// FNV-1a over bytes, from a start.
pub(super) fn fnv(bytes: impl IntoIterator<Item = u8>, start: u64) -> u64 {
    bytes.into_iter().fold(start, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_f_agrees_with_scipy() {
        // scipy.stats.f.sf
        for (f, n, d, expected) in FISHER {
            assert!((fisher_survival(f, n, d) - expected).abs() < 1e-12, "P(F > {f}; {n}, {d})");
        }
    }

    #[test]
    fn a_resting_metric_is_not_infinitely_far_from_its_rest() {
        let (centre, scale) = location_scale(&[5.0, 5.0, 5.0, 5.0, f64::NAN]).unwrap();
        assert!((centre - 5.0).abs() < 1e-15 && (scale - 0.05).abs() < 1e-15);
        assert_eq!(location_scale(&[f64::NAN]), None);
        assert_eq!(location_scale(&[]), None);
    }

    #[test]
    fn least_squares_finds_a_line() {
        let rows: Vec<Vec<f64>> = (0..5).map(|x| vec![1.0, f64::from(x)]).collect();
        let target: Vec<f64> = (0..5).map(|x| 2.0 - 3.0 * f64::from(x)).collect();
        let (line, left) = least_squares(&rows, &target, 0.0).unwrap();
        assert!((line[0] - 2.0).abs() < 1e-9 && (line[1] + 3.0).abs() < 1e-9 && left < 1e-15);
        let twice: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[1], row[1]]).collect();
        assert_eq!(least_squares(&twice, &target, 0.0), None, "two equal columns have no solution");
    }

    const FISHER: [(f64, f64, f64, f64); 4] = [
        (3.2, 1.0, 20.0, 0.08879655230006496),
        (0.4, 2.0, 40.0, 0.6729713331080577),
        (25.0, 1.0, 57.0, 5.798624737193685e-06),
        (1.0, 3.0, 7.0, 0.44707961346848374),
    ];
}
