//! A question, from its bytes and back.

use alloc::{string::String, vec::Vec};

use super::{
    Code, DATAGRAM_MAX, DATAGRAM_MIN, Flags, HEADER, NAME_MAX, OPT_LENGTH, SIGNATURES, end_of_name, kind,
    number, same_question,
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// What the answer has to bear.
    pub id: u16,
    /// What is asked for besides.
    pub flags: Flags,
    /// Name, type and class as they were sent.
    pub question: &'a [u8],
    /// `web.example`, in lower case and without a dot at the end; none if it has other than printable ASCII, or a dot
    /// within a label: nobody here is called that.
    pub name: Option<String>,
    /// The type of records, one of [`kind`] or any other.
    pub kind: u16,
    /// [`super::INTERNET`] as a rule.
    pub class: u16,
    /// What an OPT record said.
    pub edns: Option<Edns>,
}

/// What a sender can do (RFC 6891). Its options are forgotten: they are meant for the next server alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// How much it takes over UDP, between [`DATAGRAM_MIN`] and [`DATAGRAM_MAX`].
    pub datagram_bytes: u16,
    /// 0; others are answered with [`Code::VERSION`].
    pub version: u8,
    /// Signatures are wanted.
    pub signatures: bool,
}

/// A message that is no question, or none that can be understood, but that is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the answer has to bear.
    pub id: u16,
    /// The kind of question and the wish for recursion, which every answer repeats.
    pub(super) repeated: u16,
    /// The answer.
    pub code: Code,
}

impl<'a> Query<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// How it is refused; none for an answer and for less than a header, which are left without an answer, so that two
    /// servers never talk to each other for ever.
    pub fn parse(message: &'a [u8]) -> Result<Query<'a>, Option<Refusal>> {
        let id = number(message, 0).ok_or(None)?;
        let bits = number(message, 2).ok_or(None)?;
        if message.len() < HEADER || bits & Flags::ANSWER.bits() != 0 {
            return Err(None);
        }
        let operation = bits & 0x7800;
        let repeated = operation | bits & Flags::RECURSION_DESIRED.bits();
        if operation != 0 {
            return Err(Some(Refusal { id, repeated, code: Code::UNKNOWN }));
        }
        Query::parse_body(message, id, bits).ok_or(Some(Refusal { id, repeated, code: Code::MALFORMED }))
    }

    fn parse_body(message: &'a [u8], id: u16, bits: u16) -> Option<Query<'a>> {
        if message[4..10] != [0, 1, 0, 0, 0, 0] {
            return None;
        }
        let name_end = end_of_name(message, HEADER)?;
        let mut at = name_end + 4;
        let mut query = Query {
            id,
            flags: Flags::from_bits_truncate(bits) & Flags::ASKED,
            question: message.get(HEADER..at)?,
            name: text(&message[HEADER..name_end]),
            kind: number(message, name_end)?,
            class: number(message, name_end + 2)?,
            edns: None,
        };
        for _ in 0..number(message, 10)? {
            // Only who signs a question (TSIG) has others than OPT; their names need not be read to be passed over.
            let fixed = end_of_name(message, at)?;
            let length = number(message, fixed + 8)?;
            if number(message, fixed)? == kind::OPT {
                if fixed != at + 1 || query.edns.is_some() {
                    return None;
                }
                query.edns = Some(Edns {
                    datagram_bytes: number(message, fixed + 2)?
                        .clamp(DATAGRAM_MIN as u16, DATAGRAM_MAX as u16),
                    version: *message.get(fixed + 5)?,
                    signatures: number(message, fixed + 6)? & SIGNATURES != 0,
                });
            }
            at = fixed + 10 + usize::from(length);
        }
        (at == message.len()).then_some(query)
    }

    /// Writes it as a message behind what is there: the same question, without what was not understood.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.id.to_be_bytes());
        to.extend(self.flags.bits().to_be_bytes());
        to.extend([0, 1, 0, 0, 0, 0, 0, self.edns.is_some().into()]);
        to.extend(self.question);
        if let Some(edns) = self.edns {
            edns.write(Code::DONE, to);
        }
    }

    /// How large an answer over UDP may be.
    #[must_use]
    pub fn datagram_max(&self) -> usize {
        self.edns.map_or(DATAGRAM_MIN, |edns| usize::from(edns.datagram_bytes))
    }

    /// Whether a message is an answer to this very question, and how it went (the four bits in the header).
    #[must_use]
    pub fn answer(&self, message: &[u8]) -> Option<Code> {
        let bits = number(message, 2)?;
        let question = message.get(HEADER..HEADER + self.question.len())?;
        // As the question has no references, what is like it has none either.
        let is_answer = number(message, 0)? == self.id
            && bits & (Flags::ANSWER.bits() | 0x7800) == Flags::ANSWER.bits()
            && number(message, 4)? == 1
            && same_question(question, self.question);
        is_answer.then_some(Code(bits & 0xf))
    }
}

impl Edns {
    /// What is answered to it: what this side takes.
    pub(super) fn answer(self) -> Edns {
        Edns { datagram_bytes: DATAGRAM_MAX as u16, version: 0, ..self }
    }

    /// An OPT record (RFC 6891, 6.1.2).
    pub(super) fn write(self, code: Code, to: &mut Vec<u8>) {
        let start = to.len();
        to.push(0);
        to.extend(kind::OPT.to_be_bytes());
        to.extend(self.datagram_bytes.to_be_bytes());
        to.extend([(code.0 >> 4) as u8, self.version]);
        to.extend((if self.signatures { SIGNATURES } else { 0 }).to_be_bytes());
        to.extend([0, 0]);
        debug_assert_eq!(to.len() - start, OPT_LENGTH);
    }
}

/// The labels of a whole name with dots in between.
fn text(mut name: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(NAME_MAX);
    while let [length, rest @ ..] = name
        && *length != 0
    {
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            if !byte.is_ascii_graphic() || *byte == b'.' {
                return None;
            }
            text.push(byte.to_ascii_lowercase().into());
        }
        name = rest;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const WEB: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03Web\x04Test\0\0\x01\0\x01";
    /// 1232 bytes, signatures, and an option.
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\x06\0\x0a\0\x02ab";

    fn with_opt(opt: &[u8], count: u8) -> Vec<u8> {
        let mut message = [WEB, opt].concat();
        message[11] = count;
        message
    }

    fn refused(message: &[u8]) -> Option<Code> {
        Query::parse(message).unwrap_err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_question_is_read() {
        let query = Query::parse(WEB).unwrap();
        assert_eq!((query.id, query.flags), (0x1234, Flags::RECURSION_DESIRED));
        assert_eq!((query.name.as_deref(), query.kind, query.class), (Some("web.test"), kind::A, 1));
        assert_eq!((query.question, query.edns, query.datagram_max()), (&WEB[12..], None, 512));
        let message = with_opt(OPT, 1);
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.edns, Some(Edns { datagram_bytes: 1232, version: 0, signatures: true }));
        assert_eq!(query.datagram_max(), 1232);
        // The root has no labels.
        let root = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
        assert_eq!(Query::parse(root).unwrap().name.as_deref(), Some(""));
    }

    #[test]
    fn a_question_is_written_as_it_was_read() {
        let message = with_opt(OPT, 1);
        for message in [WEB, &message] {
            let query = Query::parse(message).unwrap();
            let mut again = Vec::new();
            query.write(&mut again);
            assert_eq!(Query::parse(&again).as_ref(), Ok(&query));
        }
    }

    #[test]
    fn names_of_other_than_printable_bytes_are_nobodys() {
        for bad in [b" ", b"\n", b"\0", b".", b"\xe9"] {
            let message = [&WEB[..13], bad, &WEB[14..]].concat();
            let query = Query::parse(&message).unwrap();
            assert_eq!((query.name, query.question), (None, &message[12..]));
        }
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let changed = |at: usize, byte: u8| {
            let mut message = WEB.to_vec();
            message[at] = byte;
            message
        };
        assert_eq!(refused(&changed(2, 0x81)), None);
        for end in 0..WEB.len() {
            assert_eq!(refused(&WEB[..end]), (end >= HEADER).then_some(Code::MALFORMED));
        }
        assert_eq!(refused(&changed(2, 0x29)), Some(Code::UNKNOWN));
        // Two questions, an answer, an authority, a record that is not there, a reference, a long label.
        for (at, byte) in [(5, 2), (5, 0), (7, 1), (9, 1), (11, 1), (12, 0xc0), (12, 64)] {
            assert_eq!(refused(&changed(at, byte)), Some(Code::MALFORMED), "{at} {byte}");
        }
        assert_eq!(refused(&[WEB, b"x"].concat()), Some(Code::MALFORMED));
        assert_eq!(refused(&with_opt(&[OPT, OPT].concat(), 2)), Some(Code::MALFORMED));
        assert_eq!(refused(&with_opt(&OPT[..OPT.len() - 1], 1)), Some(Code::MALFORMED));
    }

    #[test]
    fn a_name_has_255_bytes_at_most() {
        let named = |labels: &[usize]| {
            let mut message = WEB[..12].to_vec();
            for length in labels {
                message.push(*length as u8);
                message.extend(std::vec![b'a'; *length]);
            }
            message.extend(b"\0\0\x01\0\x01");
            message
        };
        assert_eq!(Query::parse(&named(&[63, 63, 63, 61])).unwrap().name.unwrap().len(), 253);
        assert_eq!(refused(&named(&[63, 63, 63, 62])), Some(Code::MALFORMED));
        assert_eq!(refused(&named(&[1; 128])), Some(Code::MALFORMED));
    }

    #[test]
    fn the_answer_to_another_question_is_none() {
        let query = Query::parse(WEB).unwrap();
        let mut answer = WEB.to_vec();
        assert_eq!(query.answer(&answer), None);
        (answer[2], answer[3]) = (0x81, 0x83);
        assert_eq!(query.answer(&answer), Some(Code::NO_NAME));
        answer[13] = b'w';
        assert_eq!(query.answer(&answer), Some(Code::NO_NAME));
        for at in [0, 1, 2, 5, 12, 13, 20, answer.len() - 1] {
            let mut answer = answer.clone();
            answer[at] ^= 0x41;
            assert_eq!(query.answer(&answer), None, "{at}");
        }
        assert_eq!(query.answer(&answer[..answer.len() - 1]), None);
    }
}
