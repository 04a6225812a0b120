//! Signals by name and number, as `--stop-signal` and `kill --signal` take them. Pure.

use alloc::format;

use crate::{Error, Result};

/// Numbers on every architecture that skiff builds for (x86, arm, riscv).
const NAMES: [(&str, i32); 35] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
];
/// The first real-time signal that programs may use; the C library keeps 32 and 33.
const REALTIME_MIN: i32 = 34;
const REALTIME_MAX: i32 = 64;

/// SIGKILL.
pub const KILL: i32 = 9;
/// SIGTERM, which asks a process to end unless it was told to listen to another.
pub const TERM: i32 = 15;

/// The number that a name (`TERM`, `sigterm`, `RTMIN+3`) or a number stands for.
///
/// # Errors
/// [`Error::Invalid`] for anything else.
pub fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::Invalid(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=REALTIME_MAX).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        _ => rest.strip_prefix(sign).and_then(|digits| digits.parse::<u8>().ok()).map(i32::from),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        offset(rest, '+').map(|offset| REALTIME_MIN + offset)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        offset(rest, '-').map(|offset| REALTIME_MAX - offset)
    } else {
        None
    };
    number.filter(|number| (REALTIME_MIN..=REALTIME_MAX).contains(number)).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_numbers_are_signals() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            ("64", 64),
            ("Winch", 28),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
        ] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "SIG", "NOSUCH", "0", "65", "-9", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+", "9x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
