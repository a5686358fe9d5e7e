//! The nightly job: a fleet in, risks out, resumable, exactly once.
//!
//! A night opens a data set and a bundle, splits the rows over shards by a stable hash of the entity key, and
//! scores each shard part by part: staged, synced, renamed, entered in the shard's ledger. A killed night
//! goes on after the last entry. When every shard is in, one manifest commits them; readers trust it alone.
//! The same input gives the same bytes, so a second night over it changes nothing.
//!
//! [`mod@outcomes`] looks back: what nights foretold, joined with what became of the entities since.

pub mod config;
pub mod error;
mod ledger;
pub mod outcomes;
pub mod risk_table;
pub mod run;

pub use config::{AsOf, ScoreConfig};
pub use error::{Result, ScoreError};
pub use ledger::Part;
pub use outcomes::{Outcomes, OutcomesConfig, outcomes};
pub use risk_table::{Scored, alarm_name, horizon_label};
pub use run::{NightManifest, Outcome, Reading, score, score_rows};
