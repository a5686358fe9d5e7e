//! Samples and events to model input; pure functions, no I/O, no clock, no async.
//!
//! A source row passes [`mapping`] and becomes a [`Sample`] of the [`catalogue`];
//! [`event`] derives failures from states; samples become [`tile`]s, tiles become rows in [`window`],
//! rows get their labels in [`label`] and their part in [`split`]; [`normalizer`] turns rows into the
//! [`Design`] every model reads. [`spec`] declares all of it and its hash travels along.

pub mod batch;
pub mod canonical;
pub mod catalogue;
pub mod decode;
pub mod entity;
pub mod error;
pub mod event;
pub mod history;
pub mod label;
pub mod labels;
pub mod mapping;
pub mod neighbour;
pub mod normalizer;
pub mod sample;
pub mod schema;
pub mod season;
pub mod series;
pub mod spec;
pub mod split;
pub mod tile;
pub mod window;

pub use batch::{FeatureBatch, LabeledBatch};
pub use catalogue::{Catalogue, Combine, MetricDefinition, MetricId, MetricKind};
pub use entity::{Entity, EntityKind};
pub use error::{FeatureError, Result};
pub use event::FailureEvent;
pub use history::EntityHistory;
pub use label::{Exclusion, Label};
pub use labels::Labels;
pub use neighbour::{NeighbourReader, Neighbours, Place};
pub use normalizer::{Design, Normalizer, Unscaling};
pub use sample::{Reading, Sample};
pub use series::{CanonicalSeries, Resolution, Transform};
pub use spec::{FeatureSpec, TimeAxis};
pub use split::Split;
pub use tile::Tile;
pub use window::{EntityTiles, Facts, LiveTiles, RowAssembler, TileBuilder, TileKernel};
