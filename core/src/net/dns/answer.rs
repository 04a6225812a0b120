//! Answers: what is known here, what went wrong, and what another server has said. All are written to the end of a buffer,
//! bear the question as it was sent, and are no longer than they may be: what does not fit is left out and said to be.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{
    Code, Flags, HEADER, OPT_LENGTH,
    kind::{A, AAAA, ANY, PTR},
    labels, number,
    query::{Query, Refusal},
};

/// How long an answer may be remembered.
const SECONDS_TO_LIVE: u32 = 600;
/// A reference to the name in the question.
const ASKED_NAME: [u8; 2] = [0xc0, HEADER as u8];

/// Whether addresses of this kind are what is asked for.
#[must_use]
pub fn is_asked(query: &Query<'_>, address: IpAddr) -> bool {
    query.kind == ANY || query.kind == if address.is_ipv4() { A } else { AAAA }
}

/// The addresses of a name that is known: of those that are [asked for](is_asked) as many as fit, in this order.
pub fn addresses(query: &Query<'_>, addresses: &[IpAddr], limit: usize, to: &mut Vec<u8>) {
    let mut answer = Answer::new(query, Flags::AUTHORITATIVE, Code::DONE, limit, to);
    for address in addresses.iter().filter(|address| is_asked(query, **address)) {
        match address {
            IpAddr::V4(address) => answer.record(A, &address.octets()),
            IpAddr::V6(address) => answer.record(AAAA, &address.octets()),
        }
    }
    answer.finish();
}

/// The name of an address. One that no message can bear is left out.
pub fn name(query: &Query<'_>, name: &str, limit: usize, to: &mut Vec<u8>) {
    let mut answer = Answer::new(query, Flags::AUTHORITATIVE, Code::DONE, limit, to);
    if let Some(name) = labels(name) {
        answer.record(PTR, &name);
    }
    answer.finish();
}

/// That there is nothing to be said.
pub fn code(query: &Query<'_>, code: Code, limit: usize, to: &mut Vec<u8>) {
    Answer::new(query, Flags::empty(), code, limit, to).finish();
}

/// What another server has said, if it has [answered](Query::answer): whole, or only that it is too long.
pub fn pass_on(query: &Query<'_>, message: &[u8], limit: usize, to: &mut Vec<u8>) {
    let start = to.len();
    let (Some(bits), Some(rest)) = (number(message, 2), message.get(HEADER + query.question.len()..)) else {
        return code(query, Code::FAILED, limit, to);
    };
    if message.len() > limit {
        let flags = (Flags::from_bits_truncate(bits) - Flags::ASKED) | Flags::TRUNCATED;
        return Answer::new(query, flags, Code(bits & 0xf), limit, to).finish();
    }
    to.extend(query.id.to_be_bytes());
    to.extend(&message[2..HEADER]);
    to.extend(query.question);
    to.extend(rest);
    debug_assert_eq!(to.len() - start, message.len());
}

impl Refusal {
    /// The answer: a header and nothing behind it.
    pub fn write(&self, to: &mut Vec<u8>) {
        let bits = (Flags::ANSWER | Flags::RECURSION_AVAILABLE).bits();
        to.extend(self.id.to_be_bytes());
        to.extend((self.repeated | bits | self.code.0).to_be_bytes());
        to.extend([0; 8]);
    }
}

/// An answer that is being written.
struct Answer<'a, 'b> {
    query: &'a Query<'a>,
    code: Code,
    to: &'b mut Vec<u8>,
    /// Where it begins, and where it has to end.
    start: usize,
    end: usize,
    flags: Flags,
    records: u16,
}

impl<'a, 'b> Answer<'a, 'b> {
    /// The least limit has room for the longest question and for what tells about EDNS.
    fn new(query: &'a Query<'a>, flags: Flags, code: Code, limit: usize, to: &'b mut Vec<u8>) -> Self {
        let start = to.len();
        let reserved = if query.edns.is_some() { OPT_LENGTH } else { 0 };
        to.extend(query.id.to_be_bytes());
        to.extend([0; HEADER - 2]);
        to.extend(query.question);
        let asked = query.flags - Flags::AUTHENTIC;
        let flags = flags | asked | Flags::ANSWER | Flags::RECURSION_AVAILABLE;
        Answer { query, code, to, start, end: start + limit - reserved, flags, records: 0 }
    }

    fn record(&mut self, kind: u16, content: &[u8]) {
        let length = ASKED_NAME.len() + 10 + content.len();
        if self.flags.contains(Flags::TRUNCATED) || self.to.len() + length > self.end {
            self.flags |= Flags::TRUNCATED;
            return;
        }
        self.records += 1;
        self.to.extend(ASKED_NAME);
        self.to.extend(kind.to_be_bytes());
        self.to.extend(super::INTERNET.to_be_bytes());
        self.to.extend(SECONDS_TO_LIVE.to_be_bytes());
        self.to.extend((content.len() as u16).to_be_bytes());
        self.to.extend(content);
    }

    fn finish(self) {
        let bits = (self.flags.bits() | self.code.0 & 0xf).to_be_bytes();
        let [high, low] = self.records.to_be_bytes();
        let edns = self.query.edns;
        let header = [bits[0], bits[1], 0, 1, high, low, 0, 0, 0, edns.is_some().into()];
        self.to[self.start + 2..self.start + HEADER].copy_from_slice(&header);
        if let Some(edns) = edns {
            edns.answer().write(self.code, self.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;
    use std::{string::String, vec::Vec};

    use super::*;

    /// A question about `Web.Test`, with or without EDNS.
    fn question(kind: u16, edns: bool) -> Vec<u8> {
        let mut message = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\0\x03Web\x04Test\0\0\0\0\x01".to_vec();
        message[23] = kind as u8;
        if edns {
            message[11] = 1;
            message.extend(b"\0\0\x29\xff\xff\0\0\x80\0\0\0");
        }
        message
    }

    fn written(question: &[u8], write: impl FnOnce(&Query<'_>, &mut Vec<u8>)) -> Vec<u8> {
        let mut to = b"before".to_vec();
        write(&Query::parse(question).unwrap(), &mut to);
        to.split_off(6)
    }

    #[test]
    fn an_answer_bears_the_question_and_the_addresses_of_its_kind() {
        let all = [[10, 0, 0, 2].into(), Ipv6Addr::LOCALHOST.into(), [10, 0, 0, 3].into()];
        let answer = |kind| written(&question(kind, false), |query, to| addresses(query, &all, 512, to));
        let expected = b"\x12\x34\x85\x80\0\x01\0\x02\0\0\0\0\x03Web\x04Test\0\0\x01\0\x01\
            \xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04\x0a\0\0\x02\xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04\x0a\0\0\x03";
        assert_eq!(answer(A), expected);
        assert_eq!((answer(AAAA)[7], answer(AAAA).len()), (1, 26 + 28));
        assert_eq!((answer(16)[7], answer(16).len()), (0, 26));
        assert_eq!(answer(ANY)[7], 3);
    }

    #[test]
    fn who_tells_what_it_can_do_is_told_as_well() {
        let answer = written(&question(A, true), |query, to| code(query, Code::VERSION, 512, to));
        assert_eq!(answer[2..12], *b"\x81\x80\0\x01\0\0\0\0\0\x01");
        assert_eq!(answer[26..], *b"\0\0\x29\x10\0\x01\0\x80\0\0\0");
    }

    #[test]
    fn what_does_not_fit_is_said_to_be_left_out() {
        let all: Vec<IpAddr> = (0..10_000).map(|n| core::net::Ipv4Addr::from_bits(n).into()).collect();
        for (edns, limit, count) in
            [(false, 512, 30), (true, 512, 29), (true, 4096, 253), (false, 65_535, 4094)]
        {
            let answer = written(&question(A, edns), |query, to| addresses(query, &all, limit, to));
            assert_eq!(number(&answer, 6), Some(count));
            assert_eq!((answer[2], answer[3]), (0x87, 0x80));
            assert!(answer.len() <= limit && answer.len() + 16 > limit);
        }
    }

    #[test]
    fn an_address_has_a_name_if_a_message_can_bear_it() {
        let answer = |text: &str| written(&question(PTR, false), |query, to| name(query, text, 512, to));
        assert_eq!(answer("web.net")[26..], *b"\xc0\x0c\0\x0c\0\x01\0\0\x02\x58\0\x09\x03web\x03net\0");
        for bad in [String::new(), "a..b".into(), "a".repeat(64), "abcd.".repeat(50) + "abcde"] {
            assert_eq!(answer(&bad).len(), 26, "{bad}");
        }
    }

    #[test]
    fn another_servers_answer_is_passed_on_with_the_question_as_it_was_asked() {
        let asked = question(A, true);
        let theirs =
            [b"\x99\x99\x81\xa3\0\x01\0\0\0\x01\0\0\x03wEB\x04tEST\0\0\x01\0\x01", &[7; 600][..]].concat();
        let passed = |limit| written(&asked, |query, to| pass_on(query, &theirs, limit, to));
        let whole =
            [b"\x12\x34\x81\xa3\0\x01\0\0\0\x01\0\0\x03Web\x04Test\0\0\x01\0\x01", &[7; 600][..]].concat();
        assert_eq!(passed(626), whole);
        let cut =
            b"\x12\x34\x83\x83\0\x01\0\0\0\0\0\x01\x03Web\x04Test\0\0\x01\0\x01\0\0\x29\x10\0\0\0\x80\0\0\0";
        assert_eq!(passed(625), cut);
        let none = written(&asked, |query, to| pass_on(query, &theirs[..9], 512, to));
        assert_eq!(none[3], 0x82);
    }

    #[test]
    fn a_refusal_is_a_header() {
        let mut answer = Vec::new();
        Query::parse(b"\x12\x34\x29\0\0\0\0\0\0\0\0\0").unwrap_err().unwrap().write(&mut answer);
        assert_eq!(answer, b"\x12\x34\xa9\x84\0\0\0\0\0\0\0\0");
    }
}
