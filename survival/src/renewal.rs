//! The downtime to come, by simulating up and down spells in turn from what is known now.
//!
//! The first spell continues the one that runs now (up since a, or down since b): its remaining time is drawn given that
//! it has lasted so long. Every later spell begins anew, except under a power law, whose clock is the age. With a
//! [`GammaFrailty`] every replicate draws the entity's own hazard multiplier first, so that what is not known of it
//! widens the forecast.

use serde::{Deserialize, Serialize};

use crate::gamma_poisson::GammaFrailty;
use crate::random::Draws;
use crate::sample::ForecastSample;
use crate::spell_law::SpellLaw;
use crate::{Result, SurvivalError};

/// Spells simulated per replicate at most: a law whose spells last no time would never end.
const MOST_SPELLS: usize = 1_000_000;

/// What the entity is doing at the moment of the forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Now {
    /// Working for this long.
    Up(f64),
    /// Down for this long.
    Down(f64),
}

/// The window a forecast is for: how long it is, and what has happened of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Whole length.
    pub length: f64,
    /// Of it passed.
    pub elapsed: f64,
    /// Of that spent down.
    pub spent: f64,
}

impl Window {
    /// A window that begins now.
    ///
    /// # Errors
    /// When `length` is not positive and finite.
    pub fn whole(length: f64) -> Result<Self> {
        Self::try_new(length, 0.0, 0.0)
    }

    /// A window under way.
    ///
    /// # Errors
    /// When `length` is not positive and finite, `elapsed` is outside [0, length), or `spent` outside [0, elapsed].
    pub fn try_new(length: f64, elapsed: f64, spent: f64) -> Result<Self> {
        if !(length.is_finite() && length > 0.0) {
            return Err(SurvivalError::Domain { what: "window length", value: length, domain: "positive and finite" });
        }
        if !(0.0..length).contains(&elapsed) {
            return Err(SurvivalError::Domain {
                what: "elapsed part of the window",
                value: elapsed,
                domain: "at least 0 and below its length",
            });
        }
        if !(0.0..=elapsed).contains(&spent) {
            return Err(SurvivalError::Domain {
                what: "downtime spent in the window",
                value: spent,
                domain: "at least 0 and at most what has elapsed",
            });
        }
        Ok(Self { length, elapsed, spent })
    }

    /// Length − elapsed.
    #[must_use]
    pub fn left(&self) -> f64 {
        self.length - self.elapsed
    }
}

/// Fitted laws of up and down spells.
#[derive(Debug, Clone, PartialEq)]
pub struct AlternatingRenewal {
    /// Law of the up spell that runs now, where it is not that of later ones (a predicted curve, counted from now).
    pub first_up: Option<SpellLaw>,
    /// Law of up spells.
    pub up: SpellLaw,
    /// Law of down spells.
    pub down: SpellLaw,
    /// Age of the entity now: the clock of a power law; other laws do not look at it.
    pub age: f64,
    /// Multiplier of the hazard of up spells; `None` is 1.
    pub frailty: Option<GammaFrailty>,
}

/// Distribution of the downtime in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DowntimeForecast {
    window: Window,
    downtime: ForecastSample,
    mean_failures: f64,
}

impl AlternatingRenewal {
    /// Simulates the rest of a window; the same seed gives the same forecast.
    ///
    /// # Errors
    /// When there is no replicate, the time in the current spell is negative or not finite, or a predicted curve ends
    /// before the window does.
    pub fn forecast(&self, now: Now, window: Window, replicates: usize, seed: u64) -> Result<DowntimeForecast> {
        if replicates == 0 {
            return Err(SurvivalError::Domain { what: "replicates", value: 0.0, domain: "at least 1" });
        }
        let (Now::Up(lasted) | Now::Down(lasted)) = now;
        if !(lasted.is_finite() && lasted >= 0.0) {
            return Err(SurvivalError::Domain {
                what: "time in the current spell",
                value: lasted,
                domain: "at least 0 and finite",
            });
        }
        if !(self.age.is_finite() && self.age >= 0.0) {
            return Err(SurvivalError::Domain { what: "age", value: self.age, domain: "at least 0 and finite" });
        }
        let horizon = window.left();
        for law in self.first_up.iter().chain([&self.up, &self.down]) {
            if law.known_until() < horizon {
                return Err(SurvivalError::BeyondGrid { horizon, last_edge: law.known_until() });
            }
        }
        let mut downtimes = Vec::with_capacity(replicates);
        let mut failures = 0;
        for replicate in 0..replicates {
            let mut draws = Draws::new(seed, replicate as u64);
            let (down, failed) = self.replicate(now, horizon, &mut draws);
            downtimes.push(window.spent + down);
            failures += failed;
        }
        let mean_failures = failures as f64 / replicates as f64;
        Ok(DowntimeForecast { window, downtime: ForecastSample::try_new(downtimes)?, mean_failures })
    }

    /// Downtime and failures within the horizon of one simulated future.
    fn replicate(&self, now: Now, horizon: f64, draws: &mut Draws) -> (f64, usize) {
        let multiplier = self.frailty.map_or(1.0, |gamma| draws.gamma(gamma.shape, gamma.rate));
        let (mut at, mut down, mut failures) = (0.0, 0.0, 0);
        let (mut working, mut lasted) = match now {
            Now::Up(lasted) => (true, lasted),
            Now::Down(lasted) => (false, lasted),
        };
        let mut up = self.first_up.as_ref().filter(|_| working).unwrap_or(&self.up);
        // A curve is counted from now, not from the beginning of the spell.
        if working && self.first_up.is_some() {
            lasted = 0.0;
        }
        for _ in 0..MOST_SPELLS {
            if working {
                let clock = if up.runs_on() { self.age + at } else { lasted };
                at += up.time_until(clock, draws.exponential() / multiplier);
                if at >= horizon {
                    return (down, failures);
                }
                failures += 1;
                up = &self.up;
            } else {
                let repair = self.down.time_until(lasted, draws.exponential());
                down += repair.min(horizon - at);
                at += repair;
                if at >= horizon {
                    return (down, failures);
                }
            }
            working = !working;
            lasted = 0.0;
        }
        (down, failures)
    }
}

impl DowntimeForecast {
    /// A forecast of single points or of draws made elsewhere: downtimes of the *whole* window.
    ///
    /// # Errors
    /// When there is no draw, or one lies outside [spent, spent + left].
    pub fn from_draws(window: Window, downtimes: Vec<f64>) -> Result<Self> {
        let most = window.spent + window.left();
        // Sums of spells may pass the window by rounding.
        let slack = 1e-9 * window.length;
        if let Some(&value) = downtimes.iter().find(|d| !(window.spent - slack..=most + slack).contains(*d)) {
            return Err(SurvivalError::Domain {
                what: "forecast downtime",
                value,
                domain: "what was spent, at least, and at most what is left besides",
            });
        }
        let downtimes = downtimes.into_iter().map(|d| d.clamp(window.spent, most)).collect();
        Ok(Self { window, downtime: ForecastSample::try_new(downtimes)?, mean_failures: f64::NAN })
    }

    /// The window it is for.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Draws of the downtime in the whole window, what was spent included.
    #[must_use]
    pub fn downtime(&self) -> &ForecastSample {
        &self.downtime
    }

    /// Mean number of failures in the rest of the window; `None` when the draws were made elsewhere.
    #[must_use]
    pub fn mean_failures(&self) -> Option<f64> {
        (!self.mean_failures.is_nan()).then_some(self.mean_failures)
    }

    /// 1 − mean downtime / length: the best forecast of availability under squared error.
    #[must_use]
    pub fn mean_availability(&self) -> f64 {
        (1.0 - self.downtime.mean() / self.window.length).clamp(0.0, 1.0)
    }

    /// Quantile of availability; at ½ the best forecast under absolute error.
    ///
    /// # Errors
    /// When `level` is outside (0, 1).
    pub fn availability_quantile(&self, level: f64) -> Result<f64> {
        Ok((1.0 - self.downtime.quantile(1.0 - level)? / self.window.length).clamp(0.0, 1.0))
    }

    /// P(downtime > budget) of the whole window.
    #[must_use]
    pub fn breach_probability(&self, budget: f64) -> f64 {
        self.downtime.share_above(budget)
    }

    /// CRPS in availability: CRPS of the downtime / length.
    ///
    /// # Errors
    /// When `observed_downtime` is not finite.
    pub fn crps(&self, observed_downtime: f64) -> Result<f64> {
        Ok(self.downtime.crps(observed_downtime)? / self.window.length)
    }
}
