//! The commands as people type them: what they print, to where, and their exit codes.

mod support;

use std::{io::BufRead, process::Stdio};

use support::Scratch;

#[test]
fn help_is_there_for_the_program_each_group_and_each_verb() {
    let scratch = Scratch::new();
    let program = scratch.text(&["--help"]);
    assert_eq!(scratch.text(&[]), program);
    assert!(program.starts_with("Usage:  skiff [OPTIONS] COMMAND\n"));
    for verb in ["ps", "images", "inspect", "run", "logs", "stats", "rm", "import", "build"] {
        assert!(program.contains(&format!("\n  {verb} ")), "{verb} in {program}");
        let help = scratch.text(&[verb, "--help"]);
        assert!(help.starts_with(&format!("Usage:  skiff {verb} ")), "{help}");
        assert_eq!(scratch.text(&["help", verb]), help);
    }
    assert!(scratch.text(&["container", "--help"]).contains("\n  prune "));
    assert!(scratch.text(&["container", "ls", "--help"]).starts_with("Usage:  skiff container ls "));
    assert!(scratch.text(&["--version"]).starts_with("skiff version "));
}

#[test]
fn a_slip_of_the_finger_gets_one_line_with_what_was_meant() {
    let scratch = Scratch::new();
    for (arguments, code, words) in [
        (&["imgaes"][..], 1, "unknown command: skiff imgaes (did you mean skiff images?)"),
        (
            &["container", "prnue"],
            1,
            "unknown command: skiff container prnue (did you mean skiff container prune?)",
        ),
        (&["ps", "--qiet"], 125, "unknown flag: --qiet (did you mean --quiet?)"),
        (&["ps", "-aZ"], 125, "unknown shorthand flag: 'Z' in -aZ"),
        (&["ps", "--filter"], 125, "flag needs an argument: --filter"),
        (&["ps", "-n", "x"], 125, "option '--last' with value 'x'"),
        (&["ps", "extra"], 1, "'skiff ps' accepts no arguments"),
        (&["rm"], 1, "'skiff rm' requires at least 1 argument"),
        (&["rename", "a"], 1, "'skiff rename' requires 2 arguments"),
        (&["ps", "-f", "nonsense"], 1, "invalid filter 'nonsense'"),
        (&["--dta-root", "x", "ps"], 125, "unknown flag: --dta-root (did you mean --data-root?)"),
        (
            &["-H", "tcp://there:x", "ps"],
            125,
            "host tcp://there:x: an IP address or a name, and a port follow",
        ),
        (&["pull", "alpine"], 1, "pull: registries are not supported yet"),
        (&["image", "push", "x"], 1, "image push: registries are not supported yet"),
        (&["swarm", "init"], 1, "swarm: there is no swarm"),
        (
            &["-H", "unix:///nonexistent", "ps"],
            1,
            "connect to /nonexistent: ENOENT (no such file or directory)",
        ),
        (&["import", "http://x/y.tar"], 1, "only files and - (stdin) can be imported"),
        (&["import", "/nonexistent.tar"], 1, "open /nonexistent.tar: no such file or directory"),
        (&["inspect", "--type", "foo", "x"], 1, "unknown type: \"foo\""),
        (&["inspect", "-f", "{{.Id", "x"], 64, "template parsing error: template: :1: unclosed action"),
        (&["ps", "--format", "{{foo}}"], 1, "template: :1: function \"foo\" not defined"),
    ] {
        scratch.fails(arguments, code, words);
    }
}

#[test]
fn what_is_not_there_is_named_and_the_exit_code_is_1() {
    let scratch = Scratch::new();
    for verb in ["stop", "kill", "pause", "unpause", "wait", "rm", "logs", "top", "port", "stats"] {
        scratch.fails(&[verb, "nope"], 1, "nope");
    }
    scratch.fails(&["rename", "nope", "x"], 1, "nope");
    scratch.fails(&["inspect", "nope"], 1, "no such object: nope");
    scratch.fails(&["container", "inspect", "nope"], 1, "nope");
    scratch.fails(&["history", "nope"], 1, "nope");
    // As with Docker, what should be gone and is not there is said, but is no failure.
    let output = scratch.skiff(&["rm", "-f", "nope"]).output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("nope"));
}

#[test]
fn ps_shows_what_runs_in_every_form() {
    let scratch = Scratch::new();
    assert_eq!(
        scratch.text(&["ps", "-a"]),
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    );
    let web = scratch.running("web");
    let id = scratch.text(&["ps", "-q", "--no-trunc"]);
    let id = id.trim();
    assert_eq!(id.len(), 64);
    let table = scratch.text(&["ps"]);
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with(&format!("{}   host      \"sh -c 'echo ready; …\"   ", &id[..12])), "{table}");
    assert!(row.ends_with("web"), "{table}");
    assert_eq!(scratch.text(&["container", "ls", "-q"]).trim(), &id[..12]);
    assert_eq!(scratch.text(&["ps", "--format", "{{.Names}} {{.State}} {{.Image}}"]), "web running host\n");
    assert_eq!(
        scratch.text(&["ps", "--format", "table {{.Names}}\\t{{.ID}}"]).lines().next(),
        Some("NAMES     CONTAINER ID")
    );
    assert!(scratch.text(&["ps", "--format", "json"]).contains("\"Names\":\"web\""));
    assert_eq!(scratch.text(&["ps", "-q", "-f", "name=web"]).lines().count(), 1);
    assert_eq!(scratch.text(&["ps", "-q", "-f", "name=other"]), "");
    assert_eq!(scratch.text(&["ps", "-aq", "-f", "status=exited"]), "");
    drop(web);
    assert_eq!(scratch.text(&["ps", "-aq"]), "");
}

#[test]
fn inspect_shows_json_and_fields_of_it() {
    let scratch = Scratch::new();
    let _web = scratch.running("web");
    let json = scratch.text(&["inspect", "web"]);
    assert!(json.starts_with("[\n    {\n        \"Id\": \"") && json.ends_with("\n    }\n]\n"), "{json}");
    assert_eq!(
        scratch.text(&["inspect", "-f", "{{.Name}} {{.State.Running}} {{len .Args}}", "web"]),
        "/web true 2\n"
    );
    assert_eq!(
        scratch.text(&["inspect", "-f", "{{range .Args}}<{{.}}>{{end}}", "web"]),
        "<-c><echo ready; cat>\n"
    );
    let output = scratch.skiff(&["inspect", "-f", "{{.Name}}", "nope", "web"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b"/web\n"[..]));
    scratch.fails(&["inspect", "-f", "{{.Nope}}", "web"], 1, "map has no entry for key \"Nope\"");
}

#[test]
fn a_container_answers_to_its_new_name_and_to_the_start_of_its_id() {
    let scratch = Scratch::new();
    let _web = scratch.running("web");
    assert_eq!(scratch.text(&["rename", "web", "www"]), "");
    scratch.fails(&["rename", "web", "x"], 1, "web");
    scratch.fails(&["rename", "www", "a b"], 1, "a b");
    let id = scratch.text(&["ps", "-q"]);
    assert_eq!(scratch.text(&["inspect", "-f", "{{.Name}}", &id[..6]]), "/www\n");
    let top = scratch.text(&["top", "www", "-o", "pid,comm"]);
    assert_eq!(top.lines().next(), Some("PID                 COMMAND"));
    assert!(top.lines().nth(1).unwrap().ends_with(" sh"), "{top}");
    scratch.fails(&["rm", "www"], 1, "running");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let scratch = Scratch::new();
    let mut child = scratch.skiff(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code().is_some() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_same_commands_talk_to_a_daemon() {
    let scratch = Scratch::new();
    let address = format!("unix://{}", scratch.path("daemon.sock").display());
    let mut daemon = scratch.skiff(&["serve", "-H", &address]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(daemon.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("listening on {address}\n"));
    let engine =
        scratch.text(&["-H", &address, "version", "--format", "{{.Server.Version}} {{.Client.Version}}"]);
    let (server, client) = engine.trim().split_once(' ').unwrap();
    assert_eq!(server, client);
    assert_eq!(scratch.text(&["-H", &address, "ps", "-aq"]), "");
    scratch.fails(&["-H", &address, "inspect", "nope"], 1, "no such object: nope");
    // What was started without the daemon is the daemon's too: the roots are the same.
    let web = scratch.running("web");
    assert_eq!(scratch.text(&["-H", &address, "ps", "--format", "{{.Names}}"]), "web\n");
    scratch.fails(&["serve", "-H", &address], 1, "listening there already");
    drop(web);
    // SIGTERM ends it and takes the socket's name away.
    let pid = daemon.id().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    assert!(!scratch.path("daemon.sock").exists());
}

#[test]
fn lists_and_settings_read_as_dockers() {
    let scratch = Scratch::new();
    scratch.fails(&["ps", "--format", "{{.Nosuch}}"], 1, "can't evaluate field Nosuch in type container");
    assert_eq!(scratch.text(&["ps", "--format", "{{slice .ID 0 5}}"]), "", "there is nothing to cut");
    scratch.fails(
        &["inspect", "-f", "{{.Name", "host"],
        64,
        "template parsing error: template: :1: unclosed action",
    );
    let relative = "the working directory 'rel' is invalid, it needs to be an absolute path";
    scratch.refused(&["-w", "rel", "host", "true"], 125, relative);
    let flags = ["create", "--name", "one", "-v", "data:/d", "-v", "/anonymous", "--tmpfs", "/t"];
    scratch.text(&[&flags[..], &["--mount", "type=tmpfs,dst=/m", "host", "true"]].concat());
    let mounts = "{{range .Mounts}}{{.Type}} {{.Destination}} {{.Mode}};{{end}}";
    assert_eq!(
        scratch.text(&["inspect", "-f", mounts, "one"]),
        "volume /d z;tmpfs /m ;volume /anonymous ;\n",
        "--tmpfs is among the settings only"
    );
    let named = scratch.text(&["ps", "-a", "--no-trunc", "--format", "{{.Mounts}}"]);
    assert!(named.starts_with("data,") && named.matches(',').count() == 2, "{named}");
    scratch.text(&["rm", "-v", "one"]);
}

#[test]
fn who_is_not_root_hears_what_to_do() {
    let scratch = Scratch::new();
    assert_eq!(scratch.text(&["ps", "-q"]), "");
    // Where everybody may execute it.
    let (binary, run) = (scratch.path("skiff"), scratch.path("run"));
    std::fs::copy(env!("CARGO_BIN_EXE_skiff"), &binary).unwrap();
    let mut command = std::process::Command::new(binary);
    command
        .args(["ps"])
        .env("SKIFF_ROOT", scratch.path("data"))
        .env("SKIFF_RUN", &run)
        .env("HOME", "/nowhere");
    let output = std::os::unix::process::CommandExt::uid(&mut command, 65534).output().unwrap();
    let expected = format!(
        "skiff: use {} and {}: permission denied\n\
         hint: containers are root's: sudo, or -H unix://{1}/skiff.sock for a daemon\n",
        scratch.path("data").display(),
        run.display()
    );
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), expected));
}
