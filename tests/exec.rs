//! `exec`: further processes in a running container, through the real binary.

mod support;

use std::process::Output;

use support::Scratch;

/// A scratch engine with a detached container `box`.
fn with_box(flags: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    scratch.text(&[&["run", "-d", "--name", "box"], flags, &["host", "sleep", "1000"]].concat());
    scratch
}

fn remove(scratch: &Scratch) {
    scratch.text(&["rm", "-f", "box"]);
    assert_eq!(scratch.containers(), 0);
}

fn exec(scratch: &Scratch, flags: &[&str], command: &[&str]) -> Output {
    scratch.skiff(&[&["exec"], flags, &["box"], command].concat()).output().unwrap()
}

fn sh(scratch: &Scratch, flags: &[&str], script: &str) -> String {
    let output = exec(scratch, flags, &["sh", "-c", script]);
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_runs_inside_with_the_containers_own_rights() {
    let scratch = with_box(&["--cap-drop", "CHOWN", "--hostname", "inside", "-e", "A=1", "-w", "/var"]);
    assert_eq!(sh(&scratch, &[], "hostname; pwd; echo $A; echo $B"), "inside\n/var\n1\n\n");
    assert_eq!(sh(&scratch, &["-e", "B=2", "-w", "/tmp"], "pwd; echo $A$B"), "/tmp\n12\n");
    assert_eq!(sh(&scratch, &[], "cat /proc/1/comm"), "sleep\n");
    assert_eq!(
        sh(
            &scratch,
            &[],
            "for n in ipc mnt net pid uts cgroup; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done"
        ),
        ""
    );
    let rights = "grep -E '^(Cap|Seccomp|NoNew)' /proc/self/status";
    let own = sh(&scratch, &[], &rights.replace("self", "1"));
    assert_eq!(sh(&scratch, &[], rights), own);
    assert!(
        sh(&scratch, &["--privileged"], "grep CapEff /proc/self/status")
            != sh(&scratch, &[], "grep CapEff /proc/self/status")
    );
    assert!(
        sh(&scratch, &["-u", "nobody"], "id -un; grep CapEff /proc/self/status")
            .starts_with("nobody\nCapEff:\t0000000000000000")
    );
    assert_eq!(sh(&scratch, &[], "cat /proc/self/cgroup | tail -1"), "0::/\n");
    // The fourth is the listing's own.
    assert_eq!(sh(&scratch, &[], "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");
    remove(&scratch);
}

#[test]
fn output_input_and_exit_code_are_its_own() {
    let scratch = with_box(&[]);
    let output = exec(&scratch, &[], &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    let output = scratch.with_input(&["exec", "-i", "box", "cat"], &[b'x'; 300_000]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 300_000));
    remove(&scratch);
}

#[test]
fn what_cannot_be_executed_says_why() {
    let scratch = with_box(&[]);
    for (command, code, words) in [
        ("no-such-program", 127, "executable file not found in $PATH"),
        ("/no/such/program", 127, "no such file or directory"),
        ("/etc", 126, "permission denied"),
        // What runs until execve is the engine's own file.
        ("/proc/self/exe", 126, "magic link"),
    ] {
        let output = exec(&scratch, &[], &[command]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {error}");
        assert!(error.contains(words), "{command}: {error}");
    }
    scratch.fails(&["exec", "nobody", "true"], 1, "No such container: nobody");
    scratch.text(&["pause", "box"]);
    scratch.fails(&["exec", "box", "true"], 1, "is paused, unpause the container before exec");
    scratch.text(&["unpause", "box"]);
    scratch.text(&["stop", "-t", "0", "box"]);
    scratch.fails(&["exec", "box", "true"], 1, "is not running");
    remove(&scratch);
}

#[test]
fn the_engines_own_file_cannot_be_written_from_inside() {
    let scratch = with_box(&[]);
    // A script gets the file to run by its interpreter's name, as nothing else does.
    let script = "printf '#!/proc/self/exe\\n' > /tmp/s; chmod +x /tmp/s; /tmp/s version >/dev/null 2>&1; \
                  for p in /proc/[0-9]*; do ( : >> $p/exe ) 2>&1; done | grep -vc 'busy' || true";
    // Every executable of a running process is busy; none could be opened.
    let text = sh(&scratch, &[], script);
    assert_eq!(text.trim(), "0", "{text}");
    remove(&scratch);
}

#[test]
fn a_detached_one_goes_on_and_dies_with_the_container() {
    let scratch = with_box(&[]);
    scratch.text(&["exec", "-d", "box", "sleep", "2000"]);
    assert!(scratch.text(&["top", "box"]).contains("sleep 2000"));
    assert_eq!(scratch.text(&["inspect", "-f", "{{len .ExecIDs}}", "box"]), "1\n");
    scratch.fails(&["exec", "-d", "box", "no-such-program"], 127, "executable file not found");
    assert_eq!(scratch.text(&["inspect", "-f", "{{len .ExecIDs}}", "box"]), "1\n");
    scratch.text(&["restart", "-t", "0", "box"]);
    assert!(!scratch.text(&["top", "box"]).contains("sleep 2000"));
    remove(&scratch);
}

#[test]
fn a_terminal_of_the_container_is_its_terminal() {
    let scratch = with_box(&[]);
    let mut terminal = support::Terminal::new(33, 77);
    let script = "tty; stty size; read line; echo got $line; cat";
    let mut child = terminal.spawn(scratch.skiff(&["exec", "-it", "box", "sh", "-c", script]));
    terminal.wait_for("/dev/pts/");
    terminal.wait_for("33 77");
    terminal.type_in(b"word\n");
    terminal.wait_for("got word");
    // ctrl-p ctrl-q: the client goes, the process stays.
    terminal.type_in(b"\x10\x11");
    terminal.wait_for("read escape sequence");
    child.wait().unwrap();
    assert!(scratch.text(&["top", "box"]).contains("got $line; cat"));
    remove(&scratch);
}
