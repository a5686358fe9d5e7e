//! What the card of a table says: whose it is, how it is split, which traps were met and how.

use features::split::Shares;

use super::clock::Clock;
use super::published::Published;
use super::{Covariates, Rows, SPANNED, SurvivalTablesConfig};
use crate::source::SplitRule;

impl Published {
    fn is_split(&self) -> bool {
        self.files.len() > 1
    }

    pub(super) fn split(&self, set: &str) -> SplitRule {
        let (shares, test_only) = if self.is_split() {
            (Shares { train: 75, validation: 15, calibration: 10 }, vec!["test".to_owned()])
        } else {
            (Shares { train: 60, validation: 15, calibration: 10 }, Vec::new())
        };
        SplitRule::ByGroup { salt: format!("forewarn {set} "), shares, test_only }
    }

    pub(super) fn licence(&self) -> &'static str {
        if self.is_split() {
            "MIT, the licence of the repository of DeepSurv"
        } else {
            "the tables come from R packages, each under its own licence; collected by SurvSet (GPL-3.0 package)"
        }
    }

    pub(super) fn source_text(&self) -> String {
        let carrier = if self.is_split() {
            "J. L. Katzman et al., \"DeepSurv\", BMC Med Res Methodol 18 (2018) 24; repository jaredleekatzman/DeepSurv, experiments/data"
        } else {
            "SurvSet 0.2.11: E. Drysdale, arXiv 2203.03094"
        };
        if self.study.is_empty() { carrier.to_owned() } else { format!("{}; table as in {carrier}", self.study) }
    }

    pub(super) fn card_notes(&self, config: &SurvivalTablesConfig, clock: &Clock, rows: &Rows) -> Vec<String> {
        let mut notes = vec![
            "A table of patients, to check models against published results; it says nothing about machines."
                .to_owned(),
            format!(
                "Times become ticks of 1/{} day; the largest rounding is {:.1e} day, and no two times that differ fall on one tick.",
                clock.axis.ticks_per_unit, clock.rounded
            ),
        ];
        if clock.same > 0 {
            notes.push(format!(
                "{} times differ from another one in the last place of a 32-bit number only, and are taken as the same.",
                clock.same
            ));
        }
        notes.push(format!(
            "Horizons are the quartiles of the failure times of the training part. The grid ends at the {SPANNED} % quantile of its follow-up; what goes on longer is censored there."
        ));
        notes.push("Rows of time 0 hold no time in which anything could be foretold; they are left out and counted (time_zero).".to_owned());
        notes.push(if config.complete_cases {
            "Rows with a missing covariate are left out and counted (missing_covariate), as in the reference results."
                .to_owned()
        } else {
            "Missing covariates stay missing.".to_owned()
        });
        if config.covariates == Covariates::Reference && !self.reference.is_empty() {
            notes.push(
                "Covariates are those of the reference results; others may be known at the start as well.".to_owned(),
            );
        } else if !self.left_out.is_empty() {
            let reasons: Vec<String> = self.left_out.iter().map(|(column, why)| format!("{column} ({why})")).collect();
            notes.push(format!("Never covariates, where the table has them: {}.", reasons.join("; ")));
        }
        if self.is_split() {
            notes.push("The test part is the published one, whole; the published training rows are shared by hash into train 75, validation 15 and calibration 10 per cent. Rows that are equal in every value are one group.".to_owned());
            notes.push("Covariates have no published names, and codes stay the numbers they are.".to_owned());
            if rows.repeated_in_test > 0 {
                notes.push(format!(
                    "{} of the {} published test rows also stand, value for value, among the training rows: scores on this split reward remembering. Folds over the groups of the training rows do not.",
                    rows.repeated_in_test, rows.test
                ));
            }
        } else {
            notes.push("Levels of a column become one 0/1 column each but the first in order; the levels are those of the whole table.".to_owned());
            notes.push("There is no published split: parts are by hash of the row, train 60, validation 15, calibration 10, test 15 per cent. Compare models by folds over the groups, which are the rows.".to_owned());
        }
        notes.extend(self.notes.iter().map(|&note| note.to_owned()));
        notes
    }
}
