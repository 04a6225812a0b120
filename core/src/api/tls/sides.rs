//! Files in PEM form -> who may connect, and to whom.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{fmt::Display, time::Duration};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::UnbufferedClientConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{UnbufferedServerConnection, WebPkiClientVerifier},
    time_provider::TimeProvider,
};
use skiff_syscalls::descriptor;

use super::{
    super::wire,
    Certificates,
    carrier::{Carrier, failed},
};
use crate::{Context, Error, Result, clock::Time, file, fork};

/// Longest file with certificates or a key.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Whether a server can be made of them.
///
/// # Errors
/// [`Error::Invalid`] for files that hold nothing of the kind, or a key that is not the certificate's; of the file system.
pub fn check(certificates: &Certificates) -> Result<()> {
    certificates.server().map(drop)
}

/// Has a connection that came from the network carried by a process of its own; gives the plain end. Whoever connects has
/// to have a certificate of the authority's. What goes wrong is what `complain` gets in that process.
///
/// # Errors
/// The kernel's, if there are no more processes or files.
pub fn accept(
    connection: OwnedFd,
    certificates: &Certificates,
    complain: &dyn Fn(&Error),
) -> Result<OwnedFd> {
    between(&connection, complain, |plain| {
        let tls = UnbufferedServerConnection::new(certificates.server()?).map_err(failed)?;
        let mut carrier = Carrier::new(tls, connection.as_fd());
        carrier.handshake()?;
        carrier.carry(plain)
    })
}

/// As [`accept`], for a connection to the engine on a host, by its address or its name, which has to be one that its
/// certificate is for.
///
/// # Errors
/// What is wrong with the files, or with the other side.
pub fn connect(
    connection: OwnedFd,
    host: &str,
    certificates: &Certificates,
    complain: &dyn Fn(&Error),
) -> Result<OwnedFd> {
    let name = ServerName::try_from(String::from(host))
        .map_err(|_| Error::Invalid(format!("{host} is no name that a certificate can have")))?;
    let tls = UnbufferedClientConnection::new(certificates.client()?, name).map_err(failed)?;
    let mut carrier = Carrier::new(tls, connection.as_fd());
    carrier.handshake()?;
    between(&connection, complain, |plain| carrier.carry(plain))
}

/// Starts the process that carries; gives the plain end.
fn between(
    connection: &OwnedFd,
    complain: &dyn Fn(&Error),
    carry: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<OwnedFd> {
    let (near, far) = wire::pair()?;
    let [_, _, stderr] = descriptor::standard();
    fork::child(&[stderr, connection.as_fd(), far.as_fd()], || {
        // What is typed at the terminal is for the others.
        let _ = rustix::process::setsid();
        match carry(far.as_fd()) {
            Ok(()) => 0,
            Err(error) => {
                complain(&error);
                1
            }
        }
    })?;
    Ok(near)
}

impl Certificates {
    /// What a server takes them for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for files that hold nothing of the kind, or a key that is not the certificate's; of the file system.
    fn server(&self) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider.clone()).build();
        let verifier = verifier.map_err(|error| wrong(&self.authority, error))?;
        let (own, key) = self.identity()?;
        let config = ServerConfig::builder_with_details(provider, Arc::new(Clock))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("set up", error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own, key)
            .map_err(|error| wrong(&self.own, error))?;
        Ok(Arc::new(config))
    }

    fn client(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(ring::default_provider());
        let (own, key) = self.identity()?;
        let config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("set up", error))?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(own, key)
            .map_err(|error| wrong(&self.own, error))?;
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority)? {
            roots.add(certificate).map_err(|error| wrong(&self.authority, error))?;
        }
        Ok(Arc::new(roots))
    }

    fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?);
        Ok((certificates(&self.own)?, key.map_err(|error| wrong(&self.key, error))?))
    }
}

/// The time by which certificates are judged.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(Time::now().unix()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn read(path: &str) -> Result<Vec<u8>> {
    file::read_all(
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
            .context("open", path)?,
        FILE_BYTES_MAX,
    )
    .context("read", path)
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let found: core::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong(path, "there is no certificate in it")),
        other => other.map_err(|error| wrong(path, error)),
    }
}

fn wrong(path: &str, why: impl Display) -> Error {
    Error::Invalid(format!("certificates: {path}: {why}"))
}
