//! Which engine a command talks to: flags, then environment, then docker's current context, else one of its own.

use alloc::string::String;

use skiff_core::{
    api::{address::Address, tls::Certificates},
    engine::Settings,
};

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
    /// Behind an address; on the network with certificates on both sides, if there are some.
    At(Address, Option<Certificates>),
    /// Nobody knows: whoever needs it hears why.
    Unknown(Failure),
}

impl Host {
    /// From `-H` and `--context`, if they were given, and the environment. `certificates` are those that were asked for.
    pub fn find(
        host: Option<&str>,
        context: Option<&str>,
        certificates: Option<Certificates>,
        environment: &Environment,
        settings: &Settings,
    ) -> Host {
        let (text, certificates) = match place(host, context, certificates, environment) {
            Ok(None) => return Host::Local(settings.clone()),
            Ok(Some(place)) => place,
            Err(failure) => return Host::Unknown(failure),
        };
        match Address::parse_for(&text, certificates.is_some()) {
            Ok(Address::Inherited(_)) => {
                Host::Unknown(Failure::misuse("", "host fd://: that is for `skiff serve`"))
            }
            Ok(address) => Host::At(address, certificates),
            Err(error) => Host::Unknown(Failure::misuse("", &format!("{error}"))),
        }
    }
}

/// The certificates that `--tlsverify` means: those of the flags, and for what they don't say those where docker looks.
pub fn certificates(
    authority: Option<&str>,
    own: Option<&str>,
    key: Option<&str>,
    environment: &Environment,
) -> Certificates {
    let directory = environment.filled("DOCKER_CERT_PATH").map(String::from);
    let directory = directory.or_else(|| contexts::directory(environment));
    let usual = Certificates::in_directory(directory.as_deref().unwrap_or("/.docker"));
    Certificates {
        authority: authority.map_or(usual.authority, String::from),
        own: own.map_or(usual.own, String::from),
        key: key.map_or(usual.key, String::from),
    }
}

/// The address that was said, or stands in the context that was, and the certificates for it; none for an engine of its own.
fn place(
    host: Option<&str>,
    context: Option<&str>,
    certificates: Option<Certificates>,
    environment: &Environment,
) -> Result<Option<(String, Option<Certificates>)>, Failure> {
    if host.is_some() && context.is_some() {
        return Err(Failure::misuse("", "-H and --context both name an engine: one of them is enough"));
    }
    if let Some(host) = host {
        return Ok(Some((host.into(), certificates)));
    }
    let variable = || environment.filled("SKIFF_HOST").or_else(|| environment.filled("DOCKER_HOST"));
    if let (None, Some(host)) = (context, variable()) {
        return Ok(Some((host.into(), certificates)));
    }
    let contexts = Contexts::new(environment);
    match context.map_or_else(|| contexts.current(environment), |name| Ok(name.into()))?.as_str() {
        contexts::DEFAULT => Ok(None),
        name => {
            let found = contexts.find(name)?;
            Ok(Some((found.usable_host()?, found.certificates.or(certificates))))
        }
    }
}
