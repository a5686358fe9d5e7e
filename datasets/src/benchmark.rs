//! Public data sets as sources, each with its licence and its traps.

pub mod alibaba_pods;
pub mod cmapss;
pub mod prevent;
mod table;

pub use alibaba_pods::AlibabaPods;
pub use cmapss::Cmapss;
pub use prevent::Prevent;
