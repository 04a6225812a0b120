//! `skiff serve`: the daemon, for clients that need one. Runs until SIGTERM or SIGINT.

use argh::prelude::*;
use skiff_core::api::{Daemon, address::Address};

use super::{Context, Verb};
use crate::{
    environment::Environment,
    failure::{Failure, Outcome},
    output,
};

/// serve the Docker Engine API
#[derive(FromArgs, ArgsInfo)]
pub struct Serve {
    /// where to listen: unix:///PATH (default: skiff.sock in the run root), fd://[NAME] for sockets of systemd's, or tcp://ADDRESS:PORT
    #[argh(option, short = 'H', arg_name = "address")]
    host: Vec<String>,
    /// group that the sockets belong to
    #[argh(option, short = 'G', arg_name = "name|number")]
    group: Option<String>,
    /// listen on the network without protection: whoever reaches the port is root
    #[argh(switch)]
    insecure_tcp: bool,
    /// start the containers whose restart policy says so
    #[argh(switch)]
    restore: bool,
}

impl Verb for Serve {
    fn run(self, context: &Context) -> Outcome {
        let mut addresses = Vec::new();
        for address in self.host.iter().chain(&context.host) {
            addresses.push(
                Address::parse(address).map_err(|error| Failure::misuse("serve", &format!("{error}")))?,
            );
        }
        if addresses.is_empty() {
            addresses.push(Address::Unix(format!("{}/skiff.sock", context.settings.run_root)));
        }
        let daemon = Daemon {
            addresses: &addresses,
            group: self.group.as_deref(),
            insecure_tcp: self.insecure_tcp,
            restore: self.restore,
            inherited: &inherited(&context.environment),
            notify: context.environment.filled("NOTIFY_SOCKET"),
        };
        daemon.run(&context.settings, &|line| output::note(&format!("{line}\n")))?;
        Ok(0)
    }
}

/// No service has more.
const DESCRIPTORS_MAX: i32 = 1024;

/// The names of the sockets that this very process was started with, as systemd tells them: sd_listen_fds_with_names(3).
fn inherited(environment: &Environment) -> Vec<String> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let number = |name| environment.filled(name).and_then(|text| text.parse::<i32>().ok());
    if number("LISTEN_PID") != Some(own) {
        return Vec::new();
    }
    let mut names = environment.get("LISTEN_FDNAMES").unwrap_or_default().split(':');
    (0..number("LISTEN_FDS").unwrap_or(0).min(DESCRIPTORS_MAX))
        .map(|_| names.next().unwrap_or_default().into())
        .collect()
}
