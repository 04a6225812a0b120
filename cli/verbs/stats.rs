//! `skiff stats`: GET /containers/{id}/stats for each container -> a table that is drawn anew while it changes.
//!
//! One connection a container, and one for events when the containers were not named. This process sleeps in poll.

use alloc::string::ToString;

use core::fmt::Write;

use argh::prelude::*;
use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};
use serde_json::Value;
use skiff_core::{
    api::head::Method,
    clock::{SECOND, monotonic, timeout_until},
};

use super::{Context, Verb, items, number, short_id, text};
use crate::{
    client::{Reply, Upload, path, query},
    failure::{Failure, Outcome},
    format::{Layout, row},
    output,
    table::{binary_size, fixed, size},
};

/// show what containers use, while it changes
#[derive(FromArgs, ArgsInfo)]
pub struct Stats {
    /// show all containers, not just running ones
    #[argh(switch, short = 'a')]
    all: bool,
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template; .Pressure is there too
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show it once
    #[argh(switch)]
    no_stream: bool,
    /// don't shorten anything
    #[argh(switch)]
    no_trunc: bool,
    #[argh(positional)]
    containers: Vec<String>,
}

const LAYOUT: Layout = Layout {
    kind: "container stats",
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    quiet: "{{.ID}}",
    headers: &[
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("Pressure", "PRESSURE CPU / MEM / IO"),
    ],
};

/// A container that is watched.
struct Source {
    name: String,
    reply: Reply,
    row: Option<Value>,
    /// Its stream has ended.
    ended: bool,
}

impl Verb for Stats {
    fn run(self, context: &Context) -> Outcome {
        // The stream of events is opened before the list is read, so that nothing falls between them.
        let mut events = None;
        if self.containers.is_empty() && !self.no_stream {
            let mut target = path(&["events"]);
            query(&mut target, "filters", "{\"type\":{\"container\":true}}");
            events = Some(context.client.request(Method::Get, &target, Upload::Nothing)?);
        }
        let mut sources = Vec::new();
        for name in self.names(context)? {
            sources.push(self.open(context, name)?);
        }
        if self.no_stream {
            for source in &mut sources {
                self.sample(source)?;
            }
            // The second sample has something to compare with.
            for source in &mut sources {
                self.sample(source)?;
            }
            output::write(self.text(&sources)?.as_bytes())?;
            return Ok(0);
        }
        output::write(b"\x1b[2J")?;
        loop {
            self.draw(&sources)?;
            if events.is_none() && sources.iter().all(|source| source.ended) {
                return Ok(0);
            }
            // One change alone is not worth a new picture: what comes within half a second is drawn together.
            self.wait(context, &mut sources, events.as_mut(), None)?;
            let deadline = monotonic() + SECOND / 2;
            while monotonic() < deadline {
                let left = timeout_until(deadline);
                self.wait(context, &mut sources, events.as_mut(), Some(&left))?;
            }
        }
    }
}

impl Stats {
    fn names(&self, context: &Context) -> Result<Vec<String>, Failure> {
        if !self.containers.is_empty() {
            return Ok(self.containers.clone());
        }
        let list =
            context.client.get(if self.all { "/containers/json?all=1" } else { "/containers/json" })?;
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        Ok(list.iter().map(|container| text(container, "Id").to_owned()).collect())
    }

    fn open(&self, context: &Context, name: String) -> Result<Source, Failure> {
        let mut target = path(&["containers", &name, "stats"]);
        query(&mut target, "stream", "1");
        let reply = context.client.request(Method::Get, &target, Upload::Nothing)?;
        Ok(Source { name, reply, row: None, ended: false })
    }

    fn sample(&self, source: &mut Source) -> Result<(), Failure> {
        match source.reply.object()? {
            Some(sample) => source.row = Some(line(&source.name, &sample, !self.no_trunc)),
            None => source.ended = true,
        }
        Ok(())
    }

    /// Waits until something has changed or the time is over, and takes it in.
    fn wait(
        &self,
        context: &Context,
        sources: &mut Vec<Source>,
        events: Option<&mut Reply>,
        timeout: Option<&Timespec>,
    ) -> Result<(), Failure> {
        let ready = ready(sources, events.as_deref(), timeout);
        for (source, ready) in sources.iter_mut().zip(&ready) {
            if *ready {
                self.sample(source)?;
            }
        }
        if !self.containers.is_empty() || ready.last() != Some(&true) {
            sources.retain(|source| !source.ended || !self.containers.is_empty() || self.all);
            return Ok(());
        }
        let Some(event) = events.map(Reply::object).transpose()?.flatten() else {
            return Err(Failure::silent(1));
        };
        let id = event.get("Actor").map_or("", |actor| text(actor, "ID"));
        match text(&event, "Action") {
            "start" if !sources.iter().any(|source| source.name == id && !source.ended) => {
                sources.retain(|source| source.name != id);
                // It may be gone again already.
                sources.extend(self.open(context, id.into()).ok());
            }
            "die" if !self.all => sources.retain(|source| source.name != id),
            "destroy" => sources.retain(|source| source.name != id),
            _ => {}
        }
        Ok(())
    }

    fn text(&self, sources: &[Source]) -> Result<String, Failure> {
        let rows: Vec<Value> = sources.iter().filter_map(|source| source.row.clone()).collect();
        LAYOUT.text(self.format.as_deref(), false, &rows)
    }

    /// Draws over what was drawn before.
    fn draw(&self, sources: &[Source]) -> Result<(), Failure> {
        let mut screen = String::from("\x1b[H");
        for line in self.text(sources)?.lines() {
            // Writing to a string can't fail.
            let _ = write!(screen, "{line}\x1b[K\r\n");
        }
        screen.push_str("\x1b[J");
        output::write(screen.as_bytes())
    }
}

/// Which of the sources, and at the end the events, can be read.
fn ready(sources: &[Source], events: Option<&Reply>, timeout: Option<&Timespec>) -> Vec<bool> {
    let live = sources.iter().map(|source| (!source.ended).then_some(&source.reply));
    let replies: Vec<Option<&Reply>> = live.chain([events]).collect();
    let mut ready: Vec<bool> = replies.iter().map(|reply| reply.is_some_and(Reply::has_buffered)).collect();
    if ready.contains(&true) {
        return ready;
    }
    let sockets: Vec<_> = replies.iter().map(|reply| reply.map(Reply::socket)).collect();
    let mut waited: Vec<PollFd<'_>> =
        sockets.iter().flatten().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
    if poll(&mut waited, timeout).is_ok() {
        let mut waited = waited.iter();
        for (ready, socket) in ready.iter_mut().zip(&sockets) {
            *ready = socket.is_some() && waited.next().is_some_and(|one| !one.revents().is_empty());
        }
    }
    ready
}

/// A row of the table from one sample.
fn line(name: &str, sample: &Value, short: bool) -> Value {
    let at = |pointer: &str| sample.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    let bytes = |pointer: &str| sample.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let used = at("/cpu_stats/cpu_usage/total_usage") - at("/precpu_stats/cpu_usage/total_usage");
    let system = at("/cpu_stats/system_cpu_usage") - at("/precpu_stats/system_cpu_usage");
    let cpu = if used > 0.0 && system > 0.0 && at("/precpu_stats/system_cpu_usage") > 0.0 {
        used / system * at("/cpu_stats/online_cpus").max(1.0) * 100.0
    } else {
        0.0
    };
    // Pages of files that nobody needs right now are not counted.
    let memory = bytes("/memory_stats/usage").saturating_sub(bytes("/memory_stats/stats/inactive_file"));
    let limit = bytes("/memory_stats/limit");
    let share = if limit == 0 { 0.0 } else { memory as f64 / limit as f64 * 100.0 };
    let (mut received, mut sent) = (0, 0);
    for (_, network) in sample.get("networks").and_then(Value::as_object).into_iter().flatten() {
        received += u64::try_from(number(network, "rx_bytes")).unwrap_or(0);
        sent += u64::try_from(number(network, "tx_bytes")).unwrap_or(0);
    }
    let (mut read, mut written) = (0, 0);
    for entry in sample.get("blkio_stats").map_or(&[][..], |io| items(io, "io_service_bytes_recursive")) {
        let value = u64::try_from(number(entry, "value")).unwrap_or(0);
        match text(entry, "op") {
            "read" | "Read" => read += value,
            "write" | "Write" => written += value,
            _ => {}
        }
    }
    let id = text(sample, "id");
    let pressure = |resource: &str| {
        let some = sample.get("pressure").and_then(|all| all.get(resource)).and_then(|one| one.get("some"));
        let share = some.and_then(|some| some.get("avg10")).and_then(Value::as_f64);
        share.map_or_else(|| "-".into(), |share| fixed(share, 2) + "%")
    };
    row(vec![
        ("Container", name.into()),
        ("ID", if short { short_id(id) } else { id }.into()),
        ("Name", text(sample, "name").trim_start_matches('/').into()),
        ("CPUPerc", fixed(cpu, 2) + "%"),
        ("MemUsage", format!("{} / {}", binary_size(memory), binary_size(limit))),
        ("MemPerc", fixed(share, 2) + "%"),
        ("NetIO", format!("{} / {}", size(received, 3), size(sent, 3))),
        ("BlockIO", format!("{} / {}", size(read, 3), size(written, 3))),
        ("PIDs", bytes("/pids_stats/current").to_string()),
        ("Pressure", format!("{} / {} / {}", pressure("cpu"), pressure("memory"), pressure("io"))),
    ])
    .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_becomes_dockers_row() {
        // Recorded from docker 28 for the same sample.
        let sample = json!({
            "name": "/web", "id": "a".repeat(64), "pids_stats": {"current": 3},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 1_234_567}, {"op": "write", "value": 4096}]},
            "cpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000}, "system_cpu_usage": 20_000_000_000_u64, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000_000_000}, "system_cpu_usage": 10_000_000_000_u64},
            "memory_stats": {"usage": 5_000_000, "limit": 1 << 30, "stats": {"inactive_file": 1_000_000}},
            "networks": {"eth0": {"rx_bytes": 1234, "tx_bytes": 567}},
            "pressure": {"cpu": {"some": {"avg10": 1.5}}},
        });
        let shown = LAYOUT.text(None, false, &[line("web", &sample, true)]).unwrap();
        assert_eq!(
            shown,
            "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O         BLOCK I/O        PIDS\n\
             aaaaaaaaaaaa   web       20.00%    3.815MiB / 1GiB     0.37%     1.23kB / 567B   1.23MB / 4.1kB   3\n"
        );
        assert_eq!(text(&line("web", &sample, true), "Pressure"), "1.50% / - / -");
    }
}
