//! The names under which the owners of addresses are asked for (RFC 1035, 3.5; RFC 3596, 2.5).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address in `4.3.2.1.in-addr.arpa`, or in 32 hexadecimal digits, the last one first, before `ip6.arpa`.
#[must_use]
pub fn address(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        // What reads addresses refuses signs, and zeros in front.
        let backwards: Ipv4Addr = labels.parse().ok()?;
        return Some(Ipv4Addr::from_bits(backwards.to_bits().swap_bytes()).into());
    }
    let mut labels = name.strip_suffix(".ip6.arpa")?.split('.');
    let mut bits = 0;
    for place in 0..32 {
        let [digit] = labels.next()?.as_bytes() else { return None };
        bits |= u128::from(char::from(*digit).to_digit(16)?) << (4 * place);
    }
    labels.next().is_none().then(|| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_backwards() {
        assert_eq!(address("2.0.18.172.in-addr.arpa"), Some([172, 18, 0, 2].into()));
        let six = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa";
        assert_eq!(address(six), "4321:0:1:2:3:4:567:89ab".parse().ok());
    }

    #[test]
    fn other_names_have_no_address() {
        for name in [
            "",
            "in-addr.arpa",
            ".in-addr.arpa",
            "1.2.3.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "01.2.3.4.in-addr.arpa",
            "+1.2.3.4.in-addr.arpa",
            "256.2.3.4.in-addr.arpa",
            "1.2.3.4.in-addr.arpa.x",
            "1.2.3.4.ip6.arpa",
            "bb.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
            "0.b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
            "g.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
        ] {
            assert_eq!(address(name), None, "{name}");
        }
    }
}
