//! `--network`, `--network-alias`, `--ip`, `--ip6`, `--mac-address`: networks as people write them -> the API's
//! network mode and endpoint settings.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use core::net::{Ipv4Addr, Ipv6Addr};

use skiff_core::container::{
    config::Map,
    endpoint::{EndpointSettings, WantedAddresses},
};

use super::flags::{Flags, invalid};

/// The networks of a container: that of its mode, `default` if none was named, and what is asked for on all of them.
#[derive(Debug)]
pub struct Networks {
    /// The network mode.
    pub mode: String,
    /// By the network's name; those of which nothing special is asked stand there only if there are several.
    pub settings: Map<EndpointSettings>,
}

impl Networks {
    /// Reads the flags.
    pub fn read(flags: &Flags) -> Result<Networks, String> {
        let mut all: Vec<(String, EndpointSettings)> = Vec::new();
        for text in flags.all("--network") {
            let (name, settings) = network(text).map_err(|reason| invalid("--network", text, &reason))?;
            if all.iter().any(|(known, _)| *known == name) {
                return Err(format!("network \"{name}\" is specified multiple times"));
            }
            all.push((name, settings));
        }
        if all.is_empty() {
            all.push(("default".into(), EndpointSettings::default()));
        }
        let several = all.len() > 1;
        let (mode, first) = &mut all[0];
        let twice = |flag: &str, what: &str| {
            Err(format!("conflicting options: cannot specify both {flag} and per-network {what}"))
        };
        if flags.on("--network-alias") {
            if !first.aliases.is_empty() {
                return twice("--network-alias", "alias");
            }
            first.aliases = flags.list("--network-alias");
        }
        let per_network = first.ipam_config.is_some();
        for (flag, what) in [("--ip", "IPv4 address"), ("--ip6", "IPv6 address")] {
            let Some(address) = flags.one(flag) else { continue };
            if per_network {
                return twice(flag, what);
            }
            set_address(first, flag, address).map_err(|reason| invalid(flag, address, &reason))?;
        }
        if flags.on("--link-local-ip") {
            let wanted = first.ipam_config.get_or_insert_with(WantedAddresses::default);
            if !wanted.link_local.is_empty() {
                return twice("--link-local-ip", "link-local IP addresses");
            }
            wanted.link_local = flags.list("--link-local-ip");
        }
        if let Some(address) = flags.one("--mac-address") {
            if !first.mac_address.is_empty() {
                return twice("--mac-address", "MAC address");
            }
            first.mac_address = address.into();
        }
        let mode = mode.clone();
        let mut settings = Map::new();
        settings.extend(all.into_iter().filter(|(_, one)| several || *one != EndpointSettings::default()));
        Ok(Networks { mode, settings })
    }
}

/// `NAME`, or `name=NAME,alias=..,ip=..,ip6=..,mac-address=..,gw-priority=..`.
fn network(text: &str) -> Result<(String, EndpointSettings), String> {
    let mut settings = EndpointSettings::default();
    if !text.contains('=') {
        return match text {
            "" | "container:" => Err("it is a network's name, none, host or container:NAME".into()),
            name => Ok((name.into(), settings)),
        };
    }
    let mut name = "";
    for field in text.split(',') {
        let (key, value) =
            field.split_once('=').ok_or_else(|| format!("invalid field {field}: it is KEY=VALUE"))?;
        match key.trim().to_lowercase().as_str() {
            "name" => name = value.trim(),
            "alias" => settings.aliases.push(value.trim().to_lowercase()),
            "ip" => set_address(&mut settings, "--ip", value)?,
            "ip6" => set_address(&mut settings, "--ip6", value)?,
            "link-local-ip" => {
                let wanted = settings.ipam_config.get_or_insert_with(WantedAddresses::default);
                wanted.link_local.push(value.into());
            }
            "mac-address" => settings.mac_address = value.into(),
            "gw-priority" => {
                settings.gw_priority =
                    value.parse().map_err(|_| format!("invalid gw-priority ({value}): it is a number"))?;
            }
            "driver-opt" => {
                let (option, value) = value.split_once('=').ok_or("driver-opt is OPTION=VALUE")?;
                settings.driver_opts.insert(option.into(), value.into());
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if name.is_empty() {
        return Err("network name is not specified".into());
    }
    Ok((name.into(), settings))
}

/// Asks for an address, as the flag `--ip` or `--ip6` does.
pub fn set_address(settings: &mut EndpointSettings, flag: &str, address: &str) -> Result<(), String> {
    let wanted = settings.ipam_config.get_or_insert_with(WantedAddresses::default);
    let (place, what, is_one) = match flag {
        "--ip6" => (&mut wanted.ipv6, "IPv6", address.parse::<Ipv6Addr>().is_ok()),
        _ => (&mut wanted.ipv4, "IPv4", address.parse::<Ipv4Addr>().is_ok()),
    };
    if !is_one {
        return Err(format!("invalid {what} address: {address}"));
    }
    *place = address.to_string();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<String, String> {
        let networks = Networks::read(&Flags::collect(words)?.0)?;
        Ok(format!("{} {}", networks.mode, serde_json::to_string(&networks.settings).unwrap()))
    }

    #[test]
    fn networks_are_read_in_both_forms() {
        assert_eq!(read(&[]).unwrap(), "default {}");
        assert_eq!(read(&["--network", "front"]).unwrap(), "front {}");
        assert_eq!(
            read(&["--network", "front", "--ip", "10.0.0.2", "--ip6", "fd00::2"]).unwrap(),
            r#"front {"front":{"IPAMConfig":{"IPv4Address":"10.0.0.2","IPv6Address":"fd00::2"}}}"#
        );
        assert_eq!(
            read(&["--network", "front", "--network", "back"]).unwrap(),
            r#"front {"back":{},"front":{}}"#
        );
        assert_eq!(
            read(&["--network", "front", "--ip", "10.0.0.2", "--network-alias", "a", "--network-alias", "b"])
                .unwrap(),
            r#"front {"front":{"IPAMConfig":{"IPv4Address":"10.0.0.2"},"Aliases":["a","b"]}}"#
        );
        assert_eq!(
            read(&[
                "--network",
                "name=front,alias=A,ip=10.0.0.2,mac-address=02:00:00:00:00:01,gw-priority=1"
            ])
            .unwrap(),
            r#"front {"front":{"IPAMConfig":{"IPv4Address":"10.0.0.2"},"Aliases":["a"],"MacAddress":"02:00:00:00:00:01","GwPriority":1}}"#
        );
    }

    #[test]
    fn what_is_said_twice_or_badly_is_refused() {
        for words in [
            &["--network", ""][..],
            &["--network", "container:"],
            &["--network", "a=b"],
            &["--network", "alias=b"],
            &["--network", "name=a,x"],
            &["--network", "a", "--network", "a"],
            &["--network", "name=a,ip=x"],
            &["--ip", "1.2.3"],
            &["--ip6", "1.2.3.4"],
            &["--network", "name=a,alias=b", "--network-alias", "c"],
            &["--network", "name=a,ip=1.2.3.4", "--ip", "1.2.3.5"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
