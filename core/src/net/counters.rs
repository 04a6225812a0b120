//! What has gone through interfaces: the text of /proc/PID/net/dev (proc_pid_net(5)).

use alloc::{string::String, vec::Vec};

/// The counters of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Its name.
    pub name: String,
    /// Received: bytes, packets, errors, dropped.
    pub received: [u64; 4],
    /// Sent: the same.
    pub sent: [u64; 4],
}

impl Counters {
    /// Those of all interfaces but the loopback.
    #[must_use]
    pub fn parse(text: &str) -> Vec<Counters> {
        let line = |line: &str| {
            let (name, numbers) = line.split_once(':')?;
            let mut numbers = numbers.split_ascii_whitespace().map_while(|number| number.parse().ok());
            let mut four = || Some([numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?]);
            // Between them there is what nobody asks for: fifo, frame, compressed, multicast.
            let (received, _, sent) = (four()?, four()?, four()?);
            Some(Counters { name: name.trim().into(), received, sent })
        };
        text.lines().filter_map(line).filter(|one| one.name != "lo").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_but_the_loopback() {
        let text = "Inter-|   Receive       |  Transmit\n face |bytes packets|bytes packets\n    \
                    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  \
                    eth0:1006 13 1 2 0 0 0 5 796 10 3 4 0 0 0 0\nshort: 1 2\n";
        let eth0 = Counters { name: "eth0".into(), received: [1006, 13, 1, 2], sent: [796, 10, 3, 4] };
        assert_eq!(Counters::parse(text), [eth0]);
    }
}
