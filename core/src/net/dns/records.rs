//! What another server's answer says: the addresses in its records. Whose they are said to be does not matter: a server that
//! asks others for its clients gives the whole chain of names, at whose end the addresses are.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{
    HEADER, INTERNET, end_of_labels,
    kind::{A, AAAA},
    number,
    query::Query,
};

/// The least in place of a length that is a reference to an earlier place.
const REFERENCE: u8 = 0xc0;

/// The addresses in a message that [answers](Query::answer) this question, as far as it makes sense: those of the kind that
/// was asked for.
#[must_use]
pub fn addresses(query: &Query<'_>, message: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut at = HEADER + query.question.len();
    for _ in 0..number(message, 6).unwrap_or(0) {
        let Some((record, end)) = record(message, at) else { break };
        if (record.kind, record.class) == (query.kind, INTERNET) {
            found.extend(record.address());
        }
        at = end;
    }
    found
}

struct Record<'a> {
    kind: u16,
    class: u16,
    content: &'a [u8],
}

impl Record<'_> {
    fn address(&self) -> Option<IpAddr> {
        match self.kind {
            A => <[u8; 4]>::try_from(self.content).ok().map(IpAddr::from),
            AAAA => <[u8; 16]>::try_from(self.content).ok().map(IpAddr::from),
            _ => None,
        }
    }
}

/// The record that begins at a place, and where it ends.
fn record(message: &[u8], start: usize) -> Option<(Record<'_>, usize)> {
    let fixed = end_of_any_name(message, start)?;
    let begin = fixed + 10;
    let end = begin + usize::from(number(message, fixed + 8)?);
    let content = message.get(begin..end)?;
    Some((Record { kind: number(message, fixed)?, class: number(message, fixed + 2)?, content }, end))
}

/// Where the name that begins at a place ends, which it may with a reference.
fn end_of_any_name(message: &[u8], start: usize) -> Option<usize> {
    match end_of_labels(message, start)? {
        (at, 0) => Some(at + 1),
        (at, REFERENCE..) => Some(at + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\x04test\0\0\x01\0\x01";

    fn answer(count: u8, records: &[u8]) -> Vec<u8> {
        let mut message = [QUESTION, records].concat();
        (message[2], message[7]) = (0x81, count);
        message
    }

    fn found(count: u8, records: &[u8]) -> Vec<IpAddr> {
        addresses(&Query::parse(QUESTION).unwrap(), &answer(count, records))
    }

    #[test]
    fn the_addresses_at_the_end_of_a_chain_are_found() {
        let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x08\x05other\xc0\x10";
        let first = b"\x05other\xc0\x10\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x01";
        let second = b"\x05other\x04test\0\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x02";
        let six = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x09\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        let records = [&alias[..], first, six, second].concat();
        assert_eq!(found(4, &records), [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);
        // No more than it says that there are.
        assert_eq!(found(2, &records), [IpAddr::from([10, 0, 0, 1])]);
    }

    #[test]
    fn what_makes_no_sense_is_left() {
        let good = b"\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x01";
        for bad in [
            &b"\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x05\x0a\0\0\x01"[..],
            b"\xc0",
            b"\x80\x0c\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x01",
            b"\x3fweb",
            b"",
        ] {
            assert_eq!(found(2, &[good, bad].concat()), [IpAddr::from([10, 0, 0, 1])]);
        }
        // Of another class, or an address of another length.
        assert!(found(1, b"\xc0\x0c\0\x01\0\x03\0\0\0\x09\0\x04\x0a\0\0\x01").is_empty());
        assert!(found(1, b"\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x03\x0a\0\0").is_empty());
    }
}
