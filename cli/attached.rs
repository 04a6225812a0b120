//! What `run`, `start`, `attach` and `exec` have in common: a session with a container on this terminal, and what its end
//! means for the exit code.

use alloc::string::{String, ToString};

use serde_json::Value;
use skiff_core::container::keys::DetachKeys;

use crate::{
    client::{Client, Hijacked, path, query},
    failure::{EXIT_USAGE, Failure},
    output,
    session::{Act, End, Form, Session, Signals, die_of},
    terminal,
};

/// The exit code of a program that was killed by SIGPIPE, as a shell gives it.
const BROKEN_PIPE: u8 = 141;

/// How to attach.
#[derive(Debug, Clone)]
pub struct Attach {
    /// The container has a terminal.
    pub tty: bool,
    /// Send stdin.
    pub stdin: bool,
    /// The keys that detach.
    pub escape: DetachKeys,
    /// Pass signals on.
    pub proxy: bool,
}

impl Attach {
    /// Docker's refusal of a terminal inside without one outside.
    pub fn check(&self) -> Result<(), Failure> {
        if self.tty && self.stdin && !terminal::stdin_is_terminal() {
            return Err(Failure::new("the input device is not a TTY"));
        }
        Ok(())
    }

    /// Runs the session. `resource` is what resize and kill are for: `["containers", id]` or `["exec", id]`. `None`
    /// when it was left by the detach keys; else how the other side ended it.
    pub fn run(
        &self,
        client: &Client,
        resource: [&str; 2],
        connection: Hijacked,
        form: Form,
    ) -> Result<Option<End>, Failure> {
        let raw = if self.tty && self.stdin { terminal::Raw::begin() } else { None };
        let session = Session {
            connection,
            form,
            stdin: self.stdin,
            escape: (self.tty && self.stdin).then(|| self.escape.clone()),
            signals: Signals::take(self.proxy, self.tty)?,
        };
        let end = session.run(&mut |act| match act {
            Act::Resize(size) => resize(client, resource, size),
            Act::Signal(number) => {
                let mut target = path(&[resource[0], resource[1], "kill"]);
                query(&mut target, "signal", &number.to_string());
                // The container may have ended meanwhile.
                let _ = client.post(&target, None);
            }
        });
        drop(raw);
        match end? {
            End::Detached => {
                output::note("read escape sequence\n");
                Ok(None)
            }
            End::Signal(number) => Err(die_of(number)),
            End::OutputClosed => Err(Failure::silent(BROKEN_PIPE)),
            end => Ok(Some(end)),
        }
    }
}

/// Tells the size of the window. That is not worth an error: the program may have ended.
pub fn resize(client: &Client, resource: [&str; 2], [rows, columns]: [u16; 2]) {
    let mut target = path(&[resource[0], resource[1], "resize"]);
    query(&mut target, "h", &rows.to_string());
    query(&mut target, "w", &columns.to_string());
    let _ = client.post(&target, None);
}

/// The path of an attach request.
pub fn attach_path(id: &str, streams: &[&str], detach_keys: &str) -> String {
    let mut target = path(&["containers", id, "attach"]);
    if !detach_keys.is_empty() {
        query(&mut target, "detachKeys", detach_keys);
    }
    query(&mut target, "stream", "1");
    for stream in streams {
        query(&mut target, stream, "1");
    }
    target
}

/// The form of an attached container's output.
pub fn form(tty: bool) -> Form {
    if tty { Form::Raw } else { Form::Framed }
}

/// The exit code in a wait's answer, or in the last frame of a run.
pub fn exit_code(result: &Value) -> Result<u8, Failure> {
    let error = match result.get("Error") {
        Some(Value::String(error)) => error,
        Some(error) => super::verbs::text(error, "Message"),
        None => "",
    };
    if !error.is_empty() {
        return Err(Failure::new(error).exit(EXIT_USAGE));
    }
    match result.get("StatusCode").and_then(Value::as_i64) {
        // An exit status has eight bits.
        Some(code) => Ok(code as u8),
        None => Err(Failure::new("the container's end was not told").exit(EXIT_USAGE)),
    }
}

/// The exit code of a start that failed, by Docker's words: 127 not found, 126 found and not executable, else 125.
pub fn failed_start(failure: Failure, local: bool) -> Failure {
    let has = |words: &[&str]| words.iter().any(|word| failure.message.contains(word));
    let exit = match () {
        // The engine in this binary marks a program that can't be started; a daemon's words have to do.
        () if local && !failure.message.starts_with("exec: ") => EXIT_USAGE,
        () if has(&["executable file not found", "no such file or directory"]) => 127,
        () if local || has(&["permission denied", "is a directory"]) => 126,
        () => EXIT_USAGE,
    };
    failure.exit(exit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_start_has_dockers_exit_code() {
        let exit = |message: &str, local| failed_start(Failure::new(message), local).exit;
        assert_eq!(exit("exec: \"x\": executable file not found in $PATH", true), 127);
        assert_eq!(exit("exec: \"/x\": permission denied", true), 126);
        assert_eq!(exit("exec: \"/x\": exec format error", true), 126);
        assert_eq!(exit("open /x: ENOENT (no such file or directory)", true), EXIT_USAGE);
        assert_eq!(exit("OCI runtime: stat /x: no such file or directory: unknown", false), 127);
        assert_eq!(exit("OCI runtime: exec: \"/etc\": is a directory", false), 126);
        assert_eq!(exit("no space left", false), EXIT_USAGE);
    }

    #[test]
    fn an_answer_without_a_status_is_an_error() {
        assert_eq!(exit_code(&json!({"StatusCode": 3, "Error": ""})), Ok(3));
        assert_eq!(exit_code(&json!({"StatusCode": 137, "Error": null})), Ok(137));
        let failed = exit_code(&json!({"StatusCode": 1, "Error": {"Message": "lost"}})).unwrap_err();
        assert_eq!((failed.message.as_str(), failed.exit), ("lost", EXIT_USAGE));
        assert_eq!(exit_code(&Value::Null).unwrap_err().exit, EXIT_USAGE);
    }

    #[test]
    fn an_attach_request_names_its_streams() {
        assert_eq!(
            attach_path("x", &["stdin", "stdout"], "ctrl-a"),
            "/containers/x/attach?detachKeys=ctrl-a&stream=1&stdin=1&stdout=1"
        );
    }
}
