#![no_main]

#[path = "../../cli/table.rs"]
#[allow(dead_code)]
mod table;

#[path = "../src/typed.rs"]
#[allow(dead_code)]
mod typed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| typed::flags(data));
