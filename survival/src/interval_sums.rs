//! Sums over any stretch of a list without ever subtracting.
//!
//! The difference of two running sums loses the digits of whatever was gathered before both: baseline jumps of early,
//! light risk sets can exceed later ones by more orders than a number has digits. A tree of partial sums answers in
//! O(log n) additions of exactly the terms asked for.

/// Partial sums of vectors of one width, as a binary tree laid out flat: the leaves fill the second half.
pub(crate) struct IntervalSums {
    width: usize,
    leaves: usize,
    nodes: Vec<f64>,
}

impl IntervalSums {
    /// Room for `leaves` vectors of `width` zeros.
    pub(crate) fn zeros(leaves: usize, width: usize) -> Self {
        Self { width, leaves, nodes: vec![0.0; 2 * leaves * width] }
    }

    /// The vector at `index`, to be filled before [`IntervalSums::gather`].
    pub(crate) fn leaf_mut(&mut self, index: usize) -> &mut [f64] {
        let start = (self.leaves + index) * self.width;
        &mut self.nodes[start..start + self.width]
    }

    /// Sums the leaves upwards.
    pub(crate) fn gather(&mut self) {
        for node in (1..self.leaves).rev() {
            let (parents, children) = self.nodes.split_at_mut(2 * node * self.width);
            let parent = &mut parents[node * self.width..(node + 1) * self.width];
            let (left, right) = children[..2 * self.width].split_at(self.width);
            for ((sum, a), b) in parent.iter_mut().zip(left).zip(right) {
                *sum = a + b;
            }
        }
    }

    /// Writes Σ of the leaves `from..to` into `out`.
    pub(crate) fn sum(&self, from: usize, to: usize, out: &mut [f64]) {
        out.fill(0.0);
        let (mut from, mut to) = (from + self.leaves, to + self.leaves);
        while from < to {
            if from % 2 == 1 {
                self.add(from, out);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                self.add(to, out);
            }
            from /= 2;
            to /= 2;
        }
    }

    fn add(&self, node: usize, out: &mut [f64]) {
        for (sum, value) in out.iter_mut().zip(&self.nodes[node * self.width..(node + 1) * self.width]) {
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_of_every_length_is_the_plain_sum() {
        for leaves in 0..20 {
            let mut sums = IntervalSums::zeros(leaves, 2);
            for index in 0..leaves {
                sums.leaf_mut(index).copy_from_slice(&[(index * index) as f64, 1.0]);
            }
            sums.gather();
            for from in 0..=leaves {
                for to in from..=leaves {
                    let mut out = [7.0; 2];
                    sums.sum(from, to, &mut out);
                    let want = (from..to).fold(0.0, |sum, i| sum + (i * i) as f64);
                    assert_eq!(
                        out.map(f64::to_bits),
                        [want, (to - from) as f64].map(f64::to_bits),
                        "{from}..{to} of {leaves}"
                    );
                }
            }
        }
    }
}
