//! A command line and an environment -> a process in its own namespaces that executes it. The steps before that are
//! decided by the caller; see [`super::step`].
//!
//! A container must never get hold of the engine's own file. The child is still this program until execve, so it is
//! not started by a magic link of /proc, which could lead to that file. A script whose interpreter is such a link gets
//! the file to run, not to write: as long as a container lives its monitor runs the same file, and the kernel lets
//! nobody write to what is being executed (ETXTBSY).

use alloc::{
    ffi::CString,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::{convert::Infallible, ffi::CStr};

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    process::{Pid, Resource, Rlimit},
};
use skiff_syscalls::{
    clone::{self, CloneFlags},
    exec,
};

use super::{
    rights::Failed,
    step::{self, Step},
};
use crate::{Context, Error, Result, container::record::Record, file::CWD};

/// PATH of a container whose image sets none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How far a child came that did not start its program.
enum Stopped {
    Step(usize, Failed),
    Execute(Errno),
}

/// Clones, runs the steps and executes the program.
///
/// # Errors
/// The step that failed, or [`Error::Start`].
pub(super) fn clone_and_run(
    flags: CloneFlags,
    cgroup: BorrowedFd<'_>,
    steps: &[Step],
    root: BorrowedFd<'_>,
    program: &Program,
) -> Result<(Pid, OwnedFd)> {
    let mut stopped = None;
    let mut pointers = [
        vec![core::ptr::null(); exec::Strings::slots(program.arguments.len())],
        vec![core::ptr::null(); exec::Strings::slots(program.environment.len())],
    ];
    let [arguments, environment] = &mut pointers;
    let arguments = exec::Strings::new(arguments, program.arguments.iter().map(CString::as_c_str));
    let environment = exec::Strings::new(environment, program.environment.iter().map(CString::as_c_str));
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let (pid, pidfd) = clone::vfork(flags, Some(cgroup), &mut || -> Infallible {
        stopped = Some(match step::run(steps, root) {
            Err((index, failed)) => Stopped::Step(index, failed),
            Ok(()) => Stopped::Execute(program.execute(&arguments, &environment)),
        });
        exec::exit_infallible(127)
    })
    .context("clone3", "the container's process")?;
    let Some(stopped) = stopped else { return Ok((pid, pidfd)) };
    let _ = crate::fork::wait(&pidfd);
    Err(match stopped {
        Stopped::Step(index, failed) => {
            let (operation, subject) = steps[index].describe();
            let operation = if failed.operation.is_empty() { operation } else { failed.operation };
            Error::os(operation, String::from_utf8_lossy(subject), failed.errno)
        }
        Stopped::Execute(errno) => program.failure(errno),
    })
}

/// The program, where it is looked for, and what it gets.
pub(super) struct Program {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// Reads the words as a command line.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a command or with a zero byte in it.
    pub(super) fn new<'a>(
        words: impl Iterator<Item = &'a str> + Clone,
        environment: &[String],
    ) -> Result<Program> {
        let c_string = |text: &str| {
            CString::new(text).map_err(|_| Error::Invalid(format!("{text:?} has a zero byte in it")))
        };
        let arguments = words.clone().map(c_string).collect::<Result<Vec<_>>>()?;
        let Some(first) = words.clone().next().filter(|first| !first.is_empty()) else {
            return Err(Error::Invalid("no command specified".into()));
        };
        let candidates = if first.contains('/') {
            vec![c_string(first)?]
        } else {
            let path = environment.iter().find_map(|one| one.strip_prefix("PATH=")).unwrap_or("");
            path.split(':')
                .map(|directory| if directory.is_empty() { "." } else { directory })
                .map(|directory| c_string(&format!("{}/{first}", directory.trim_end_matches('/'))))
                .collect::<Result<Vec<_>>>()?
        };
        let environment = environment.iter().map(|one| c_string(one)).collect::<Result<Vec<_>>>()?;
        Ok(Program { candidates, arguments, environment })
    }

    /// Makes this process the program; gives the reason if that fails.
    pub(super) fn become_it(&self) -> Error {
        let mut pointers = [
            vec![core::ptr::null(); exec::Strings::slots(self.arguments.len())],
            vec![core::ptr::null(); exec::Strings::slots(self.environment.len())],
        ];
        let [arguments, environment] = &mut pointers;
        let arguments = exec::Strings::new(arguments, self.arguments.iter().map(CString::as_c_str));
        let environment = exec::Strings::new(environment, self.environment.iter().map(CString::as_c_str));
        self.failure(self.execute(&arguments, &environment))
    }

    /// Runs in the child.
    fn execute(&self, arguments: &exec::Strings<'_>, environment: &exec::Strings<'_>) -> Errno {
        let mut worst = Errno::NOENT;
        for candidate in &self.candidates {
            match no_magic(candidate)
                .map_or_else(|errno| errno, |()| exec::execve(candidate, arguments, environment))
            {
                Errno::NOENT | Errno::NOTDIR => {}
                errno => worst = errno,
            }
        }
        worst
    }

    fn failure(&self, errno: Errno) -> Error {
        let name = self.arguments[0].to_string_lossy();
        let (exit_code, why) = match errno {
            Errno::NOENT if name.contains('/') => (127, format!("stat {name}: no such file or directory")),
            Errno::NOENT => (127, "executable file not found in $PATH".to_string()),
            Errno::ACCESS | Errno::PERM => (126, "permission denied".to_string()),
            Errno::LOOP => (126, "too many levels of symbolic links, or a magic link of /proc".to_string()),
            Errno::ISDIR => (126, "is a directory".to_string()),
            Errno::NOEXEC => (126, "exec format error".to_string()),
            errno => (
                126,
                crate::error::errno_text(errno).map_or("cannot be executed", |(_, text)| text).to_string(),
            ),
        };
        Error::Start { exit_code, message: format!("exec: \"{name}\": {why}") }
    }
}

/// The variables of a container's process: the standard ones, then those of its settings, then `more`.
pub(super) fn environment(record: &Record, home: &str, more: &[String]) -> Vec<String> {
    let mut all = vec![DEFAULT_PATH.to_string(), format!("HOSTNAME={}", record.hostname())];
    if record.config.tty {
        all.push("TERM=xterm".into());
    }
    for one in record.config.env.iter().chain(more) {
        let name = one.split('=').next().unwrap_or_default();
        all.retain(|known| known.split('=').next() != Some(name));
        if one.contains('=') {
            all.push(one.clone());
        }
    }
    if !all.iter().any(|one| one.starts_with("HOME=")) {
        all.push(format!("HOME={home}"));
    }
    all
}

/// Fails with ELOOP if the path goes through a magic link. Runs in the child.
fn no_magic(path: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map(drop)
}

/// A limit as the kernel takes it; negative is none.
pub(super) fn limit_of(soft: i64, hard: i64) -> Rlimit {
    Rlimit { current: u64::try_from(soft).ok(), maximum: u64::try_from(hard).ok() }
}

/// The kernel's limit behind a `--ulimit` name.
pub(super) fn resource(name: &str) -> Result<Resource> {
    Ok(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        other => return Err(Error::Invalid(format!("invalid ulimit type: {other}"))),
    })
}
