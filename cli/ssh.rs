//! An engine on another machine: the system's ssh runs `skiff dial-stdio` there, and its two streams are the connection.

use alloc::{
    ffi::CString,
    string::{String, ToString},
    vec::Vec,
};
use core::{ffi::CStr, ptr};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};
use skiff_core::{
    api::{address::Ssh, wire},
    fork,
};
use skiff_syscalls::{
    descriptor,
    exec::{self, Strings},
};

use crate::{environment::Environment, failure::Failure, output};

/// Where programs are if the environment does not say.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The exit code of a program that is not there.
const EXIT_MISSING: i32 = 127;

/// Starts ssh; gives the connection.
pub fn connect(to: &Ssh, environment: &Environment) -> Result<OwnedFd, Failure> {
    let mut words: Vec<String> = ["ssh", "-o", "ConnectTimeout=30", "-T"].map(Into::into).into();
    if let Some(port) = to.port {
        words.extend(["-p".into(), port.to_string()]);
    }
    words.extend(["--", &to.destination, "skiff", "dial-stdio"].map(String::from));
    let program = Program {
        paths: environment
            .filled("PATH")
            .unwrap_or(PATH)
            .split(':')
            .map(|at| text(&format!("{at}/ssh")))
            .collect(),
        words: words.iter().map(|word| text(word)).collect(),
        environment: environment.to_strings().iter().map(|word| text(word)).collect(),
    };
    let (near, far) = wire::pair()?;
    let stderr = descriptor::standard()[2];
    fork::child(&[far.as_fd(), stderr], || {
        fork::plain_signals();
        // Above the standard descriptors, which are free here.
        let placed = rustix::io::fcntl_dupfd_cloexec(&far, 3)
            .and_then(|far| rustix::stdio::dup2_stdin(&far).and_then(|()| rustix::stdio::dup2_stdout(&far)));
        if placed.is_ok() {
            output::complain(&format!(
                "run ssh: {}",
                skiff_core::Error::os("execute", "", program.execute())
            ));
        }
        EXIT_MISSING
    })?;
    Ok(near)
}

/// A string of this program's own, which came from one without a null or from an argument, which has none.
fn text(word: &str) -> CString {
    CString::new(word).unwrap_or_default()
}

struct Program {
    paths: Vec<CString>,
    words: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// Becomes the first of the paths that is there; gives back why it could not.
    fn execute(&self) -> Errno {
        let mut words = vec![ptr::null(); Strings::slots(self.words.len())];
        let mut variables = vec![ptr::null(); Strings::slots(self.environment.len())];
        let words = Strings::new(&mut words, self.words.iter().map(CString::as_c_str));
        let variables = Strings::new(&mut variables, self.environment.iter().map(CString::as_c_str));
        let mut why = Errno::NOENT;
        for path in self.paths.iter().map(AsRef::<CStr>::as_ref) {
            match exec::execve(path, &words, &variables) {
                Errno::NOENT | Errno::NOTDIR => {}
                errno => why = errno,
            }
        }
        why
    }
}
