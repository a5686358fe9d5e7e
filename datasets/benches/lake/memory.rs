//! Memory of `forewarn dataset build` while history grows: 10,000 containers that restart now and then.

use std::path::Path;
use std::time::Instant;

use datasets::{LakeBuildConfig, LakeSource, Silent, build};
use features::Catalogue;

use super::data::{AS_OF, DAY, Dice, Filler};
use super::machine::{Figures, load, machine, measure, measured};

const ENTITIES: usize = 10_000;
const GAUGES: [&str; 3] = ["mem.working_set", "mem.limit", "fd.open"];

const CONFIG: &str = r#"
name = "bench"
kind = "container"
[cuts]
first = "1h"
every = "1h"
[labels]
causes = ["container_oom", "container_crash"]
[split]
by = "group"
[features]
file = "features.toml"
"#;

fn features(scrape: i64) -> String {
    format!(
        "unit = \"hours\"\ntile = \"5m\"\ningest_lag = \"1m\"\nscrape_interval = \"{scrape}ms\"\n\
         [[family]]\nmetrics = [\"mem.working_set\", \"mem.limit\", \"fd.open\", \"cpu.time\", \"restart.count\"]\n\
         windows = [\"1h\", \"24h\"]\n"
    )
}

/// Five series of each container, and the reason of its last end once it has one. How many samples.
fn fill(dir: &Path, days: i64, scrape: i64, catalogue: &Catalogue) -> u64 {
    let mut filler = Filler::open(dir);
    let id = |name: &str| catalogue.id(name).expect("a metric");
    let gauges = GAUGES.map(id);
    let (cpu, restarts, reason) = (id("cpu.time"), id("restart.count"), id("terminated.reason"));
    let scrapes = days * DAY / scrape;
    // Two restarts a week.
    let seldom = (DAY / scrape * 7 / 2).unsigned_abs().max(1);
    for entity in 0..ENTITIES {
        let mut dice = Dice::of(entity, 0);
        let offset = i64::try_from(dice.roll() % scrape.unsigned_abs()).unwrap_or(0);
        let times: Vec<i64> = (0..scrapes).map(|at| AS_OF - (scrapes - at) * scrape + offset).collect();
        for (at, &metric) in gauges.iter().enumerate() {
            let mut level = 1e6 + (dice.roll() % 1_000_000) as f64;
            let values: Vec<f64> = times
                .iter()
                .map(|_| {
                    // A limit stays what it is.
                    level += if GAUGES[at] == "mem.limit" { 0.0 } else { (dice.roll() % 7) as f64 - 3.0 };
                    level
                })
                .collect();
            filler.push(filler.series(entity, metric), &times, &values);
        }
        let (mut seconds, mut restarted) = (0.0, 0.0);
        let (mut used, mut counts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for &time in &times {
            let draw = dice.roll();
            if draw.is_multiple_of(seldom) {
                (seconds, restarted) = (0.0, restarted + 1.0);
                // OOMKilled or Error, by their numbers in the catalogue.
                ends.push((time, ((draw >> 32) & 1) as f64));
            } else {
                seconds += (draw % 9) as f64 / 4.0;
            }
            used.push(seconds);
            counts.push(restarted);
        }
        filler.push(filler.series(entity, cpu), &times, &used);
        filler.push(filler.series(entity, restarts), &times, &counts);
        if let Some(&(first, _)) = ends.first() {
            let since = &times[times.partition_point(|&time| time < first)..];
            let last = |time: i64| ends[ends.partition_point(|&(end, _)| end <= time) - 1].1;
            let reasons: Vec<f64> = since.iter().map(|&time| last(time)).collect();
            filler.push(filler.series(entity, reason), since, &reasons);
        }
        filler.end_entity();
    }
    filler.finish()
}

/// The child: builds the data set that the folder's config asks for from the folder's lake.
pub(crate) fn build_in(folder: &Path) {
    measure(1, || {
        let config = LakeBuildConfig::read(&folder.join("build.toml")).expect("the config of the benchmark");
        let mut source = LakeSource::open(&folder.join("lake"), config).expect("a lake");
        build(&mut source, &folder.join("out"), &Silent).expect("a data set").manifest.counts.rows
    });
}

/// A table of builds, each in a process of its own.
pub(crate) fn table() {
    let catalogue = Catalogue::standard();
    println!("{}", machine());
    println!(
        "\n`dataset build` from {ENTITIES} containers, a row each hour, 36 columns; another process fills the lake\n"
    );
    println!("| history | scrape | samples | rows | s | CPU s | M samples/s | peak MiB | filled in s | load |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut peaks = Vec::new();
    for (days, scrape) in [(1, 300_000), (2, 300_000), (4, 300_000), (8, 300_000), (1, 43_200)] {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = Instant::now();
        let samples = fill(&folder.path().join("lake"), days, scrape, &catalogue);
        let filled = begun.elapsed().as_secs_f64();
        std::fs::write(folder.path().join("build.toml"), CONFIG).expect("a file");
        std::fs::write(folder.path().join("features.toml"), features(scrape)).expect("a file");
        let Figures { wall, cpu, peak, count } = measured("build", folder.path(), 1, 1);
        println!(
            "| {days} d | {} s | {samples} | {count} | {wall:.1} | {cpu:.1} | {:.2} | {peak:.0} | {filled:.0} | {} |",
            scrape as f64 / 1e3,
            samples as f64 / wall / 1e6,
            load()
        );
        peaks.push(peak);
    }
    println!("\npeak of 8 days over that of 1 day: {:.2}", peaks[3] / peaks[0]);
}
