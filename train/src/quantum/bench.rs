//! Everyone who runs, and one outer fold of the protocol: fits on its training part, predictions for the rest.

use ndarray::{Array2, Axis};

use super::contender::{Family, Fitted, Member, Part, draws};
use super::judge::Scored;
use super::kernel::{GeometricDifference, geometric_difference};
use super::learn::{Learner, Targets};
use super::mlp::Mlp;
use super::preparation::{Components, group_folds};
use super::report::Role;
use super::stream;
use super::task::{External, Settings};
use super::vqc::Circuit;
use crate::error::Result;

/// The rows used.
pub(super) struct Subject {
    pub(super) x: Array2<f64>,
    pub(super) targets: Targets,
    pub(super) shuffled: Targets,
    pub(super) groups: Vec<String>,
    pub(super) folds: Vec<usize>,
    pub(super) external: Vec<External>,
    pub(super) prevalence: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    Kernel(Family, Learner),
    AllColumns(Learner),
    Circuit { entangling: bool },
    Mlp,
}

/// One line of the table.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) source: Source,
    pub(super) shots: Option<u32>,
}

/// Everyone who runs at this size. An entry with shots follows the exact one it shares its fit with.
pub(super) fn entries(settings: &Settings, qubits: usize) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut add = |name: String, role, source, shots| all.push(Entry { name, role, source, shots });
    for (learner, fit) in [(Learner::Logistic, "logistic"), (Learner::Ridge, "ridge")] {
        for (entangling, role) in [(true, Role::Quantum), (false, Role::Product)] {
            let suffix = if entangling { "" } else { ", product" };
            let fidelity = Source::Kernel(Family::Fidelity { entangling }, learner);
            let projected = Source::Kernel(Family::Projected { entangling }, learner);
            add(format!("fidelity {fit}{suffix}"), role, fidelity, None);
            add(format!("projected {fit}{suffix}"), role, projected, None);
            if entangling && learner == Learner::Logistic {
                for &shots in &settings.shots {
                    add(format!("fidelity {fit}, {shots} shots"), Role::Shots, fidelity, Some(shots));
                }
                let shots = settings.shots[0];
                add(format!("projected {fit}, {shots} shots"), Role::Shots, projected, Some(shots));
            }
        }
        add(format!("Gaussian {fit}"), Role::Classical, Source::Kernel(Family::Gaussian, learner), None);
        add(format!("Gaussian {fit}, all columns"), Role::Classical, Source::AllColumns(learner), None);
    }
    if qubits <= settings.circuit_qubits {
        let circuit = |entangling| Source::Circuit { entangling };
        add("circuit".to_owned(), Role::Quantum, circuit(true), None);
        add(format!("circuit, {} shots", settings.shots[0]), Role::Shots, circuit(true), Some(settings.shots[0]));
        add("circuit, product".to_owned(), Role::Product, circuit(false), None);
    }
    add("MLP".to_owned(), Role::Classical, Source::Mlp, None);
    all
}

/// One outer fold: its rows, components, and Gram matrices, which no label touches.
pub(super) struct Bench<'a> {
    subject: &'a Subject,
    settings: &'a Settings,
    fold: usize,
    train: Vec<usize>,
    pub(super) test: Vec<usize>,
    inner: Vec<usize>,
    pub(super) components: Components,
    x_train: Array2<f64>,
    x_test: Array2<f64>,
    families: Vec<(Family, Vec<Member>)>,
    all_columns: Vec<Member>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(subject: &'a Subject, settings: &'a Settings, qubits: usize, fold: usize) -> Result<Self> {
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..subject.folds.len()).partition(|&row| subject.folds[row] == fold);
        let raw = subject.x.select(Axis(0), &train);
        let components = Components::fit(raw.view(), qubits)?;
        let x_train = components.apply(raw.view());
        let x_test = components.apply(subject.x.select(Axis(0), &test).view());
        let groups: Vec<&str> = train.iter().map(|&row| subject.groups[row].as_str()).collect();
        let failed: Vec<f64> = train.iter().map(|&row| subject.targets.failed[row]).collect();
        let inner = group_folds(&groups, &failed, settings.inner_folds, stream(&[settings.seed, fold as u64]))?;
        let mut families = Vec::new();
        for entangling in [true, false] {
            for family in [Family::Fidelity { entangling }, Family::Projected { entangling }] {
                families.push((family, Member::all(family, x_train.view(), settings)?));
            }
        }
        families.push((Family::Gaussian, Member::all(Family::Gaussian, x_train.view(), settings)?));
        let all_columns = Member::all(Family::Gaussian, raw.view(), settings)?;
        Ok(Self { subject, settings, fold, train, test, inner, components, x_train, x_test, families, all_columns })
    }

    pub(super) fn raw(&self, rows: &[usize]) -> Array2<f64> {
        self.subject.x.select(Axis(0), rows)
    }

    fn members(&self, family: Family) -> &[Member] {
        self.families.iter().find(|(own, _)| *own == family).map_or(&[], |(_, members)| members)
    }

    /// Tunes and fits the wanted entries on the training rows and writes their predictions for the test rows.
    pub(super) fn fit(
        &self,
        targets: &Targets,
        entries: &[Entry],
        mlp: Mlp,
        wanted: impl Fn(&Entry) -> bool,
        scored: &mut [Scored],
    ) -> Result<Vec<(String, Fitted)>> {
        let own = targets.select(&self.train)?;
        let part = Part { targets: &own, inner_folds: &self.inner };
        let seed = stream(&[self.settings.seed, self.fold as u64]);
        let x = self.x_train.view();
        let mut done: Vec<(String, Fitted)> = Vec::new();
        for ((place, entry), scored) in entries.iter().enumerate().zip(scored).filter(|((_, e), _)| wanted(e)) {
            let mut random = draws(self.settings.seed, self.fold, place as u64);
            let fitted = match (entry.source, entry.shots) {
                (Source::Kernel(family, learner), None) => {
                    Fitted::kernel(learner, self.members(family), &part, self.settings)?
                }
                (Source::Kernel(family, learner), Some(shots)) => {
                    let noisy = (self.members(family).iter())
                        .map(|member| member.measured(u64::from(shots), &mut random))
                        .collect::<Result<Vec<_>>>()?;
                    Fitted::kernel(learner, &noisy, &part, self.settings)?
                }
                (Source::AllColumns(learner), _) => Fitted::kernel(learner, &self.all_columns, &part, self.settings)?,
                (Source::Circuit { entangling }, shots) => {
                    // Shots disturb the prediction; the fit is the exact one just made.
                    match done.last().filter(|_| shots.is_some()) {
                        Some((_, exact)) => exact.clone(),
                        None => {
                            let circuit = Circuit::new(x.ncols(), self.settings.layers, entangling)?;
                            Fitted::circuit(circuit, x, &part, self.settings, seed)?
                        }
                    }
                }
                (Source::Mlp, _) => Fitted::mlp(mlp, x, &part, self.settings, seed)?,
            };
            let raw;
            let test = if matches!(entry.source, Source::AllColumns(_)) {
                raw = self.raw(&self.test);
                raw.view()
            } else {
                self.x_test.view()
            };
            let predicted = fitted.predict(test, entry.shots, &mut random)?;
            self.test.iter().zip(predicted).for_each(|(&row, p)| scored.score[row] = p);
            scored.chosen.push(fitted.chosen().to_owned());
            done.push((entry.name.clone(), fitted));
        }
        Ok(done)
    }

    /// g of each tuned entangled kernel against the tuned Gaussian one, on the training rows.
    pub(super) fn pretest(&self, fitted: &[(String, Fitted)]) -> Result<Vec<(String, GeometricDifference)>> {
        let gram = |name: &str| -> Option<&Array2<f64>> {
            let kernel = fitted.iter().find(|(own, _)| own == name)?.1.chosen_kernel()?;
            let mut members = self.families.iter().flat_map(|(_, members)| members);
            members.find(|own| own.kernel == kernel).map(|own| &own.gram)
        };
        let Some(classical) = gram("Gaussian logistic") else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for name in ["fidelity logistic", "projected logistic"] {
            if let Some(quantum) = gram(name) {
                out.push((name.to_owned(), geometric_difference(classical, quantum, self.settings.pretest_ridge)?));
            }
        }
        Ok(out)
    }
}
