//! What a container of the lab is told to do, as one text both sides read.
//!
//! The program itself is `main.rs`; it includes the same [`script`] so that it compiles alone and statically. The lab
//! parses every script it draws before a container starts, so that a script can only fail at home.

pub mod script;
