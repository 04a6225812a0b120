//! The binary: no libc, no std of Rust's. Everything is in `lib.rs`, where the test runner can have std.
#![no_std]
#![no_main]

skiff_start::program!(skiff::main);
