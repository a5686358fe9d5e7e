//! The skeleton of conditional independences: PC-stable (Colombo & Maathuis, JMLR 2014), conditions of at most two.

use survival::special::normal_cdf;

use super::numeric::correlation;

/// Which pairs of variables stay linked. A link goes when some condition of 0, 1 or 2 neighbours of either end leaves a
/// partial correlation that Fisher's z test at level `alpha` does not tell from 0.
pub(super) fn skeleton(variables: &[Vec<f64>], alpha: f64) -> Vec<Vec<bool>> {
    let size = variables.len();
    let rows = variables.first().map_or(0, Vec::len) as f64;
    let mut r = vec![vec![1.0; size]; size];
    for a in 0..size {
        for b in 0..a {
            // A perfect copy would make the next level divide by 0.
            let value = correlation(&variables[a], &variables[b]).clamp(-0.999_999, 0.999_999);
            (r[a][b], r[b][a]) = (value, value);
        }
    }
    let independent = |value: f64, condition: usize| {
        let free = rows - condition as f64 - 3.0;
        // Too few rows to tell anything from 0.
        free < 1.0 || 2.0 * (1.0 - normal_cdf(value.atanh().abs() * free.sqrt())) > alpha
    };
    let mut linked: Vec<Vec<bool>> =
        (0..size).map(|a| (0..size).map(|b| a != b && !independent(r[a][b], 0)).collect()).collect();
    for level in 1..=2 {
        // Neighbours as they were when the level began: the order of pairs makes no difference.
        let neighbours: Vec<Vec<usize>> =
            linked.iter().map(|row| (0..size).filter(|&other| row[other]).collect()).collect();
        for (a, b) in (0..size).flat_map(|a| (0..a).map(move |b| (a, b))) {
            if !linked[a][b] {
                continue;
            }
            let cut = [(a, b), (b, a)].into_iter().any(|(from, to)| {
                let near: Vec<usize> = neighbours[from].iter().copied().filter(|&v| v != to).collect();
                if level == 1 {
                    near.iter().any(|&c| independent(given_one(&r, a, b, c), 1))
                } else {
                    near.iter()
                        .enumerate()
                        .any(|(at, &c)| near[..at].iter().any(|&d| independent(given_two(&r, a, b, c, d), 2)))
                }
            });
            if cut {
                (linked[a][b], linked[b][a]) = (false, false);
            }
        }
    }
    linked
}

/// Partial correlation of a and b given c.
fn given_one(r: &[Vec<f64>], a: usize, b: usize, c: usize) -> f64 {
    partial(r[a][b], r[a][c], r[b][c])
}

/// Partial correlation of a and b given c and d, by its recursion.
fn given_two(r: &[Vec<f64>], a: usize, b: usize, c: usize, d: usize) -> f64 {
    partial(given_one(r, a, b, c), given_one(r, a, d, c), given_one(r, b, d, c))
}

fn partial(ab: f64, ac: f64, bc: f64) -> f64 {
    let left = ((1.0 - ac * ac) * (1.0 - bc * bc)).max(1e-12).sqrt();
    ((ab - ac * bc) / left).clamp(-0.999_999, 0.999_999)
}

#[cfg(test)]
mod tests {
    use super::super::numeric::hashed_unit;
    use super::*;

    #[test]
    fn a_chain_keeps_its_links_and_loses_the_shortcut() {
        let noise = |name: &str, t: usize| hashed_unit(1, &[name, &t.to_string()]) - 0.5;
        let a: Vec<f64> = (0..400).map(|t| noise("a", t)).collect();
        let b: Vec<f64> = a.iter().enumerate().map(|(t, x)| x + 0.5 * noise("b", t)).collect();
        let c: Vec<f64> = b.iter().enumerate().map(|(t, x)| x + 0.5 * noise("c", t)).collect();
        let lone: Vec<f64> = (0..400).map(|t| noise("lone", t)).collect();
        let linked = skeleton(&[a, b, c, lone], 0.01);
        assert!(linked[0][1] && linked[1][2], "{linked:?}");
        assert!(!linked[0][2] && !linked[0][3] && !linked[1][3] && !linked[2][3], "{linked:?}");
    }

    #[test]
    fn the_partial_correlation_of_two_agrees_with_the_inverse_of_the_matrix() {
        // r = [[1,.5,.3,.2],[.5,1,.4,.1],[.3,.4,1,.6],[.2,.1,.6,1]]; −P01/√(P00·P11) of its inverse P by numpy.
        let r = vec![
            vec![1.0, 0.5, 0.3, 0.2],
            vec![0.5, 1.0, 0.4, 0.1],
            vec![0.3, 0.4, 1.0, 0.6],
            vec![0.2, 0.1, 0.6, 1.0],
        ];
        let got = given_two(&r, 0, 1, 2, 3);
        assert!((got - 0.4480316915226927).abs() < 1e-12, "{got}");
    }

    #[test]
    fn no_rows_and_no_variables_link_nothing() {
        assert!(skeleton(&[], 0.01).is_empty());
        let linked = skeleton(&[vec![1.0, 2.0], vec![1.0, 2.0]], 0.01);
        assert!(linked.iter().flatten().all(|link| !link));
    }
}
