//! The system calls that this architecture knows: name -> number, and which arguments are 32 bits wide.

use super::program::Width;

/// Two tables out of a list of constants: names with their prefix, and numbers, in the same order.
macro_rules! numbered {
    ($($name:ident)*) => {
        /// Names with `__NR_`, a space after each.
        pub(super) const NATIVE_NAMES: &str = concat!($(stringify!($name), " "),*);
        /// Their numbers.
        pub(super) const NATIVE_NUMBERS: &[u32] = &[$(linux_raw_sys::general::$name),*];
    };
}

#[cfg_attr(target_arch = "x86_64", path = "calls/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "calls/aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "calls/riscv64.rs")]
mod architecture;
mod narrow;

pub(super) use architecture::{COMPAT, NAME, NATIVE_ARCHITECTURE, PROFILE_NAME};

/// A table of one value for each name, in alphabetical order.
pub(super) struct Calls {
    list: [(&'static str, u32); Calls::CAPACITY],
    len: usize,
}

impl Calls {
    const CAPACITY: usize = 512;

    /// The numbers of native calls.
    pub(super) const fn native() -> Self {
        let mut calls = Calls { list: [("", 0); Self::CAPACITY], len: 0 };
        let mut text = architecture::NATIVE_NAMES;
        while let Some((word, rest)) = next_word(text) {
            let (_, name) = word.split_at("__NR_".len());
            calls.list[calls.len] = (name, architecture::NATIVE_NUMBERS[calls.len]);
            calls.len += 1;
            text = rest;
        }
        calls
    }

    /// The numbers of the 32-bit architecture's calls; empty if there is none.
    pub(super) const fn compat() -> Self {
        Self::pairs(architecture::COMPAT_CALLS, 10)
    }

    /// The indices of 32-bit arguments, as the digits of a number in base 8.
    pub(super) const fn narrow() -> Self {
        Self::pairs(narrow::NARROW, 8)
    }

    const fn pairs(text: &'static str, base: u32) -> Self {
        let mut calls = Calls { list: [("", 0); Self::CAPACITY], len: 0 };
        let mut text = text;
        while let Some((name, rest)) = next_word(text)
            && let Some((digits, rest)) = next_word(rest)
        {
            let mut number = if base == 8 { 1 } else { 0 }; // a leading one keeps a leading index 0
            let mut i = 0;
            while i < digits.len() {
                number = number * base + (digits.as_bytes()[i] - b'0') as u32;
                i += 1;
            }
            calls.list[calls.len] = (name, number);
            calls.len += 1;
            text = rest;
        }
        calls
    }

    /// The value at a name.
    pub(super) const fn get(&self, name: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = (low + high) / 2;
            match compare(self.list[middle].0, name) {
                0 => return Some(self.list[middle].1),
                1.. => high = middle,
                _ => low = middle + 1,
            }
        }
        None
    }

    /// How much of an argument of a native call the kernel looks at; asked of [`Calls::narrow`].
    pub(super) fn width(&self, name: &str, argument: u8) -> Width {
        let mut indices = self.get(name).unwrap_or(1);
        while indices > 1 {
            if indices % 8 == u32::from(argument) {
                return Width::Narrow;
            }
            indices /= 8;
        }
        Width::Wide
    }
}

/// i386 has calls that stand for many others: the call in whose place `name` can be made there, and the first argument
/// that selects it.
pub(super) fn multiplexed(name: &str) -> Option<(&'static str, u32)> {
    const SOCKETCALL: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u32); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let socket = SOCKETCALL.iter().zip(1..).find(|(known, _)| **known == name);
    let ipc = || IPC.iter().find(|(known, _)| *known == name);
    socket.map(|(_, number)| ("socketcall", number)).or_else(|| ipc().map(|(_, number)| ("ipc", *number)))
}

/// The first word of a text and what comes after it; words are separated by single spaces or line ends.
pub(super) const fn next_word(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b' ' {
        end += 1;
    }
    if end == 0 {
        return None;
    }
    let (word, rest) = text.split_at(end);
    Some((word, if rest.is_empty() { rest } else { rest.split_at(1).1 }))
}

/// Below, at or above 0 as `a` comes before, is, or comes after `b`.
const fn compare(a: &str, b: &str) -> i32 {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] as i32 - b[i] as i32;
        }
        i += 1;
    }
    a.len() as i32 - b.len() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_order_and_complete() {
        for calls in [Calls::native(), Calls::compat(), Calls::narrow()] {
            let list = &calls.list[..calls.len];
            assert!(list.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert!(list.iter().all(|(name, number)| calls.get(name) == Some(*number)));
        }
        assert_eq!(Calls::native().len, architecture::NATIVE_NUMBERS.len());
        assert_eq!(Calls::native().get("read"), Some(linux_raw_sys::general::__NR_read));
        assert_eq!(Calls::native().get("reading"), None);
        assert_eq!(Calls::native().get(""), None);
    }

    #[test]
    fn a_call_that_is_narrow_somewhere_exists() {
        let narrow = Calls::narrow();
        let known =
            narrow.list[..narrow.len].iter().filter(|(name, _)| Calls::native().get(name).is_some()).count();
        assert!(known > 200, "{known}");
    }

    #[test]
    fn widths_are_the_kernels() {
        let narrow = Calls::narrow();
        let widths =
            |name| (0..6).map(|i| narrow.width(name, i) == Width::Narrow).collect::<std::vec::Vec<_>>();
        assert_eq!(widths("socket"), [true, true, true, false, false, false]);
        assert_eq!(widths("ioctl"), [true, true, false, false, false, false]);
        assert_eq!(widths("clone"), [true, false, false, false, false, false]);
        assert_eq!(widths("mmap"), [false; 6]);
        assert_eq!(widths("no such call"), [false; 6]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_32_bit_table_is_i386s() {
        let compat = Calls::compat();
        for (name, number) in
            [("exit", 1), ("getpid", 20), ("socketcall", 102), ("socket", 359), ("file_setattr", 469)]
        {
            assert_eq!(compat.get(name), Some(number), "{name}");
        }
    }
}
