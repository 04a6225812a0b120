//! Which engine a command talks to: flags, then environment, then docker's current context, else one of its own.

use alloc::string::String;

use skiff_core::{api::address::Address, engine::Settings};

use crate::{
    contexts::{self, Contexts},
    environment::Environment,
    failure::Failure,
};

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// In a child of this process.
    Local(Settings),
    /// Behind an address.
    At(Address),
    /// Nobody knows: whoever needs it hears why.
    Unknown(Failure),
}

impl Host {
    /// From `-H` and `--context`, if they were given, and the environment.
    pub fn find(
        host: Option<&str>,
        context: Option<&str>,
        environment: &Environment,
        settings: &Settings,
    ) -> Host {
        let found = match address(host, context, environment) {
            Ok(None) => return Host::Local(settings.clone()),
            Ok(Some(text)) => Address::parse(&text).map_err(|error| Failure::misuse("", &format!("{error}"))),
            Err(failure) => Err(failure),
        };
        match found {
            Ok(Address::Inherited(_)) => {
                Host::Unknown(Failure::misuse("", "host fd://: that is for `skiff serve`"))
            }
            Ok(Address::Tcp(_)) if environment.filled("DOCKER_TLS_VERIFY").is_some() => {
                Host::Unknown(no_encryption("DOCKER_TLS_VERIFY is set"))
            }
            Ok(address) => Host::At(address),
            Err(failure) => Host::Unknown(failure),
        }
    }
}

/// TLS is wanted, which is not there.
pub fn no_encryption(why: &str) -> Failure {
    Failure::new(format!("{why}: encrypted connections to an engine are not supported"))
        .hint("ssh://HOST is encrypted and needs no certificates")
}

/// The address that was said, or stands in the context that was; none for an engine of its own.
fn address(
    host: Option<&str>,
    context: Option<&str>,
    environment: &Environment,
) -> Result<Option<String>, Failure> {
    if host.is_some() && context.is_some() {
        return Err(Failure::misuse("", "-H and --context both name an engine: one of them is enough"));
    }
    if let Some(host) = host {
        return Ok(Some(host.into()));
    }
    let variable = || environment.filled("SKIFF_HOST").or_else(|| environment.filled("DOCKER_HOST"));
    if let (None, Some(host)) = (context, variable()) {
        return Ok(Some(host.into()));
    }
    let contexts = Contexts::new(environment);
    match context.map_or_else(|| contexts.current(environment), |name| Ok(name.into()))?.as_str() {
        contexts::DEFAULT => Ok(None),
        name => contexts.find(name)?.usable_host().map(Some),
    }
}
