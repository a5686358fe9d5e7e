//! Which units to service under a crew's hours, as a quadratic function of yes/no choices, and its classical solvers.
//!
//! Servicing unit i costs c_i; leaving it costs p_i·C_i, the failure probability times the cost of a failure. Serviced
//! hours Σ h_i x_i must not exceed the crew's H. Binary slack variables (1, 2, 4, …, rest; together exactly H) turn the
//! limit into A·(Σ h_i x_i + Σ s_k y_k − H)². With whole hours and A above the largest saving p_i·C_i − c_i the minimum
//! keeps the limit: dropping a unit from an overfull plan loses at most A and takes at least A off the penalty.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{check_finite, generator, refusal};
use crate::error::Result;

/// Variables enumerated at most.
pub const MAX_ENUMERATED: usize = 26;

/// One unit that may be serviced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// P(failure before the next chance to service), from a model.
    pub failure_probability: f64,
    /// Cost of servicing now.
    pub preventive_cost: f64,
    /// Cost of a failure.
    pub corrective_cost: f64,
    /// Crew hours of a service, at least 1.
    pub hours: u32,
}

/// E(b) = constant + Σ linear_i b_i + Σ_{i<j} quadratic_ij b_i b_j over b ∈ {0, 1}ⁿ; bit i of an assignment is b_i.
#[derive(Debug, Clone, PartialEq)]
pub struct Qubo {
    pub(crate) constant: f64,
    pub(crate) linear: Vec<f64>,
    /// Symmetric, zero diagonal: entry (i, j) multiplies b_i b_j once.
    pub(crate) coupling: Vec<Vec<f64>>,
}

/// A maintenance plan as a [`Qubo`].
#[derive(Debug, Clone, PartialEq)]
pub struct MaintenancePlan {
    units: Vec<Unit>,
    crew_hours: u32,
    qubo: Qubo,
}

/// An assignment and its energy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Solution {
    /// Bit i is variable i.
    pub assignment: u32,
    /// E of it.
    pub energy: f64,
    /// Assignments or tree nodes looked at.
    pub evaluations: u64,
}

impl MaintenancePlan {
    /// Builds the function to minimise; units come first, slack variables after.
    ///
    /// # Errors
    /// When there is no unit, a probability, cost or hour is out of range, or units and slack exceed
    /// [`MAX_ENUMERATED`] variables.
    pub fn new(units: &[Unit], crew_hours: u32) -> Result<Self> {
        let part = "maintenance plan";
        if units.is_empty() || crew_hours == 0 {
            return Err(refusal(part, format!("{} units and {crew_hours} crew hours; need both", units.len())));
        }
        for (i, unit) in units.iter().enumerate() {
            let costs = [unit.preventive_cost, unit.corrective_cost];
            let costs_fit = costs.iter().all(|c| c.is_finite() && *c >= 0.0);
            if !(0.0..=1.0).contains(&unit.failure_probability) || !costs_fit || unit.hours == 0 {
                let reason =
                    format!("unit {i} is {unit:?}; needs a probability, costs of at least 0 and hours above 0");
                return Err(refusal(part, reason));
            }
        }
        // More hours than all services take are no limit.
        let limit = crew_hours.min(units.iter().fold(0_u32, |sum, unit| sum.saturating_add(unit.hours)));
        let mut coefficients: Vec<f64> = units.iter().map(|unit| f64::from(unit.hours)).collect();
        let (mut left, mut power) = (limit, 1);
        while left > 0 {
            let slack = power.min(left);
            coefficients.push(f64::from(slack));
            left -= slack;
            power *= 2;
        }
        let n = coefficients.len();
        if n > MAX_ENUMERATED {
            let reason =
                format!("{} units and {} slack bits; at most {MAX_ENUMERATED} together", units.len(), n - units.len());
            return Err(refusal(part, reason));
        }
        let saving = |unit: &Unit| unit.failure_probability * unit.corrective_cost - unit.preventive_cost;
        let largest = units.iter().map(saving).fold(0.0, f64::max);
        let penalty = if largest > 0.0 { 1.05 * largest } else { 1.0 };
        let hours = f64::from(limit);
        let mut qubo =
            Qubo { constant: penalty * hours * hours, linear: vec![0.0; n], coupling: vec![vec![0.0; n]; n] };
        for (i, a) in coefficients.iter().enumerate() {
            qubo.linear[i] = penalty * (a * a - 2.0 * hours * a);
            for (j, b) in coefficients.iter().enumerate() {
                if i != j {
                    qubo.coupling[i][j] = 2.0 * penalty * a * b;
                }
            }
        }
        for (i, unit) in units.iter().enumerate() {
            qubo.constant += unit.failure_probability * unit.corrective_cost;
            qubo.linear[i] -= saving(unit);
        }
        Ok(Self { units: units.to_vec(), crew_hours, qubo })
    }

    /// The function to minimise.
    #[must_use]
    pub fn qubo(&self) -> &Qubo {
        &self.qubo
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// Expected cost of servicing exactly the units of `assignment`; `None` when the crew lacks the hours.
    #[must_use]
    pub fn cost(&self, assignment: u32) -> Option<f64> {
        let (mut hours, mut cost) = (0_u64, 0.0);
        for (i, unit) in self.units.iter().enumerate() {
            if assignment >> i & 1 == 1 {
                hours += u64::from(unit.hours);
                cost += unit.preventive_cost;
            } else {
                cost += unit.failure_probability * unit.corrective_cost;
            }
        }
        (hours <= u64::from(self.crew_hours)).then_some(cost)
    }

    /// Units by saving per hour, each taken when hours are left and it saves: what a planner does without a solver.
    #[must_use]
    pub fn greedy(&self) -> u32 {
        let saving = |u: &Unit| (u.failure_probability * u.corrective_cost - u.preventive_cost) / f64::from(u.hours);
        let mut order: Vec<usize> = (0..self.units.len()).collect();
        order.sort_by(|&a, &b| saving(&self.units[b]).total_cmp(&saving(&self.units[a])));
        let (mut left, mut plan) = (self.crew_hours, 0);
        for i in order {
            if saving(&self.units[i]) > 0.0 && self.units[i].hours <= left {
                left -= self.units[i].hours;
                plan |= 1 << i;
            }
        }
        plan
    }
}

impl Qubo {
    /// A function from its coefficients; `coupling[i][j]` with i < j is read, the rest ignored.
    ///
    /// # Errors
    /// When shapes differ, there are none or more than [`MAX_ENUMERATED`] variables, or a value is not finite.
    pub fn new(constant: f64, linear: Vec<f64>, coupling: &[Vec<f64>]) -> Result<Self> {
        let n = linear.len();
        if n == 0 || n > MAX_ENUMERATED || coupling.len() != n || coupling.iter().any(|row| row.len() != n) {
            let reason =
                format!("{n} variables, {} rows of couplings; need 1 to {MAX_ENUMERATED}, square", coupling.len());
            return Err(refusal("quadratic function", reason));
        }
        check_finite(
            "quadratic function",
            "coefficients",
            linear.iter().chain(coupling.iter().flatten()).chain([&constant]),
        )?;
        let at = |i: usize, j: usize| if i == j { 0.0 } else { coupling[i.min(j)][i.max(j)] };
        let coupling = (0..n).map(|i| (0..n).map(|j| at(i, j)).collect()).collect();
        Ok(Self { constant, linear, coupling })
    }

    /// Number of variables.
    #[must_use]
    pub fn variables(&self) -> usize {
        self.linear.len()
    }

    /// E of an assignment.
    #[must_use]
    pub fn energy(&self, assignment: u32) -> f64 {
        let mut energy = self.constant;
        for (i, linear) in self.linear.iter().enumerate() {
            if assignment >> i & 1 == 1 {
                energy += linear;
                for (j, coupling) in self.coupling[i].iter().enumerate().take(i) {
                    if assignment >> j & 1 == 1 {
                        energy += coupling;
                    }
                }
            }
        }
        energy
    }

    /// E(with bit i turned) − E.
    fn change(&self, assignment: u32, i: usize) -> f64 {
        let set: f64 =
            (self.coupling[i].iter().enumerate()).filter(|(j, _)| assignment >> j & 1 == 1).map(|(_, q)| q).sum();
        let gain = self.linear[i] + set;
        if assignment >> i & 1 == 1 { -gain } else { gain }
    }

    /// E of every assignment, in order: each from the one without its highest bit.
    #[must_use]
    pub fn energies(&self) -> Vec<f64> {
        let mut energies = Vec::with_capacity(1 << self.variables());
        energies.push(self.constant);
        for i in 0..self.variables() {
            for assignment in 0..1_u32 << i {
                energies.push(energies[assignment as usize] + self.change(assignment, i));
            }
        }
        energies
    }

    /// The smallest of [`Qubo::energies`].
    #[must_use]
    pub fn enumerate(&self) -> Solution {
        let energies = self.energies();
        let mut best = Solution { assignment: 0, energy: self.constant, evaluations: energies.len() as u64 };
        for (assignment, &energy) in (0..).zip(&energies) {
            if energy < best.energy {
                (best.assignment, best.energy) = (assignment, energy);
            }
        }
        best
    }

    /// Depth first over variables in order; a node is cut when the energy so far plus the most that each free variable
    /// could still take off, each by itself, is no better than the best known.
    #[must_use]
    pub fn branch_and_bound(&self) -> Solution {
        let mut best = Solution { assignment: 0, energy: self.energy(0), evaluations: 0 };
        let mut gains = self.linear.clone();
        self.branch(0, 0, self.constant, &mut gains, &mut best);
        best
    }

    /// `gains[j]` of a free variable is linear_j plus its couplings with variables set so far.
    fn branch(&self, depth: usize, assignment: u32, energy: f64, gains: &mut Vec<f64>, best: &mut Solution) {
        best.evaluations += 1;
        if energy < best.energy {
            (best.assignment, best.energy) = (assignment, energy);
        }
        let mut bound = energy;
        for (j, gain) in gains.iter().enumerate().skip(depth) {
            let helpful: f64 = self.coupling[j].iter().skip(depth).map(|q| 0.5 * q.min(0.0)).sum();
            bound += (gain + helpful).min(0.0);
        }
        if depth == self.variables() || bound >= best.energy {
            return;
        }
        let added = gains[depth];
        let with = |this: &Self, gains: &mut Vec<f64>, sign: f64| {
            for (gain, q) in gains.iter_mut().zip(&this.coupling[depth]).skip(depth + 1) {
                *gain += sign * q;
            }
        };
        // The choice that looks better first: a good bound early cuts more.
        for set in if added < 0.0 { [true, false] } else { [false, true] } {
            if set {
                with(self, gains, 1.0);
                self.branch(depth + 1, assignment | 1 << depth, energy + added, gains, best);
                with(self, gains, -1.0);
            } else {
                self.branch(depth + 1, assignment, energy, gains, best);
            }
        }
    }

    /// Simulated annealing by single flips, geometric cooling from the largest coefficient to a thousandth of the smallest;
    /// the best assignment of all restarts, `sweeps` sweeps each.
    ///
    /// # Errors
    /// When there is no sweep or no start.
    pub fn anneal(&self, sweeps: usize, starts: usize, seed: u64) -> Result<Solution> {
        if sweeps == 0 || starts == 0 {
            return Err(refusal(
                "simulated annealing",
                format!("{sweeps} sweeps and {starts} starts; need one of each"),
            ));
        }
        let n = self.variables();
        let sizes = self.linear.iter().chain(self.coupling.iter().flatten()).map(|v| v.abs()).filter(|v| *v > 0.0);
        let (least, most) = sizes.fold((f64::INFINITY, 0.0_f64), |(l, m), v| (l.min(v), m.max(v)));
        let (hot, cold) = if most > 0.0 { (most, 1e-3 * least) } else { (1.0, 1.0) };
        let mut random = generator(seed, 0);
        let mut best = Solution { assignment: 0, energy: self.energy(0), evaluations: (starts * sweeps * n) as u64 };
        let (mut assignment, mut energy) = (0, 0.0);
        for step in 0..starts * sweeps {
            let sweep = step % sweeps;
            if sweep == 0 {
                assignment = random.random::<u32>() & (((1_u64 << n) - 1) as u32);
                energy = self.energy(assignment);
            }
            let temperature = hot * (cold / hot).powf(sweep as f64 / sweeps as f64);
            for i in 0..n {
                let change = self.change(assignment, i);
                if change <= 0.0 || random.random::<f64>() < (-change / temperature).exp() {
                    assignment ^= 1 << i;
                    energy += change;
                    if energy < best.energy {
                        (best.assignment, best.energy) = (assignment, energy);
                    }
                }
            }
        }
        // Sums of changes gather rounding.
        best.energy = self.energy(best.assignment);
        Ok(best)
    }
}
