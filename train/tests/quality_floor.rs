//! A network that learned nothing prints every table too. In the interaction world HazardNet must beat Cox, in
//! the log-linear world Cox must beat HazardNet, each with a paired interval clear of zero; with permuted
//! labels nobody may beat the life table. Seeds are fixed, so these are facts about this build, not luck.

mod common;

use datasets::Silent;
use datasets::simulator::World;
use model::{DeviceChoice, LoadedBundle, ModelKind};
use train::TrainConfig;
use train::config::FitConfig;
use train::evaluate::{Difference, EvaluateConfig, Evaluation};
use train::pipeline::{evaluate_bundles, train_bundles};

/// The comparison of these families on a default fleet; the first is compared with the others.
fn compare(world: World, permute_labels: bool, linear_start: bool, kinds: &[ModelKind]) -> Evaluation {
    let folder = tempfile::tempdir().unwrap();
    let workloads = datasets::SimulatorConfig::default().workloads;
    let dataset = common::fleet(&folder.path().join("fleet"), world, workloads, permute_labels);
    let rows = dataset.rows().unwrap();
    let fit = FitConfig { linear_start, ..FitConfig::default() };
    let config = TrainConfig { device: DeviceChoice::Cpu, fit, ..TrainConfig::default() };
    let place = |kind: ModelKind| folder.path().join(kind.name());
    let trained = train_bundles(&dataset, &rows, kinds, &config, &place, &Silent).unwrap();
    let bundles: Vec<_> =
        trained.iter().map(|t| (LoadedBundle::load(&t.dir, DeviceChoice::Cpu).unwrap(), Some(t.seconds))).collect();
    evaluate_bundles(&dataset, &rows, &bundles, EvaluateConfig::default(), &Silent).unwrap()
}

fn brier<'a>(evaluation: &'a Evaluation, other: &str) -> &'a Difference {
    evaluation.differences.iter().find(|d| d.b == other && d.score == "integrated_brier").unwrap()
}

#[test]
fn hazard_net_beats_cox_where_interactions_decide() {
    let evaluation = compare(World::Interaction, false, true, &[ModelKind::HazardNet, ModelKind::Cox]);
    let difference = &brier(&evaluation, "cox").difference;
    assert!(difference.high < 0.0, "{difference:?}");
    for model in &evaluation.models {
        let regret = model.regret.as_ref().expect("the simulator knows the truth");
        assert!(regret.difference > 0.0, "{}: a model better than the truth, {regret:?}", model.name);
    }
}

/// A network that begins at a linear hazard model holds Cox's world within it and may tie there, not win; who must find
/// that world by himself, a network from the life table or trees, loses to Cox.
#[test]
fn cox_beats_who_must_find_its_world_by_himself() {
    let kinds = [ModelKind::Cox, ModelKind::HazardNet, ModelKind::BoostedHazard];
    let evaluation = compare(World::LogLinear, false, false, &kinds);
    for rival in ["hazard-net", "boosted-hazard"] {
        let difference = &brier(&evaluation, rival).difference;
        assert!(difference.high < 0.0, "{rival}: {difference:?}");
    }
    let evaluation = compare(World::LogLinear, false, true, &[ModelKind::Cox, ModelKind::HazardNet]);
    let difference = &brier(&evaluation, "hazard-net").difference;
    assert!(difference.low < 0.0, "the network beats the right model: {difference:?}");
}

#[test]
fn nothing_is_learned_from_permuted_labels() {
    let kinds = [ModelKind::KaplanMeier, ModelKind::HazardNet, ModelKind::Cox];
    let evaluation = compare(World::Interaction, true, true, &kinds);
    for name in ["hazard-net", "cox"] {
        // Kaplan–Meier minus model: an interval above zero would be a gain where there is nothing to gain.
        let difference = &brier(&evaluation, name).difference;
        assert!(difference.low <= 0.0, "{name}: {difference:?}");
        let concordance = &evaluation.models.iter().find(|m| m.name == name).unwrap().concordance;
        assert!(concordance.low <= 0.5 && concordance.high >= 0.5, "{name}: {concordance:?}");
    }
}
