//! What a measurement costs: wall clock, processor time and peak memory, each in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// What one measurement took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Seconds by the clock, of the best pass.
    pub(crate) wall: f64,
    /// Seconds of processor time of that pass.
    pub(crate) cpu: f64,
    /// Peak resident memory of the process, MiB.
    pub(crate) peak: f64,
    /// What it counted: rows of features, or samples.
    pub(crate) count: u64,
}

/// Does the work some times in this process and prints the best for [`measured`].
pub(crate) fn measure(repeats: usize, mut work: impl FnMut() -> u64) {
    let mut best = (f64::INFINITY, 0.0, 0);
    for _ in 0..repeats {
        let (begun, used) = (Instant::now(), processor());
        let count = work();
        let wall = begun.elapsed().as_secs_f64();
        if wall < best.0 {
            best = (wall, processor() - used, count);
        }
    }
    println!("{} {} {} {}", best.0, best.1, peak_kib(), best.2);
}

/// Runs this program again for one measurement: what, of which file or folder, on how many threads, in how many passes.
pub(crate) fn measured(what: &str, path: &Path, threads: usize, repeats: usize) -> Figures {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["child", what]).arg(path).args([threads, repeats].map(|number| number.to_string()));
    let output = command.output().expect("this program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {}{said}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().last().unwrap_or_default();
    let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let &[wall, cpu, kib, _] = numbers.as_slice() else { panic!("not four numbers: {said}") };
    let count = line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a count last");
    Figures { wall, cpu, peak: kib / 1024.0, count }
}

/// Seconds of processor time of this process so far; the system counts hundredths.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processor, cores and load, for the line above a table.
pub(crate) fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map_or("?", |pair| pair.1);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    format!("{}, {cores} cores, load average {}", model.trim(), load())
}

pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
