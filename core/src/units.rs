//! What people write for amounts -> numbers: memory sizes (`512m`, `1.5g`), processors (`1.5`), durations (`1m30s`).
//! The forms are those of Docker's command line. Fractions are decimal, so no floating point is involved. Pure.

use alloc::{format, string::String};

/// A number with up to 18 decimals as its integer part and its fraction in units of `10^-18`.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || fraction.len() > 18 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut atto = 0;
    for place in 0..18 {
        atto = atto * 10 + fraction.as_bytes().get(place).map_or(0, |digit| u64::from(digit - b'0'));
    }
    Some((whole, atto))
}

/// `whole.fraction` times `unit`, rounded down.
fn scaled((whole, atto): (u64, u64), unit: u64) -> Option<i64> {
    let whole = i128::from(whole) * i128::from(unit);
    i64::try_from(whole + i128::from(atto) * i128::from(unit) / 1_000_000_000_000_000_000).ok()
}

/// Bytes: a decimal number and b, k, m, g, t or p (powers of 1024; also `kb`, `KiB`, with a space before it).
///
/// # Errors
/// What is wrong, in words.
pub fn size(text: &str) -> Result<i64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = decimal(&text[..end]).ok_or_else(|| format!("invalid size: '{text}'"))?;
    let typed = text[end..].trim_start_matches(' ');
    let suffix = typed.to_ascii_lowercase();
    let letter = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let power = match letter {
        "" if suffix != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(format!("invalid suffix: '{typed}'")),
    };
    scaled(number, 1 << (10 * power)).ok_or_else(|| format!("invalid size: '{text}'"))
}

/// Bytes, or -1 for no limit.
///
/// # Errors
/// What is wrong, in words.
pub fn size_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { size(text) }
}

/// Processors in units of a billionth.
///
/// # Errors
/// What is wrong, in words.
pub fn processors(text: &str) -> Result<i64, String> {
    let number = decimal(text).ok_or_else(|| format!("'{text}' is not a decimal number"))?;
    if number.1 % 1_000_000_000 != 0 {
        return Err("value is too precise".into());
    }
    scaled(number, 1_000_000_000).ok_or_else(|| format!("'{text}' is too large"))
}

/// A whole number.
///
/// # Errors
/// What is wrong, in words.
pub fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        let rows = [
            ("10", Ok(10)),
            ("10b", Ok(10)),
            ("10m", Ok(10 << 20)),
            ("10mb", Ok(10 << 20)),
            ("10MiB", Ok(10 << 20)),
            ("10 m", Ok(10 << 20)),
            ("1.5g", Ok(3 << 29)),
            (".5k", Ok(512)),
            ("1t", Ok(1 << 40)),
            ("1p", Ok(1 << 50)),
            ("0", Ok(0)),
            ("1.7b", Ok(1)),
            ("abc", Err("invalid size: 'abc'")),
            ("", Err("invalid size: ''")),
            ("-1", Err("invalid size: '-1'")),
            (".", Err("invalid size: '.'")),
            ("1.2.3", Err("invalid size: '1.2.3'")),
            ("10x", Err("invalid suffix: 'x'")),
            ("10ib", Err("invalid suffix: 'ib'")),
            ("99999999999999999999", Err("invalid size: '99999999999999999999'")),
            ("9999999999g", Err("invalid size: '9999999999g'")),
        ];
        for (text, expected) in rows {
            assert_eq!(size(text), expected.map_err(String::from), "{text}");
        }
        assert_eq!(size_or_unlimited("-1"), Ok(-1));
    }

    #[test]
    fn processors_are_billionths() {
        assert_eq!(processors("1.5"), Ok(1_500_000_000));
        assert_eq!(processors(".5"), Ok(500_000_000));
        assert_eq!(processors("0.000000001"), Ok(1));
        assert_eq!(processors("1.0000000001"), Err("value is too precise".into()));
        assert_eq!(processors("abc"), Err("'abc' is not a decimal number".into()));
        assert_eq!(processors("-1"), Err("'-1' is not a decimal number".into()));
    }
}
