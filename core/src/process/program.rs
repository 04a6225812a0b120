//! A command line and an environment -> a process in its own namespaces that executes it. The steps before that are
//! decided by the caller; see [`super::step`].
//!
//! A container must never get hold of the engine's own file. The child is still this program until execve, so neither
//! the program nor the interpreter of a script may be a magic link of /proc, which could lead to that file: paths and
//! first lines are looked at before the child becomes the container's user. Somebody inside who swaps them in the
//! moment between that look and execve gets the file to run, not to write: as long as a container lives its monitor
//! runs the same file, and the kernel lets nobody write to what is being executed (ETXTBSY).

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
use skiff_syscalls::exec;

use super::{
    rights::Failed,
    step::{self, Step},
};
use crate::{
    Error, Result,
    container::{config::Ulimit, record::Record},
    file::CWD,
    image::config::DEFAULT_PATH,
};

/// How far a child came that did not start its program.
enum Stopped {
    Step(usize, Failed),
    Execute(Errno),
}

/// Has the steps run and the program executed in the process that `start` makes, whose memory is this one's.
///
/// # Errors
/// The step that failed, or [`Error::Start`].
pub(super) fn run_in(
    start: impl FnOnce(&mut dyn FnMut() -> Infallible) -> Result<(Pid, OwnedFd)>,
    steps: &[Step],
    root: BorrowedFd<'_>,
    program: &Program,
) -> Result<(Pid, OwnedFd)> {
    let mut stopped = None;
    let become_at = steps.iter().position(|step| matches!(step, Step::Become(..))).unwrap_or(steps.len());
    let (before, behind) = steps.split_at(become_at);
    let mut pointers = [
        vec![core::ptr::null(); exec::Strings::slots(program.arguments.len())],
        vec![core::ptr::null(); exec::Strings::slots(program.environment.len())],
    ];
    let [arguments, environment] = &mut pointers;
    let arguments = exec::Strings::new(arguments, program.arguments.iter().map(CString::as_c_str));
    let environment = exec::Strings::new(environment, program.environment.iter().map(CString::as_c_str));
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let (pid, pidfd) = start(&mut || -> Infallible {
        stopped = Some(match step::run(before, root) {
            Err((index, failed)) => Stopped::Step(index, failed),
            Ok(()) => {
                let found = program.find();
                match step::run(behind, root) {
                    Err((index, failed)) => Stopped::Step(become_at + index, failed),
                    Ok(()) => Stopped::Execute(program.execute(&found, &arguments, &environment)),
                }
            }
        });
        exec::exit_infallible(127)
    })?;
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

/// What [`Program::find`] has found.
struct Found {
    /// The index of the candidate; as many as there are if there was none.
    at: usize,
    /// What was wrong with those before it.
    worst: Errno,
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
        self.failure(self.execute(&self.find(), &arguments, &environment))
    }

    /// Looks for the first candidate that is there and may be executed as far as links go. Runs in the child, while it
    /// can still look everywhere and no filter is in force.
    fn find(&self) -> Found {
        let mut worst = Errno::NOENT;
        for (at, candidate) in self.candidates.iter().enumerate() {
            match no_magic(candidate, 0) {
                Ok(()) => return Found { at, worst },
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => worst = errno,
            }
        }
        Found { at: self.candidates.len(), worst }
    }

    /// Runs in the child. The candidates behind the first one come into play when the user may not execute that.
    fn execute(
        &self,
        found: &Found,
        arguments: &exec::Strings<'_>,
        environment: &exec::Strings<'_>,
    ) -> Errno {
        let mut worst = found.worst;
        for (at, candidate) in self.candidates.iter().enumerate().skip(found.at) {
            let looked = if at == found.at { Ok(()) } else { no_magic(candidate, 0) };
            match looked.map_or_else(|errno| errno, |()| exec::execve(candidate, arguments, environment)) {
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

/// The variables of a container's process: the standard ones, then those beside its settings, then these, then `more`.
pub(super) fn environment(record: &Record, home: &str, beside: &[String], more: &[String]) -> Vec<String> {
    let mut all = vec![format!("PATH={DEFAULT_PATH}"), format!("HOSTNAME={}", record.hostname())];
    if record.config.tty {
        all.push("TERM=xterm".into());
    }
    for one in beside.iter().chain(&record.config.env).chain(more) {
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

/// Fails with ELOOP if the path goes through a magic link, or is a script whose interpreter's path does, or that
/// interpreter's. Runs in the child.
fn no_magic(path: &CStr, depth: u32) -> Result<(), Errno> {
    let open = |flags| {
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
    };
    let file = match open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => return Err(errno),
        // What can't be read may be executable all the same.
        Err(_) => return open(OFlags::PATH).map(drop),
        Ok(file) => file,
    };
    let mut head = [0; SCRIPT_HEAD + 1];
    let count = rustix::io::read(&file, &mut head[..SCRIPT_HEAD]).unwrap_or(0);
    head[count] = 0;
    match interpreter(&mut head) {
        Some(interpreter) if depth < SCRIPT_DEPTH => match no_magic(interpreter, depth + 1) {
            Err(Errno::LOOP) => Err(Errno::LOOP),
            // Whatever else is wrong with it, execve tells.
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// As much of a script as the kernel looks at.
const SCRIPT_HEAD: usize = 256;
/// Longest chain of interpreters that the kernel follows.
const SCRIPT_DEPTH: u32 = 5;

/// The path behind `#!`, as the kernel reads it.
fn interpreter(head: &mut [u8]) -> Option<&CStr> {
    if !head.starts_with(b"#!") {
        return None;
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = 2 + head[2..].iter().position(|byte| !is_blank(byte))?;
    let end = begin + head[begin..].iter().position(|byte| is_blank(byte) || matches!(byte, b'\n' | 0))?;
    head[end] = 0;
    CStr::from_bytes_with_nul(&head[begin..=end]).ok().filter(|path| !path.is_empty())
}

/// Checks a `--ulimit`.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name, or a soft limit beyond the hard one.
pub fn check_limit(limit: &Ulimit) -> Result<()> {
    resource(&limit.name)?;
    let Rlimit { current, maximum } = limit_of(limit.soft, limit.hard);
    match maximum {
        Some(hard) if current.is_none_or(|soft| soft > hard) => Err(Error::Invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {hard}",
            limit.soft
        ))),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_what_the_kernel_takes_for_it() {
        let read = |text: &[u8]| {
            let mut head = [0; SCRIPT_HEAD + 1];
            head[..text.len()].copy_from_slice(text);
            interpreter(&mut head).map(|path| path.to_bytes().to_vec())
        };
        assert_eq!(read(b"#!/bin/sh\n").unwrap(), b"/bin/sh");
        assert_eq!(read(b"#! \t/bin/sh -e\n").unwrap(), b"/bin/sh");
        assert_eq!(read(b"#!/proc/self/exe").unwrap(), b"/proc/self/exe");
        assert_eq!(read(b"#!\n/bin/sh\n"), None);
        assert_eq!(read(b"#!"), None);
        assert_eq!(read(b"\x7fELF"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn a_magic_link_is_no_program_and_no_interpreter() {
        let name = |suffix: &str| {
            let pid = rustix::process::getpid().as_raw_nonzero();
            CString::new(format!("/tmp/skiff-magic-{pid}-{suffix}")).unwrap()
        };
        let (script, second, plain) = (name("a"), name("b"), name("c"));
        let write = |path: &CString, text: &str| {
            crate::file::create(CWD, path.as_c_str(), text.as_bytes(), 0o755).unwrap();
        };
        write(&script, "#!/proc/self/exe\n");
        write(&second, &format!("#!{}\n", script.to_str().unwrap()));
        write(&plain, "#!/bin/sh\n");
        assert_eq!(no_magic(c"/proc/self/exe", 0), Err(Errno::LOOP));
        assert_eq!(no_magic(&script, 0), Err(Errno::LOOP));
        assert_eq!(no_magic(&second, 0), Err(Errno::LOOP));
        assert_eq!(no_magic(&plain, 0), Ok(()));
        assert_eq!(no_magic(c"/nonexistent/x", 0), Err(Errno::NOENT));
        for path in [script, second, plain] {
            rustix::fs::unlink(path.as_c_str()).unwrap();
        }
    }
}
