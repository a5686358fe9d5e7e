//! The few special functions the scores and estimators need, to about 1e-14.

use std::f64::consts::PI;

use crate::{Result, SurvivalError};

/// Coefficients of the Lanczos approximation with g = 7 and nine terms (Godfrey's set, in the public domain).
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// ln Γ(x) for x > 0 (Lanczos, g = 7); `+∞` at 0 and below.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::INFINITY;
    }
    if x < 0.5 {
        // Reflection keeps the series in the half plane where it was fitted.
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let shifted = x - 1.0;
    let base = shifted + 7.5;
    let mut series = LANCZOS[0];
    let mut denominator = shifted;
    for coefficient in &LANCZOS[1..] {
        denominator += 1.0;
        series += coefficient / denominator;
    }
    0.5 * (2.0 * PI).ln() + (shifted + 0.5) * base.ln() - base + series.ln()
}

/// Γ(x) for x > 0.
#[must_use]
pub fn gamma(x: f64) -> f64 {
    ln_gamma(x).exp()
}

/// Upper regularised incomplete gamma function Q(a, x) = Γ(a, x)/Γ(a), a > 0, x ≥ 0.
///
/// Series for x < a + 1, continued fraction (modified Lentz) beyond, where each converges fast.
#[must_use]
pub fn gamma_upper(a: f64, x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        (1.0 - scale * lower_series(a, x)).clamp(0.0, 1.0)
    } else {
        (scale * upper_fraction(a, x)).clamp(0.0, 1.0)
    }
}

/// Lower regularised incomplete gamma function P(a, x) = 1 − Q(a, x), without the cancellation near 0.
#[must_use]
pub fn gamma_lower(a: f64, x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 0.0;
    }
    if x < a + 1.0 {
        ((a * x.ln() - x - ln_gamma(a)).exp() * lower_series(a, x)).clamp(0.0, 1.0)
    } else {
        1.0 - gamma_upper(a, x)
    }
}

fn lower_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    let mut denominator = a;
    for _ in 0..100_000 {
        denominator += 1.0;
        term *= x / denominator;
        sum += term;
        if term.abs() < sum.abs() * 1e-16 {
            break;
        }
    }
    sum
}

fn upper_fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut value = d;
    let mut step = 0.0;
    for _ in 0..100_000 {
        step += 1.0;
        let numerator = -step * (step - a);
        b += 2.0;
        d = numerator * d + b;
        if d.abs() < TINY {
            d = TINY;
        }
        c = b + numerator / c;
        if c.abs() < TINY {
            c = TINY;
        }
        d = 1.0 / d;
        let factor = d * c;
        value *= factor;
        if (factor - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// P(χ²_df > x): the p value of a chi-square statistic.
#[must_use]
pub fn chi_square_survival(x: f64, degrees_of_freedom: f64) -> f64 {
    gamma_upper(0.5 * degrees_of_freedom, 0.5 * x)
}

/// Quantile of χ² with `degrees_of_freedom` > 0 at `level` in (0, 1), by bisection on ln x.
///
/// # Errors
/// When an argument is outside its domain.
pub fn chi_square_quantile(level: f64, degrees_of_freedom: f64) -> Result<f64> {
    open_unit("chi-square level", level)?;
    if !(degrees_of_freedom.is_finite() && degrees_of_freedom > 0.0) {
        return Err(SurvivalError::Domain {
            what: "degrees of freedom",
            value: degrees_of_freedom,
            domain: "positive and finite",
        });
    }
    let below = |x: f64| gamma_lower(0.5 * degrees_of_freedom, 0.5 * x) < level;
    let (mut low, mut high) = (-700.0, (degrees_of_freedom + 10.0).ln());
    while below(high.exp()) && high < 700.0 {
        high += 1.0;
    }
    // 200 halvings of a range of about 700 end far below one unit in the last place.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if below(middle.exp()) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok((0.5 * (low + high)).exp())
}

/// Standard normal distribution function Φ(x).
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let tail = 0.5 * gamma_upper(0.5, 0.5 * x * x);
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// ln Φ(−x) = ln P(Z > x), to full precision where Φ(−x) itself has long underflowed.
#[must_use]
pub fn ln_normal_survival(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() < MILLS_FROM {
        (0.5 - normal_from_zero(x)).ln()
    } else if x > 0.0 {
        // Φ(−x) = φ(x)/m(x).
        -0.5 * x * x - 0.5 * (2.0 * PI).ln() - inverse_mills(x).0.ln()
    } else {
        (-ln_normal_survival(-x).exp()).ln_1p()
    }
}

/// m(x) = φ(x)/Φ(−x), the hazard of the standard normal law, and m(x) − x without the cancellation of the far tail.
///
/// Continued fraction m(x) = x + 1/(x + 2/(x + 3/(x + …))) from 2 on (Abramowitz & Stegun 26.2.14).
#[must_use]
pub fn inverse_mills(x: f64) -> (f64, f64) {
    if x < MILLS_FROM {
        let mills = (-0.5 * x * x - 0.5 * (2.0 * PI).ln() - ln_normal_survival(x)).exp();
        return (mills, mills - x);
    }
    // Terms after which the fraction stands still to the last bit, found by comparison with 3000 of them.
    let terms = (300.0 / (x * x) + 40.0 / x).ceil() + 14.0;
    let mut excess = 0.0;
    let mut k = terms;
    while k >= 1.0 {
        excess = k / (x + excess);
        k -= 1.0;
    }
    (x + excess, excess)
}

/// From here on the continued fraction of the normal tail converges within about a hundred terms.
const MILLS_FROM: f64 = 2.0;

/// Φ(x) − ½ = φ(x)·Σ x^{2k+1}/(1·3·…·(2k+1)), for |x| up to about 2 (Abramowitz & Stegun 26.2.11).
fn normal_from_zero(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    let mut odd = 1.0;
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    sum * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Standard normal quantile Φ⁻¹(level), `level` in (0, 1).
///
/// Starts at Abramowitz & Stegun 26.2.23 (error below 4.5e-4) and polishes with three Halley steps.
///
/// # Errors
/// When `level` is outside (0, 1).
pub fn normal_quantile(level: f64) -> Result<f64> {
    open_unit("normal level", level)?;
    let tail = level.min(1.0 - level);
    let t = (-2.0 * tail.ln()).sqrt();
    let start = t
        - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t)
            / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t);
    // Work in the left tail, where Φ has no cancellation.
    let mut x = -start;
    for _ in 0..3 {
        let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
        let newton = (normal_cdf(x) - tail) / density;
        x -= newton / (1.0 + 0.5 * x * newton);
    }
    Ok(if level < 0.5 { x } else { -x })
}

/// The two-sided normal factor for an interval of this level: 1.96 at 0.95.
///
/// # Errors
/// When `level` is outside (0, 1).
pub fn two_sided_factor(level: f64) -> Result<f64> {
    open_unit("interval level", level)?;
    normal_quantile(0.5 + 0.5 * level)
}

pub(crate) fn open_unit(what: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what, value, domain: "between 0 and 1, exclusive" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} against {b}");
    }

    #[test]
    fn gamma_agrees_with_factorials_and_the_square_root_of_pi() {
        close(gamma(5.0), 24.0, 1e-13);
        close(gamma(0.5), PI.sqrt(), 1e-13);
        close(ln_gamma(100.0), 359.134_205_369_575_4, 1e-13);
        close(ln_gamma(0.1), 2.252_712_651_734_206, 1e-13);
    }

    #[test]
    fn incomplete_gamma_agrees_with_closed_forms() {
        // Q(1, x) = e^{-x}; Q(2, x) = (1 + x) e^{-x}.
        for x in [0.01, 0.5, 1.9, 2.1, 7.0, 40.0_f64] {
            close(gamma_upper(1.0, x), (-x).exp(), 1e-13);
            close(gamma_upper(2.0, x), (1.0 + x) * (-x).exp(), 1e-13);
            close(gamma_lower(2.0, x) + gamma_upper(2.0, x), 1.0, 1e-13);
        }
    }

    #[test]
    fn quantiles_are_the_textbook_values() {
        close(normal_quantile(0.975).unwrap(), 1.959_963_984_540_054, 1e-13);
        close(normal_quantile(0.001).unwrap(), -3.090_232_306_167_813, 1e-12);
        close(normal_quantile(0.5).unwrap(), 0.0, 1e-13);
        // χ²₂ has the closed form −2 ln(1 − p).
        close(chi_square_quantile(0.95, 2.0).unwrap(), -2.0 * 0.05_f64.ln(), 1e-12);
        close(chi_square_quantile(0.95, 9.0).unwrap(), 16.918_977_604_620_448, 1e-12);
        close(chi_square_survival(16.918_977_604_620_448, 9.0), 0.05, 1e-12);
        assert!(normal_quantile(1.0).is_err() && chi_square_quantile(0.0, 1.0).is_err());
    }
}
