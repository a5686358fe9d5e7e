//! Tiles of one entity, and the row they give at a moment: the one implementation that history, night
//! and request all call.
//!
//! [`TileBuilder`] makes [`EntityTiles`] from slices of whole runs, [`EntityTiles::build`] from a list of
//! samples, [`LiveTiles`] from samples as they arrive in any order; all end in the same tiles, bit for bit.
//! [`RowAssembler`] reads a row from them: per metric and part one walk over the tiles, newest to oldest,
//! delivers every window that ends at the moment.

mod assemble;
mod builder;
mod kernel;
mod live;
mod program;
mod read;
mod series;
mod tiles;

pub use assemble::{Facts, RowAssembler};
pub use builder::TileBuilder;
pub use kernel::TileKernel;
pub use live::LiveTiles;
pub use tiles::EntityTiles;
