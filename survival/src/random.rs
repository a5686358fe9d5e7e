//! Draws from the few laws the simulations need, on the generator of [`crate::scores::resampling`].

use crate::scores::resampling::Xoshiro;

/// A seeded stream of draws; the same (seed, stream) gives the same draws on every machine.
pub(crate) struct Draws {
    generator: Xoshiro,
}

impl Draws {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self { generator: Xoshiro::new(seed, stream) }
    }

    /// Uniform on the open interval (0, 1): its logarithm is finite.
    pub(crate) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        ((self.generator.next() >> 11) as f64 + 0.5) * STEP
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Standard normal (Box & Muller 1958; one of the pair is used, so that a draw needs no memory).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.unit()).cos()
    }

    /// Gamma of this shape and rate, both above 0 (Marsaglia & Tsang 2000; below shape 1 by their power of a uniform).
    pub(crate) fn gamma(&mut self, shape: f64, rate: f64) -> f64 {
        if shape < 1.0 {
            let power = self.unit().powf(1.0 / shape);
            return self.gamma(shape + 1.0, rate) * power;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v / rate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_of_their_laws() {
        let mut draws = Draws::new(5, 0);
        let n = 200_000;
        let mut moments = |draw: &mut dyn FnMut(&mut Draws) -> f64| {
            let values: Vec<f64> = (0..n).map(|_| draw(&mut draws)).collect();
            let mean = values.iter().sum::<f64>() / f64::from(n);
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n))
        };
        // Standard errors of the means are below 0.005, of the variances below 0.015.
        for (draw, mean, variance) in [
            (&mut (|d: &mut Draws| d.unit()) as &mut dyn FnMut(&mut Draws) -> f64, 0.5, 1.0 / 12.0),
            (&mut |d: &mut Draws| d.exponential(), 1.0, 1.0),
            (&mut |d: &mut Draws| d.normal(), 0.0, 1.0),
            (&mut |d: &mut Draws| d.gamma(4.0, 2.0), 2.0, 1.0),
            (&mut |d: &mut Draws| d.gamma(0.5, 1.0), 0.5, 0.5),
        ] {
            let got = moments(draw);
            assert!(
                (got.0 - mean).abs() < 0.02 && (got.1 - variance).abs() < 0.05,
                "{got:?} against {mean} {variance}"
            );
        }
    }
}
