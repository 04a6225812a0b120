//! The Docker Engine API over HTTP/1.1: bytes of a connection in, engine verbs called, answers out. Runs in the server
//! child of a connection; [`client`] is the other end, in the command line.
//!
//! ```text
//! wire (socket + buffer) -> head, body -> target -> exchange -> route table -> handler (one file per resource) -> engine
//! ```

pub mod body;
pub mod client;
pub mod connection;
pub mod exchange;
pub mod filters;
pub mod frame;
pub mod head;
pub mod json;
pub mod route;
pub mod server;
pub mod target;
pub mod wire;

use target::ApiVersion;

/// The newest version that is spoken; also that of paths that name none.
pub const API_VERSION: ApiVersion = ApiVersion(50);
/// The oldest version that is spoken.
pub const API_VERSION_MIN: ApiVersion = ApiVersion(24);
