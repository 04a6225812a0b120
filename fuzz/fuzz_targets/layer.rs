#![no_main]

#[path = "../src/tree.rs"]
mod tree;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tree::layer(data));
