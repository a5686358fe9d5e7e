//! Q4: one maintenance plan by every solver, and by no solver at all.

use std::fmt::Write;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::qaoa::{QaoaOptions, QaoaResult, qaoa};
use super::qubo::{MaintenancePlan, Solution};
use super::{generator, refusal};
use crate::error::Result;

/// Restarts of the annealing: penalties make walls that one run may not cross.
const ANNEALING_STARTS: usize = 20;

/// Q4 on one plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// Units.
    pub units: usize,
    /// Variables with slack.
    pub variables: usize,
    /// The true optimum, by enumeration.
    pub exact: Solution,
    /// Its expected cost.
    pub optimal_cost: f64,
    /// By branch and bound; the same energy as `exact`.
    pub branch_and_bound: Solution,
    /// By simulated annealing.
    pub annealing: Solution,
    /// Cost of doing nothing.
    pub idle_cost: f64,
    /// Cost of the greedy plan.
    pub greedy_cost: f64,
    /// Best cost within the crew's hours among as many uniform random plans as QAOA reads.
    pub random_cost: Option<f64>,
    /// Per depth.
    pub qaoa: Vec<QaoaPlan>,
}

/// What reading QAOA's state gives a planner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QaoaPlan {
    /// Angles and ratios.
    pub result: QaoaResult,
    /// Share of shots within the crew's hours.
    pub feasible_share: f64,
    /// Mean cost of those shots.
    pub mean_cost: Option<f64>,
    /// Best cost among them.
    pub best_cost: Option<f64>,
}

/// Solves a plan by every solver.
///
/// # Errors
/// As [`qaoa`]; `sweeps` of the annealing must be above 0.
pub fn solve_plan(plan: &MaintenancePlan, options: &QaoaOptions, sweeps: usize) -> Result<PlanReport> {
    let qubo = plan.qubo();
    let exact = qubo.enumerate();
    let optimal_cost = plan.cost(exact.assignment);
    let optimal_cost =
        optimal_cost.ok_or_else(|| refusal("maintenance plan", "the optimum breaks the crew's hours"))?;
    let infeasible = || refusal("maintenance plan", "no plan within the crew's hours");
    let units = plan.units();
    let mut random = generator(options.seed, 11);
    let guesses = (0..options.shots).filter_map(|_| plan.cost(random.random::<u32>() & ((1 << units) - 1)));
    let random_cost = guesses.min_by(f64::total_cmp);
    let by_depth = qaoa(qubo, options)?.into_iter().map(|result| {
        let costs: Vec<(f64, f64)> =
            result.read.iter().filter_map(|(a, n)| Some((plan.cost(*a)?, f64::from(*n)))).collect();
        let shots: f64 = costs.iter().map(|(_, n)| n).sum();
        QaoaPlan {
            feasible_share: shots / options.shots as f64,
            mean_cost: (shots > 0.0).then(|| costs.iter().map(|(c, n)| c * n).sum::<f64>() / shots),
            best_cost: costs.iter().map(|(c, _)| *c).min_by(f64::total_cmp),
            result,
        }
    });
    Ok(PlanReport {
        units,
        variables: qubo.variables(),
        optimal_cost,
        branch_and_bound: qubo.branch_and_bound(),
        annealing: qubo.anneal(sweeps, ANNEALING_STARTS, options.seed)?,
        idle_cost: plan.cost(0).ok_or_else(infeasible)?,
        greedy_cost: plan.cost(plan.greedy()).ok_or_else(infeasible)?,
        random_cost,
        qaoa: by_depth.collect(),
        exact,
    })
}

impl PlanReport {
    /// The report as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "maintenance plan, {} units, {} binary variables", self.units, self.variables)?;
        let over = |cost: f64| format!("{cost:.4} (+{:.2} %)", 100.0 * (cost / self.optimal_cost - 1.0));
        let read = |cost: Option<f64>| cost.map_or_else(|| "none within the hours".to_owned(), over);
        writeln!(
            out,
            "  optimum {:.4} by {} evaluations; idle {}",
            self.optimal_cost,
            self.exact.evaluations,
            over(self.idle_cost)
        )?;
        let b = &self.branch_and_bound;
        writeln!(out, "  branch and bound: energy {:.4} in {} nodes", b.energy, b.evaluations)?;
        let a = &self.annealing;
        writeln!(out, "  simulated annealing: energy {:.4} in {} flips", a.energy, a.evaluations)?;
        writeln!(out, "  greedy {}; best random plan {}", over(self.greedy_cost), read(self.random_cost))?;
        for q in &self.qaoa {
            let r = &q.result;
            writeln!(
                out,
                "  QAOA p = {}: ratio {:.4} (guessing {:.4}), P(optimum) {:.4}, within hours {:.1} %, mean {}, best read {}",
                r.depth,
                r.approximation_ratio,
                r.guessing_ratio,
                r.optimum_probability,
                100.0 * q.feasible_share,
                read(q.mean_cost),
                read(q.best_cost)
            )?;
        }
        Ok(())
    }
}
