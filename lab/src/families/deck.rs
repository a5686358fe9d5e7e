//! Which family is next: shares are met as closely as whole pods can, in an order that looks random.
//!
//! Families lie side by side on the unit interval, each as wide as its share. A block of pods takes equally spaced
//! points of it, from a start that moves on by the golden ratio from block to block (Weyl's sequence has the
//! lowest discrepancy of all rotations), and mixes their order. Independent draws would miss a rare family for long.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Pods in a block: a few times the pods that live at once.
const BLOCK: u64 = 24;
/// Fraction of the golden ratio.
const GOLDEN: f64 = 0.618_033_988_749_894_9;
/// Stream of a seed that lays out the families; blocks count up from 0 and never reach it.
const LAYOUT_STREAM: u64 = u64::MAX;
/// Keeps the random numbers of the deck apart from those of the pods.
const SALT: u64 = 0x6465_636b_6f66_706f;

/// Shares of the families.
#[derive(Debug, Clone)]
pub(super) struct Deck {
    shares: Vec<f64>,
}

impl Deck {
    /// `None` if no weight is above 0.
    pub(super) fn new(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        (total > 0.0).then(|| Self { shares: weights.iter().map(|weight| weight / total).collect() })
    }

    /// Place of the family of an index.
    pub(super) fn family(&self, seed: u64, index: u64) -> usize {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ SALT);
        random.set_stream(LAYOUT_STREAM);
        let start: f64 = random.random();
        let mut layout: Vec<usize> = (0..self.shares.len()).collect();
        layout.shuffle(&mut random);

        let (block, place) = (index / BLOCK, index % BLOCK);
        random = ChaCha8Rng::seed_from_u64(seed ^ SALT);
        random.set_stream(block);
        let mut order: Vec<u64> = (0..BLOCK).collect();
        order.shuffle(&mut random);
        let offset = (start + block as f64 * GOLDEN).fract();
        let mut left = (order[place as usize] as f64 + offset) / BLOCK as f64;
        let mut last = 0;
        for family in layout {
            let share = self.shares[family];
            if share > 0.0 {
                last = family;
                if left < share {
                    return family;
                }
                left -= share;
            }
        }
        // The sum of the shares may be a rounding error short of 1.
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_every_family_that_is_wide_enough() {
        let deck = Deck::new(&[1.0, 5.0, 18.0]).expect("weights");
        for seed in 0..20 {
            let mut counts = [0; 3];
            (0..BLOCK).for_each(|index| counts[deck.family(seed, index)] += 1);
            assert!(counts[0] <= 2 && (4..=6).contains(&counts[1]) && (17..=19).contains(&counts[2]), "{counts:?}");
        }
    }

    #[test]
    fn a_family_without_weight_never_comes_and_all_without_are_refused() {
        let deck = Deck::new(&[0.0, 1.0, 0.0]).expect("weights");
        assert!((0..200).all(|index| deck.family(1, index) == 1));
        assert!(Deck::new(&[0.0]).is_none() && Deck::new(&[]).is_none());
    }

    #[test]
    fn seeds_differ_in_their_order() {
        let deck = Deck::new(&[1.0; 12]).expect("weights");
        let order = |seed| (0..BLOCK).map(|index| deck.family(seed, index)).collect::<Vec<_>>();
        assert_ne!(order(1), order(2));
        let next: Vec<usize> = (BLOCK..2 * BLOCK).map(|index| deck.family(1, index)).collect();
        assert_ne!(order(1), next);
    }
}
