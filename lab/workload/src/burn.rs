//! A background thread that uses CPU nobody asked for.

use std::thread;
use std::time::Duration;

use crate::life::Life;
use crate::script::Level;
use crate::work::Work;

/// Burning is spread over slices of this length, so that a scrape once a second sees a share and not bursts.
const SLICE: f64 = 0.05;

/// Burns as many cores as the level says, at most one. What a quota holds back is not made up for.
pub(crate) fn run(life: &Life, level: &Level, work: &Work) -> ! {
    loop {
        let start = life.seconds();
        work.spend(SLICE * level.at(life.ms()).min(1.0));
        let rest = SLICE - (life.seconds() - start);
        thread::sleep(Duration::from_secs_f64(rest.max(0.0)));
    }
}
