//! The Docker Engine API over HTTP/1.1: bytes of a connection in, engine verbs called, answers out. Runs in the server
//! child of a connection; [`client`] is the other end, in the command line. [`Daemon`] is what has such children for whoever
//! connects.
//!
//! ```text
//! wire (socket + buffer) -> head, body -> target -> exchange -> route table -> handler (one file per resource) -> engine
//! ```

mod absent;
pub mod address;
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
pub mod tls;
mod volume;
pub mod websocket;
pub mod wire;

use alloc::{format, string::String, vec::Vec};

use address::Address;
use server::{
    News, Server,
    listener::{self, Listener},
    notify,
};
use skiff_syscalls::{descriptor, text};
use target::ApiVersion;
use tls::Certificates;
use wire::Wire;

use crate::{
    Context, Error, Result,
    engine::{Engine, Settings},
    process::{launch::Unborn, user},
};

/// The newest version that is spoken; also that of paths that name none.
pub const API_VERSION: ApiVersion = ApiVersion(50);
/// The oldest version that is spoken.
pub const API_VERSION_MIN: ApiVersion = ApiVersion(24);

/// Serves one connection of an engine until its end, with a container's first process for the usual settings if somebody
/// has conceived one. Roots that can't be opened are the answer to every request.
fn serve_connection(wire: Wire, settings: &Settings, conceived: Option<Unborn>) {
    match Engine::with(settings) {
        Ok(engine) => {
            if let Some(unborn) = conceived {
                engine.foresee(unborn);
            }
            connection::converse(wire, &mut |exchange| route::dispatch(table::ROUTES, exchange, &engine));
            engine.forget_ahead();
        }
        Err(error) => connection::converse(wire, &mut |_| Err(error.clone())),
    }
}

/// How a daemon is run.
#[derive(Debug)]
pub struct Daemon<'a> {
    /// Where it listens.
    pub addresses: &'a [Address],
    /// The group that its sockets belong to, by name or number.
    pub group: Option<&'a str>,
    /// Whether it may listen on the network with nothing to protect it.
    pub insecure_tcp: bool,
    /// What it knows those by who come from the network, and is known by.
    pub certificates: Option<&'a Certificates>,
    /// Whether containers whose restart policy says so are started.
    pub restore: bool,
    /// The names of the sockets that this process was started with.
    pub inherited: &'a [String],
    /// The socket that is told how far it is, of sd_notify(3).
    pub notify: Option<&'a str>,
}

impl Daemon<'_> {
    /// Runs it until SIGTERM or SIGINT. `say` gets lines for whoever watches.
    ///
    /// # Errors
    /// If the roots can't be opened or an address can't be listened on.
    pub fn run(&self, settings: &Settings, say: &dyn Fn(&str)) -> Result<()> {
        let engine = Engine::with(settings)?;
        // Signals are its own before it can be seen: who sees it may ask it to end.
        let mut server = Server::new()?;
        for listener in self.listeners()? {
            let mut who = "";
            if listener.is_on_network() {
                match self.certificates {
                    Some(_) => who = ", for those who have a certificate",
                    None => say(
                        "WARNING: who can send packets to this address is root here, and nobody is asked who they are",
                    ),
                }
            }
            say(&format!("listening on {}{who}", listener.address()));
            server.add(listener);
        }
        engine.sweep();
        if self.restore {
            engine.bring_back();
        }
        drop(engine);
        self.notify(notify::READY);
        // Waiting for connections takes little of it.
        text::unmap();
        let mut tell = |news| match news {
            News::HangUp => {
                say("SIGHUP: nothing to read again, all settings are in the flags and the environment")
            }
            News::Ending => self.notify(notify::STOPPING),
            News::Left(count) => say(&format!("{count} requests are still at work and go on")),
        };
        server.run(&mut tell, &mut |connection, early, listener| {
            if let Err(error) = listener.admit(&connection) {
                return connection::converse(Wire::new(connection), &mut |_| Err(error.clone()));
            }
            let plain = match self.certificates.filter(|_| listener.is_on_network()) {
                Some(certificates) => {
                    let peer = listener::peer_of(&connection);
                    tls::accept(connection, certificates, &|error| say(&format!("{peer}: {error}")))
                }
                None => Ok(connection),
            };
            match plain {
                // The child of a connection keeps nothing of the daemon's, so it opens the roots for itself.
                Ok(connection) => serve_connection(Wire::with_early(connection, early), settings, None),
                Err(error) => say(&format!("{error}")),
            }
        })
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        let group = self.group.map(user::host_group).transpose()?;
        // What is wrong with them is said now, and not to whoever connects first.
        self.certificates.map(tls::check).transpose()?;
        let protected = self.insecure_tcp || self.certificates.is_some();
        let mut listeners = Vec::new();
        for address in self.addresses {
            let exposed = || {
                let why = "whoever reaches it would be root here";
                Error::Invalid(format!("listen on {address}: {why}")).hint(
                    "--tlsverify asks for a certificate, ssh://HOST needs no port; --insecure-tcp listens all the same",
                )
            };
            let before = listeners.len();
            match address {
                Address::Unix(path) => listeners.push(Listener::bind(path, group)?),
                Address::Tcp(_) if !protected => return Err(exposed()),
                Address::Tcp(address) => listeners.push(Listener::network(*address)?),
                Address::Inherited(wanted) => {
                    for (at, name) in self.inherited.iter().enumerate() {
                        // As systemd counts: the first one behind the standard streams is 3.
                        let number = 3 + at as i32;
                        if wanted.is_empty() || wanted == name || *wanted == format!("{number}") {
                            let socket =
                                descriptor::inherited(number).context("take over descriptor", number)?;
                            let listener = Listener::inherit(socket)?;
                            if listener.is_on_network() && !protected {
                                return Err(exposed());
                            }
                            listeners.push(listener);
                        }
                    }
                    if listeners.len() == before {
                        return Err(Error::Invalid(format!(
                            "listen on {address}: no such socket was passed"
                        ))
                        .hint("a socket unit of systemd's passes one"));
                    }
                }
                Address::Ssh(_) => {
                    return Err(Error::Invalid(format!("listen on {address}: that is for clients")));
                }
                Address::Named(..) => {
                    let why = "that is for clients, as a name may mean several addresses";
                    return Err(Error::Invalid(format!("listen on {address}: {why}"))
                        .hint("say the address, as in tcp://192.0.2.1:2376; 0.0.0.0 is all of them"));
                }
            }
        }
        Ok(listeners)
    }

    /// Nobody has to be there.
    fn notify(&self, message: &str) {
        if let Some(socket) = self.notify {
            let _ = notify::send(socket, message);
        }
    }
}
