//! The messages of the domain name system (RFC 1035), as far as a responder needs them: [`query`] turns the bytes of a
//! question into a value, [`answer`] writes what is answered, [`records`] reads what another server has answered, [`reverse`]
//! finds the address in a name. All pure.
//!
//! ```text
//! 0   id
//! 2   flags: answer 1, kind 4, authoritative, truncated, recursion desired | available, 0, authentic, unchecked, code 4
//! 4   how many questions, answers, authorities, others: 4 times 16 bits
//! 12  the question: name, type 16, class 16
//!     records: name, type 16, class 16, seconds to live 32, length 16, content
//! ```
//! A name is a row of labels, each behind its length, that ends with an empty one; two bits in place of a length make it
//! a reference to an earlier place in the message. All numbers are in the order of networks.

pub mod answer;
pub mod query;
pub mod records;
pub mod reverse;

use alloc::vec::Vec;

/// Where name servers listen.
pub const PORT: u16 = 53;
/// What everybody takes over UDP.
pub const DATAGRAM_MIN: usize = 512;
/// The most that is sent or taken over UDP, whatever the other side would take: larger answers are asked for over TCP.
pub const DATAGRAM_MAX: usize = 4096;
/// The most that a length of 16 bits can say, over TCP.
pub const MESSAGE_MAX: usize = 65_535;

const HEADER: usize = 12;
const NAME_MAX: usize = 255;
const LABEL_MAX: usize = 63;
/// An OPT record without options: the empty name, type, class, seconds to live, length.
const OPT_LENGTH: usize = 11;
/// The bit of an OPT record that asks for signatures (RFC 3225).
const SIGNATURES: u16 = 1 << 15;

bitflags::bitflags! {
    /// The bits of a header's second number that are not numbers themselves.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u16 {
        /// QR: not a question.
        const ANSWER = 1 << 15;
        /// AA: from the source.
        const AUTHORITATIVE = 1 << 10;
        /// TC: not all of it.
        const TRUNCATED = 1 << 9;
        /// RD: others may be asked.
        const RECURSION_DESIRED = 1 << 8;
        /// RA: others are asked.
        const RECURSION_AVAILABLE = 1 << 7;
        /// AD: the signatures were checked.
        const AUTHENTIC = 1 << 5;
        /// CD: signatures need not be checked.
        const UNCHECKED = 1 << 4;
    }
}

impl Flags {
    /// What a question can ask for.
    const ASKED: Flags = Flags::RECURSION_DESIRED.union(Flags::AUTHENTIC).union(Flags::UNCHECKED);
}

/// How it went: 4 bits in the header, 8 more in an OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u16);

impl Code {
    /// NOERROR
    pub const DONE: Code = Code(0);
    /// FORMERR: the question makes no sense.
    pub const MALFORMED: Code = Code(1);
    /// SERVFAIL: nobody could be asked.
    pub const FAILED: Code = Code(2);
    /// NXDOMAIN: there is no such name.
    pub const NO_NAME: Code = Code(3);
    /// NOTIMP: not that kind of question.
    pub const UNKNOWN: Code = Code(4);
    /// REFUSED: not from here.
    pub const REFUSED: Code = Code(5);
    /// BADVERS: EDNS of the future (RFC 6891).
    pub const VERSION: Code = Code(16);
}

/// Types of records and of questions.
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// The name of an address.
    pub const PTR: u16 = 12;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// What the sender can do (RFC 6891).
    pub const OPT: u16 = 41;
    /// What has changed in a zone.
    pub const IXFR: u16 = 251;
    /// A whole zone.
    pub const AXFR: u16 = 252;
    /// All that there is.
    pub const ANY: u16 = 255;
}

/// The class of the internet.
pub const INTERNET: u16 = 1;

/// The 16 bits at a place, if there are as many.
fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Where the name that begins at a place ends, if it is whole and makes no reference.
fn end_of_name(bytes: &[u8], start: usize) -> Option<usize> {
    match end_of_labels(bytes, start)? {
        (at, 0) => Some(at + 1).filter(|end| end - start <= NAME_MAX),
        _ => None,
    }
}

/// Where the labels that begin at a place end, and what stands there in place of the length of one more.
fn end_of_labels(bytes: &[u8], start: usize) -> Option<(usize, u8)> {
    let mut at = start;
    loop {
        let length = *bytes.get(at)?;
        if length == 0 || usize::from(length) > LABEL_MAX {
            return Some((at, length));
        }
        at += 1 + usize::from(length);
    }
}

/// A name of labels with dots in between, as messages have it.
pub(super) fn labels(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len() + 2);
    for label in text.split('.') {
        if label.is_empty() || label.len() > LABEL_MAX {
            return None;
        }
        name.push(label.len() as u8);
        name.extend(label.as_bytes());
    }
    name.push(0);
    (name.len() <= NAME_MAX).then_some(name)
}

/// Whether two questions are the same but for the case of their names (RFC 4343).
fn same_question(one: &[u8], two: &[u8]) -> bool {
    // A label's length is smaller than any letter, so that only letters are taken for letters.
    match (one.split_last_chunk::<4>(), two.split_last_chunk::<4>()) {
        (Some((one, kind)), Some((two, other))) => kind == other && one.eq_ignore_ascii_case(two),
        _ => false,
    }
}
