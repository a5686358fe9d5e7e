//! Public data sets as sources, each with its licence and its traps.

pub mod alibaba_pods;
pub mod backblaze_drives;
pub mod cmapss;
pub mod faults;
pub mod lanl;
mod lives;
pub mod prevent;
pub mod survival_tables;
mod table;
pub mod titan_gpu;

pub use alibaba_pods::AlibabaPods;
pub use backblaze_drives::BackblazeDrives;
pub use cmapss::Cmapss;
pub use prevent::Prevent;
pub use survival_tables::SurvivalTables;
pub use titan_gpu::TitanGpu;
