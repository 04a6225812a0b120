//! `skiff serve`: the daemon, for clients that need one. Runs until SIGTERM or SIGINT.

use argh::prelude::*;
use skiff_core::api::{Daemon, address::Address};

use super::{Context, Verb};
use crate::{
    environment::Environment,
    failure::{Failure, Outcome},
    host, output,
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
    /// on the network, serve only those who show a certificate of the authority's
    #[argh(switch)]
    tlsverify: bool,
    /// who vouches for the clients (default: ca.pem in $DOCKER_CERT_PATH or ~/.docker)
    #[argh(option, arg_name = "path")]
    tlscacert: Option<String>,
    /// the daemon's certificate (default: cert.pem there)
    #[argh(option, arg_name = "path")]
    tlscert: Option<String>,
    /// its key (default: key.pem there)
    #[argh(option, arg_name = "path")]
    tlskey: Option<String>,
    /// listen on the network without protection: whoever reaches the port is root
    #[argh(switch)]
    insecure_tcp: bool,
    /// start the containers whose restart policy says so
    #[argh(switch)]
    restore: bool,
}

impl Verb for Serve {
    fn run(self, context: &Context) -> Outcome {
        let misuse = |message: &str| Failure::misuse("serve", message);
        let files = [&self.tlscacert, &self.tlscert, &self.tlskey].map(Option::as_deref);
        if !self.tlsverify && files.iter().any(Option::is_some) {
            return Err(misuse("--tlscacert, --tlscert and --tlskey are for --tlsverify"));
        }
        if self.tlsverify && self.insecure_tcp {
            return Err(misuse("--tlsverify and --insecure-tcp contradict each other"));
        }
        let [authority, own, key] = files;
        let certificates =
            self.tlsverify.then(|| host::certificates(authority, own, key, &context.environment));
        let mut addresses = Vec::new();
        for address in self.host.iter().chain(&context.host) {
            let address = Address::parse_for(address, self.tlsverify);
            addresses.push(address.map_err(|error| misuse(&format!("{error}")))?);
        }
        if addresses.is_empty() {
            addresses.push(Address::Unix(format!("{}/skiff.sock", context.settings.run_root)));
        }
        let daemon = Daemon {
            addresses: &addresses,
            group: self.group.as_deref(),
            insecure_tcp: self.insecure_tcp,
            certificates: certificates.as_ref(),
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
