//! The framing that all of netlink shares (netlink(7), linux/netlink.h): messages of a header, a fixed part and
//! attributes, everything aligned to four bytes, in the byte order of the machine.

use alloc::vec::Vec;

/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// `struct nlattr`: length, type.
const ATTRIBUTE: usize = 4;
/// The bits of an attribute's type that are not flags (NLA_TYPE_MASK).
const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 1 << 15;

/// NLMSG_ERROR: an answer with an error number, 0 for success.
pub const ERROR: u16 = 2;
/// NLMSG_DONE: the end of an answer of several messages.
pub const DONE: u16 = 3;

bitflags::bitflags! {
    /// Flags of a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u16 {
        /// Every request has it.
        const REQUEST = 0x1;
        /// An answer is wanted.
        const ACK = 0x4;
        /// All objects, not one.
        const DUMP = 0x300;
        /// It must not exist.
        const EXCLUSIVE = 0x200;
        /// It may have to be made.
        const CREATE = 0x400;
        /// At the end of a list.
        const APPEND = 0x800;
    }
}

/// Messages that are sent together.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    count: u32,
    acknowledged: u32,
    dumps: bool,
}

impl Messages {
    /// Adds a message with this fixed part and what `fill` writes behind it. Its sequence number is its place, from 1.
    pub fn add(&mut self, kind: u16, flags: Flags, fixed: &[u8], fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.count += 1;
        self.acknowledged += u32::from(flags.contains(Flags::ACK));
        self.dumps |= flags.contains(Flags::DUMP);
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | Flags::REQUEST).bits().to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(fixed);
        align(&mut self.bytes);
        fill(&mut Attributes(&mut self.bytes));
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// What goes over the socket.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether one asks for all objects, so that the answer goes on until [`DONE`].
    #[must_use]
    pub fn dumps(&self) -> bool {
        self.dumps
    }

    /// How many answers they ask for.
    #[must_use]
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Where attributes are written. One is at most 65,531 bytes long; the callers have to see to that.
#[derive(Debug)]
pub struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    /// An attribute with these bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.write(kind, |bytes| bytes.extend(value))
    }

    /// A string that ends with a zero.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.write(kind, |bytes| {
            bytes.extend(value.as_bytes());
            bytes.push(0);
        })
    }

    /// A number in the order of the machine, as rtnetlink has them.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in the order of networks, as nfnetlink has them.
    pub fn network_number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Attributes in an attribute.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.write(kind | NESTED, |bytes| fill(&mut Attributes(bytes)))
    }

    /// A fixed part in an attribute, which attributes follow.
    pub fn fixed(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend(value);
        align(self.0);
        self
    }

    fn write(&mut self, kind: u16, value: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        value(self.0);
        let length = self.0.len() - start;
        debug_assert!(length <= usize::from(u16::MAX), "attribute {kind} of {length} bytes");
        self.0[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        align(self.0);
        self
    }
}

/// A message that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Of the request that it answers.
    pub sequence: u32,
    /// What stands behind the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The error number of an [`ERROR`] message, 0 for success; none for other messages.
    #[must_use]
    pub fn error(&self) -> Option<i32> {
        (self.kind == ERROR).then(|| number(self.body).map_or(0, |bits| (bits as i32).wrapping_neg()))
    }

    /// The attributes behind a fixed part of `length` bytes.
    pub fn attributes(&self, length: usize) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        attributes(self.body.get(length.next_multiple_of(4)..).unwrap_or_default())
    }
}

/// The messages of a datagram. What is cut short ends it.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    core::iter::from_fn(move || {
        let (header, _) = bytes.split_at_checked(HEADER)?;
        let length = number(header)? as usize;
        let body = bytes.get(HEADER..length)?;
        let message = Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            sequence: number(&header[8..])?,
            body,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes that stand one behind the other, with their types. What is cut short ends them.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let (header, _) = bytes.split_at_checked(ATTRIBUTE)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK, value))
    })
}

/// The number at the start of these bytes, in the order of the machine.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut sent = Messages::default();
        sent.add(16, Flags::ACK, &[1, 2, 3], |attributes| {
            attributes.text(3, "eth0").number(4, 1500);
            attributes.nested(18, |inner| _ = inner.bytes(1, &[9; 5]));
        });
        sent.add(20, Flags::empty(), &[], |_| {});
        assert_eq!(sent.acknowledged(), 1);
        let read: Vec<Message<'_>> = messages(sent.bytes()).collect();
        assert_eq!(read.iter().map(|one| (one.kind, one.sequence)).collect::<Vec<_>>(), [(16, 1), (20, 2)]);
        let found: Vec<(u16, &[u8])> = read[0].attributes(3).collect();
        assert_eq!(found[0], (3, &b"eth0\0"[..]));
        assert_eq!(number(found[1].1), Some(1500));
        assert_eq!(attributes(found[2].1).collect::<Vec<_>>(), [(1, &[9; 5][..])]);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn what_is_cut_short_ends() {
        let mut sent = Messages::default();
        sent.add(16, Flags::empty(), &[0; 16], |attributes| _ = attributes.text(3, "eth0"));
        let bytes = sent.bytes();
        for end in 0..bytes.len() {
            assert_eq!(messages(&bytes[..end]).count(), 0);
        }
        // Lengths that reach nowhere, or that would never get on.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[255, 255, 1, 0]).count(), 0);
        let error = Message { kind: ERROR, sequence: 1, body: &(-17i32).to_ne_bytes() };
        assert_eq!(error.error(), Some(17));
        assert_eq!(Message { kind: DONE, ..error }.error(), None);
    }
}
