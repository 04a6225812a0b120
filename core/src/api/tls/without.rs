//! What is said where TLS is not built in.

use rustix::fd::OwnedFd;

use super::Certificates;
use crate::{Error, Result};

fn missing<T>() -> Result<T> {
    Err(Error::Unsupported("encrypted connections: this skiff was built without them".into()))
}

/// Refuses.
///
/// # Errors
/// [`Error::Unsupported`]
pub fn check(_: &Certificates) -> Result<()> {
    missing()
}

/// Refuses.
///
/// # Errors
/// [`Error::Unsupported`]
pub fn accept(_: OwnedFd, _: &Certificates, _: &dyn Fn(&Error)) -> Result<OwnedFd> {
    missing()
}

/// Refuses.
///
/// # Errors
/// [`Error::Unsupported`]
pub fn connect(_: OwnedFd, _: &str, _: &Certificates, _: &dyn Fn(&Error)) -> Result<OwnedFd> {
    missing()
}
