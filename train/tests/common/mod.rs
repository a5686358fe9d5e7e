//! A small simulated data set shared by the tests of this crate.

use std::path::Path;

use datasets::simulator::World;
use datasets::{Dataset, Silent, Simulator, SimulatorConfig};

pub(crate) fn fleet(dir: &Path, world: World, workloads: usize, permute_labels: bool) -> Dataset {
    let config = SimulatorConfig { world, workloads, permute_labels, ..SimulatorConfig::default() };
    let mut source = Simulator::new(config).unwrap();
    datasets::build(&mut source, dir, &Silent).unwrap();
    Dataset::open(dir).unwrap()
}
