//! Public data sets, each with its licence and its traps.
