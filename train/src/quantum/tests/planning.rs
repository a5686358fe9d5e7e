//! Maintenance plans and their solvers.

use rand::RngExt;

use super::{close, uniform};
use crate::quantum::generator;
use crate::quantum::plan::solve_plan;
use crate::quantum::qaoa::{QaoaOptions, qaoa};
use crate::quantum::qubo::{MaintenancePlan, Qubo, Unit};

fn units(count: usize, seed: u64) -> Vec<Unit> {
    let mut random = generator(seed, 0);
    (0..count)
        .map(|_| Unit {
            failure_probability: 0.5 * random.random::<f64>(),
            preventive_cost: 1.0 + random.random::<f64>(),
            corrective_cost: 10.0 * random.random::<f64>(),
            hours: random.random_range(1..4),
        })
        .collect()
}

fn random_qubo(n: usize, seed: u64) -> Qubo {
    let mut random = generator(seed, 0);
    let linear = (0..n).map(|_| uniform(&mut random)).collect();
    let coupling: Vec<Vec<f64>> = (0..n).map(|_| (0..n).map(|_| uniform(&mut random)).collect()).collect();
    Qubo::new(0.3, linear, &coupling).unwrap()
}

#[test]
fn the_minimum_of_the_quadratic_function_is_the_cheapest_plan_within_the_hours() {
    for seed in 0..25 {
        let units = units(7, seed);
        let hours = 1 + (seed % 9) as u32;
        let plan = MaintenancePlan::new(&units, hours).unwrap();
        let cheapest = (0..1_u32 << 7).filter_map(|a| plan.cost(a)).min_by(f64::total_cmp).unwrap();
        let found = plan.qubo().enumerate();
        close(found.energy, cheapest, 1e-9);
        close(plan.cost(found.assignment).unwrap(), cheapest, 1e-9);
        let greedy = plan.cost(plan.greedy()).unwrap();
        assert!(greedy >= cheapest - 1e-9 && greedy <= plan.cost(0).unwrap() + 1e-9);
    }
}

#[test]
fn every_solver_finds_the_optimum_of_small_functions() {
    for seed in 0..20 {
        let qubo = random_qubo(10, seed);
        let exact = qubo.enumerate();
        close(exact.energy, qubo.energies().into_iter().fold(f64::INFINITY, f64::min), 0.0);
        close(qubo.energy(exact.assignment), exact.energy, 1e-12);
        let bounded = qubo.branch_and_bound();
        close(bounded.energy, exact.energy, 1e-12);
        close(qubo.energy(bounded.assignment), bounded.energy, 1e-12);
        assert!(bounded.evaluations < 1 << 11, "a tree of ten levels has 2047 nodes; bounds cut some");
        close(qubo.anneal(400, 1, seed).unwrap().energy, exact.energy, 1e-12);
    }
}

#[test]
fn qaoa_of_one_variable_follows_the_closed_form() {
    // E = b: ⟨E⟩ = ½ − ½ sin(2β) sin(γ′) with γ′ = γ/deviation = 2γ, so depth 1 reaches the minimum 0.
    let results = qaoa(&Qubo::new(0.0, vec![1.0], &[vec![0.0]]).unwrap(), &QaoaOptions::default()).unwrap();
    let first = &results[0];
    let (gamma, beta) = (2.0 * first.angles[0], first.angles[1]);
    close(first.expected_energy, 0.5 - 0.5 * ((2.0 * beta).sin() * gamma.sin()).abs(), 1e-9);
    close(first.expected_energy, 0.0, 1e-6);
    close(first.optimum_probability, 1.0, 1e-6);
}

#[test]
fn deeper_qaoa_is_no_worse_and_always_better_than_guessing() {
    let plan = MaintenancePlan::new(&units(6, 2), 5).unwrap();
    let options = QaoaOptions { starts: 2, evaluations: 120, ..QaoaOptions::default() };
    let report = solve_plan(&plan, &options, 200).unwrap();
    let energies = plan.qubo().energies();
    let (least, most) = energies.iter().fold((f64::MAX, f64::MIN), |(l, m), e| (l.min(*e), m.max(*e)));
    let mean = energies.iter().sum::<f64>() / energies.len() as f64;
    let mut before = (most - mean) / (most - least);
    for q in &report.qaoa {
        let ratio = q.result.approximation_ratio;
        assert!(ratio >= before - 1e-9 && ratio <= 1.0 + 1e-12, "depth {}: {ratio} after {before}", q.result.depth);
        before = ratio;
        assert!(q.best_cost.unwrap() >= report.optimal_cost - 1e-9);
        assert!((0.0..=1.0).contains(&q.feasible_share));
    }
    assert_eq!(report.qaoa.len(), 3);
    close(report.annealing.energy, report.exact.energy, 1e-9);
    close(report.branch_and_bound.energy, report.exact.energy, 1e-9);
    assert_eq!(report, solve_plan(&plan, &options, 200).unwrap(), "same seed, same report");
    assert!(report.text().contains("QAOA p = 3"));
}

#[test]
fn what_is_no_plan_is_refused() {
    let good = Unit { failure_probability: 0.1, preventive_cost: 1.0, corrective_cost: 5.0, hours: 1 };
    assert!(MaintenancePlan::new(&[], 3).is_err());
    assert!(MaintenancePlan::new(&[good], 0).is_err());
    for bad in [
        Unit { failure_probability: 1.1, ..good },
        Unit { failure_probability: f64::NAN, ..good },
        Unit { preventive_cost: -1.0, ..good },
        Unit { corrective_cost: f64::INFINITY, ..good },
        Unit { hours: 0, ..good },
    ] {
        assert!(MaintenancePlan::new(&[good, bad], 3).is_err(), "{bad:?}");
    }
    assert!(MaintenancePlan::new(&[good; 25], 20).is_err(), "30 variables");
    assert!(Qubo::new(0.0, vec![], &[]).is_err());
    assert!(Qubo::new(0.0, vec![1.0, f64::NAN], &[vec![0.0; 2], vec![0.0; 2]]).is_err());
    assert!(Qubo::new(0.0, vec![1.0], &[vec![0.0; 2]]).is_err());
    let flat = Qubo::new(1.0, vec![0.0; 2], &[vec![0.0; 2], vec![0.0; 2]]).unwrap();
    assert!(qaoa(&flat, &QaoaOptions::default()).is_err(), "nothing to choose");
    assert!(flat.anneal(0, 1, 1).is_err());
    assert!(flat.anneal(1, 0, 1).is_err());
    assert!(qaoa(&random_qubo(3, 1), &QaoaOptions { depth: 0, ..QaoaOptions::default() }).is_err());
    assert!(qaoa(&random_qubo(21, 1), &QaoaOptions::default()).is_err());
}
