//! What must hold for the messages of name servers, whoever sent them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skiff_core::net::dns::{
    Code, DATAGRAM_MIN, MESSAGE_MAX, answer,
    kind::{A, AAAA, ANY, OPT, PTR},
    query::Query,
    records, reverse,
};

/// The first two bytes say how many addresses are answered and how long the answer may be; then the question, which begins
/// with its length, and what another server has to say.
pub fn dns(data: &[u8]) {
    let Some(([count, limit, high, low], rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (message, other) = rest.split_at(length);
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(None) => return assert!(message.len() < 12 || message[2] & 0x80 != 0),
        Err(Some(refusal)) => {
            let mut answer = Vec::new();
            refusal.write(&mut answer);
            assert_eq!((answer.len(), &answer[..2], answer[2] & 0x80), (12, &message[..2], 0x80));
            return;
        }
    };
    let mut again = Vec::new();
    query.write(&mut again);
    assert_eq!(Query::parse(&again).as_ref(), Ok(&query), "it reads as it was written");
    assert!(again.len() <= message.len(), "nothing is added");
    assert!((DATAGRAM_MIN..=MESSAGE_MAX).contains(&query.datagram_max()));
    let name = query.name.clone().unwrap_or_default();
    assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
    if let Some(address) = reverse::address(&name) {
        assert_eq!(backwards(address), name);
    }

    let limit =
        [query.datagram_max(), MESSAGE_MAX, DATAGRAM_MIN + usize::from(*limit)][usize::from(limit % 3)];
    let addresses: Vec<IpAddr> = (0..u32::from(*count) * 3)
        .map(|n| match n % 2 {
            0 => Ipv4Addr::from_bits(n).into(),
            _ => Ipv6Addr::from_bits(n.into()).into(),
        })
        .collect();
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut answer = vec![*count; 5];
        write(&mut answer);
        assert!(answer.len() <= 5 + limit, "it is too long");
        answer.split_off(5)
    };
    let answer = written(&|to| answer::addresses(&query, &addresses, limit, to));
    let found = read(&query, &answer);
    let all: Vec<&IpAddr> = addresses.iter().filter(|address| answer::is_asked(&query, **address)).collect();
    assert!(found.iter().zip(&all).all(|(record, address)| match address {
        IpAddr::V4(address) => *record == (A, &address.octets()),
        IpAddr::V6(address) => *record == (AAAA, &address.octets()),
    }));
    assert_eq!(found.len() < all.len(), answer[2] & 2 != 0, "what is left out is said to be");
    let told = found.iter().filter(|(kind, _)| *kind == query.kind).count();
    assert_eq!(records::addresses(&query, &answer).len(), told);

    let answer = written(&|to| answer::name(&query, &name, limit, to));
    let read_name = read(&query, &answer);
    let is_whole = !name.is_empty() && answer[2] & 2 == 0;
    assert_eq!(read_name.len(), usize::from(is_whole));
    assert!(read_name.iter().all(|(kind, content)| *kind == PTR
        && content.eq_ignore_ascii_case(&query.question[..query.question.len() - 4])));
    for code in [Code::FAILED, Code::NO_NAME, Code::REFUSED] {
        let answer = written(&|to| answer::code(&query, code, limit, to));
        assert!(read(&query, &answer).is_empty() && u16::from(answer[3] & 0xf) == code.0);
        assert_eq!(query.answer(&answer), Some(code));
    }

    // Whatever another server says, and the same as an answer to this question.
    let behind = other.get(12..).unwrap_or_default();
    let fitting = [&message[..2], &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], query.question, behind].concat();
    assert!(query.answer(&fitting).is_some());
    for said in [other, &fitting] {
        let told = records::addresses(&query, said);
        assert!(
            told.len() * 12 <= said.len() && told.iter().all(|address| answer::is_asked(&query, *address))
        );
        let passed = written(&|to| answer::pass_on(&query, said, limit, to));
        assert_eq!(passed[..2], message[..2]);
        if query.answer(said).is_some() {
            assert!(query.answer(&passed).is_some() && passed[12..].starts_with(query.question));
            assert!(passed.len() == said.len() || passed[2] & 2 != 0, "what is cut is said to be");
        }
    }
}

/// The records of an answer but OPT, which is there if it was in the question.
fn read<'a>(query: &Query<'_>, answer: &'a [u8]) -> Vec<(u16, &'a [u8])> {
    let number = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    assert_eq!((number(0), number(4), number(8)), (query.id, 1, 0));
    assert_eq!((answer[2] & 0xf8, answer[3] & 0x80), (0x80, 0x80));
    let mut at = 12 + query.question.len();
    assert_eq!(&answer[12..at], query.question);
    let mut records = Vec::new();
    for _ in 0..number(6) {
        let end = at + 12 + usize::from(number(at + 10));
        assert_eq!((number(at), number(at + 4), number(at + 8)), (0xc00c, 1, 600));
        records.push((number(at + 2), &answer[at + 12..end]));
        at = end;
    }
    assert_eq!(number(10), u16::from(query.edns.is_some()));
    if query.edns.is_some() {
        assert_eq!((answer[at], number(at + 1), number(at + 9)), (0, OPT, 0));
        at += 11;
    }
    assert_eq!(at, answer.len());
    assert!(records.iter().all(|(kind, _)| query.kind == ANY || *kind == PTR || *kind == query.kind));
    records
}

/// The name under which the owner of an address is asked for.
fn backwards(address: IpAddr) -> String {
    let (digits, end): (Vec<String>, _) = match address {
        IpAddr::V4(address) => (address.octets().map(|byte| byte.to_string()).to_vec(), "in-addr.arpa"),
        IpAddr::V6(address) => {
            (format!("{:032x}", address.to_bits()).chars().map(String::from).collect(), "ip6.arpa")
        }
    };
    digits.iter().rev().map(|digit| format!("{digit}.")).collect::<String>() + end
}
