//! `skiff network create|ls|rm|connect|disconnect`: POST /networks/create, GET /networks, DELETE /networks/NAME, POST
//! /networks/NAME/connect and /disconnect. (`skiff network inspect` is `inspect` with the kind given, `prune` stands with
//! those of other kinds.)

use argh::prelude::*;
use serde_json::{Value, json};
use skiff_core::{
    container::{
        config::Map,
        endpoint::{EndpointSettings, WantedAddresses},
    },
    net::subnet::Subnet,
    sort,
};

use super::{Context, Verb, add_filters, each, short_id, text};
use crate::{
    client::path,
    create::{environment::labels, mounts, networks::set_address, policies},
    failure::{Failure, Outcome},
    format::{Layout, add_labels, row},
    output,
};

/// make a network
#[derive(FromArgs, ArgsInfo)]
pub struct Create {
    /// containers can be attached by hand, which they always can
    #[argh(switch)]
    attachable: bool,
    /// address that no container gets
    #[argh(option, arg_name = "name=address")]
    aux_address: Vec<String>,
    /// only "bridge"
    #[argh(option, short = 'd', arg_name = "string", default = "String::from(\"bridge\")")]
    driver: String,
    /// the host's address in a subnet; default the first
    #[argh(option, arg_name = "address")]
    gateway: Vec<String>,
    /// no way to other networks
    #[argh(switch)]
    internal: bool,
    /// the part of a subnet that containers get addresses from
    #[argh(option, arg_name = "address/bits")]
    ip_range: Vec<String>,
    /// only "default"
    #[argh(option, arg_name = "string", default = "String::from(\"default\")")]
    ipam_driver: String,
    /// label
    #[argh(option, arg_name = "name[=value]")]
    label: Vec<String>,
    /// option: com.docker.network.driver.mtu, com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade,
    /// .host_binding_ipv4
    #[argh(option, short = 'o', arg_name = "name=value")]
    opt: Vec<String>,
    /// its addresses, at most one subnet of IPv4 and one of IPv6; default any that are free
    #[argh(option, arg_name = "address/bits")]
    subnet: Vec<String>,
    /// with IPv6, too
    #[argh(switch)]
    ipv6: bool,
    #[argh(positional)]
    name: String,
}

/// remove one or more networks
#[derive(FromArgs, ArgsInfo)]
pub struct Remove {
    /// what isn't there is no error
    #[argh(switch, short = 'f')]
    force: bool,
    #[argh(positional)]
    names: Vec<String>,
}

/// connect a container to a network
#[derive(FromArgs, ArgsInfo)]
pub struct Connect {
    /// name by which others on the network know it
    #[argh(option, arg_name = "name")]
    alias: Vec<String>,
    /// option of the driver
    #[argh(option, arg_name = "name=value")]
    driver_opt: Vec<String>,
    /// the network with the highest one is the way to the world
    #[argh(option, arg_name = "number", default = "0")]
    gw_priority: i64,
    /// its IPv4 address there
    #[argh(option, arg_name = "address")]
    ip: Option<String>,
    /// its IPv6 address there
    #[argh(option, arg_name = "address")]
    ip6: Option<String>,
    /// link-local address there
    #[argh(option, arg_name = "address")]
    link_local_ip: Vec<String>,
    /// name by which it knows another container
    #[argh(option, arg_name = "container[:alias]")]
    link: Vec<String>,
    #[argh(positional)]
    network: String,
    #[argh(positional)]
    container: String,
}

/// take a container off a network
#[derive(FromArgs, ArgsInfo)]
pub struct Disconnect {
    /// whatever the container does
    #[argh(switch, short = 'f')]
    force: bool,
    #[argh(positional)]
    network: String,
    #[argh(positional)]
    container: String,
}

/// list networks
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// show only what fits the condition (driver=..., id=..., name=..., scope=..., type=...)
    #[argh(option, short = 'f', arg_name = "filter")]
    filter: Vec<String>,
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// don't shorten ids
    #[argh(switch)]
    no_trunc: bool,
    /// show ids only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

impl Verb for Create {
    fn run(self, context: &Context) -> Outcome {
        let mut options: Map<String> = Map::new();
        self.opt.iter().for_each(|option| mounts::insert(&mut options, option));
        let mut auxiliary: Map<String> = Map::new();
        self.aux_address.iter().for_each(|pair| mounts::insert(&mut auxiliary, pair));
        let pools = pools(&self.subnet, &self.ip_range, &self.gateway, &auxiliary).map_err(Failure::new)?;
        let body = json!({
            "Name": self.name,
            "CheckDuplicate": true,
            "Driver": self.driver,
            "Internal": self.internal,
            "Attachable": self.attachable,
            "EnableIPv6": self.ipv6,
            "IPAM": {"Driver": self.ipam_driver, "Config": pools},
            "Options": options,
            "Labels": labels([].into_iter(), self.label.iter().map(String::as_str)).map_err(Failure::refused)?,
        });
        let made = context.client.post("/networks/create", Some(&body))?;
        output::line(text(&made, "Id"))?;
        Ok(0)
    }
}

/// The pools of the API: to each subnet the range, the gateway and the other addresses that are in it.
fn pools(
    subnets: &[String],
    ranges: &[String],
    gateways: &[String],
    auxiliary: &Map<String>,
) -> Result<Vec<Value>, String> {
    let parsed = subnets.iter().map(|subnet| subnet.parse::<Subnet>().map_err(|error| format!("{error}")));
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    let is_in = |subnet: &Subnet, text: &String| {
        let address = text.split('/').next().unwrap_or_default();
        address.parse().is_ok_and(|address| subnet.contains(address))
    };
    for text in ranges.iter().chain(gateways).chain(auxiliary.values()) {
        if !parsed.iter().any(|subnet| is_in(subnet, text)) {
            return Err(match subnets {
                [] => "every ip-range, gateway or aux-address must have a corresponding subnet".into(),
                _ => format!("no matching subnet for {text}"),
            });
        }
    }
    let pool = |(text, subnet): (&String, &Subnet)| {
        let one = |all: &[String]| all.iter().find(|text| is_in(subnet, text)).cloned().unwrap_or_default();
        let mut own: Map<String> = Map::new();
        own.extend(
            auxiliary
                .iter()
                .filter(|(_, text)| is_in(subnet, text))
                .map(|(name, text)| (name.clone(), text.clone())),
        );
        json!({"Subnet": text, "IPRange": one(ranges), "Gateway": one(gateways), "AuxiliaryAddresses": own})
    };
    Ok(subnets.iter().zip(&parsed).map(pool).collect())
}

impl Verb for Remove {
    fn run(self, context: &Context) -> Outcome {
        each(&self.names, |name| match context.client.delete(&path(&["networks", name])) {
            Err(failure) if self.force && failure.message.contains("not found") => Ok(()),
            Err(failure) => Err(failure),
            Ok(_) => output::line(name),
        })
    }
}

impl Verb for Connect {
    fn run(self, context: &Context) -> Outcome {
        let mut settings =
            EndpointSettings { aliases: self.alias, gw_priority: self.gw_priority, ..Default::default() };
        self.driver_opt.iter().for_each(|option| mounts::insert(&mut settings.driver_opts, option));
        if let Some(address) = &self.ip {
            set_address(&mut settings, "--ip", address).map_err(Failure::refused)?;
        }
        if let Some(address) = &self.ip6 {
            set_address(&mut settings, "--ip6", address).map_err(Failure::refused)?;
        }
        if !self.link_local_ip.is_empty() {
            settings.ipam_config.get_or_insert_with(WantedAddresses::default).link_local = self.link_local_ip;
        }
        let links = self.link.iter().map(|link| policies::link(link));
        settings.links = links.collect::<Result<_, _>>().map_err(Failure::refused)?;
        let body = json!({"Container": self.container, "EndpointConfig": settings});
        context.client.post(&path(&["networks", &self.network, "connect"]), Some(&body))?;
        Ok(0)
    }
}

impl Verb for Disconnect {
    fn run(self, context: &Context) -> Outcome {
        let body = json!({"Container": self.container, "Force": self.force});
        context.client.post(&path(&["networks", &self.network, "disconnect"]), Some(&body))?;
        Ok(0)
    }
}

impl Verb for List {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["networks"]);
        add_filters(&mut target, &self.filter)?;
        let answer = context.client.get(&target)?;
        let mut networks: Vec<&Value> = answer.as_array().into_iter().flatten().collect();
        sort::by(&mut networks, |a, b| text(a, "Name").cmp(text(b, "Name")));
        let rows: Vec<Value> = networks.into_iter().map(|network| line(network, self.no_trunc)).collect();
        LAYOUT.print(self.format.as_deref(), self.quiet, &rows)?;
        Ok(0)
    }
}

/// How networks are shown.
const LAYOUT: Layout = Layout {
    kind: "network",
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
    headers: &[("ID", "NETWORK ID")],
};

/// The row of a network.
fn line(network: &Value, whole: bool) -> Value {
    let field = |key: &str| text(network, key).to_owned();
    let flag = |key: &str| network.get(key).and_then(Value::as_bool).unwrap_or(false);
    let id = text(network, "Id");
    let mut row = row(vec![
        ("ID", if whole { id } else { short_id(id) }.into()),
        ("Name", field("Name")),
        ("Driver", field("Driver")),
        ("Scope", field("Scope")),
        ("IPv6", format!("{}", flag("EnableIPv6"))),
        ("Internal", format!("{}", flag("Internal"))),
        ("CreatedAt", field("Created")),
    ]);
    add_labels(&mut row, network.get("Labels"));
    row.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_subnet_gets_what_is_in_it() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
        let both = texts(&["fd00::/64", "10.1.0.0/16"]);
        let auxiliary = [("router".into(), "10.1.0.3".into())].into();
        let all =
            pools(&both, &texts(&["10.1.2.0/24"]), &texts(&["10.1.0.9", "fd00::9"]), &auxiliary).unwrap();
        assert_eq!(
            serde_json::to_string(&all).unwrap(),
            r#"[{"AuxiliaryAddresses":{},"Gateway":"fd00::9","IPRange":"","Subnet":"fd00::/64"},{"AuxiliaryAddresses":{"router":"10.1.0.3"},"Gateway":"10.1.0.9","IPRange":"10.1.2.0/24","Subnet":"10.1.0.0/16"}]"#
        );
        assert_eq!(
            pools(&both, &[], &texts(&["10.2.0.1"]), &Map::new()).unwrap_err(),
            "no matching subnet for 10.2.0.1"
        );
        assert!(pools(&[], &[], &texts(&["10.2.0.1"]), &Map::new()).is_err());
        assert!(pools(&texts(&["x"]), &[], &[], &Map::new()).is_err());
    }

    #[test]
    fn a_network_is_a_row_of_id_name_driver_and_scope() {
        let network = json!({"Id": "0123456789abcdef", "Name": "n", "Driver": "bridge", "Scope": "local"});
        let show = |format: Option<&str>, quiet, whole| {
            LAYOUT.text(format, quiet, &[line(&network, whole)]).unwrap()
        };
        let table = "NETWORK ID     NAME      DRIVER    SCOPE\n0123456789ab   n         bridge    local\n";
        assert_eq!(show(None, false, false), table);
        assert_eq!(show(None, true, true), "0123456789abcdef\n");
        assert_eq!(show(Some("{{.Internal}} {{.IPv6}}"), false, false), "false false\n");
    }
}
