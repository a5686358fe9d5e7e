//! The one program in every container of the lab: it shows what its script tells, for real, and dies of it for real.
//!
//! Threads: this one ticks (levels of heap, files and threads, planned exits), [`worker`] serves requests and liveness
//! probes from one queue, [`probe`] listens, and only when the script asks for it [`volume`] writes and [`burn`] burns.
//! Compiles alone: `rustc --edition 2024 -C opt-level=2 -C panic=abort -C target-feature=+crt-static main.rs`.
//! `FOREWARN_DIR` (default `/run/forewarn`) holds `script`, `report` and `probe.sock`, `FOREWARN_DATA` (default
//! `/data`) is the volume. Exit codes: 0 done or stopped, 1 a limit was met, 2 it could not begin, others as scripted.

mod burn;
mod held;
mod life;
mod probe;
mod random;
mod report;
// Public so that the text both sides read is the same code here and in the library.
pub mod script;
mod volume;
mod work;
mod worker;

use std::fs::File;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use held::{Blocks, Files, Sleepers};
use life::Life;

/// Time between two looks at the levels: well below the lab's scrapes, well above what costs CPU.
const TICK: Duration = Duration::from_millis(50);

fn main() {
    let life = match Life::begin() {
        Ok(life) => Arc::new(life),
        Err(reason) => {
            eprintln!("workload: {reason}");
            std::process::exit(2);
        }
    };
    life.report.write("started", "");
    if let Err(reason) = start(&life) {
        life.end("error", &reason, 2);
    }
    tick(&life);
}

/// Starts the threads the script needs.
fn start(life: &Arc<Life>) -> Result<(), String> {
    let work = work::Work::calibrate();
    let probes = probe::listen(life)?;
    let file = volume::start(life)?;
    if let Some(level) = life.script.burn.clone() {
        let own = Arc::clone(life);
        life::spawn("burn", move || burn::run(&own, &level, &work))?;
    }
    alike(life)?;
    let own = Arc::clone(life);
    life::spawn("worker", move || worker::Worker::new(&own, work, file).run(&probes))
}

/// Makes up for threads and handles that other scripts have: counts of them would tell the kind of script from the first
/// second on.
fn alike(life: &Life) -> Result<(), String> {
    let script = &life.script;
    let (disk, cache) = (script.disk.is_some(), script.cache.is_some());
    for _ in usize::from(disk || cache) + usize::from(script.burn.is_some())..2 {
        life::spawn("idle", || {
            loop {
                thread::park();
            }
        })?;
    }
    for _ in usize::from(disk) + 2 * usize::from(cache)..3 {
        let file = File::open(&life.script_path).map_err(|error| format!("{}: {error}", life.script_path.display()))?;
        // Held until the end.
        std::mem::forget(file);
    }
    Ok(())
}

fn tick(life: &Life) -> ! {
    let script = &life.script;
    let onsets = script.onsets();
    let mut told = 0;
    let (mut blocks, mut files, mut sleepers) = (Blocks::default(), Files::default(), Sleepers::default());
    loop {
        let now = life.ms();
        while let Some((_, kind)) = onsets.get(told).filter(|(at, _)| *at <= now) {
            life.report.write("onset", kind);
            told += 1;
        }
        if let Some(poison) = script.poison.as_ref().filter(|poison| poison.onset_ms <= now) {
            life.end("poison", "", poison.code);
        }
        if let Some(bad) = script.bad_start.as_ref().filter(|bad| bad.ends(script.run) && bad.after_ms <= now) {
            life.end("bad_start", "", bad.code);
        }
        if script.finish_ms.is_some_and(|at| at <= now) {
            life.end("finished", "", 0);
        }
        if let Some(level) = &script.heap {
            blocks.hold(level.at(now));
        }
        if let Some(level) = &script.files_open
            && let Err(error) = files.hold(level.at(now), &life.script_path)
        {
            life.fail("opening a file", &error);
        }
        if let Some(level) = &script.threads
            && let Err(error) = sleepers.hold(level.at(now))
        {
            life.fail("starting a thread", &error);
        }
        thread::sleep(TICK);
    }
}
