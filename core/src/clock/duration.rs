//! Lengths of time as Go writes and reads them (`1h30m0s`), in nanoseconds, and in the words of `ps` ("5 minutes").
//! Pure.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

use super::SECOND;
use crate::{Error, Result};

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

/// Nanoseconds from Go's text: a sign and any number of decimal numbers with a unit each (`300ms`, `-1.5h`, `2h45m`), or `0`.
///
/// # Errors
/// [`Error::Invalid`] in Go's words.
pub fn parse(text: &str) -> Result<i64> {
    let invalid = || Error::Invalid(format!("time: invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = take_while(rest, |byte| byte.is_ascii_digit());
        let (part, after) = match after.strip_prefix('.') {
            Some(after) => take_while(after, |byte| byte.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && part.is_empty() {
            return Err(invalid());
        }
        let (name, after) = take_while(after, |byte| byte != b'.' && !byte.is_ascii_digit());
        if name.is_empty() {
            return Err(Error::Invalid(format!("time: missing unit in duration {text:?}")));
        }
        let Some(&(_, unit)) = UNITS.iter().find(|(known, _)| *known == name) else {
            return Err(Error::Invalid(format!("time: unknown unit {name:?} in duration {text:?}")));
        };
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let mut nanos = whole.checked_mul(unit as u64).ok_or_else(invalid)?;
        // Digit by digit, each worth a tenth of the one before; what is below a nanosecond is dropped at the end.
        let (mut numerator, mut denominator) = (0_u64, 1_u64);
        for digit in part.bytes().take(15) {
            numerator = numerator * 10 + u64::from(digit - b'0');
            denominator *= 10;
        }
        nanos = nanos
            .checked_add((u128::from(numerator) * unit as u128 / u128::from(denominator)) as u64)
            .ok_or_else(invalid)?;
        total = total.checked_add(nanos).ok_or_else(invalid)?;
        rest = after;
    }
    match (i64::try_from(total), negative) {
        (Ok(total), false) => Ok(total),
        (Ok(total), true) => Ok(-total),
        (Err(_), true) if total == i64::MIN.unsigned_abs() => Ok(i64::MIN),
        (Err(_), _) => Err(invalid()),
    }
}

fn take_while(text: &str, keep: impl Fn(u8) -> bool) -> (&str, &str) {
    // Only ASCII ends a run, so the cut is between characters.
    text.split_at(text.bytes().position(|byte| !keep(byte)).unwrap_or(text.len()))
}

/// Nanoseconds that print as Go prints them: `1h30m0s`, `1.5s`, `100ms`, `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration(
    /// Nanoseconds.
    pub i64,
);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let second = SECOND as u64;
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if nanos == 0 {
            return f.write_str("0s");
        }
        let (unit, name) = match nanos {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "\u{b5}s"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => {
                let minutes = nanos / (60 * second);
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                return decimal(f, nanos % (60 * second), second, "s");
            }
        };
        decimal(f, nanos, unit, name)
    }
}

fn decimal(f: &mut fmt::Formatter<'_>, nanos: u64, unit: u64, name: &str) -> fmt::Result {
    write!(f, "{}", nanos / unit)?;
    let (mut part, mut width) = (nanos % unit, unit.ilog10() as usize);
    if part > 0 {
        while part % 10 == 0 {
            part /= 10;
            width -= 1;
        }
        write!(f, ".{part:0width$}")?;
    }
    f.write_str(name)
}

/// A length of time in Docker's words: `Less than a second`, `5 minutes`, `About an hour`, `3 weeks`.
pub fn in_words(nanos: i64) -> String {
    let seconds = nanos / SECOND;
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    let (count, unit) = match () {
        () if seconds < 1 => return "Less than a second".to_string(),
        () if seconds == 1 => return "1 second".to_string(),
        () if seconds < 60 => (seconds, "seconds"),
        () if minutes == 1 => return "About a minute".to_string(),
        () if minutes < 60 => (minutes, "minutes"),
        () if hours == 1 => return "About an hour".to_string(),
        () if hours < 48 => (hours, "hours"),
        () if hours < 24 * 7 * 2 => (hours / 24, "days"),
        () if hours < 24 * 30 * 2 => (hours / 24 / 7, "weeks"),
        () if hours < 24 * 365 * 2 => (hours / 24 / 30, "months"),
        () => (seconds / 3600 / 24 / 365, "years"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("30s", 30 * SECOND),
            ("1h30m", 5400 * SECOND),
            ("1.5h", 5400 * SECOND),
            (".5s", SECOND / 2),
            ("1.s", SECOND),
            ("-1m", -60 * SECOND),
            ("+5ms", 5_000_000),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("7ns", 7),
            ("0.9ns", 0),
            ("1h1h", 7200 * SECOND),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_named_in_gos_words() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("abc", r#"time: invalid duration "abc""#),
            ("10", r#"time: missing unit in duration "10""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1 s", r#"time: unknown unit " s" in duration "1 s""#),
            (".s", r#"time: invalid duration ".s""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("99999999999999999999h", r#"time: invalid duration "99999999999999999999h""#),
            ("3000000h", r#"time: invalid duration "3000000h""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn durations_print_as_go_prints_them_and_come_back() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245 * SECOND, "4m5s"),
            (245 * SECOND + 1_000_000, "4m5.001s"),
            (3600 * SECOND, "1h0m0s"),
            (-5400 * SECOND, "-1h30m0s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(Duration(nanos).to_string(), text);
            assert_eq!(parse(text), Ok(nanos));
        }
    }

    #[test]
    fn lengths_in_words_are_dockers() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60, "59 minutes"),
            (3600, "About an hour"),
            (89 * 60, "About an hour"),
            (90 * 60, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 24 * 3600, "2 weeks"),
            (61 * 24 * 3600, "2 months"),
            (2 * 365 * 24 * 3600, "2 years"),
        ] {
            assert_eq!(in_words(seconds * SECOND), words, "{seconds}");
        }
    }
}
