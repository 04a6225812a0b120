#![no_main]

#[path = "../src/typed.rs"]
#[allow(dead_code)]
mod typed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| typed::flags(data));
