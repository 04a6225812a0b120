//! What containers are called: ids, names that people give, names that skiff makes up, and prefixes of ids that people
//! type. Text in, verdict out; only [`new_id`] and [`generated`] ask the kernel, for random bytes. The server child runs
//! it.

use alloc::{
    format,
    string::{String, ToString},
};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::{Context, Error, Result, base64};

/// Hex digits of an id.
pub const ID_LENGTH: usize = 64;
/// Hex digits of an id that lists show.
pub const SHORT_ID_LENGTH: usize = 12;
/// What a file name can hold: names are names of links on disk.
const NAME_MAX: usize = 255;

/// Whether `text` may be a name: a letter or digit, then one or more letters, digits, `_`, `.` or `-`.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (2..=NAME_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
}

/// The name that a user gave, without the one `/` that Docker's clients may put in front.
///
/// # Errors
/// [`Error::Invalid`] in Docker's words.
pub fn parse(text: &str) -> Result<&str> {
    let name = text.strip_prefix('/').unwrap_or(text);
    if is_name(name) {
        return Ok(name);
    }
    Err(Error::Invalid(if name.len() > NAME_MAX {
        format!("Invalid container name: longer than {NAME_MAX} bytes")
    } else {
        format!("Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    }))
}

/// Whether `text` is a whole id.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && is_id_prefix(text)
}

/// Whether `text` can be the beginning of an id.
pub fn is_id_prefix(text: &str) -> bool {
    (1..=ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first twelve digits.
pub fn short(id: &str) -> &str {
    id.get(..SHORT_ID_LENGTH).unwrap_or(id)
}

/// An id as the text of a link: 44 characters, which a file system keeps beside the link's other numbers (ext4 up to
/// 59 bytes). For longer texts it takes a block, and gives that back when the link is removed, which is slow.
pub fn to_link(id: &str) -> String {
    let digit =
        |at: usize| id.as_bytes().get(at).and_then(|digit| char::from(*digit).to_digit(16)).unwrap_or(0);
    let bytes: [u8; ID_LENGTH / 2] =
        core::array::from_fn(|at| (digit(2 * at) << 4 | digit(2 * at + 1)) as u8);
    base64::encode(&bytes)
}

/// The id that the text of a link stands for. Earlier versions wrote the id itself.
pub fn from_link(text: &str) -> Option<String> {
    if is_id(text) {
        return Some(text.into());
    }
    base64::decode(text).filter(|bytes| bytes.len() == ID_LENGTH / 2).map(|bytes| hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

/// A new id: 64 random hex digits. The short form is never all decimal digits, since it becomes a host name, and
/// programs take such a one for a number.
///
/// # Errors
/// What getrandom gives.
pub fn new_id() -> Result<String> {
    loop {
        let mut bytes = [0; ID_LENGTH / 2];
        random(&mut bytes)?;
        let id = hex(&bytes);
        if !short(&id).bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// A made-up name, `adjective_surname`. `attempt` counts from 0 how many were taken already: from the sixth on a random
/// number is put behind, so that one is found however many containers there are.
///
/// # Errors
/// What getrandom gives.
pub fn generated(attempt: u32) -> Result<String> {
    let mut bytes = [0; 6];
    random(&mut bytes)?;
    let [first, second, number @ ..] = bytes;
    let mut name = format!("{}_{}", word(ADJECTIVES, first), word(SURNAMES, second));
    if attempt >= 5 {
        name.push_str(&u32::from_ne_bytes(number).to_string());
    }
    Ok(name)
}

fn random(bytes: &mut [u8]) -> Result<()> {
    // Up to 256 bytes come whole and without an interruption once the kernel's pool is ready.
    getrandom(bytes, GetRandomFlags::empty()).map(|_| ()).context("getrandom", "")
}

/// A number below `WORDS` picks a word of a list; the lists are one text each, which is smaller than tables.
fn word(list: &'static str, number: u8) -> &'static str {
    list.split(' ').nth(usize::from(number) % WORDS).unwrap_or(list)
}

const WORDS: usize = 64;
const ADJECTIVES: &str = "able agile amber ample apt ardent bold brave bright brisk calm candid cheerful clear clever \
    curious dapper daring deft eager easy fair fearless fleet fond frank free gallant gentle glad golden handy happy \
    hardy hearty humble jolly keen kind lively loyal lucid lucky merry mighty neat nimble noble patient plucky polite \
    proud quick quiet serene sharp steady sunny swift trusty vivid warm wise witty";
const SURNAMES: &str = "amundsen anning bacon barents bering blackwell boole bose cabot carson cavendish colden crick \
    dias doppler drake earhart ekeberg erikson euler faraday fermi flinders franklin frobisher gama gauss germain \
    halley hertz herschel hudson humboldt hypatia jansz joule kepler lacaille laplace lavoisier leavitt magellan maury \
    maxwell meitner mercator nansen noether ohm pascal payne planck polo pytheas quiros ross somerville tasman tesla \
    torres turing volta wallace zheng";

/// Why a prefix names no one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMatch {
    /// No id begins so.
    None,
    /// More than one id begins so.
    Several,
}

/// The one id that begins with `prefix`; the whole id always matches itself.
///
/// # Errors
/// [`NoMatch`] if there is none or more than one.
pub fn by_prefix<'a>(prefix: &str, ids: impl IntoIterator<Item = &'a str>) -> Result<&'a str, NoMatch> {
    if !is_id_prefix(prefix) {
        return Err(NoMatch::None);
    }
    let mut found = Err(NoMatch::None);
    for id in ids {
        if id == prefix {
            return Ok(id);
        }
        if id.starts_with(prefix) {
            found = if found == Err(NoMatch::None) { Ok(id) } else { Err(NoMatch::Several) };
        }
    }
    found
}

impl NoMatch {
    /// The error for `what` (`container`, `image`, ...) that the user called `text`, in Docker's words.
    pub fn error(self, what: &str, text: &str) -> Error {
        match self {
            NoMatch::None => Error::NotFound(format!("No such {what}: {text}")),
            NoMatch::Several => Error::Invalid(format!("multiple IDs found with provided prefix: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_dockers_grammar() {
        for good in ["ab", "web-1", "A.b_c", "0x", &"n".repeat(255)] {
            assert_eq!(parse(good), Ok(good));
        }
        assert_eq!(parse("/web"), Ok("web"));
        for bad in ["", "a", "/", "//web", "-ab", ".ab", "_ab", "a b", "a/b", "é1", "a\n", &"n".repeat(256)]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            parse("a b").unwrap_err().to_string(),
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn ids_are_64_hex_digits_and_differ() {
        let ids: BTreeSet<String> = (0..100).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        for id in &ids {
            assert!(is_id(id));
            assert_eq!(short(id).len(), 12);
            assert!(short(id).bytes().any(|byte| byte.is_ascii_alphabetic()));
        }
        assert!(!is_id("ABC"));
        assert!(!is_id_prefix("") && !is_id_prefix("xyz") && is_id_prefix("0af"));
    }

    #[test]
    fn made_up_names_are_names_and_each_word_is_there_once() {
        for list in [ADJECTIVES, SURNAMES] {
            let words: BTreeSet<&str> = list.split(' ').collect();
            assert_eq!(list.split(' ').count(), WORDS);
            assert_eq!(words.len(), WORDS);
            assert!(
                words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()) && word.len() > 1)
            );
        }
        for attempt in 0..10 {
            let name = generated(attempt).unwrap();
            assert!(is_name(&name), "{name}");
            assert_eq!(name.ends_with(|last: char| last.is_ascii_digit()), attempt >= 5, "{name}");
        }
    }

    #[test]
    fn a_prefix_names_one_container_or_none() {
        let ids: Vec<String> =
            ["aa1", "aa2", "b00"].iter().map(|start| start.to_string() + &"0".repeat(61)).collect();
        let find = |prefix: &str| by_prefix(prefix, ids.iter().map(String::as_str));
        assert_eq!(find("b"), Ok(ids[2].as_str()));
        assert_eq!(find(&ids[0]), Ok(ids[0].as_str()));
        assert_eq!(find("aa"), Err(NoMatch::Several));
        assert_eq!(find("c"), Err(NoMatch::None));
        assert_eq!(find(""), Err(NoMatch::None));
        assert_eq!(by_prefix("b", ["b1", "b", "b2"]), Ok("b"));
        assert_eq!(NoMatch::None.error("container", "x").to_string(), "No such container: x");
        assert_eq!(NoMatch::Several.error("container", "x").status(), 400);
    }
}
