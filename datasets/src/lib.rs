//! Where data comes from and rests.
//!
//! A [`source::Source`] hands over entity histories: the fleet [`simulator`] or a public [`benchmark`].
//! [`builder::build`] turns them, in one streaming pass, into a folder of Parquet files with a
//! [`manifest`] and a [`card`]; [`dataset::Dataset`] opens, verifies and describes such a folder.

pub mod benchmark;
pub mod builder;
pub mod card;
pub mod croissant;
pub mod dataset;
pub mod error;
mod file_lock;
#[cfg(feature = "ingest")]
pub mod ingest;
pub mod lake;
pub mod lake_source;
pub mod manifest;
pub mod page;
mod parquet_file;
pub mod progress;
pub mod simulator;
pub mod source;
mod span;
#[cfg(feature = "sql")]
pub mod sql;
mod staging;
pub mod svg;
pub mod table;

pub use builder::{Built, build};
pub use dataset::{Audit, Dataset, Description, VerifyReport};
pub use error::{DatasetError, Result};
pub use lake::{Lake, LakeOptions, LakeWriter};
pub use lake_source::{LakeBuildConfig, LakeSource};
pub use manifest::Manifest;
pub use progress::{Progress, Silent};
pub use simulator::{Simulator, SimulatorConfig};
pub use source::{BuildPlan, Cuts, Source, SplitRule};
pub use span::Span;
