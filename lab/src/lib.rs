//! Real containers, driven to real failure, measured as users measure.
//!
//! A run of the lab starts containers under `runc` in real control groups, lets each live by a seeded script of its
//! family and in many cases die of a real cause, looks at them once a second under the names of cAdvisor,
//! kube-state-metrics, the kubelet and node_exporter, and writes what it sees through the ordinary mappings into an
//! ordinary lake. What really happened is kept apart.
//!
//! | module | holds |
//! |---|---|
//! | [`families`] | recipes of scripts, and the mix of a run |
//! | [`runner`] | one run: slots, nodes, resuming, the end of everything |
//! | `kubelet` | the life of one pod: start, probes, back-off, eviction, deletion |
//! | [`runc`], [`volume`], [`cgroup`], [`host`], [`clean`] | the machine below |
//! | `sampler`, [`proc`], [`exposition`], [`exporter`] | what is seen, and who is shown it |
//! | [`truth`], [`record`] | what really happened, and with what it was made |
//! | [`mod@compare`], [`publish`] | the event rules beside the truth; the data set |
//!
//! Linux and root; everything else is refused with what to do. `families`, `compare`, `truth` and the exposition need
//! neither.

pub mod cgroup;
pub mod clean;
mod clock;
pub mod compare;
mod error;
pub mod exporter;
pub mod exposition;
pub mod families;
pub mod host;
mod kubelet;
pub mod node;
pub mod pod;
pub mod probe;
pub mod proc;
pub mod publish;
pub mod record;
pub mod runc;
pub mod runner;
mod sampler;
pub mod truth;
pub mod volume;

pub use compare::{Comparison, TimeScale, compare};
pub use error::{LabError, Result};
pub use families::Families;
pub use record::Record;
pub use runner::{LabOptions, Standing, Watcher, run};
