//! What is known of each table before it is read: its files, its unit of time, which columns are covariates and why others
//! are not.

use serde::{Deserialize, Serialize};

/// Days in the months of the METABRIC table: its times are thirtieths.
const MONTH_OF_30: f64 = 30.0;
/// Days in the months of the GBSG tables: a twelfth of 365.25.
const MEAN_MONTH: f64 = 30.4375;

/// A table of reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurvivalTable {
    /// German Breast Cancer Study Group 2: recurrence-free survival.
    Gbsg2,
    /// Serum free light chain: death in a general population.
    Flchain,
    /// National Wilms Tumour Study: relapse.
    Nwtco,
    /// SUPPORT: death of seriously ill patients.
    Support2,
    /// Veterans' lung cancer trial: death.
    Veteran,
    /// Worcester Heart Attack Study, 500 rows: death.
    Whas500,
    /// METABRIC with the published split of DeepSurv.
    DeepsurvMetabric,
    /// Rotterdam tumour bank for training, GBSG for the test, as DeepSurv published them.
    DeepsurvGbsg,
    /// SUPPORT with the published split of DeepSurv.
    DeepsurvSupport,
    /// Worcester Heart Attack Study with the published split of DeepSurv.
    DeepsurvWhas,
}

/// Facts about a table.
pub(super) struct Published {
    /// Name in commands and in the names of data sets.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// File, and whether it is the training (`train`) or test (`test`) half of a published split; empty where there is none.
    pub(super) files: &'static [(&'static str, &'static str)],
    pub(super) days_per_unit: f64,
    /// Fine enough that every time of the table is told apart.
    pub(super) ticks_per_day: i64,
    pub(super) cause: &'static str,
    /// Covariates of the reference results; empty where those are all there are.
    pub(super) reference: &'static [&'static str],
    /// Columns that are never covariates by default, each with its reason.
    pub(super) left_out: &'static [(&'static str, &'static str)],
    pub(super) study: &'static str,
    /// Traps of this table alone.
    pub(super) notes: &'static [&'static str],
}

const SURVSET: Published = Published {
    name: "",
    title: "",
    files: &[],
    days_per_unit: 1.0,
    ticks_per_day: 1,
    cause: "death",
    reference: &[],
    left_out: &[],
    study: "",
    notes: &[],
};

const DEEPSURV_MONTHS: &str = "Times are published in months; they are given here in days.";

impl SurvivalTable {
    /// Every table.
    pub const ALL: [Self; 10] = [
        Self::Gbsg2,
        Self::Flchain,
        Self::Nwtco,
        Self::Support2,
        Self::Veteran,
        Self::Whas500,
        Self::DeepsurvMetabric,
        Self::DeepsurvGbsg,
        Self::DeepsurvSupport,
        Self::DeepsurvWhas,
    ];

    /// Its name in commands and in names of data sets.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.published().name
    }

    #[expect(clippy::too_many_lines, reason = "one entry per table, read side by side")]
    pub(super) fn published(self) -> Published {
        match self {
            Self::Gbsg2 => Published {
                name: "gbsg2",
                title: "GBSG2: breast cancer, recurrence-free survival",
                files: &[("GBSG2.csv", "")],
                cause: "recurrence_or_death",
                study: "M. Schumacher et al., J Clin Oncol 12 (1994) 2086",
                ..SURVSET
            },
            Self::Flchain => Published {
                name: "flchain",
                title: "flchain: free light chains and death in a general population",
                files: &[("flchain.csv", "")],
                reference: &["num_age", "num_kappa", "num_lambda", "fac_sex"],
                left_out: &[
                    ("fac_chapter", "the chapter of the cause of death, known from the outcome alone"),
                    ("num_flc_grp", "a decile of kappa + lambda over all rows, those of the test part too"),
                    ("fac_sample_yr", "num_sample_yr again"),
                ],
                study: "A. Dispenzieri et al., Mayo Clin Proc 87 (2012) 517",
                ..SURVSET
            },
            Self::Nwtco => Published {
                name: "nwtco",
                title: "nwtco: Wilms tumour, relapse",
                files: &[("nwtco.csv", "")],
                cause: "relapse",
                reference: &["num_age", "fac_stage", "fac_histol"],
                left_out: &[
                    ("fac_in_subcohort", "drawn by the design of a case-cohort study, no property of the patient"),
                    ("num_stage", "fac_stage again"),
                ],
                study: "N. E. Breslow, N. Chatterjee, Appl Stat 48 (1999) 457",
                ..SURVSET
            },
            Self::Support2 => Published {
                name: "support2",
                title: "support2: death of seriously ill patients in hospital",
                files: &[("support2.csv", "")],
                reference: &[
                    "num_age",
                    "num_meanbp",
                    "num_hrt",
                    "num_resp",
                    "num_temp",
                    "num_crea",
                    "num_sod",
                    "num_wblc",
                ],
                left_out: &[
                    ("num_surv2m", "a model's estimate of survival, fitted on outcomes of this study"),
                    ("num_surv6m", "a model's estimate of survival, fitted on outcomes of this study"),
                    ("num_sps", "the score those estimates are made from"),
                    ("fac_sfdm2", "state at month 2; one of its levels says that follow-up ended before"),
                    ("fac_dnr", "an order that may be given after the study began"),
                    ("num_charges", "known when the stay is over"),
                    ("num_totcst", "known when the stay is over"),
                    ("num_totmcst", "known when the stay is over"),
                    ("num_avtisst", "an average over days after the study began"),
                    ("num_slos", "known when the stay is over"),
                    ("num_hospdead", "the outcome"),
                    ("fac_dzclass", "a sum of levels of fac_dzgroup"),
                    ("fac_num_co", "num_num_co again"),
                ],
                study: "W. A. Knaus et al., Ann Intern Med 122 (1995) 191",
                ..SURVSET
            },
            Self::Veteran => Published {
                name: "veteran",
                title: "veteran: lung cancer trial, death",
                files: &[("veteran.csv", "")],
                study: "J. D. Kalbfleisch, R. L. Prentice, The Statistical Analysis of Failure Time Data, 1980",
                ..SURVSET
            },
            Self::Whas500 => Published {
                name: "whas500",
                title: "whas500: death after a heart attack",
                files: &[("whas500.csv", "")],
                reference: &[
                    "num_age",
                    "num_hr",
                    "num_sysbp",
                    "num_diasbp",
                    "num_bmi",
                    "num_los",
                    "num_week",
                    "fac_gender",
                    "fac_cvd",
                    "fac_afb",
                    "fac_sho",
                    "fac_chf",
                    "fac_av3",
                    "fac_miord",
                    "fac_mitype",
                    "fac_year",
                ],
                left_out: &[("num_los", "the length of the stay, known when it is over; some die in it")],
                study: "D. W. Hosmer, S. Lemeshow, S. May, Applied Survival Analysis, 2nd ed., 2008",
                notes: &[
                    "The reference covariates hold num_los, the length of the stay: it is not known when the time of the table begins. The baseline covariates leave it out.",
                ],
                ..SURVSET
            },
            Self::DeepsurvMetabric => Published {
                name: "deepsurv-metabric",
                title: "METABRIC: breast cancer, death; split of DeepSurv",
                files: &[("deepsurv_metabric_train.csv", "train"), ("deepsurv_metabric_test.csv", "test")],
                days_per_unit: MONTH_OF_30,
                ticks_per_day: 100,
                notes: &[DEEPSURV_MONTHS, "A month is 30 days here: with it every published time is a whole day."],
                ..SURVSET
            },
            Self::DeepsurvGbsg => Published {
                name: "deepsurv-gbsg",
                title: "GBSG: breast cancer, recurrence-free survival; Rotterdam trains, GBSG tests, as in DeepSurv",
                files: &[("deepsurv_gbsg_train.csv", "train"), ("deepsurv_gbsg_test.csv", "test")],
                days_per_unit: MEAN_MONTH,
                ticks_per_day: 100,
                cause: "recurrence_or_death",
                notes: &[
                    DEEPSURV_MONTHS,
                    "A month is 30.4375 days here: with it every published time is a whole day but the end of the training rows at 84 months, 2556.75 days.",
                    "Training and test rows come from two studies: what is judged is the step from one to the other.",
                ],
                ..SURVSET
            },
            Self::DeepsurvSupport => Published {
                name: "deepsurv-support",
                title: "SUPPORT: death of seriously ill patients; split of DeepSurv",
                files: &[("deepsurv_support_train.csv", "train"), ("deepsurv_support_test.csv", "test")],
                ..SURVSET
            },
            Self::DeepsurvWhas => Published {
                name: "deepsurv-whas",
                title: "WHAS: death after a heart attack; split of DeepSurv",
                files: &[("deepsurv_whas_train.csv", "train"), ("deepsurv_whas_test.csv", "test")],
                ticks_per_day: 1_000_000,
                notes: &[
                    "Times of failure were moved off whole days before they were published, times of censoring were not.",
                ],
                ..SURVSET
            },
        }
    }
}
