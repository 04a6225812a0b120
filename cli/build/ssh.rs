//! `--ssh ID[=SOCKET]` -> the id, and where an agent listens.

use alloc::string::String;

use rustix::fs::{AtFlags, CWD, FileType, statat};

use super::source::absolute;
use crate::{environment::Environment, failure::errno_words};

/// Reads one. Without a socket it is that of the environment.
pub fn read(text: &str, own: &Environment) -> Result<(String, String), String> {
    let (id, path) = text.split_once('=').unwrap_or((text, ""));
    let id = if id.is_empty() { "default" } else { id };
    let path = match path {
        "" => own
            .filled("SSH_AUTH_SOCK")
            .ok_or("invalid empty ssh agent socket, make sure SSH_AUTH_SOCK is set")?,
        path => path,
    };
    if path.contains(',') {
        return Err(format!("ssh {id}: only single socket allowed"));
    }
    let path = absolute(path).map_err(|failure| failure.message)?;
    let stat = statat(CWD, path.as_str(), AtFlags::empty())
        .map_err(|errno| format!("ssh {id}: open {path}: {}", errno_words(errno)))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => Ok((id.into(), path)),
        _ => Err(format!(
            "ssh {id}: {path} is a file, and keys are not read: give it to an agent with ssh-add"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_where_its_socket_is() {
        let path = format!("/tmp/skiff-agent-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let variable = std::ffi::CString::new(format!("SSH_AUTH_SOCK={path}")).unwrap();
        let own = Environment::new([&*std::boxed::Box::leak(variable.into_boxed_c_str())].into_iter());
        for (text, id) in [("default", "default"), ("", "default"), ("x", "x")] {
            assert_eq!(read(text, &own), Ok((id.into(), path.clone())), "{text}");
        }
        let none = Environment::default();
        assert_eq!(read(&format!("x={path}"), &none), Ok(("x".into(), path.clone())));
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        for (text, error) in [
            ("default", "invalid empty ssh agent socket, make sure SSH_AUTH_SOCK is set"),
            ("x=/no/such", "ssh x: open /no/such: no such file or directory"),
            ("x=/a,/b", "ssh x: only single socket allowed"),
            (
                "x=/etc/passwd",
                "ssh x: /etc/passwd is a file, and keys are not read: give it to an agent with ssh-add",
            ),
        ] {
            assert_eq!(read(text, &none), Err(error.into()), "{text}");
        }
    }
}
