#![no_main]

#[path = "../src/dockerfile.rs"]
#[allow(dead_code)]
mod dockerfile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dockerfile::dockerfile(data));
