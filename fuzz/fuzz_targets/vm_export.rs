#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::check("vm_export", bytes));
