//! The link of the one binary: no start files, no libc, nothing that a dynamic linker or a debugger would want. Tests and
//! benches are linked as usual.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut arguments =
        vec!["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,norelro"];
    arguments.push("-Wl,--no-eh-frame-hdr");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        // Rust's own linker there; GNU's does not know it.
        arguments.push("-Wl,--icf=all");
    }
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
