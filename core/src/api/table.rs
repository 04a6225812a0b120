//! The route table: one line for each request that is answered.

use super::{
    archive, attach, changes, commit, container_list, create, events, exec,
    head::Method::{self, Delete, Get, Head, Post, Put},
    image_change, image_list, image_load, image_save, inspect, lifecycle, logs, network,
    route::Route,
    run, stats, system,
    target::ApiVersion,
    volume,
};
use crate::{Result, engine::Engine};

type Handler = fn(&mut super::exchange::Exchange<'_>, &Engine) -> Result<()>;

/// A route that every version has.
const fn always(method: Method, pattern: &'static str, handler: Handler) -> Route<Engine> {
    Route { method, pattern, since: ApiVersion(0), handler }
}

/// All routes; the first that fits answers.
pub(super) const ROUTES: &[Route<Engine>] = &[
    always(Get, "_ping", system::ping),
    always(Head, "_ping", system::ping),
    always(Get, "version", system::version),
    always(Get, "info", system::info),
    always(Get, "containers/json", container_list::list),
    always(Get, "containers/{}/json", inspect::inspect),
    always(Post, "containers/prune", lifecycle::prune),
    always(Post, "containers/{}/kill", lifecycle::kill),
    always(Post, "containers/{}/stop", lifecycle::stop),
    always(Post, "containers/{}/pause", lifecycle::pause),
    always(Post, "containers/{}/unpause", lifecycle::unpause),
    always(Post, "containers/{}/rename", lifecycle::rename),
    always(Post, "containers/{}/wait", lifecycle::wait),
    always(Post, "containers/{}/attach", attach::attach),
    always(Post, "containers/{}/resize", attach::resize),
    always(Get, "containers/{}/top", lifecycle::top),
    always(Get, "containers/{}/stats", stats::stats),
    always(Post, "containers/create", create::create),
    always(Post, "containers/{}/start", create::start),
    always(Post, "containers/{}/restart", create::restart),
    always(Post, "containers/{}/update", lifecycle::update),
    always(Get, "containers/{}/logs", logs::logs),
    always(Post, "containers/{}/exec", exec::create),
    always(Post, "exec/{}/start", exec::start),
    always(Post, "exec/{}/resize", exec::resize),
    always(Get, "exec/{}/json", exec::inspect),
    always(Get, "events", events::events),
    always(Get, "containers/{}/changes", changes::changes),
    always(Get, "containers/{}/export", archive::export),
    always(Get, "containers/{}/archive", archive::get),
    always(Head, "containers/{}/archive", archive::get),
    always(Put, "containers/{}/archive", archive::put),
    always(Post, "commit", commit::commit),
    always(Post, "build", lifecycle::not_yet),
    always(Delete, "containers/{}", lifecycle::remove),
    always(Get, "images/json", image_list::list),
    always(Get, "images/get", image_save::several),
    always(Get, "images/{*}/get", image_save::one),
    always(Get, "images/{*}/json", image_list::inspect),
    always(Get, "images/{*}/history", image_list::history),
    always(Post, "images/create", image_change::create),
    always(Post, "images/load", image_load::load),
    always(Post, "skiff/load", image_load::load_path),
    always(Post, "images/{*}/tag", image_change::tag),
    always(Delete, "images/{*}", image_change::remove),
    always(Get, "volumes", volume::list),
    always(Post, "volumes/create", volume::create),
    always(Post, "volumes/prune", volume::prune),
    always(Get, "volumes/{}", volume::inspect),
    always(Delete, "volumes/{}", volume::remove),
    always(Post, "skiff/run", run::run),
    always(Get, "networks", network::list),
    always(Get, "networks/{}", network::inspect),
    always(Delete, "networks/{}", network::remove),
    always(Post, "networks/prune", network::prune),
    always(Get, "plugins", system::plugins),
    always(Get, "plugins/{*}/json", system::plugin),
    always(Post, "swarm/leave", system::no_swarm),
    always(Get, "swarm", system::no_swarm),
];
