//! The end after a panic: what must be put right (the terminal's mode), one line to stderr, exit code 134, which is what
//! shells show for an abort.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
};

use skiff_syscalls::{descriptor, exec};

const EXIT_CODE: i32 = 134;

struct Stderr;

impl Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nobody is left to tell about an error.
        let _ = rustix::io::write(descriptor::standard()[2], text.as_bytes());
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    skiff_syscalls::last_words::say();
    let message = info.message();
    let _ = match info.location() {
        Some(place) => writeln!(
            Stderr,
            "skiff: internal error: {message} at {}:{}: please report it",
            place.file(),
            place.line()
        ),
        None => writeln!(Stderr, "skiff: internal error: {message}: please report it"),
    };
    exec::exit(EXIT_CODE)
}

/// Named by the compiled parts of Rust's own crates, and never called: nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exec::exit(EXIT_CODE)
}
