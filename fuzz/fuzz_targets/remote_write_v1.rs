#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::check("remote_write_v1", bytes));
