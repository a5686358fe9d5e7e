//! The card of a bundle: what it was fitted on, how, and what it is not for.

use std::fmt::Write;

use datasets::Manifest;

use crate::config::TrainConfig;
use crate::fitted::FittedModel;
use crate::pipeline::Split4;

/// Markdown card of a fitted model.
#[must_use]
pub fn bundle_card(manifest: &Manifest, fitted: &FittedModel, parts: &Split4, config: &TrainConfig) -> String {
    let mut card = String::new();
    let unit = manifest.grid.unit().short();
    let _ = writeln!(card, "# {} on {}\n", fitted.kind.name(), manifest.title);
    let _ = writeln!(
        card,
        "Predicts the time to failure from a moment `as_of`, by cause: {}.\n",
        manifest.causes.join(", ")
    );
    let _ = writeln!(card, "- data set: {} ({}), licence: {}", manifest.name, manifest.input_digest, manifest.licence);
    let _ = writeln!(card, "- feature spec: {}", manifest.spec_hash);
    let _ = writeln!(
        card,
        "- horizons: {:?} {unit}, grid to {} {unit}",
        manifest.readout.horizons,
        manifest.grid.last_edge()
    );
    for (name, part) in
        [("train", &parts.train), ("validation", &parts.validation), ("calibration", &parts.calibration)]
    {
        let failures = part.observations.iter().filter(|o| o.failed()).count();
        let _ = writeln!(card, "- {name}: {} rows, {failures} end in a failure", part.rows());
    }
    let _ = writeln!(card, "- input columns after normalising: {}", fitted.normalizer.width());
    let _ = writeln!(card, "- operating conditions told apart: {}", fitted.normalizer.regimes());
    let _ = writeln!(card, "- seed {}, fitted on {}", config.seed, fitted.device);
    let calibration = &fitted.calibration;
    let _ = writeln!(
        card,
        "- calibration of logits per cause: slope {:.3?}, shift {:.3?}",
        calibration.slope, calibration.shift
    );
    let readout = &fitted.readout;
    let _ = writeln!(
        card,
        "- RUL quantiles {:?} are read at curve levels {:.3?}",
        readout.quantiles, readout.quantile_levels
    );
    let alarms = &fitted.alarms;
    let _ = writeln!(
        card,
        "- alarm levels for failure within {} {unit}: elevated {:.4} (at most {:.1} % of validation rows), high {:.4} (at most {:.1} %)",
        alarms.horizon,
        alarms.elevated,
        100.0 * alarms.elevated_budget,
        alarms.high,
        100.0 * alarms.high_budget
    );
    if !fitted.notes.is_empty() {
        let _ = writeln!(card, "\n## Choices\n");
        for note in &fitted.notes {
            let _ = writeln!(card, "- {note}");
        }
    }
    let _ = writeln!(card, "\n## Not for\n");
    let _ = writeln!(card, "- entities, metrics or causes the data set does not hold");
    let _ =
        writeln!(card, "- times beyond {} {unit}: quantiles there are absent, not guessed", manifest.grid.last_edge());
    let _ = writeln!(card, "- data after a change of workload or monitoring, before it was evaluated again");
    if !manifest.notes.is_empty() {
        let _ = writeln!(card, "\n## Data\n");
        for note in &manifest.notes {
            let _ = writeln!(card, "- {note}");
        }
    }
    card
}
