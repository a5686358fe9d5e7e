//! Midranks: the one rule for ties of every rank test here.

/// Rank 1 for the smallest value; equal values share the mean of their places. NaN must have been refused before.
pub(crate) fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        // `<=` rather than bits: 0 and −0 are one value.
        let tied = order[start..].iter().take_while(|&&index| values[index] <= values[order[start]]).count();
        let shared = start as f64 + 0.5 * (tied as f64 + 1.0);
        for &index in &order[start..start + tied] {
            ranks[index] = shared;
        }
        start += tied;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::midranks;

    #[test]
    fn ties_share_the_mean_of_their_places() {
        assert_eq!(midranks(&[3.0, 1.0, 3.0, -0.0, 0.0, 3.0]), [5.0, 3.0, 5.0, 1.5, 1.5, 5.0]);
    }
}
