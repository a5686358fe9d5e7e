//! What is said before the test labels are opened, and what came of it.
//!
//! [`register`] holds every theorem of the theory as a hypothesis that can fail. [`config`] is `claims.toml`: data,
//! margins, rivals and budget, committed first; [`lock`] ties the first opening to it and refuses any other. [`laws`]
//! are checked by counting, [`compare`] holds one family against its rivals on the curves of a benchmark,
//! [`maintenance`] replays policies over known lives, [`evidence`] reads what other benchmarks wrote, [`controls`] are
//! what must find nothing and what must be found. [`mod@judge`] turns all of it into rows of a [`report`]; [`own`] is the
//! same for a data set of one's own.

pub mod compare;
pub mod config;
pub mod controls;
pub mod evidence;
pub mod judge;
pub mod laws;
pub mod lock;
pub mod maintenance;
pub mod own;
mod page;
pub mod register;
pub mod report;
pub mod run;

pub use config::ClaimsConfig;
pub use judge::{ClaimRow, Finding, judge};
pub use report::ClaimsReport;
