//! Another process in a container that runs: it joins the namespaces and the control group, and gets the rights that
//! the container's own process has.
//!
//! Runs in a process that was forked for it: joining a pid namespace can't be undone. That process is not dumpable from
//! here on, so that nothing in the container can look into the child before it executes its program.

use alloc::{string::String, vec, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    process::{DumpableBehavior, Pid, PidfdFlags},
    thread::ThreadNameSpaceType,
};
use serde::{Deserialize, Serialize};
use skiff_syscalls::clone;

use super::{
    launch::{CHILD, Started},
    program::{Program, environment, limit_of, resource, run_in},
    security::rights,
    step::Step,
    streams::{Streams, open_streams},
    user,
    user_namespace::{self, UserNamespace},
};
use crate::{
    Context, Error, Result,
    container::record::Record,
    file::{self, CWD},
};

/// linux/magic.h
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

/// What is executed, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Variables beside the container's own.
    pub env: Vec<String>,
    /// `user[:group]`; empty for the container's.
    pub user: String,
    /// Where it starts; empty for the container's working directory.
    pub working_dir: String,
    /// It gets a terminal.
    pub tty: bool,
    /// It gets input.
    pub stdin: bool,
    /// It gets all capabilities.
    pub privileged: bool,
    /// Rows and columns of the terminal; 0 for unknown.
    pub size: [u32; 2],
}

/// A container's first process, held so that it can't be mistaken for another.
#[derive(Debug)]
pub struct Target {
    pidfd: OwnedFd,
    /// The container's root.
    root: OwnedFd,
    /// Its user namespace, if that is not the host's.
    space: Option<UserNamespace>,
}

impl Target {
    /// The process `pid` of a container, which is held by `pidfd`; see [`hold`].
    ///
    /// # Errors
    /// [`Error::Conflict`] if it has ended.
    pub fn new(record: &Record, pid: i32, pidfd: OwnedFd) -> Result<Target> {
        let path = alloc::format!("/proc/{pid}/root");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty()).context("open", &path)?;
        let space = match Pid::from_raw(pid).filter(|_| record.host.has_user_namespace()) {
            Some(pid) => Some(UserNamespace::of(pid)?),
            None => None,
        };
        // What was opened by its number belongs to the process if that still lives.
        if has_ended(&pidfd) { Err(gone()) } else { Ok(Target { pidfd, root, space }) }
    }
}

fn gone() -> Error {
    Error::Conflict("the container is not running".into())
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    let now = crate::clock::timespec(0);
    poll(&mut ended, Some(&now)) != Ok(0)
}

/// Takes hold of the process `pid` of a container that `is_alive` (asked after the process is held).
///
/// # Errors
/// [`Error::Conflict`] if it has ended.
pub fn hold(pid: i32, is_alive: impl FnOnce() -> bool) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(gone)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
    if has_ended(&pidfd) || !is_alive() { Err(gone()) } else { Ok(pidfd) }
}

/// Starts a command in the container. `output` takes both output streams of one that has no terminal and no input.
///
/// # Errors
/// [`Error::Start`] if the program can't be executed; otherwise the step that failed.
pub fn start(
    record: &Record,
    target: Target,
    cgroup: BorrowedFd<'_>,
    command: &Command,
    output: Option<OwnedFd>,
) -> Result<Started> {
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let host = &record.host;
    let score = alloc::format!("{}", host.oom_score_adj);
    if let Ok(own) = rustix::fs::openat(CWD, "/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty()) {
        let _ = file::write_all(own, score.as_bytes());
    }
    let wanted = if command.user.is_empty() { &record.config.user } else { &command.user };
    let user = user::look_up(target.root.as_fd(), wanted, &host.group_add)?;
    let streams = match output {
        Some(output) => onto(output)?,
        None => {
            open_streams(command.tty, command.stdin, terminals(&target, command.tty)?.as_fd(), command.size)?
        }
    };
    let (uid, space) = (user.identity.uid(), target.space.as_ref());
    streams.give_to(space.map_or(uid, |space| space.host_user(uid)));
    let given = [&command.working_dir, &record.config.working_dir];
    let directory = given.into_iter().find(|one| !one.is_empty()).map_or("/", String::as_str);

    // The clocks are joined here, too: a child that borrows memory may not.
    let mut own = ThreadNameSpaceType::PROCESS_ID;
    own.set(ThreadNameSpaceType::TIME, host.has_time_namespace());
    rustix::thread::move_into_thread_name_spaces(target.pidfd.as_fd(), own)
        .context("join", "the pid namespace")?;
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    if space.is_some() {
        kinds |= ThreadNameSpaceType::USER;
        user_namespace::raise(rustix::process::getpid(), host)?;
    }
    let mut steps = vec![Step::Join(target.pidfd, kinds)];
    if space.is_some() {
        steps.push(Step::BecomeRoot);
    }
    steps.push(Step::Session(streams.terminal));
    steps.push(Step::Stdio(streams.child));
    for limit in &host.ulimits {
        steps.push(Step::Limit(resource(&limit.name)?, limit_of(limit.soft, limit.hard)));
    }
    steps.push(Step::Keyring);
    steps.push(Step::WorkingDirectory(super::rootfs::c_path(directory)?));
    let parent = || {
        rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
            .context("open pidfd of", "the supervisor")
    };
    steps.push(Step::DieWithParent(parent()?));
    let mut rights = rights(host)?;
    if command.privileged {
        rights.capabilities = super::capability::CapabilitySet::all()
            .bounded()
            .context("read bounding set of", "the engine")?;
    }
    steps.push(Step::Clean);
    let changes_user = user.identity.is_another();
    steps.push(Step::Become(user.identity, rights));
    if changes_user {
        steps.push(Step::DieWithParent(parent()?));
    }
    let mut environment = environment(record, &user.home, &[], &command.env);
    if command.tty && !environment.iter().any(|one| one.starts_with("TERM=")) {
        environment.push("TERM=xterm".into());
    }
    let program = Program::new(command.words.iter().map(String::as_str), &environment)?;
    let (pid, pidfd) = run_in(
        |child| clone::vfork(Some(cgroup), child).context("clone3", CHILD),
        &steps,
        target.root.as_fd(),
        &program,
    )?;
    Ok(Started {
        pid,
        pidfd,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        mounts: None,
    })
}

/// The container's own devpts; any directory where no terminal is wanted.
fn terminals(target: &Target, tty: bool) -> Result<OwnedFd> {
    if !tty {
        return target.root.try_clone().context("copy", "root");
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let pts = file::in_root(&target.root, "dev/pts", flags, Mode::empty()).context("open", "/dev/pts")?;
    let kind = rustix::fs::fstatfs(&pts).context("stat", "/dev/pts")?.f_type;
    if kind as u64 != DEVPTS_SUPER_MAGIC {
        return Err(Error::os("open terminal in", "/dev/pts", Errno::NOTTY));
    }
    Ok(pts)
}

/// Both outputs into one descriptor, and no input.
fn onto(output: OwnedFd) -> Result<Streams> {
    let null = || rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let stderr = rustix::io::dup(&output).context("copy", "pipe")?;
    let null = || null().context("open", "/dev/null");
    Ok(Streams {
        child: [null()?, output, stderr],
        terminal: None,
        stdin: None,
        stdout: null()?,
        stderr: None,
    })
}
