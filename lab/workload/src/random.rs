//! Random numbers without a dependency: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
//! OOPSLA 2014). Seeded from the pod's seed and the run, so that a restart behaves alike and not the same.

/// A stream of random numbers.
pub(crate) struct Random(u64);

/// Odd and near 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub(crate) fn new(seed: u64, run: u32) -> Self {
        // Through the mixer, or else run 1 would be run 0 from its second number on.
        let mut first = Self(seed);
        let mixed = first.next() ^ u64::from(run).wrapping_mul(0xd134_2543_de82_ef95);
        Self(Self(mixed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From the exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    /// A whole number below a bound; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.uniform() * bound as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixer_gives_the_published_numbers() {
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn runs_of_one_seed_differ_and_repeat() {
        let draws = |run| {
            let mut random = Random::new(7, run);
            [random.below(1 << 40), random.below(1 << 40), random.below(1 << 40)]
        };
        assert_eq!(draws(1), draws(1));
        assert!(draws(0).iter().all(|draw| !draws(1).contains(draw)));
    }

    #[test]
    fn the_exponential_has_mean_one() {
        let mut random = Random::new(1, 0);
        let mean = (0..100_000).map(|_| random.exponential()).sum::<f64>() / 100_000.0;
        // Four standard errors.
        assert!((mean - 1.0).abs() < 4.0 / 100_000_f64.sqrt(), "{mean}");
    }
}
