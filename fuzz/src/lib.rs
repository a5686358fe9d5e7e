//! What the fuzz targets hold the decoders against: the same functions as the tests of `features`.

#[path = "../../features/tests/decode/gorilla.rs"]
mod gorilla;
#[path = "../../features/tests/decode/oracle.rs"]
mod oracle;

/// Runs one target on one input; panics where what must hold does not.
pub fn check(target: &str, bytes: &[u8]) {
    oracle::check(target, bytes);
}
