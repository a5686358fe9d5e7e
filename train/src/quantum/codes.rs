//! Small stabiliser codes (Gottesman 1997, arXiv quant-ph/9705052): what they correct, what they do not, at what rate.
//!
//! A Pauli on n qubits is a pair of bit masks (x, z), signs left out: qubit q carries X, Z or Y where x, z or both have bit
//! q. Decoding is a table from syndrome to the lightest error with it. A residue that commutes with every stabiliser and
//! anticommutes with a logical operator has changed the encoded qubit. Rates are exact: every one of 4ⁿ errors is decoded once,
//! failures are counted by weight w, and the rate at p is Σ A_w q_w(p).
//! None of this says anything of faults of virtual machines: it is about qubits.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::state::{Complex, Gate, StateVector};
use super::{generator, refusal};
use crate::error::Result;

/// A Pauli without its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pauli {
    /// Qubits with X or Y.
    pub x: u16,
    /// Qubits with Z or Y.
    pub z: u16,
}

impl Pauli {
    /// From letters I, X, Y, Z, qubit 0 first.
    fn parse(letters: &str) -> Self {
        let mask = |hit: [char; 2]| -> u16 {
            letters.chars().enumerate().filter(|(_, c)| hit.contains(c)).map(|(q, _)| 1 << q).sum()
        };
        Self { x: mask(['X', 'Y']), z: mask(['Z', 'Y']) }
    }

    /// Whether the two anticommute.
    #[must_use]
    pub fn anticommutes(self, other: Self) -> bool {
        ((self.x & other.z).count_ones() + (self.z & other.x).count_ones()) % 2 == 1
    }

    /// Product, up to a sign.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self { x: self.x ^ other.x, z: self.z ^ other.z }
    }

    /// Qubits it acts on.
    #[must_use]
    pub fn weight(self) -> usize {
        (self.x | self.z).count_ones() as usize
    }

    fn apply(self, state: &mut StateVector) -> Result<()> {
        for q in 0..state.qubits() {
            match (self.x >> q & 1, self.z >> q & 1) {
                (1, 1) => state.apply(Gate::Y(q))?,
                (1, _) => state.apply(Gate::X(q))?,
                (_, 1) => state.apply(Gate::Z(q))?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Independent errors on each qubit with probability p.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// X alone.
    BitFlip,
    /// X, Y, Z, each p/3.
    Depolarising,
}

/// One encoded qubit.
#[derive(Debug, Clone, PartialEq)]
pub struct StabiliserCode {
    /// Name.
    pub name: &'static str,
    /// Physical qubits.
    pub qubits: usize,
    stabilisers: Vec<Pauli>,
    logical_x: Pauli,
    logical_z: Pauli,
    /// Lightest error per syndrome.
    table: Vec<Pauli>,
}

impl StabiliserCode {
    fn new(name: &'static str, stabilisers: &[&str], logical_x: &str, logical_z: &str, noise: Noise) -> Self {
        let mut code = Self {
            name,
            qubits: logical_x.len(),
            stabilisers: stabilisers.iter().map(|letters| Pauli::parse(letters)).collect(),
            logical_x: Pauli::parse(logical_x),
            logical_z: Pauli::parse(logical_z),
            table: Vec::new(),
        };
        let mut by_weight: Vec<Pauli> = code.errors(noise).collect();
        by_weight.sort_by_key(|error| (error.weight(), *error));
        let mut table = vec![None; 1 << code.stabilisers.len()];
        for error in by_weight {
            table[code.syndrome(error)].get_or_insert(error);
        }
        // Every syndrome is reached by some error of the noise the code is for.
        code.table = table.into_iter().map(|error| error.unwrap_or(Pauli { x: 0, z: 0 })).collect();
        code
    }

    /// Three qubits against bit flips.
    #[must_use]
    pub fn repetition() -> Self {
        Self::new("3-qubit repetition", &["ZZI", "IZZ"], "XXX", "ZII", Noise::BitFlip)
    }

    /// The smallest code against any error on one qubit (Laflamme et al. 1996).
    #[must_use]
    pub fn five_qubit() -> Self {
        let stabilisers = ["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"];
        Self::new("5-qubit", &stabilisers, "XXXXX", "ZZZZZ", Noise::Depolarising)
    }

    /// Steane's code from the [7, 4] Hamming code.
    #[must_use]
    pub fn steane() -> Self {
        let stabilisers = ["IIIXXXX", "IXXIIXX", "XIXIXIX", "IIIZZZZ", "IZZIIZZ", "ZIZIZIZ"];
        Self::new("7-qubit Steane", &stabilisers, "XXXXXXX", "ZZZZZZZ", Noise::Depolarising)
    }

    /// Shor's nine qubits.
    #[must_use]
    pub fn shor() -> Self {
        let stabilisers =
            ["ZZIIIIIII", "IZZIIIIII", "IIIZZIIII", "IIIIZZIII", "IIIIIIZZI", "IIIIIIIZZ", "XXXXXXIII", "IIIXXXXXX"];
        Self::new("9-qubit Shor", &stabilisers, "ZZZZZZZZZ", "XXXXXXXXX", Noise::Depolarising)
    }

    /// Every error the noise can make.
    fn errors(&self, noise: Noise) -> impl Iterator<Item = Pauli> + use<> {
        let n = self.qubits;
        let masks = move || 0..1_u16 << n;
        let phases = if noise == Noise::BitFlip { 1 } else { 1_u16 << n };
        masks().flat_map(move |x| (0..phases).map(move |z| Pauli { x, z }))
    }

    /// Bit i is set where stabiliser i anticommutes with the error.
    #[must_use]
    pub fn syndrome(&self, error: Pauli) -> usize {
        self.stabilisers.iter().enumerate().map(|(i, s)| usize::from(s.anticommutes(error)) << i).sum()
    }

    /// Whether the encoded qubit is changed after correction.
    #[must_use]
    pub fn fails(&self, error: Pauli) -> bool {
        let residue = error.times(self.table[self.syndrome(error)]);
        residue.anticommutes(self.logical_x) || residue.anticommutes(self.logical_z)
    }

    /// Weight of the lightest error of the noise that no stabiliser sees and that changes the encoded qubit.
    #[must_use]
    pub fn distance(&self, noise: Noise) -> Option<usize> {
        let logical =
            |e: &Pauli| self.syndrome(*e) == 0 && (e.anticommutes(self.logical_x) || e.anticommutes(self.logical_z));
        self.errors(noise).filter(logical).map(Pauli::weight).min()
    }

    /// (errors, uncorrected ones) of each weight 0 … n.
    #[must_use]
    pub fn failures(&self, noise: Noise) -> Vec<(u64, u64)> {
        let mut counts = vec![(0, 0); self.qubits + 1];
        for error in self.errors(noise) {
            let count = &mut counts[error.weight()];
            count.0 += 1;
            count.1 += u64::from(self.fails(error));
        }
        counts
    }

    /// Exact probability that the encoded qubit is changed, at each p.
    ///
    /// # Errors
    /// When a p lies outside [0, 1].
    pub fn logical_error_rates(&self, noise: Noise, probabilities: &[f64]) -> Result<Vec<f64>> {
        let failures = self.failures(noise);
        probabilities
            .iter()
            .map(|&p| {
                check_probability(p)?;
                let each = if noise == Noise::BitFlip { p } else { p / 3.0 };
                let rate = failures.iter().enumerate().map(|(w, (_, failed))| {
                    *failed as f64 * each.powi(w as i32) * (1.0 - p).powi((self.qubits - w) as i32)
                });
                Ok(rate.sum())
            })
            .collect()
    }

    /// The same by drawing errors: (rate, standard error).
    ///
    /// # Errors
    /// When p lies outside [0, 1] or there is no trial.
    pub fn monte_carlo(&self, noise: Noise, p: f64, trials: u32, seed: u64) -> Result<(f64, f64)> {
        check_probability(p)?;
        if trials == 0 {
            return Err(refusal("error correction", "0 trials; need at least 1"));
        }
        let mut random = generator(seed, 0);
        let mut failed = 0_u32;
        for _ in 0..trials {
            let mut error = Pauli { x: 0, z: 0 };
            for q in 0..self.qubits {
                if random.random::<f64>() < p {
                    let kind = if noise == Noise::BitFlip { 0 } else { random.random_range(0..3) };
                    error.x |= u16::from(kind < 2) << q;
                    error.z |= u16::from(kind > 0) << q;
                }
            }
            failed += u32::from(self.fails(error));
        }
        let rate = f64::from(failed) / f64::from(trials);
        Ok((rate, (rate * (1.0 - rate) / f64::from(trials)).sqrt()))
    }

    /// a|0̄⟩ + b|1̄⟩: |0…0⟩ or |+…+⟩ projected on the code space and on Z̄ = 1, then X̄ for the second part.
    ///
    /// # Errors
    /// When a and b are both 0 or not finite.
    pub fn encode(&self, a: Complex, b: Complex) -> Result<StateVector> {
        // A start with every amplitude different meets every code space.
        let start: Vec<Complex> = (0..1_usize << self.qubits).map(|i| (1.0 + (i as f64).sin(), 0.0)).collect();
        let mut zero = StateVector::from_amplitudes(&start)?;
        for operator in self.stabilisers.iter().chain([&self.logical_z]) {
            let mut image = zero.clone();
            operator.apply(&mut image)?;
            zero = combine(&zero, (1.0, 0.0), &image, (1.0, 0.0))?;
        }
        let mut one = zero.clone();
        self.logical_x.apply(&mut one)?;
        combine(&zero, a, &one, b)
    }

    /// Fidelity with the start after an error, a syndrome measured on the state vector, and the correction.
    ///
    /// # Errors
    /// When sizes differ, or a stabiliser has no definite value, so that the start was no code word.
    pub fn recover(&self, start: &StateVector, error: Pauli) -> Result<f64> {
        if start.qubits() != self.qubits {
            return Err(refusal("error correction", format!("{} qubits for the {} code", start.qubits(), self.name)));
        }
        let mut state = start.clone();
        error.apply(&mut state)?;
        let mut syndrome = 0;
        for (i, stabiliser) in self.stabilisers.iter().enumerate() {
            let mut image = state.clone();
            stabiliser.apply(&mut image)?;
            let value = state.inner(&image)?.0;
            if (value.abs() - 1.0).abs() > 1e-9 {
                return Err(refusal("error correction", format!("stabiliser {i} has value {value}: no code word")));
            }
            syndrome |= usize::from(value < 0.0) << i;
        }
        self.table[syndrome].apply(&mut state)?;
        start.fidelity(&state)
    }

    /// Every error of a weight on a state vector: (errors, those recovered to fidelity 1 up to 10⁻⁹).
    ///
    /// # Errors
    /// As [`StabiliserCode::encode`].
    pub fn recovered(&self, noise: Noise, weight: usize, a: Complex, b: Complex) -> Result<(u64, u64)> {
        let start = self.encode(a, b)?;
        let mut counts = (0, 0);
        for error in self.errors(noise).filter(|error| error.weight() == weight) {
            counts.0 += 1;
            counts.1 += u64::from(self.recover(&start, error)? > 1.0 - 1e-9);
        }
        Ok(counts)
    }
}

fn combine(u: &StateVector, a: Complex, v: &StateVector, b: Complex) -> Result<StateVector> {
    let sum = |i: usize| {
        let ((ur, ui), (vr, vi)) = ((u.re[i], u.im[i]), (v.re[i], v.im[i]));
        (a.0 * ur - a.1 * ui + b.0 * vr - b.1 * vi, a.0 * ui + a.1 * ur + b.0 * vi + b.1 * vr)
    };
    StateVector::from_amplitudes(&(0..u.re.len()).map(sum).collect::<Vec<_>>())
}

fn check_probability(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) {
        Ok(())
    } else {
        Err(refusal("error correction", format!("error probability is {p}, must be within [0, 1]")))
    }
}
