//! The laws of a location–scale model of ln T: with u = (ln t − μ)/σ, S(t) = S₀(u) for a fixed law S₀.
//!
//! | law | S₀(u) | mean of T |
//! |---|---|---|
//! | exponential | exp(−eᵘ) with σ = 1 | e^μ |
//! | Weibull | exp(−eᵘ) | e^μ·Γ(1 + σ) |
//! | log-normal | Φ(−u) | e^{μ + σ²/2} |
//! | log-logistic | 1/(1 + eᵘ) | e^μ·πσ/sin(πσ), only for σ < 1 |
//!
//! (Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data, 2nd ed., chapters 2 and 3.)

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::special::{gamma, inverse_mills, ln_normal_survival};

/// Beyond e^700 is the edge of f64; a hazard capped there is certain failure all the same.
const LARGEST_EXPONENT: f64 = 700.0;

/// Which law ln T follows around its location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AftLaw {
    /// Constant hazard: the Weibull law with shape 1.
    Exponential,
    /// Hazard that rises or falls as a power of time.
    Weibull,
    /// Hazard that rises and later falls; ln T is normal.
    LogNormal,
    /// Hazard that falls, or rises and later falls, with a heavy tail; ln T is logistic.
    LogLogistic,
}

impl AftLaw {
    /// All laws, the simplest first.
    pub const ALL: [Self; 4] = [Self::Exponential, Self::Weibull, Self::LogNormal, Self::LogLogistic];

    /// Name for tables: `exponential`, `weibull`, `log-normal`, `log-logistic`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Weibull => "weibull",
            Self::LogNormal => "log-normal",
            Self::LogLogistic => "log-logistic",
        }
    }

    /// Whether the shape ρ = 1/σ is fitted; the exponential law holds it at 1.
    #[must_use]
    pub fn has_shape(self) -> bool {
        self != Self::Exponential
    }

    pub(crate) fn regression(self) -> &'static str {
        match self {
            Self::Exponential => "exponential regression",
            Self::Weibull => "Weibull regression",
            Self::LogNormal => "log-normal regression",
            Self::LogLogistic => "log-logistic regression",
        }
    }

    /// E[T]/e^μ at shape ρ; `None` where the mean is infinite.
    pub(crate) fn mean_per_scale(self, shape: f64) -> Option<f64> {
        match self {
            Self::Exponential => Some(1.0),
            Self::Weibull => Some(gamma(1.0 + 1.0 / shape)),
            Self::LogNormal => Some((0.5 / (shape * shape)).exp()),
            Self::LogLogistic => (shape > 1.0).then(|| PI / shape / (PI / shape).sin()),
        }
    }

    /// −ln S₀(u): the cumulative hazard.
    pub(crate) fn hazard(self, u: f64) -> f64 {
        match self {
            Self::Exponential | Self::Weibull => u.min(LARGEST_EXPONENT).exp(),
            Self::LogNormal => -ln_normal_survival(u),
            Self::LogLogistic => softplus(u),
        }
    }

    /// ln S₀(u) with its first two derivatives: what a unit watched up to u without failing adds.
    pub(crate) fn survived(self, u: f64) -> Term {
        match self {
            Self::Exponential | Self::Weibull => {
                let hazard = u.exp();
                Term { value: -hazard, slope: -hazard, bend: -hazard }
            }
            Self::LogNormal => {
                let (mills, excess) = inverse_mills(u);
                Term { value: ln_normal_survival(u), slope: -mills, bend: -mills * excess }
            }
            Self::LogLogistic => {
                let failed = logistic(u);
                Term { value: -softplus(u), slope: -failed, bend: -failed * logistic(-u) }
            }
        }
    }

    /// ln f₀(u) with its first two derivatives, f₀ = −S₀′: what a failure at u adds.
    pub(crate) fn failed(self, u: f64) -> Term {
        match self {
            Self::Exponential | Self::Weibull => {
                let hazard = u.exp();
                Term { value: u - hazard, slope: 1.0 - hazard, bend: -hazard }
            }
            Self::LogNormal => Term { value: -0.5 * u * u - 0.5 * (2.0 * PI).ln(), slope: -u, bend: -1.0 },
            Self::LogLogistic => {
                let failed = logistic(u);
                Term { value: u - 2.0 * softplus(u), slope: 1.0 - 2.0 * failed, bend: -2.0 * failed * logistic(-u) }
            }
        }
    }
}

/// A function of u with its first and second derivative there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Term {
    pub(crate) value: f64,
    pub(crate) slope: f64,
    pub(crate) bend: f64,
}

/// ln(1 + eᵘ) without overflow.
fn softplus(u: f64) -> f64 {
    u.max(0.0) + (-u.abs()).exp().ln_1p()
}

/// eᵘ/(1 + eᵘ), small values kept to full precision.
fn logistic(u: f64) -> f64 {
    if u >= 0.0 { 1.0 / (1.0 + (-u).exp()) } else { u.exp() / (1.0 + u.exp()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_and_bends_are_the_derivatives_of_the_values() {
        for law in AftLaw::ALL {
            for u in [-30.0, -3.0, -1.99, -0.4, 0.0, 0.7, 1.99, 2.01, 4.5, 12.0_f64] {
                for (name, term) in
                    [("survived", AftLaw::survived as fn(AftLaw, f64) -> Term), ("failed", AftLaw::failed)]
                {
                    let h = 1e-5;
                    let (low, at, high) = (term(law, u - h), term(law, u), term(law, u + h));
                    let slope = (high.value - low.value) / (2.0 * h);
                    let bend = (high.slope - low.slope) / (2.0 * h);
                    let scale = 1.0 + at.value.abs();
                    assert!((slope - at.slope).abs() < 1e-8 * scale, "{law:?} {name} at {u}: {slope} {}", at.slope);
                    assert!((bend - at.bend).abs() < 1e-8 * scale, "{law:?} {name} at {u}: {bend} {}", at.bend);
                }
            }
        }
    }

    #[test]
    fn the_density_is_minus_the_slope_of_survival() {
        for law in AftLaw::ALL {
            for u in [-20.0, -1.0, 0.3, 3.0_f64] {
                let survived = law.survived(u);
                // f₀ = −S₀·(ln S₀)′.
                let want = survived.value + (-survived.slope).ln();
                let got = law.failed(u).value;
                assert!((got - want).abs() < 1e-12 * (1.0 + want.abs()), "{law:?} at {u}: {got} {want}");
                assert!((law.hazard(u) + survived.value).abs() <= 1e-15 * law.hazard(u), "{law:?} at {u}");
            }
        }
    }
}
