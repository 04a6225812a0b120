//! `skiff run` and `skiff create`: flags -> a container, and with `run` its output, input and exit code.
//!
//! Without a daemon `run` is one request, POST /skiff/run, whose last frame tells the end. With one it is Docker's
//! sequence: create, attach, wait, start.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use rustix::{fd::OwnedFd, io::Errno};
use skiff_core::{
    api::{head::Method, local::Expect},
    container::keys::DetachKeys,
    file::{self, CWD},
    image::config::ARCHITECTURE,
};

use super::{Context, items, text};
use crate::{
    attached::{self, Attach},
    client::{Upload, path, query},
    create::{
        Creation, creation,
        flags::{Flags, invalid},
    },
    environment::Environment,
    failure::{EXIT_USAGE, Failure, Outcome},
    output,
    session::{End, Form},
    terminal,
};

/// A container that is to be made, and how.
struct Order {
    creation: Creation,
    name: String,
    platform: String,
    cidfile: Option<Cidfile>,
}

impl Order {
    fn read(flags: &Flags, words: &[String], environment: &Environment) -> Result<Order, String> {
        match flags.one("--pull").unwrap_or("missing") {
            "missing" | "never" => {}
            "always" => return Err("--pull always: pulling from a registry is not there yet".into()),
            other => return Err(invalid("--pull", other, "it is one of missing, never, always")),
        }
        let platform = flags.text("--platform");
        check_platform(&platform)?;
        let creation = creation(flags, words, environment)?;
        let cidfile = flags.one("--cidfile").map(Cidfile::new).transpose()?;
        Ok(Order { creation, name: flags.text("--name"), platform, cidfile })
    }

    fn target(&self, mut target: String) -> String {
        for (key, value) in [("name", &self.name), ("platform", &self.platform)] {
            if !value.is_empty() {
                query(&mut target, key, value);
            }
        }
        target
    }

    /// Makes the container and gives its id.
    fn create(&mut self, context: &Context) -> Result<String, Failure> {
        let body = self.creation.open_body() + "}";
        let answer = context
            .client
            .post_text(&self.target("/containers/create".into()), &body)
            .map_err(|failure| failure.exit(EXIT_USAGE))?;
        for warning in items(&answer, "Warnings").iter().filter_map(|warning| warning.as_str()) {
            output::note(&format!("WARNING: {warning}\n"));
        }
        let id = text(&answer, "Id").to_owned();
        self.write_id(&id)?;
        Ok(id)
    }

    fn write_id(&mut self, id: &str) -> Result<(), Failure> {
        self.cidfile.take().map_or(Ok(()), |file| file.write(id))
    }
}

/// `skiff create`
pub fn start_create(context: &Context, words: &[&str]) -> Outcome {
    let (flags, words) = Flags::collect(words).map_err(Failure::refused)?;
    let id = Order::read(&flags, &words, &context.environment).map_err(Failure::refused)?.create(context)?;
    output::line(&id)?;
    Ok(0)
}

/// `skiff run`
pub fn start_run(context: &Context, words: &[&str]) -> Outcome {
    if context.client.is_local() {
        context.client.begin(expected(words));
    }
    let (flags, words) = Flags::collect(words).map_err(Failure::refused)?;
    let detach = flags.on("--detach");
    let keys = flags.text("--detach-keys");
    let escape = DetachKeys::parse(&keys).map_err(Failure::refused)?;
    let mut order = Order::read(&flags, &words, &context.environment).map_err(Failure::refused)?;
    let config = &order.creation.config;
    let attach = Attach {
        tty: config.tty,
        stdin: config.attach_stdin,
        escape,
        proxy: !detach && flags.one("--sig-proxy") != Some("false"),
    };
    attach.check()?;
    if config.tty
        && let Some([rows, columns]) = terminal::size()
    {
        order.creation.host.console_size = [rows.into(), columns.into()];
    }
    if context.client.is_local() {
        run_local(context, order, &attach, detach, &keys)
    } else {
        run_remote(context, order, &attach, detach, &keys)
    }
}

/// Whether the container will be in namespaces of its own, as far as a glance tells: the engine begins its process on this
/// word, and begins anew if it was wrong.
fn expected(words: &[&str]) -> Expect {
    const OTHERWISE: [&str; 7] =
        ["--network", "--net", "--pid", "--ipc", "--cgroupns", "--cgroup-parent", "--userns"];
    let flags = words.iter().take_while(|word| **word != "--");
    let mut pairs = flags.clone().zip(flags.skip(1).chain([&""]));
    let otherwise = |(flag, value): (&&str, &&str)| OTHERWISE.contains(flag) && *value != "none";
    if pairs.any(otherwise) { Expect::Anything } else { Expect::Run }
}

fn run_local(context: &Context, mut order: Order, attach: &Attach, detach: bool, keys: &str) -> Outcome {
    let mut target = order.target("/skiff/run".into());
    if !keys.is_empty() {
        query(&mut target, "detachKeys", keys);
    }
    let mut body = order.creation.open_body();
    body.push_str(",\"Skiff\":{\"Attach\":[");
    body.push_str(
        &streams(&order.creation).map(|stream| format!("\"{stream}\"")).collect::<Vec<_>>().join(","),
    );
    body.push_str(&format!("],\"Detach\":{detach}}}}}"));
    let failed = |failure: Failure| match failure.status {
        404 => failure.exit(EXIT_USAGE),
        _ => attached::failed_start(failure, true),
    };
    let connection = context.client.hijack(&target, Some(&body)).map_err(failed)?;
    let id = connection.headers.get("Skiff-Container").unwrap_or_default().to_owned();
    order.write_id(&id)?;
    if let Some(warning) = connection.headers.get("Skiff-Warning") {
        output::note(&format!("WARNING: {warning}\n"));
    }
    if detach {
        output::line(&id)?;
        return Ok(0);
    }
    match attach.run(&context.client, ["containers", &id], connection, Form::Framed)? {
        None => Ok(0),
        Some(End::Exit(json)) => {
            attached::exit_code(&skiff_core::json::from_slice(&json).unwrap_or(serde_json::Value::Null))
        }
        Some(_) => Err(Failure::new("the container's monitor went away").exit(EXIT_USAGE)),
    }
}

fn run_remote(context: &Context, mut order: Order, attach: &Attach, detach: bool, keys: &str) -> Outcome {
    let client = &context.client;
    let id = order.create(context)?;
    let streams: Vec<&str> = streams(&order.creation).collect();
    let connection = match streams.is_empty() {
        true => None,
        false => Some(client.hijack(&attached::attach_path(&id, &streams, keys), None)?),
    };
    let auto_remove = order.creation.host.auto_remove;
    let mut wait = path(&["containers", &id, "wait"]);
    query(&mut wait, "condition", if auto_remove { "removed" } else { "next-exit" });
    let mut wait = client.request(Method::Post, &wait, Upload::Nothing)?;
    if let Err(failure) = client.post(&path(&["containers", &id, "start"]), None) {
        if auto_remove && !detach {
            // The name is free when this has answered.
            let _ = wait.object();
        }
        return Err(attached::failed_start(failure, false));
    }
    if detach {
        output::line(&id)?;
        return Ok(0);
    }
    if let Some(connection) = connection {
        if attach.tty
            && let Some(size) = terminal::size()
        {
            attached::resize(client, ["containers", &id], size);
        }
        if attach.run(client, ["containers", &id], connection, attached::form(attach.tty))?.is_none() {
            return Ok(0);
        }
    }
    attached::exit_code(&wait.object()?.unwrap_or_default())
}

fn streams(creation: &Creation) -> impl Iterator<Item = &'static str> {
    let config = &creation.config;
    let given =
        [(config.attach_stdin, "stdin"), (config.attach_stdout, "stdout"), (config.attach_stderr, "stderr")];
    given.into_iter().filter(|(attached, _)| *attached).map(|(_, name)| name)
}

/// This machine's processor in the kernel's words.
const MACHINE: &str = if cfg!(target_arch = "x86_64") {
    "x86_64"
} else if cfg!(target_arch = "aarch64") {
    "aarch64"
} else {
    ARCHITECTURE
};

/// Only this host's own platform runs here.
fn check_platform(platform: &str) -> Result<(), String> {
    let typed = platform.to_ascii_lowercase();
    let architecture = typed.strip_prefix("linux/").unwrap_or(&typed);
    let architecture = architecture.split('/').next().unwrap_or_default();
    if ["", "linux", ARCHITECTURE, MACHINE].contains(&architecture) {
        return Ok(());
    }
    Err(invalid("--platform", platform, &format!("only linux/{ARCHITECTURE} runs on this host")))
}

/// The file that gets the container's id; removed again if there is none to write.
struct Cidfile {
    path: String,
    file: OwnedFd,
    written: bool,
}

impl Cidfile {
    fn new(path: &str) -> Result<Cidfile, String> {
        match file::create(CWD, path, b"", 0o666) {
            Ok(file) => Ok(Cidfile { path: path.into(), file, written: false }),
            Err(Errno::EXIST) => Err(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )),
            Err(errno) => Err(Failure::io("create container ID file", path, errno).message),
        }
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        self.written = true;
        file::write_all(&self.file, id.as_bytes())
            .map_err(|errno| Failure::io("write container ID file", &self.path, errno).exit(EXIT_USAGE))
    }
}

impl Drop for Cidfile {
    fn drop(&mut self) {
        if !self.written {
            let _ = rustix::fs::unlink(self.path.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_hosts_platform_is_taken() {
        for good in ["", "linux", MACHINE] {
            assert_eq!(check_platform(good), Ok(()));
        }
        for bad in ["linux/s390x", "windows/amd64", "plan9"] {
            assert!(check_platform(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cidfile_is_new_and_goes_if_there_is_no_id() {
        let path = format!("{}/skiff-cid-{}", std::env::temp_dir().display(), std::process::id());
        drop(Cidfile::new(&path).unwrap());
        assert!(!std::path::Path::new(&path).exists());
        Cidfile::new(&path).unwrap().write("id").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "id");
        let again = Cidfile::new(&path).map(|_| ()).unwrap_err();
        assert!(again.starts_with("container ID file found, "), "{again}");
        std::fs::remove_file(&path).unwrap();
    }
}
