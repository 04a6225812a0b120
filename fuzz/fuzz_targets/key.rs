#![no_main]

#[path = "../src/key.rs"]
mod key;

libfuzzer_sys::fuzz_target!(|data: &[u8]| key::key(data));
