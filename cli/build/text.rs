//! What programs write -> text that a terminal can be given: no control characters, no escape sequences, as wide as it
//! says. Pure.

use alloc::string::String;

/// Columns between two tab stops.
const TAB: usize = 8;

/// A line without what would move the cursor or change colours. What a carriage return takes back is gone.
pub fn clean(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut out = String::with_capacity(line.len());
    let mut columns = 0;
    let text = String::from_utf8_lossy(line);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_sequence(&mut rest),
            '\t' => {
                let blanks = TAB - columns % TAB;
                out.extend(core::iter::repeat_n(' ', blanks));
                columns += blanks;
            }
            c if c.is_control() => {}
            c => {
                out.push(c);
                columns += width(c);
            }
        }
    }
    out
}

/// Skips what belongs to an escape: `[` up to a letter, `]` up to a bell or `ESC \`, else one character.
fn skip_sequence(rest: &mut core::str::Chars<'_>) {
    match rest.next() {
        Some('[') => drop(rest.find(|c| ('@'..='~').contains(c))),
        Some(']') if rest.find(|c| matches!(c, '\x07' | '\x1b')) == Some('\x1b') => drop(rest.next()),
        Some('(' | ')' | '#') => drop(rest.next()),
        _ => {}
    }
}

/// Columns that a character takes.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// As much of a text as fits; what is cut off ends in an ellipsis.
pub fn fit(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.into();
    }
    let mut out = String::new();
    let mut left = most.saturating_sub(1);
    for c in text.chars() {
        if width(c) > left {
            break;
        }
        left -= width(c);
        out.push(c);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// `12.3s`, as a step's time is shown.
pub fn seconds(nanos: i64) -> String {
    let tenths = (nanos.max(0) + 50_000_000) / 100_000_000;
    format!("{}.{}s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_move_the_cursor_is_gone() {
        for (line, shown) in [
            (&b"plain"[..], "plain"),
            (b"a\tb", "a       b"),
            (b"\x1b[1;31mred\x1b[0m\x1b[2K!", "red!"),
            (b"\x1b]0;title\x07x\x1b]8;;u\x1b\\y", "xy"),
            (b"\x1b(Bx\x1bMy", "xy"),
            (b"10%\r50%\r90%", "90%"),
            (b"line\r", "line"),
            (b"bad\xff\x00\x08", "bad\u{fffd}"),
            (b"cut\x1b", "cut"),
            (b"cut\x1b[", "cut"),
        ] {
            assert_eq!(clean(line), shown, "{line:?}");
        }
    }

    #[test]
    fn a_text_is_as_wide_as_it_looks() {
        assert_eq!((columns("abc"), columns("日本"), columns("e\u{301}")), (3, 4, 1));
        assert_eq!((fit("abcdef", 6).as_str(), fit("abcdef", 4).as_str()), ("abcdef", "abc…"));
        assert_eq!((fit("日本語", 4).as_str(), fit("x", 0).as_str()), ("日…", ""));
    }

    #[test]
    fn times_have_one_decimal() {
        assert_eq!(
            (seconds(0), seconds(1_249_999_999), seconds(-1)),
            ("0.0s".into(), "1.2s".into(), "0.0s".into())
        );
        assert_eq!(seconds(83_960_000_000), "84.0s");
    }
}
