//! One line of the log file: text, stream and time -> JSON, and back. Pure.

use alloc::vec::Vec;

use super::Stream;
use crate::clock::{Fraction, TEXT_MAX, Time};

/// Bytes that a line has beside its text.
pub const FRAME_MAX: usize = HEAD.len() + MIDDLE.len() + 8 + TIME.len() + TEXT_MAX + END.len();
/// What a byte of text grows to at most.
pub const GROWTH_MAX: usize = 6;

const HEAD: &[u8] = b"{\"log\":\"";
const MIDDLE: &[u8] = b"\",\"stream\":\"";
const TIME: &[u8] = b"\",\"time\":\"";
const END: &[u8] = b"\"}\n";

/// Begins a line.
pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(HEAD);
}

/// Ends a line.
pub fn end(out: &mut Vec<u8>, stream: Stream, time: Time) {
    out.extend_from_slice(MIDDLE);
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(TIME);
    out.extend_from_slice(time.write(&mut [0; TEXT_MAX], Fraction::Shortest).as_bytes());
    out.extend_from_slice(END);
}

/// Puts `text` behind `out` as the inside of a JSON string, escaped as Go's encoder does it.
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let mut plain = 0;
        for (at, &byte) in valid.iter().enumerate() {
            let (length, code) = match byte {
                0x20..=0xe1 if !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') => continue,
                // U+2028 and U+2029 end lines in JavaScript.
                0xe2 => match valid[at..] {
                    [_, 0x80, last @ 0xa8..=0xa9, ..] => (3, 0x2000 + u16::from(last - 0x80)),
                    _ => continue,
                },
                0xe3.. => continue,
                _ => (1, u16::from(byte)),
            };
            out.extend_from_slice(&valid[plain..at]);
            plain = at + length;
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                _ => {
                    let digit = |shift: u32| b"0123456789abcdef"[usize::from(code >> shift & 15)];
                    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
                }
            }
        }
        out.extend_from_slice(&valid[plain..]);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// Where to cut `text` at its end so that no character is torn: its length, or up to 3 less if the rest of a character is
/// still to come.
pub fn whole_characters(text: &[u8]) -> usize {
    for (back, &byte) in text.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..0xc0 => continue,
            0xc2..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf5 => 4,
            _ => 1,
        };
        return if length > back + 1 { text.len() - back - 1 } else { text.len() };
    }
    text.len()
}

/// Reads a line (without its line break); the text goes into `text`. `None` if it is none of ours, or damaged.
pub fn parse(line: &[u8], text: &mut Vec<u8>) -> Option<(Stream, Time)> {
    text.clear();
    let rest = unescape(line.strip_prefix(HEAD)?, text)?;
    let rest = rest.strip_prefix(MIDDLE)?;
    let (stream, rest) = [Stream::Stdout, Stream::Stderr]
        .iter()
        .find_map(|stream| Some((*stream, rest.strip_prefix(stream.name().as_bytes())?)))?;
    let time = rest.strip_prefix(TIME)?.strip_suffix(&END[..2])?;
    Some((stream, Time::parse(core::str::from_utf8(time).ok()?).ok()?))
}

/// Takes the escapes out up to the closing quote, which is not consumed.
fn unescape<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if rest[0] == b'"' {
            return Some(rest);
        }
        let plain = match *rest.get(1)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'u' => {
                let mut unit = hex(rest.get(2..6)?)?;
                rest = &rest[6..];
                if (0xd800..0xdc00).contains(&unit) && rest.starts_with(b"\\u") {
                    let low = hex(rest.get(2..6)?)?;
                    if (0xdc00..0xe000).contains(&low) {
                        unit = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        rest = &rest[6..];
                    }
                }
                let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        };
        text.push(plain);
        rest = &rest[2..];
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |all, &digit| Some(all << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn line(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        begin(&mut out);
        escape(&mut out, text);
        end(&mut out, Stream::Stderr, Time::from_unix(1, 500_000_000));
        out
    }

    #[test]
    fn a_line_is_dockers_byte_for_byte() {
        let expected = r#"{"log":"a\u0009\"\\\u003cb\u003e\u0026\u001b[0m\u2028é\ufffd\ufffd\ufffd\r\n","stream":"stderr","time":"1970-01-01T00:00:01.5Z"}"#;
        let mut text = "a\t\"\\<b>&\x1b[0m\u{2028}é".as_bytes().to_vec();
        text.extend_from_slice(b"\xff\xe2\x82\r\n");
        assert_eq!(String::from_utf8(line(&text)).unwrap(), String::from(expected) + "\n");
    }

    /// Bytes of a xorshift generator, weighted towards those with a meaning.
    fn noise(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as usize
        };
        let pieces: [&[u8]; 12] = [
            b"\"",
            b"\\",
            b"\n",
            b"\0",
            b"\x7f",
            "é".as_bytes(),
            "\u{2028}".as_bytes(),
            "\u{2029}\u{202a}".as_bytes(),
            "\u{1f600}".as_bytes(),
            b"\xf0\x9f\x98",
            b"\xed\xa0\x80",
            b"plain text ",
        ];
        let mut text = Vec::new();
        for _ in 0..next() % 60 {
            match next() % 3 {
                0 => text.push(next() as u8),
                _ => text.extend_from_slice(pieces[next() % pieces.len()]),
            }
        }
        text
    }

    #[test]
    fn serde_json_reads_what_is_written_and_so_does_the_reader() {
        let mut back = Vec::new();
        for seed in 1..20_000 {
            let text = noise(seed);
            let line = line(&text);
            let mut lossy = String::new();
            for chunk in text.utf8_chunks() {
                lossy.push_str(chunk.valid());
                chunk.invalid().iter().for_each(|_| lossy.push('\u{fffd}'));
            }
            let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(json["log"].as_str(), Some(lossy.as_str()), "seed {seed}");
            assert!(line.len() <= text.len() * GROWTH_MAX + FRAME_MAX);
            let parsed = parse(&line[..line.len() - 1], &mut back);
            assert_eq!(parsed, Some((Stream::Stderr, Time::from_unix(1, 500_000_000))));
            assert_eq!(back, lossy.as_bytes(), "seed {seed}");
        }
    }

    #[test]
    fn the_reader_takes_every_json_string_that_serde_json_writes() {
        let mut back = Vec::new();
        for seed in 1..5_000 {
            let text = String::from_utf8_lossy(&noise(seed)).into_owned();
            let json = alloc::format!(
                r#"{{"log":{},"stream":"stdout","time":"1970-01-01T00:00:00Z"}}"#,
                serde_json::to_string(&text).unwrap()
            );
            assert!(parse(json.as_bytes(), &mut back).is_some());
            assert_eq!(back, text.as_bytes());
        }
        let pair = br#"{"log":"\ud83d\ude00\ud83d\/\ude00","stream":"stdout","time":"1970-01-01T00:00:00Z"}"#;
        assert!(parse(pair, &mut back).is_some());
        assert_eq!(back, "\u{1f600}\u{fffd}/\u{fffd}".as_bytes());
    }

    #[test]
    fn damaged_lines_are_no_lines() {
        let whole = line(b"text\n");
        let mut text = Vec::new();
        assert!(parse(&whole[..whole.len() - 1], &mut text).is_some());
        for end in 0..whole.len() - 1 {
            assert_eq!(parse(&whole[..end], &mut text), None);
        }
        for bad in [
            r#"{"log":"\x","stream":"stdout","time":"1970-01-01T00:00:00Z"}"#,
            r#"{"log":"\u12g4","stream":"stdout","time":"1970-01-01T00:00:00Z"}"#,
            r#"{"log":"","stream":"stdin","time":"1970-01-01T00:00:00Z"}"#,
            r#"{"log":"","stream":"stdout","time":"now"}"#,
            "",
        ] {
            assert_eq!(parse(bad.as_bytes(), &mut text), None, "{bad}");
        }
    }

    #[test]
    fn a_cut_never_tears_a_character() {
        let text = "aé\u{20ac}\u{1f600}z";
        for end in 0..=text.len() {
            let cut = whole_characters(&text.as_bytes()[..end]);
            assert!(text.is_char_boundary(cut) && end - cut <= 3, "{end}");
            assert!(cut == end || !text.is_char_boundary(end));
        }
        // What can't become a character is not waited for.
        for broken in [&b"\x80\x80\x80"[..], b"\xff", b"\xc0", b"a\x80"] {
            assert_eq!(whole_characters(broken), broken.len());
        }
    }
}
