//! From a container's record to its running first process: everything is decided here, in the parent; the child runs the
//! list of steps and executes the program.

use alloc::string::String;
use core::convert::Infallible;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    process::{DumpableBehavior, Pid, PidfdFlags},
};
use skiff_syscalls::{
    clone::{
        CloneFlags,
        birth::{Birth, Family, Stillborn},
    },
    namespace,
    standard::{self, Standard},
};

use super::{
    file_systems::{Made, Parts, file_systems},
    init,
    namespaces::{Joined, namespaces, place, steps},
    program::{Program, environment, limit_of, resource, run_in},
    rootfs::{self, Durability, Node, c_path},
    security::rights,
    step::Step,
    streams::open_streams,
    time_namespace, user,
    user_namespace::{self, Changes, UserNamespace},
};
use crate::{
    Context, Error, Result,
    container::{config::HostConfig, record::Record},
    file,
};

/// What clone3 makes, for messages.
pub(super) const CHILD: &str = "the container's process";

/// What is started, and with what.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The container.
    pub record: &'a Record,
    /// Its layers on the host, the top one first.
    pub lowers: &'a [String],
    /// Where changes go: path of the upper directory and of the work directory beside it.
    pub upper: &'a str,
    /// See [`Launch::upper`].
    pub work: &'a str,
    /// The container's directory in the run root; hosts and the like are written there.
    pub run_directory: BorrowedFd<'a>,
    /// The host's devices that it gets.
    pub nodes: &'a [Node],
    /// Variables beside those of its settings.
    pub environment: &'a [String],
    /// Some directory of the host, by its absolute path, that the child covers in its own mount namespace.
    pub cover: &'a str,
    /// The process to be.
    pub unborn: Unborn,
}

/// A container's first process, which is made while the rest is prepared.
#[derive(Debug)]
pub struct Unborn {
    birth: Birth,
    namespaces: CloneFlags,
    joined: Joined,
    /// What its root is being mounted from.
    root: Option<OwnedFd>,
}

/// Has the container's first process made in its namespaces, as soon as it is said where it [enters](Unborn::enter). The one in `joined` is the first
/// process of a container whose namespaces are joined, for the modes `container:`.
///
/// # Errors
/// Of the kernel.
pub fn conceive(host: &HostConfig, joined: Joined) -> Result<Unborn> {
    // The child is this program until it executes another. Nothing in a pid namespace that it shares may look into it.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let namespaces = namespaces(host, &joined);
    let [pid, user] = [&joined.pid, &joined.user].map(|process| process.as_ref().map(AsFd::as_fd));
    let family = Family { pid, user };
    let birth = Birth::begin(namespaces, family, place(host, &joined)).context("clone3", CHILD)?;
    Ok(Unborn { birth, namespaces, joined, root: None })
}

/// As [`conceive`], for settings of which nothing is known yet.
///
/// # Errors
/// Of the kernel.
pub fn conceive_usual() -> Result<Unborn> {
    conceive(&HostConfig::default(), Joined::default())
}

/// Whether a process that was conceived for usual settings is right for these.
pub fn is_usual(host: &HostConfig) -> bool {
    let (usual, nobody) = (HostConfig::default(), Joined::default());
    let joins = |mode: &String| mode.starts_with("container:");
    ![&host.network_mode, &host.ipc_mode, &host.pid_mode].into_iter().any(joins)
        && namespaces(host, &nobody) == namespaces(&usual, &nobody)
        && place(host, &nobody) == place(&usual, &nobody)
}

fn born(birth: Birth, child: &mut dyn FnMut() -> Infallible) -> Result<(Pid, OwnedFd)> {
    birth.run(child).map_err(|stillborn| match stillborn {
        Stillborn::Clone(errno) => Error::os("clone3", CHILD, errno),
        Stillborn::Loopback(errno) => Error::os("bring up interface", "lo", errno),
    })
}

impl Unborn {
    /// The control group that the process is to be in, from its first instruction on; kept open until it is there.
    pub fn enter(&self, cgroup: BorrowedFd<'_>) {
        self.birth.enter(Some(cgroup));
    }

    /// Has its root mounted, as [`start`] would do it, while this process goes on. If that can't be, or fails, start does it.
    pub fn mount(&mut self, host: &HostConfig, lowers: &[String], upper: &str, work: &str) {
        if !host.has_user_namespace()
            && let Ok(context) = rootfs::overlay_context(lowers, upper, work, durability(host))
        {
            self.birth.mount(context.as_fd());
            self.root = Some(context);
        }
    }

    /// Its network namespace.
    ///
    /// # Errors
    /// Of clone3; of open(2).
    pub fn network_namespace(&mut self) -> Result<OwnedFd> {
        let pid = self.birth.child().context("clone3", CHILD)?.as_raw_nonzero();
        let path = alloc::format!("/proc/{pid}/ns/net");
        rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).context("open", path)
    }

    /// Gives the process what it can't give itself, before it does anything: the time of its clocks, the ids of its user
    /// namespace. Gives that, if it is not the host's.
    fn endow(&mut self, host: &HostConfig) -> Result<Option<UserNamespace>> {
        if host.has_time_namespace() {
            time_namespace::set(self.birth.child().context("clone3", CHILD)?, host)?;
        }
        if !host.has_user_namespace() {
            return Ok(None);
        }
        let pid = self.birth.child().map_err(|errno| {
            let error = Error::os("clone3", CHILD, errno);
            match errno {
                Errno::NOSPC | Errno::USERS => error.hint("the sysctl user.max_user_namespaces is the limit"),
                Errno::INVAL => error.hint("perhaps the kernel has no user namespaces"),
                _ => error,
            }
        })?;
        let space = match self.namespaces.contains(CloneFlags::NEWUSER) {
            true => UserNamespace::grant(pid)?,
            false => UserNamespace::of(pid)?,
        };
        user_namespace::raise(pid, host)?;
        Ok(Some(space))
    }
}

/// A running first process.
#[derive(Debug)]
pub struct Started {
    /// As the host numbers it.
    pub pid: Pid,
    /// The process.
    pub pidfd: OwnedFd,
    /// What it reads, if it reads anything.
    pub stdin: Option<OwnedFd>,
    /// What it writes: stdout, or the terminal with both ways.
    pub stdout: OwnedFd,
    /// What it writes to stderr; absent with a terminal.
    pub stderr: Option<OwnedFd>,
    /// Keeps the mounts until it is dropped, so that their end is not waited for before the exit is reported.
    pub mounts: Option<OwnedFd>,
}

impl Started {
    /// Ends the process, and takes its status.
    pub fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = crate::fork::wait(&self.pidfd);
    }
}

/// Starts the container's first process.
///
/// # Errors
/// [`Error::Start`] if the program cannot be executed; otherwise the step that failed.
pub fn start(mut launch: Launch<'_>) -> Result<Started> {
    let record = launch.record;
    let (config, host) = (&record.config, &record.host);
    // Modes are meant as they are written; the payload gets the usual mask back.
    rustix::process::umask(Mode::empty());
    let durability = durability(host);
    let own_score = oom_score();
    let oom_score_differs = own_score != Some(host.oom_score_adj);
    let space = launch.unborn.endow(host)?;
    let rights = rights(host)?;
    // The mount comes before what the child makes for itself: all that can be done without that is done meanwhile.
    let root = match &space {
        None => match launch.unborn.birth.mounted() {
            Ok(root) => root,
            Err(_) => rootfs::overlay(launch.lowers, launch.upper, launch.work, durability)?,
        },
        Some(space) => {
            let changes = if record.image.is_empty() { Changes::InMemory } else { Changes::Kept };
            space.overlay(launch.lowers, [launch.upper, launch.work], (changes, durability), launch.cover)?
        }
    };
    let user = user::look_up(root.as_fd(), &config.user, &host.group_add)?;
    let working_directory = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    if working_directory != "/" && space.is_none() {
        file::make_directories(&root, working_directory.as_bytes())
            .context("create working directory", working_directory)?;
    }
    let environment = environment(record, &user.home, launch.environment, &[]);
    let program = if host.init == Some(true) {
        Program::new(init::words(record.arguments()), &environment)?
    } else {
        Program::new(record.arguments(), &environment)?
    };

    let (made, pts) = match (launch.unborn.birth.standard(), &space) {
        (Some(Standard { proc, sys, cgroup, dev, pts, shm, mqueue }), _) => {
            let made = Made {
                proc: Some(proc),
                sys: Some(sys),
                cgroup: Some(cgroup),
                dev: Some(dev),
                shm: Some(shm),
                mqueue: Some(mqueue),
            };
            (Some(made), pts)
        }
        (None, None) => (None, standard::devpts(standard::TTY).context("mount devpts for", "/dev/pts")?),
        (None, Some(space)) => (None, space.devpts()?),
    };
    let streams = open_streams(config.tty, config.open_stdin, pts.as_fd(), host.console_size)?;
    let Unborn { birth, namespaces: namespaces_made, mut joined, root: _ } = launch.unborn;
    let uid = user.identity.uid();
    streams.give_to(space.as_ref().map_or(uid, |space| space.host_user(uid)));

    let monitor = || {
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
        own.context("open pidfd of", "the monitor")
    };
    let shm = joined.shm.take();
    // The midwife may not have joined them yet.
    let _joined_at_birth = (joined.pid.take(), joined.user.take());
    let mut steps = steps(joined);
    if made.is_none() && host.cgroupns_mode != "host" {
        steps.push(Step::NewCgroupNamespace);
    }
    steps.push(Step::PrivateMounts);
    steps.push(Step::AttachRoot(c_path(launch.cover)?));
    if space.is_some() {
        // What it does from here on, it does with the rights of those inside.
        steps.push(Step::BecomeRoot);
        steps.push(Step::DieWithParent(monitor()?));
        if working_directory != "/" {
            steps.push(Step::Directory(c_path(working_directory)?));
        }
    }
    let terminal = streams.terminal.as_ref().map(rustix::io::dup).transpose().context("copy", "terminal")?;
    let parts = Parts {
        run_directory: launch.run_directory,
        nodes: launch.nodes,
        pts,
        made: match &space {
            Some(_) => Made::of_the_host(host)?,
            None => made.unwrap_or_default(),
        },
        terminal,
        shared_memory: shm,
        oom_score_differs,
        space: space.as_ref(),
    };
    file_systems(&mut steps, record, root.as_fd(), parts)?;
    steps.push(Step::Pivot(c_path(launch.cover)?));
    if namespaces_made.contains(CloneFlags::NEWUTS) {
        steps.push(Step::Hostname(record.hostname().as_bytes().into()));
        if !config.domainname.is_empty() {
            steps.push(Step::Domainname(config.domainname.as_bytes().into()));
        }
    }
    steps.push(Step::Session(streams.terminal));
    steps.push(Step::Stdio(streams.child));
    for limit in &host.ulimits {
        steps.push(Step::Limit(resource(&limit.name)?, limit_of(limit.soft, limit.hard)));
    }
    steps.push(Step::Keyring);
    steps.push(Step::WorkingDirectory(c_path(working_directory)?));
    steps.push(Step::Roam);
    // The filter is in force from here on: nothing is done behind this that a profile could forbid.
    steps.push(Step::Clean);
    let changes_user = user.identity.is_another();
    steps.push(Step::Become(user.identity.clone(), rights));
    if changes_user {
        // It dies with the monitor since its birth; becoming somebody else has ended that.
        steps.push(Step::DieWithParent(monitor()?));
    }

    let started = run_in(|child| born(birth, child), &steps, root.as_fd(), &program);
    if oom_score_differs {
        // What the child sets is set for all whose memory it has: until execve also for this process.
        set_oom_score(own_score.unwrap_or(0));
    }
    let (pid, pidfd) = started?;
    let mounts = namespace::mount_namespace(pidfd.as_fd()).ok();
    Ok(Started { pid, pidfd, stdin: streams.stdin, stdout: streams.stdout, stderr: streams.stderr, mounts })
}

fn durability(host: &HostConfig) -> Durability {
    if host.auto_remove { Durability::ThrownAway } else { Durability::Kept }
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// How ready the kernel is to kill this process for want of memory.
fn oom_score() -> Option<i32> {
    let text = file::read(file::CWD, OOM_SCORE, 16).ok()?;
    core::str::from_utf8(&text).ok()?.trim_ascii().parse().ok()
}

fn set_oom_score(score: i32) {
    if let Ok(file) =
        rustix::fs::openat(file::CWD, OOM_SCORE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    {
        // Going back to where it came from may need a right that it does not have.
        let _ = file::write_all(file, alloc::format!("{score}").as_bytes());
    }
}
