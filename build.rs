//! The link of the one binary: no start files, no libc, nothing that a dynamic linker or an unwinder would want. Tests and
//! benches are linked as usual.

use std::env;

fn main() {
    let script = format!("{}/syscalls/start/link.ld", env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={script}");
    for argument in ["-nostartfiles", "-nostdlib", "-static"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    let script = format!("--script={script}");
    let mut options = vec!["--build-id=none", "--no-eh-frame-hdr", "-z,norelro", &script];
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        // Rust's own linker there; GNU's does not know it.
        options.push("--icf=all");
    }
    for option in options {
        println!("cargo::rustc-link-arg-bins=-Wl,{option}");
    }
}
