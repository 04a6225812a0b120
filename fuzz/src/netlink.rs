//! What must hold for whatever is read from a netlink socket.

use skiff_core::net::{
    link,
    message::{Flags, Messages, attributes, messages, number},
    table,
};

/// Reads everything as everything, and writes again what was read.
pub fn netlink(data: &[u8]) {
    let mut read = 0;
    for message in messages(data) {
        read += 16 + message.body.len();
        assert!(read <= data.len(), "more is read than is there");
        let _ = (message.error(), link::read_link(&message), link::read_route(&message));
        let _ = table::read_forward_drop(&message);
        if let Some((index, address, subnet)) = link::read_address(&message) {
            assert!(
                subnet.contains(address) && subnet.contains(subnet.first()) && subnet.contains(subnet.last())
            );
            assert_eq!(subnet.to_string().parse(), Ok(subnet));
            let mut again = Messages::default();
            link::add_address(&mut again, index, address, subnet);
            let again = messages(again.bytes()).next().expect("it was written");
            assert_eq!(link::read_address(&again), Some((index, address, subnet)));
        }
        for fixed in [0, 4, 8, 12, 16] {
            let all: Vec<(u16, &[u8])> = message.attributes(fixed).collect();
            let mut again = Messages::default();
            again.add(message.kind, Flags::empty(), &[], |to| {
                for (kind, value) in &all {
                    to.bytes(*kind, value);
                }
            });
            let message = messages(again.bytes()).next().expect("it was written");
            assert_eq!(message.attributes(0).collect::<Vec<_>>(), all);
        }
    }
    assert!(attributes(data).all(|(_, value)| number(value).is_some() == (value.len() >= 4)));
}
