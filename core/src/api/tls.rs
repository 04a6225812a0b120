//! TLS with a certificate on each side, as docker's `--tlsverify`: an encrypted connection -> a plain one. Whoever speaks
//! HTTP has the plain end of a pair; a process of its own, which alone has the key, carries between the pair and the
//! network. Not there if this is built without the feature `tls`.
//!
//! ```text
//! network ── TLS ── `carrier`, a process ── socket pair ── the child of the connection, or the command line
//! ```

#[cfg(feature = "tls")]
mod carrier;
#[cfg(feature = "tls")]
mod sides;
#[cfg(not(feature = "tls"))]
mod without;

use alloc::{format, string::String};

#[cfg(feature = "tls")]
pub use sides::{accept, check, connect};
#[cfg(not(feature = "tls"))]
pub use without::{accept, check, connect};

/// Paths of files in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The certificates of who vouches for the other side.
    pub authority: String,
    /// This side's certificate, and those between it and the authority.
    pub own: String,
    /// The key of that.
    pub key: String,
}

impl Certificates {
    /// Those in a directory, with the names that docker gives them there.
    pub fn in_directory(path: &str) -> Self {
        let file = |name: &str| format!("{path}/{name}.pem");
        Certificates { authority: file("ca"), own: file("cert"), key: file("key") }
    }
}
