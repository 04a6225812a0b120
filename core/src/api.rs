//! The Docker Engine API over HTTP/1.1: bytes of a connection in, engine verbs called, answers out. Runs in the server
//! child of a connection; [`client`] is the other end, in the command line.
//!
//! ```text
//! wire (socket + buffer) -> head, body -> target -> exchange -> route table -> handler (one file per resource) -> engine
//! ```

mod archive;
mod attach;
pub mod body;
mod build;
mod changes;
pub mod client;
mod commit;
pub mod connection;
mod container_list;
mod create;
mod disk_usage;
mod endpoint;
mod events;
pub mod exchange;
mod exec;
pub mod filters;
pub mod head;
mod image_change;
mod image_list;
mod image_load;
mod image_save;
mod image_verify;
mod inspect;
pub mod json;
mod lifecycle;
pub mod local;
mod logs;
mod network;
pub mod pick;
mod platform;
pub mod route;
mod run;
pub mod server;
mod stats;
mod system;
mod table;
pub mod target;
mod volume;
pub mod wire;

use local::Expect;
use rustix::fd::OwnedFd;
use target::ApiVersion;

use crate::{
    Result,
    engine::{Engine, Settings},
    process::launch,
};

/// The newest version that is spoken; also that of paths that name none.
pub const API_VERSION: ApiVersion = ApiVersion(50);
/// The oldest version that is spoken.
pub const API_VERSION_MIN: ApiVersion = ApiVersion(24);

/// Serves one connection of an engine until its end. Roots that can't be opened are the answer to every request.
fn serve_connection(fd: OwnedFd, settings: &Settings, expect: Expect) {
    let conceived = (expect == Expect::Run).then(launch::conceive_usual);
    match Engine::with(settings) {
        Ok(engine) => {
            if let Some(Ok(unborn)) = conceived {
                engine.foresee(unborn);
                // While the kernel makes it.
                skiff_syscalls::text::map_all();
            }
            connection::converse(fd, &mut |exchange| route::dispatch(table::ROUTES, exchange, &engine));
            engine.forget_ahead();
        }
        Err(error) => connection::converse(fd, &mut |_| Err(error.clone())),
    }
}

/// Runs the daemon on a unix socket until SIGTERM or SIGINT. `listening` is called once clients can connect.
///
/// # Errors
/// If the roots can't be opened or the socket can't be listened on.
pub fn serve(socket: &str, settings: &Settings, listening: impl FnOnce()) -> Result<()> {
    let engine = Engine::with(settings)?;
    let listener = server::Listener::bind(socket)?;
    listening();
    engine.sweep();
    engine.bring_back();
    drop(engine);
    listener.run(&mut |connection| {
        // The child of a connection keeps nothing of the daemon's, so it opens the roots for itself.
        serve_connection(connection, settings, Expect::Anything);
    })
}
