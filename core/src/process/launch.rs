//! From a container's record to its running first process: everything is decided here, in the parent; the child runs the
//! list of steps and executes the program.

use alloc::{
    ffi::CString,
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags},
    io::Errno,
    mount::MountAttrFlags,
    process::{Pid, PidfdFlags},
    thread::ThreadNameSpaceType,
};
use skiff_syscalls::{
    clone::CloneFlags,
    mount::{MountAttributes, Propagation, Reach, set_attributes},
    namespace,
    seccomp::FilterFlags,
};

use super::{
    capability::CapabilitySet,
    init,
    program::{Program, clone_and_run, environment, limit_of, resource},
    rights::Rights,
    rootfs::{self, Durability, c_path},
    step::{Onto, Step},
    streams::open_streams,
    user,
};
use crate::{
    Context, Error, Result,
    container::{
        config::HostConfig,
        record::{MountKind, MountPoint, Record},
    },
    file::{self, CWD},
};

/// Hidden inside unless told otherwise.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only inside unless told otherwise.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

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
    /// Some directory of the host, by its absolute path, that the child covers in its own mount namespace.
    pub cover: &'a str,
    /// The control group to be born in.
    pub cgroup: BorrowedFd<'a>,
    /// The first process of a container whose namespaces are joined, for the modes `container:`.
    pub joined: Joined,
}

/// Processes whose namespaces are joined.
#[derive(Debug, Default)]
pub struct Joined {
    /// For `--network container:`.
    pub net: Option<OwnedFd>,
    /// For `--ipc container:`.
    pub ipc: Option<OwnedFd>,
    /// For `--pid container:`.
    pub pid: Option<OwnedFd>,
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
pub fn start(launch: Launch<'_>) -> Result<Started> {
    let record = launch.record;
    let (config, host) = (&record.config, &record.host);
    // Modes are meant as they are written; the payload gets the usual mask back.
    rustix::process::umask(Mode::empty());
    let durability = if host.auto_remove { Durability::ThrownAway } else { Durability::Kept };
    let root = rootfs::overlay(launch.lowers, launch.upper, launch.work, durability)?;
    let user = user::look_up(root.as_fd(), &config.user, &host.group_add)?;

    let working_directory = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    if working_directory != "/" {
        file::make_directories(&root, working_directory.as_bytes())
            .context("create working directory", working_directory)?;
    }

    let pts = rootfs::devpts().context("mount devpts for", "/dev/pts")?;
    let streams = open_streams(config.tty, config.open_stdin, pts.as_fd(), host.console_size)?;
    for fd in &streams.child {
        // So that /dev/stdout and its kin can be opened by the user.
        let _ = rustix::fs::fchown(fd, Some(user.identity.uid()), None);
    }

    let (flags, mut steps) = namespaces(host, launch.joined)?;
    steps.push(Step::PrivateMounts);
    steps.push(Step::AttachRoot(c_path(launch.cover)?));
    file_systems(&mut steps, host, launch.run_directory, record, root.as_fd(), pts, config.tty)?;
    steps.push(Step::Pivot(c_path(launch.cover)?));
    if flags.contains(CloneFlags::NEWUTS) {
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
    let parent = || rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    steps.push(Step::DieWithParent(parent().context("open pidfd of", "the monitor")?));
    let identity = user.identity.clone();
    let changes_user = !identity.uid().is_root();
    steps.push(Step::Become(identity, rights(host)?));
    if changes_user {
        // Another uid clears the death signal.
        steps.push(Step::DieWithParent(parent().context("open pidfd of", "the monitor")?));
    }
    steps.push(Step::Clean);

    let environment = environment(record, &user.home, &[]);
    let program = if host.init == Some(true) {
        Program::new(init::words(record.arguments()), &environment)?
    } else {
        Program::new(record.arguments(), &environment)?
    };
    let (pid, pidfd) = clone_and_run(flags, launch.cgroup, &steps, root.as_fd(), &program)?;
    let mounts = namespace::mount_namespace(pidfd.as_fd()).ok();
    Ok(Started { pid, pidfd, stdin: streams.stdin, stdout: streams.stdout, stderr: streams.stderr, mounts })
}

/// The namespaces to make and the steps that join others.
fn namespaces(host: &HostConfig, joined: Joined) -> Result<(CloneFlags, Vec<Step>)> {
    let mut flags = CloneFlags::NEWNS;
    let mut steps = Vec::new();
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return Err(Error::Unsupported(format!(
            "user namespace mode {:?} is not there yet",
            host.userns_mode
        )));
    }
    if host.pid_mode != "host" && joined.pid.is_none() {
        flags |= CloneFlags::NEWPID;
    }
    if host.uts_mode != "host" {
        flags |= CloneFlags::NEWUTS;
    }
    if host.ipc_mode != "host" && joined.ipc.is_none() {
        flags |= CloneFlags::NEWIPC;
    }
    if host.network_mode != "host" && joined.net.is_none() {
        flags |= CloneFlags::NEWNET;
    }
    if let Some(process) = &joined.pid {
        // Children of this process are born there; it does not go there itself.
        rustix::thread::move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::PROCESS_ID)
            .context("join", "the pid namespace")?;
    }
    if let Some(process) = joined.ipc {
        steps.push(Step::Join(process, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION));
    }
    if let Some(process) = joined.net {
        steps.push(Step::Join(process, ThreadNameSpaceType::NETWORK));
    }
    if host.cgroupns_mode != "host" {
        steps.push(Step::NewCgroupNamespace);
    }
    if flags.contains(CloneFlags::NEWNET) {
        steps.push(Step::Loopback);
    }
    Ok((flags, steps))
}

/// Everything that is mounted below the root, in order.
fn file_systems(
    steps: &mut Vec<Step>,
    host: &HostConfig,
    run_directory: BorrowedFd<'_>,
    record: &Record,
    root: BorrowedFd<'_>,
    pts: OwnedFd,
    tty: bool,
) -> Result<()> {
    let nosuid = MountAttrFlags::MOUNT_ATTR_NOSUID;
    let strict = nosuid | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODEV;
    let read_only = if host.privileged { strict } else { strict | MountAttrFlags::MOUNT_ATTR_RDONLY };
    let mount =
        |kind, attributes, target: &core::ffi::CStr| Step::Mount { kind, attributes, target: target.into() };
    let attach = |mount, target: &str, onto| -> Result<Step> {
        Ok(Step::Attach { mount, target: c_path(target)?, onto })
    };

    let mut nodes = Vec::new();
    if host.privileged {
        nodes = rootfs::all_host_nodes()?;
    }
    for device in &host.devices {
        nodes.extend(rootfs::host_nodes(device)?);
    }
    for node in nodes.iter().filter(|node| !node.path.starts_with("/dev/")) {
        rootfs::make_node(root, &node.path, node).context("create device node", &node.path)?;
    }

    steps.push(mount(c"proc", strict, c"proc"));
    steps.push(attach(rootfs::devices(&nodes, tty)?, "dev", Onto::Directory)?);
    steps.push(attach(pts, "dev/pts", Onto::Directory)?);
    if host.ipc_mode != "none" {
        let shm = if host.ipc_mode == "host" {
            rootfs::clone_mount(CWD, "/dev/shm", false)
        } else {
            let size = if host.shm_size > 0 { host.shm_size } else { 64 << 20 };
            rootfs::tmpfs(&format!("mode=1777,size={size}"), strict)
        };
        steps.push(attach(shm.context("mount", "/dev/shm")?, "dev/shm", Onto::Directory)?);
    }
    steps.push(mount(c"mqueue", strict, c"dev/mqueue"));
    steps.push(mount(c"sysfs", read_only, c"sys"));
    steps.push(mount(c"cgroup2", read_only, c"sys/fs/cgroup"));
    if tty {
        steps.push(Step::Console);
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        let target = format!("/etc/{name}");
        if record.mounts.iter().all(|mount| mount.destination != target) {
            let file = rootfs::clone_mount(run_directory, name, false).context("open", name)?;
            steps.push(attach(file, &target, Onto::File)?);
        }
    }
    for point in &record.mounts {
        steps.push(mount_point(point, root)?);
    }
    if host.init == Some(true) {
        steps.push(attach(init::mount()?, init::PATH, Onto::File)?);
    }

    for (name, value) in sysctls(host) {
        let path = c_path(&format!("sys/{}", name.replace('.', "/")))?;
        let required = host.sysctls.contains_key(name);
        steps.push(Step::Proc { path, value: value.as_bytes().into(), required });
    }
    let score = host.oom_score_adj.to_string().into_bytes();
    steps.push(Step::Proc { path: c"self/oom_score_adj".into(), value: score, required: false });

    let unconfined =
        host.privileged || host.security_opt.iter().any(|option| option == "systempaths=unconfined");
    let paths = |own: &Option<Vec<String>>, standard: &[&str]| -> Result<Vec<CString>> {
        match own {
            Some(paths) => paths.iter().map(|path| c_path(path)).collect(),
            None if unconfined => Ok(Vec::new()),
            None => standard.iter().map(|path| c_path(path)).collect(),
        }
    };
    steps.extend(paths(&host.masked_paths, &MASKED)?.into_iter().map(Step::Mask));
    steps.extend(paths(&host.readonly_paths, &READ_ONLY)?.into_iter().map(Step::ReadOnly));
    if host.readonly_rootfs {
        steps.push(Step::ReadOnlyRoot);
    }
    Ok(())
}

/// The step that puts one of the settings' mounts in place.
fn mount_point(point: &MountPoint, root: BorrowedFd<'_>) -> Result<Step> {
    let (mount, onto) = if point.kind == MountKind::Tmpfs {
        let (options, attributes) = tmpfs_options(point);
        let mount = rootfs::tmpfs(&options, attributes).context("mount tmpfs for", &point.destination)?;
        (mount, Onto::Directory)
    } else {
        let open =
            || rustix::fs::openat(CWD, point.source.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let base = match open() {
            Err(Errno::NOENT) if point.create_source => file::make_host_directories(&point.source, 0o755)?,
            other => other.context("open mount source", &point.source)?,
        };
        if point.kind == MountKind::Volume && !point.no_copy && point.subpath.is_empty() {
            fill_volume(&base, root, &point.destination)?;
        }
        let source = if point.subpath.is_empty() {
            base
        } else {
            file::beneath(&base, point.subpath.as_str(), OFlags::PATH, Mode::empty())
                .context("open volume subpath", &point.subpath)?
        };
        let stat = rustix::fs::fstat(&source).context("stat", &point.source)?;
        let onto = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Onto::Directory,
            _ => Onto::File,
        };
        let recursive = !point.non_recursive;
        let mount = rootfs::clone_mount(&source, "", recursive).context("bind mount", &point.source)?;
        let reach = if recursive && !point.read_only_top { Reach::Recursive } else { Reach::One };
        let set = if point.read_only { MountAttributes::RDONLY } else { MountAttributes::empty() };
        let kind = match point.propagation.trim_start_matches('r') {
            "" | "private" => Propagation::Private,
            "slave" => Propagation::Slave,
            "shared" => Propagation::Shared,
            other => return Err(Error::Invalid(format!("invalid propagation mode: {other}"))),
        };
        set_attributes(mount.as_fd(), c"", reach, set, MountAttributes::empty(), kind)
            .context("set mount attributes of", &point.source)?;
        (mount, onto)
    };
    Ok(Step::Attach { mount, target: c_path(&point.destination)?, onto })
}

/// Puts what the image has at a place into a volume that is mounted there for the first time.
fn fill_volume(data: &OwnedFd, root: BorrowedFd<'_>, destination: &str) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let source = match file::in_root(root, destination, flags, Mode::empty()) {
        Ok(source) => source,
        // There is no directory, and so nothing in it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(Error::os("open", destination, errno)),
    };
    let volume = file::directory(data, "..").context("open", "volume")?;
    crate::store::fill(volume.as_fd(), source.as_fd()).map(drop)
}

/// The sysctls to write: the standard ones of an own network namespace, and those that were asked for.
fn sysctls(host: &HostConfig) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    if host.network_mode != "host" && !host.network_mode.starts_with("container:") {
        all.push(("net.ipv4.ip_unprivileged_port_start", "0"));
        all.push(("net.ipv4.ping_group_range", "0 2147483647"));
        all.retain(|(name, _)| !host.sysctls.contains_key(*name));
    }
    all.extend(host.sysctls.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all
}

/// The options of a tmpfs apart: those of the mount as attributes, those of the file system as they are.
fn tmpfs_options(point: &MountPoint) -> (String, MountAttrFlags) {
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mut options: Vec<&str> = Vec::new();
    for option in point.mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "exec" => attributes -= MountAttrFlags::MOUNT_ATTR_NOEXEC,
            "suid" => attributes -= MountAttrFlags::MOUNT_ATTR_NOSUID,
            "dev" => attributes -= MountAttrFlags::MOUNT_ATTR_NODEV,
            "ro" => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
            "rw" | "nosuid" | "nodev" | "noexec" => {}
            "noatime" => attributes |= MountAttrFlags::MOUNT_ATTR_NOATIME,
            other => options.push(other),
        }
    }
    if point.read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    if !options.iter().any(|option| option.starts_with("mode=")) {
        options.push("mode=1777");
    }
    (options.join(","), attributes)
}

/// What a process of a container with these settings may do.
///
/// # Errors
/// [`Error::Invalid`] for unknown options.
pub(super) fn rights(host: &HostConfig) -> Result<Rights> {
    let wanted = CapabilitySet::requested(host.privileged, &host.cap_add, &host.cap_drop)?;
    let held = CapabilitySet::own_bounding().context("read bounding set of", "the engine")?;
    let capabilities = wanted & held;
    let mut no_new_privs = false;
    let mut filter = None;
    for option in &host.security_opt {
        match option.split_once(['=', ':']).unwrap_or((option, "")) {
            ("no-new-privileges", "" | "true") => no_new_privs = true,
            ("no-new-privileges", "false") => no_new_privs = false,
            ("seccomp", "unconfined") => filter = Some(Vec::new().into()),
            ("seccomp", "builtin") => filter = None,
            ("seccomp", _) => {
                return Err(Error::Unsupported("custom seccomp profiles are not there yet".into()));
            }
            ("systempaths", "unconfined") | ("label", "disable") => {}
            _ => return Err(Error::Invalid(format!("invalid --security-opt {option:?}"))),
        }
    }
    let filter = match filter {
        Some(filter) => filter,
        None if host.privileged => Vec::new().into(),
        None => super::seccomp::default_program(capabilities),
    };
    Ok(Rights { capabilities, no_new_privs, filter, filter_flags: FilterFlags::empty() })
}
