//! What tuning may choose among, per family. Trial 0 is the defaults, so a tuned family is never worse for having been
//! tuned on the folds it was judged by, and the column "defaults" costs nothing more.

use model::ModelKind;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::TrainConfig;

/// Whose trials a family shares, and whether it has any: those without settings, or made of others, have none.
#[must_use]
pub fn tuned_as(kind: ModelKind) -> Option<ModelKind> {
    match kind {
        ModelKind::HazardNet | ModelKind::HazardNetEnsemble => Some(ModelKind::HazardNet),
        ModelKind::KaplanMeier | ModelKind::KaplanMeierByClass | ModelKind::AgeOnly | ModelKind::Stack => None,
        other => Some(other),
    }
}

/// Trials worth making: a family with one setting needs no fifty.
#[must_use]
pub fn most_trials(kind: ModelKind) -> usize {
    match kind {
        ModelKind::HazardNet | ModelKind::BoostedHazard => usize::MAX,
        _ => 12,
    }
}

/// The settings of one trial; they follow from (family, trial, seed) alone.
#[must_use]
pub fn draw(kind: ModelKind, trial: usize, seed: u64, base: &TrainConfig) -> TrainConfig {
    let mut settings = TrainConfig { model: kind, ..base.clone() };
    if trial == 0 {
        return settings;
    }
    let stream = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(trial as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(stream);
    match kind {
        ModelKind::HazardNet => network(&mut settings, &mut rng),
        ModelKind::BoostedHazard => trees(&mut settings, &mut rng),
        _ => {
            // One penalty over the whole range, evenly on a logarithmic scale: a line needs no chance.
            let exponent = -1.0 + 0.5 * f64::from(u32::try_from(trial - 1).unwrap_or(u32::MAX));
            settings.classical.ridges = vec![10f64.powf(exponent)];
        }
    }
    settings
}

fn network(settings: &mut TrainConfig, rng: &mut ChaCha8Rng) {
    let network = &mut settings.network;
    network.flat_hidden = pick(rng, &[64, 128, 256]);
    network.patch_steps = if network.patch_steps == 0 { 0 } else { pick(rng, &[0, 2, 4, 8]) };
    network.patch_hidden = pick(rng, &[16, 32, 64]);
    network.window_hidden = pick(rng, &[32, 64, 128]);
    network.fusion_hidden = pick(rng, &[32, 64, 128]);
    network.dropout = rng.random_range(0.05..0.6);
    let fit = &mut settings.fit;
    fit.learning_rate = logarithmic(rng, 5e-4, 8e-3);
    fit.weight_decay = logarithmic(rng, 3e-3, 1.0);
    fit.rps_weight = pick(rng, &[0.0, 0.2, 1.0]);
    fit.linear_start = rng.random();
    fit.batch_rows = pick(rng, &[64, 128, 256, 512]);
}

fn trees(settings: &mut TrainConfig, rng: &mut ChaCha8Rng) {
    let boosted = &mut settings.boosted;
    boosted.learning_rate = logarithmic(rng, 0.02, 0.2);
    boosted.max_depth = rng.random_range(2..9);
    boosted.max_leaves = pick(rng, &[4, 8, 15, 31, 63]);
    boosted.l2 = logarithmic(rng, 0.1, 30.0);
    boosted.min_leaf_weight = logarithmic(rng, 0.2, 20.0);
    boosted.row_share = rng.random_range(0.5..1.0);
    boosted.column_share = rng.random_range(0.2..1.0);
    boosted.bins = pick(rng, &[64, 128, 255]);
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

fn logarithmic(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    (rng.random_range(low.ln()..high.ln())).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_is_a_setting_that_may_be_used_and_comes_out_the_same_again() {
        for kind in [ModelKind::HazardNet, ModelKind::BoostedHazard, ModelKind::Cox] {
            for trial in 0..60 {
                let settings = draw(kind, trial, 7, &TrainConfig::default());
                settings.validate("trial").unwrap();
                assert_eq!(settings, draw(kind, trial, 7, &TrainConfig::default()));
            }
            assert_ne!(draw(kind, 1, 7, &TrainConfig::default()), draw(kind, 2, 7, &TrainConfig::default()));
        }
    }
}
