//! The binary as a file and as a process: it needs nothing of the system but the kernel.

use std::process::{Command, Stdio};

const SKIFF: &str = env!("CARGO_BIN_EXE_skiff");

#[test]
fn it_has_no_interpreter_no_dynamic_linking_and_no_thread_local_storage() {
    let file = std::fs::read(SKIFF).unwrap();
    let number = |at: usize, bytes: usize| {
        file[at..at + bytes].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!(&file[..5], b"\x7fELF\x02");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 1);
    for at in (0..count).map(|index| table + index * size) {
        // PT_DYNAMIC, PT_INTERP, PT_TLS
        assert!(![2, 3, 7].contains(&number(at, 4)), "segment of type {}", number(at, 4));
    }
}

#[test]
fn it_runs_where_nothing_else_is() {
    let root = std::env::temp_dir().join(format!("skiff-binary-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::copy(SKIFF, root.join("skiff")).unwrap();
    let output = Command::new("chroot").arg(&root).args(["/skiff", "--version"]).output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"skiff version "), "{output:?}");
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn streams_that_are_closed_are_opened_on_nothing() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let line = format!("exec {SKIFF} version {closed}");
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{closed}: {output:?}");
    }
}

#[test]
fn a_reader_that_went_away_ends_the_command_quietly() {
    let mut child = Command::new("sh")
        .args(["-c", "read go; exec \"$0\" --help", SKIFF])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b""[..]));
}

#[test]
fn arguments_and_environment_arrive() {
    let output = Command::new(SKIFF).arg("ps").env("DOCKER_HOST", "tcp://there:x").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("host tcp://there:x: an IP address or a name, and a port follow"), "{told}");
    let bad = Command::new("sh").args(["-c", "exec \"$0\" \"$(printf 'a\\377')\"", SKIFF]).output().unwrap();
    assert_eq!(bad.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("is not UTF-8 text"), "{bad:?}");
}
