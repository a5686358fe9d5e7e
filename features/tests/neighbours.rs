//! Neighbours are compared at the same moment, a row never with itself, whatever the order of rows.

use features::spec::{FeatureSpec, FlatColumn, FlatSource, KERNEL_VERSION, Neighbourhood, Pooled, TimeAxis};
use features::{Catalogue, EntityKind, Neighbours, Place};
use proptest::prelude::*;
use survival::TimeUnit;

fn spec(columns: Vec<(&str, FlatSource)>) -> FeatureSpec {
    let spec = FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Hours, ticks_per_unit: 3_600_000 },
        tile: 300_000,
        ingest_lag: 0,
        longest_gap: 1,
        flat: columns.into_iter().map(|(name, source)| FlatColumn { name: name.to_owned(), source }).collect(),
        steps: 0,
        step: 300_000,
        channels: Vec::new(),
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: None,
        rollup: None,
        catalogue_digest: Catalogue::standard().digest(),
    };
    spec.validate(&Catalogue::standard()).unwrap();
    spec
}

fn pooled(within: Neighbourhood, pooled: Pooled, kind: Option<EntityKind>) -> FlatSource {
    FlatSource::Neighbour { within, column: "value".to_owned(), pooled, kind }
}

const READS: [Pooled; 5] = [Pooled::Max, Pooled::Sum, Pooled::Mean, Pooled::Count, Pooled::ZScore];

fn pods() -> FeatureSpec {
    spec(vec![
        ("value", FlatSource::Age),
        ("max", pooled(Neighbourhood::Node, Pooled::Max, None)),
        ("sum", pooled(Neighbourhood::Node, Pooled::Sum, None)),
        ("mean", pooled(Neighbourhood::Node, Pooled::Mean, None)),
        ("count", pooled(Neighbourhood::Node, Pooled::Count, None)),
        ("z", pooled(Neighbourhood::Workload, Pooled::ZScore, None)),
    ])
}

/// A row of the first pass: node, workload, moment, value.
type Row = (u8, u8, i64, f32);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let value = prop_oneof![
        6 => (-1000_i16..1000).prop_map(f32::from),
        2 => (0_u16..100).prop_map(|i| 1e10 + 1024.0 * f32::from(i)),
        1 => any::<f32>().prop_map(|v| if v.is_finite() { v } else { 0.0 }),
        1 => Just(f32::NAN),
    ];
    proptest::collection::vec((0_u8..3, 0_u8..3, 0_i64..2, value), 1..40)
}

fn filled(neighbours: &Neighbours, rows: &[Row]) -> Vec<Vec<u32>> {
    let spec = pods();
    let reader = neighbours.reader(EntityKind::Pod, &spec).unwrap();
    let row = |&(node, workload, as_of, value): &Row| {
        let mut flat = vec![f32::NAN; spec.flat.len()];
        flat[0] = value;
        with_place(node, workload, |place| reader.fill(place, as_of, &mut flat));
        flat.into_iter().map(f32::to_bits).collect()
    };
    rows.iter().map(row).collect()
}

fn with_place(node: u8, workload: u8, then: impl FnOnce(&Place<'_>)) {
    let (node, workload) = (format!("node-{node}"), format!("workload-{workload}"));
    // Node 2 is not known.
    let node = (node != "node-2").then_some(node.as_str());
    then(&Place { node, workload: Some(&workload) });
}

fn collected(rows: &[Row]) -> Neighbours {
    let spec = pods();
    let mut neighbours = Neighbours::try_new(EntityKind::Pod, &spec, &[(EntityKind::Pod, &spec)]).unwrap();
    for &(node, workload, as_of, value) in rows {
        let mut flat = vec![7.0; spec.flat.len()];
        flat[0] = value;
        with_place(node, workload, |place| neighbours.collect(place, as_of, &flat));
    }
    neighbours
}

proptest! {
    #[test]
    fn the_order_of_rows_and_how_passes_are_joined_never_show(
        rows in rows(),
        at in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let expected = filled(&collected(&rows), &rows);
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| {
            (seed ^ u64::from(row.3.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(row.0)
        });
        prop_assert_eq!(&filled(&collected(&shuffled), &rows), &expected);
        let (first, second) = shuffled.split_at(at.index(shuffled.len()));
        let mut joined = collected(second);
        joined.join(&collected(first)).unwrap();
        prop_assert_eq!(&filled(&joined, &rows), &expected);
    }

    #[test]
    fn a_row_reads_the_others_of_its_group_at_its_moment(
        rows in proptest::collection::vec((0_u8..3, 0_u8..3, 0_i64..2, -6_i16..6), 1..40),
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(n, w, t, v)| (n, w, t, f32::from(v))).collect();
        let got = filled(&collected(&rows), &rows);
        for (index, row) in rows.iter().enumerate() {
            let others = |same: &dyn Fn(&Row) -> bool| -> Vec<f64> {
                let all = rows.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, row)| row);
                all.filter(|other| other.2 == row.2 && same(other)).map(|other| f64::from(other.3)).collect()
            };
            let known = |read: f64, node: u8| if node == 2 { f64::NAN } else { read };
            let node = others(&|other| other.0 == row.0);
            let sum: f64 = node.iter().sum();
            let nothing = |value: f64| if node.is_empty() { f64::NAN } else { value };
            let replicas = others(&|other| other.1 == row.1);
            let n = replicas.len() as f64;
            let mean = replicas.iter().sum::<f64>() / n;
            let deviation = (replicas.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            let z = if n >= 2.0 && deviation > 0.0 { (f64::from(row.3) - mean) / deviation } else { f64::NAN };
            let expected = [
                known(nothing(node.iter().copied().fold(f64::NEG_INFINITY, f64::max)), row.0),
                known(nothing(sum), row.0),
                known(nothing(sum / node.len() as f64), row.0),
                known(node.len() as f64, row.0),
                z,
            ];
            for ((bits, expected), read) in got[index][1..].iter().zip(expected).zip(READS) {
                let value = f64::from(f32::from_bits(*bits));
                let same = (value.is_nan() && expected.is_nan()) || (value - expected).abs() <= 1e-6 * expected.abs();
                prop_assert!(same, "{read:?}: {value}, expected {expected}");
            }
        }
    }
}

#[test]
fn zeros_of_either_sign_are_the_same_zero() {
    let rows: [Row; 3] = [(1, 0, 1, 0.0), (1, 0, 1, -0.0), (1, 0, 1, -0.0)];
    let turned = [rows[1], rows[2], rows[0]];
    assert_eq!(filled(&collected(&rows), &rows), filled(&collected(&turned), &rows));
}

#[test]
fn a_node_reads_its_pods_and_takes_nothing_out() {
    let pods = spec(vec![("value", FlatSource::Age)]);
    let nodes = spec(vec![
        ("own", FlatSource::Age),
        ("pods.max", pooled(Neighbourhood::Node, Pooled::Max, Some(EntityKind::Pod))),
        ("pods.sum", pooled(Neighbourhood::Node, Pooled::Sum, Some(EntityKind::Pod))),
    ]);
    let mut neighbours = Neighbours::try_new(EntityKind::Pod, &pods, &[(EntityKind::Node, &nodes)]).unwrap();
    assert!(neighbours.is_asked());
    let place = Place { node: Some("n"), workload: None };
    for value in [3.0, 4.0] {
        neighbours.collect(&place, 0, &[value]);
    }
    let mut row = [4.0, f32::NAN, f32::NAN];
    neighbours.reader(EntityKind::Node, &nodes).unwrap().fill(&place, 0, &mut row);
    assert_eq!(row.map(f32::to_bits), [4.0_f32, 4.0, 7.0].map(f32::to_bits));

    neighbours.forget_before(1);
    neighbours.reader(EntityKind::Node, &nodes).unwrap().fill(&place, 0, &mut row);
    assert!(row[1].is_nan());
}

#[test]
fn a_column_nobody_has_is_refused_by_name() {
    let pods = spec(vec![("value", FlatSource::Age)]);
    let mut asking = spec(vec![("value", FlatSource::Age)]);
    let source = FlatSource::Neighbour {
        within: Neighbourhood::Node,
        column: "values".to_owned(),
        pooled: Pooled::Max,
        kind: Some(EntityKind::Pod),
    };
    asking.flat.push(FlatColumn { name: "theirs".to_owned(), source });
    let refused = Neighbours::try_new(EntityKind::Pod, &pods, &[(EntityKind::Node, &asking)]).unwrap_err();
    assert!(refused.to_string().contains("\"theirs\" pools \"values\", which rows of pod lack"), "{refused}");
    asking.flat[1].source = FlatSource::Neighbour {
        within: Neighbourhood::Node,
        column: "theirs".to_owned(),
        pooled: Pooled::Max,
        kind: None,
    };
    let refused = asking.validate(&Catalogue::standard()).unwrap_err();
    assert!(refused.to_string().contains("pooled itself"), "{refused}");
}
