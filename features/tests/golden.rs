//! Golden vectors: samples in, tiles and rows out, every bit as committed.
//!
//! `FOREWARN_REWRITE_GOLDEN=1 cargo test -p features --test golden` writes them anew; a change of theirs is a change
//! of `KERNEL_VERSION`.

mod common;

use std::fmt::Write as _;
use std::path::PathBuf;

use common::{Arrival, END, METRICS, TILE, build, names, row_bits, samples};
use features::sample::STALE_NAN_BITS;
use features::spec::KERNEL_VERSION;
use features::tile::TileColumns;
use features::{EntityTiles, MetricId, MetricKind};

const FAILURES: [(i64, &str); 3] = [(410, "oom"), (1333, "crash"), (2050, "oom")];
const CUTS: [i64; 7] = [0, 11 * TILE, 17 * TILE, 30 * TILE, 41 * TILE, 50 * TILE, 60 * TILE];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A stream with every kind, parts, resets, lives, stale marks, gaps, late samples and values such as 1e10 bytes.
fn stream() -> String {
    let mut state = 20_261_124_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((state >> 33) % below).unwrap()
    };
    let mut text = "# metric part time known_at value(f64 bits)\n".to_owned();
    for (name, kind, _, parts) in METRICS {
        for part in 0..parts {
            let (mut time, mut count) = (random(9), 0.0);
            while time < END {
                let draw = random(1000);
                let value = match kind {
                    MetricKind::Gauge => 1e10 + draw as f64 / 7.0,
                    MetricKind::Counter if draw < 20 => {
                        count = 0.25;
                        count
                    }
                    MetricKind::Counter => {
                        count += draw as f64 / 3.0;
                        count
                    }
                    MetricKind::Delta => draw as f64 / 9.0,
                    MetricKind::State => (draw % 3) as f64,
                    MetricKind::Time => (time / 700 * 700) as f64 / 10.0,
                    MetricKind::Info => 1.0,
                };
                let value = if random(60) == 0 { f64::from_bits(STALE_NAN_BITS) } else { value };
                let delay = if random(25) == 0 { 90 } else { random(15) };
                writeln!(text, "{name} {part} {time} {} {:016x}", time + delay, value.to_bits()).unwrap();
                time += if random(40) == 0 { 150 } else { 9 + random(14) };
            }
        }
    }
    text
}

fn parsed(text: &str) -> Vec<Arrival> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let arrival = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let metric = METRICS.iter().position(|metric| metric.0 == fields[0]).unwrap();
        Arrival {
            metric: MetricId(u16::try_from(metric).unwrap()),
            part: fields[1].parse().unwrap(),
            time: fields[2].parse().unwrap(),
            known_at: fields[3].parse().unwrap(),
            value: f64::from_bits(u64::from_str_radix(fields[4], 16).unwrap()),
        }
    };
    lines.map(arrival).collect()
}

fn tiles_text(tiles: &EntityTiles) -> String {
    let mut text = format!(
        "# kernel {KERNEL_VERSION}, {} late, {} duplicates; floating point as bits\n",
        tiles.late(),
        tiles.duplicates()
    );
    for (metric, part, number, tile) in tiles.tiles() {
        let mut one = TileColumns::default();
        one.push(number, &tile);
        let (name, kind, ..) = METRICS[usize::from(metric.0)];
        let whole = (one.count[0], one.flags[0], one.longest_wait[0], one.t_first[0], one.t_last[0]);
        write!(text, "{name} {part} {number} {whole:?} {:016x} {:016x}", one.first[0].to_bits(), one.last[0].to_bits())
            .unwrap();
        for (name, value) in TileColumns::value_names(kind).iter().zip(one.values[0]) {
            write!(text, " {name}={:016x}", value.to_bits()).unwrap();
        }
        for (name, count) in TileColumns::count_names(kind).iter().zip(one.counts[0]) {
            write!(text, " {name}={count}").unwrap();
        }
        if matches!(kind, MetricKind::Counter | MetricKind::State) {
            write!(text, " covered={} born={} held={:?}", one.covered[0], one.born[0], &one.held[0][..3]).unwrap();
        }
        text.push('\n');
    }
    text
}

fn rows_text(tiles: &EntityTiles) -> String {
    let mut text = "# column: bits (f32) at each moment\n".to_owned();
    let rows = CUTS.map(|as_of| row_bits(tiles, &FAILURES, as_of));
    for (column, name) in names().iter().enumerate() {
        let values: Vec<String> = rows.iter().map(|row| format!("{:08x}", row[column])).collect();
        writeln!(text, "{name}: {}", values.join(" ")).unwrap();
    }
    text
}

#[test]
fn tiles_and_rows_are_those_committed() {
    let rewrite = std::env::var_os("FOREWARN_REWRITE_GOLDEN").is_some();
    let file = |name: &str| folder().join(name);
    if rewrite {
        std::fs::write(file("samples.txt"), stream()).unwrap();
    }
    let tiles = build(&samples(&parsed(&std::fs::read_to_string(file("samples.txt")).unwrap())));
    for (name, text) in [("tiles.txt", tiles_text(&tiles)), ("rows.txt", rows_text(&tiles))] {
        if rewrite {
            std::fs::write(file(name), &text).unwrap();
        }
        let committed = std::fs::read_to_string(file(name)).unwrap();
        for (number, (got, expected)) in text.lines().zip(committed.lines()).enumerate() {
            assert_eq!(got, expected, "{name}, line {}", number + 1);
        }
        assert_eq!(text.lines().count(), committed.lines().count(), "{name}: number of lines");
    }

    // A column that is missing at every moment would prove nothing. One tile has no variance, and neighbours are
    // filled in a second pass.
    let text = rows_text(&tiles);
    let nan = format!("{:08x}", f32::NAN.to_bits());
    let empty: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .filter(|(_, values)| values.split(' ').all(|value| value == nan))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(empty, ["total.fano.50", "periods.fano.50", "restart.count.fano.50", "node.max", "workload.z"]);
}
