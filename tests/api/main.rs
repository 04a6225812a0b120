//! The API as a daemon serves it: raw HTTP, and the stock `docker` command line on the same socket.

mod attach;
mod daemon;
mod hosts;
mod listeners;
mod robust;
mod tls;

use std::process::Output;

use daemon::{Daemon, has_docker};

/// What a command has printed; it has to succeed.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_ping_says_what_clients_look_for() {
    let daemon = Daemon::start();
    for method in ["GET", "HEAD"] {
        let reply = daemon.http(method, "/_ping", "");
        assert_eq!(reply.status, 200);
        for (name, value) in [("api-version", "1.50"), ("ostype", "linux"), ("docker-experimental", "false")]
        {
            assert_eq!(reply.header(name), Some(value), "{method} {name}");
        }
        assert_eq!(reply.body, if method == "GET" { "OK" } else { "" });
    }
}

#[test]
fn every_version_is_answered_and_others_are_refused_in_dockers_words() {
    let daemon = Daemon::start();
    for path in ["/version", "/v1.24/version", "/v1.41/version", "/v1.50/version"] {
        assert_eq!(daemon.http("GET", path, "").status, 200, "{path}");
    }
    for (path, words) in [
        ("/v1.23/version", "client version 1.23 is too old. Minimum supported API version is 1.24"),
        ("/v1.51/version", "client version 1.51 is too new. Maximum supported API version is 1.50"),
    ] {
        let reply = daemon.http("GET", path, "");
        assert_eq!(reply.status, 400);
        assert!(reply.message().starts_with(words), "{}", reply.body);
    }
}

#[test]
fn what_does_not_exist_is_a_404_with_dockers_message() {
    let daemon = Daemon::start();
    for (method, path, message) in [
        ("GET", "/nosuch", "page not found"),
        ("PATCH", "/version", "page not found"),
        ("POST", "/version", "page not found"),
        ("GET", "/v1.41/containers/x/json", "No such container: x"),
        ("POST", "/containers/x/kill", "Cannot kill container: x: No such container: x"),
        ("POST", "/containers/x/stop", "No such container: x"),
        ("POST", "/containers/x/wait", "No such container: x"),
        ("POST", "/containers/x/attach", "No such container: x"),
        ("POST", "/containers/x/pause", "No such container: x"),
        ("POST", "/containers/x/rename?name=y", "No such container: x"),
        ("GET", "/containers/x/top", "No such container: x"),
        ("GET", "/containers/x/stats", "No such container: x"),
        ("DELETE", "/containers/x", "No such container: x"),
        ("GET", "/images/x/json", "No such image: x:latest"),
        ("GET", "/networks/x", "network x not found"),
        ("GET", "/plugins/x/json", "plugin \"x\" not found"),
    ] {
        let reply = daemon.http(method, path, "");
        assert_eq!((reply.status, reply.message().as_str()), (404, message), "{method} {path}");
    }
}

#[test]
fn what_skiff_has_none_of_is_answered_as_docker_does_without() {
    let daemon = Daemon::start();
    let no_manager = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" \
        to connect this node to swarm and try again.";
    for (method, target, status, message) in [
        ("GET", "/swarm", 503, no_manager),
        ("GET", "/services", 503, no_manager),
        ("POST", "/services/create", 503, no_manager),
        ("DELETE", "/secrets/x", 503, no_manager),
        ("GET", "/v1.24/nodes/x", 503, no_manager),
        ("POST", "/configs/x/update?version=1", 503, no_manager),
        ("GET", "/tasks/x/logs", 503, no_manager),
        ("POST", "/swarm/init", 501, "swarm: clusters of engines are not supported"),
        ("POST", "/swarm/leave?force=1", 503, "This node is not part of a swarm"),
        ("POST", "/plugins/x/disable", 404, "plugin \"x\" not found"),
        ("DELETE", "/plugins/x/y", 404, "plugin \"x/y\" not found"),
        ("POST", "/plugins/pull?remote=x", 501, "plugin: plugins are not supported"),
        ("GET", "/images/search?term=x", 501, "search x: registries are not supported yet"),
        ("GET", "/distribution/a/b:1/json", 501, "look up a/b:1: registries are not supported yet"),
        ("POST", "/build/cancel", 400, "build ID not provided"),
        ("POST", "/session", 501, "build: BuildKit's sessions are not supported"),
        ("POST", "/grpc", 501, "build: BuildKit's sessions are not supported"),
        ("GET", "/containers/x/checkpoints", 404, "No such container: x"),
    ] {
        let reply = daemon.http(method, target, "");
        let said = reply.message();
        assert_eq!((reply.status, said.lines().next().unwrap()), (status, message), "{method} {target}");
    }
    assert_eq!(daemon.http("GET", "/plugins", "").body, "[]");
    assert_eq!(daemon.http("POST", "/build/cancel?id=x", "").status, 204);
    let options = daemon.http("OPTIONS", "/v1.41/no/such/thing", "");
    assert_eq!((options.status, options.body.as_str()), (200, ""));
    let login = daemon.http("POST", "/auth", "{\"username\": \"u\", \"password\": \"p\"}");
    assert_eq!((login.status, &login.json()["Status"]), (200, &"Login Succeeded".into()));
    if has_docker() {
        let (_, error) = daemon.docker_fails(&["service", "ls"]);
        assert!(error.contains(no_manager), "{error}");
        let (_, error) = daemon.docker_fails(&["push", "nosuch"]);
        assert!(error.contains("An image does not exist locally with the tag: nosuch"), "{error}");
        let (_, error) = daemon.docker_fails(&["search", "x"]);
        assert!(error.contains("registries are not supported yet"), "{error}");
    }
}

#[test]
fn a_user_namespace_is_asked_for_by_its_mode() {
    let daemon = Daemon::start();
    for (mode, status, message) in [
        ("", 201, None),
        ("host", 201, None),
        ("auto", 201, None),
        ("keep-id", 400, Some("invalid USER mode: keep-id")),
    ] {
        let settings = format!("{{\"UsernsMode\": \"{mode}\", \"TimensMode\": null}}");
        let body = format!("{{\"Image\": \"host\", \"Cmd\": [\"true\"], \"HostConfig\": {settings}}}");
        let reply = daemon.http("POST", "/containers/create?name=asked", &body);
        assert_eq!(reply.status, status, "{mode}");
        match message {
            Some(message) => assert!(reply.message().starts_with(message), "{}", reply.message()),
            None => {
                let inspected = daemon.http("GET", "/containers/asked/json", "").json();
                assert_eq!(inspected["HostConfig"]["UsernsMode"], mode);
                assert_eq!(daemon.http("DELETE", "/containers/asked", "").status, 204);
            }
        }
    }
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    let daemon = Daemon::start();
    for filters in ["{%22color%22:[%22x%22]}", "x", "{%22status%22:[%22up%22]}", "{%22exited%22:[%22x%22]}"] {
        let reply = daemon.http("GET", &format!("/containers/json?filters={filters}"), "");
        assert_eq!(reply.status, 400, "{filters}");
    }
    assert_eq!(daemon.http("GET", "/containers/json?filters={%22before%22:[%22x%22]}", "").status, 404);
    assert_eq!(daemon.http("GET", "/containers/json?limit=x", "").status, 400);
}

#[test]
fn a_form_is_no_json() {
    let daemon = Daemon::start();
    let body = "{\"Image\": \"host\", \"Cmd\": [\"true\"]}";
    for (kind, status) in [
        ("Content-Type: application/json; charset=utf-8\r\n", 201),
        ("", 201),
        ("Content-Type: text/plain\r\n", 400),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 400),
    ] {
        let answer = daemon.raw(&format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{kind}: {answer}");
        assert_eq!(answer.contains("must be 'application/json'"), status == 400, "{answer}");
    }
}

#[test]
fn one_connection_takes_many_requests_and_a_malformed_one_ends_it() {
    let daemon = Daemon::start();
    let get = "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n";
    let answer = daemon.raw(&format!("{get}{get}BROKEN\r\n\r\n{get}"));
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400 Bad Request").count(), 1, "{answer}");
}

#[test]
fn a_socket_in_use_is_refused_and_one_left_by_a_killed_daemon_replaced() {
    let mut daemon = Daemon::start();
    let second = daemon.skiff(&["serve", "-H", &daemon.address()]).output().unwrap();
    assert!(!second.status.success());
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("a server is listening there already"), "{error}");
    assert_eq!(daemon.http("GET", "/_ping", "").status, 200, "the first one still serves");
    daemon.kill();
    assert!(daemon.socket().exists());
    daemon.restart();
    assert_eq!(daemon.http("GET", "/_ping", "").status, 200);
}

#[test]
fn a_daemon_that_is_asked_to_end_takes_its_socket_with_it() {
    let mut daemon = Daemon::start();
    assert_eq!(daemon.terminate(), Some(0));
    assert!(!daemon.socket().exists());
}

#[test]
fn a_daemon_can_be_asked_to_end_as_soon_as_its_socket_is_there() {
    let mut daemon = Daemon::start();
    daemon.kill();
    // What was left behind is cleared away at the start, and takes its time.
    for number in 0..3000 {
        std::fs::create_dir_all(daemon.data().join(format!("trash/{number}/a/b"))).unwrap();
    }
    std::fs::remove_file(daemon.socket()).unwrap();
    daemon.restart();
    assert_eq!(daemon.terminate(), Some(0));
    assert!(!daemon.socket().exists());
}

#[test]
fn the_socket_is_for_its_owner_and_group() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = Daemon::start();
    assert_eq!(daemon.socket().metadata().unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn the_docker_command_line_lists_an_empty_engine() {
    if !has_docker() {
        return;
    }
    let daemon = Daemon::start();
    assert_eq!(daemon.docker(&["version", "--format", "{{.Server.APIVersion}}"]).trim(), "1.50");
    assert_eq!(daemon.docker(&["info", "--format", "{{.Containers}} {{.OSType}}"]).trim(), "0 linux");
    assert_eq!(daemon.docker(&["ps", "-aq"]), "");
    assert_eq!(daemon.docker(&["images", "-q"]), "");
    assert_eq!(daemon.docker(&["network", "ls", "--format", "{{.Name}}"]), "bridge\nhost\nnone\n");
    assert_eq!(daemon.docker(&["network", "inspect", "none", "-f", "{{.Driver}}"]).trim(), "null");
    assert!(daemon.docker(&["container", "prune", "-f"]).contains("Total reclaimed space: 0B"));
    let (code, error) = daemon.docker_fails(&["inspect", "nosuch"]);
    assert_eq!(code, 1);
    assert!(error.contains("No such object: nosuch"), "{error}");
    let (_, error) = daemon.docker_fails(&["rm", "nosuch"]);
    assert!(error.contains("No such container: nosuch"), "{error}");
}

#[test]
fn the_docker_command_line_reads_logs_and_events_and_updates() {
    if !has_docker() {
        return;
    }
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "--name",
        "one",
        "-l",
        "a=b",
        "host",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 0",
    ]);
    let stamped = daemon.docker(&["logs", "-t", "one"]);
    let (time, text) = stamped.split_once(' ').unwrap();
    assert_eq!((time.len(), text), ("2006-01-02T15:04:05.000000000Z".len(), "out\n"));
    assert_eq!(daemon.docker(&["logs", "-f", "--tail", "5", "--since", time, "one"]), "out\n");
    assert_eq!(daemon.docker(&["update", "--restart", "on-failure:2", "one"]), "one\n");
    let policy = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(daemon.docker(&["inspect", "-f", policy, "one"]), "on-failure 2\n");
    daemon.docker(&["rm", "one"]);
    // The client rounds times down to seconds; this one is to come.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let soon = (now.as_secs() + 1).to_string();
    let flags = ["--since", "1h", "--until", &soon, "--filter", "label=a=b"];
    let told = daemon.docker(&[&["events", "--format", "{{.Action}}"], &flags[..]].concat());
    assert_eq!(told, "create\nattach\nstart\ndie\nupdate\ndestroy\n");
    let (_, error) = daemon.docker_fails(&["logs", "nosuch"]);
    assert!(error.contains("No such container: nosuch"), "{error}");
}

#[test]
fn the_docker_command_line_copies_compares_exports_and_commits() {
    if !has_docker() {
        return;
    }
    let daemon = Daemon::start();
    let root = daemon.data().parent().unwrap().join("rootfs");
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::create_dir_all(root.join("etc/d")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::fs::write(root.join("etc/d/f"), "content\n").unwrap();
    std::os::unix::fs::symlink("d", root.join("etc/l")).unwrap();
    let archive = path("../rootfs.tar");
    let packed = std::process::Command::new("tar").args(["-cf", &archive, "-C", &path(""), "."]).status();
    assert!(packed.unwrap().success());
    daemon.docker(&["import", &archive, "box"]);
    daemon.docker(&["create", "--name", "cc", "-v", "vol:/vol", "box", "/bin/busybox", "cat", "/new/f"]);
    daemon.docker(&["cp", &path("etc/d"), "cc:/new"]);
    daemon.docker(&["cp", &path("etc/d/f"), "cc:/vol/"]);
    for (source, to) in [("cc:/new", "out1"), ("cc:/etc/l/.", "out2"), ("cc:/vol", "out3")] {
        daemon.docker(&["cp", source, &path(to)]);
        assert_eq!(std::fs::read_to_string(root.join(to).join("f")).unwrap(), "content\n", "{source}");
    }
    daemon.docker(&["cp", "-L", "cc:/etc/l", &path("out4")]);
    daemon.docker(&["cp", "cc:/", &path("out5")]);
    for file in ["out4/f", "out5/etc/d/f"] {
        assert_eq!(std::fs::read_to_string(root.join(file)).unwrap(), "content\n", "{file}");
    }
    assert_eq!(daemon.docker(&["diff", "cc"]), "A /new\nA /new/f\nA /vol\n");
    let exported = path("../exported.tar");
    daemon.docker(&["export", "-o", &exported, "cc"]);
    let listed = std::process::Command::new("tar").args(["-tf", &exported]).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("new/f\n"));
    let id = daemon.docker(&["commit", "-m", "note", "-c", "ENV A=1", "cc", "made:1"]);
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.Id}} {{.Comment}}", "made:1"]),
        format!("{} note\n", id.trim())
    );
    assert_eq!(daemon.docker(&["run", "--rm", "made:1"]), "content\n");
    for (arguments, words) in [
        (&["cp", "cc:/none", "/tmp"][..], "Could not find the file /none in container cc"),
        (&["cp", "cc:/etc/d/f", "/none/x"], "does not exist"),
        (&["commit", "none"], "No such container: none"),
    ] {
        let (_, error) = daemon.docker_fails(arguments);
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    let reply = daemon.http("HEAD", "/containers/cc/archive?path=/etc/l", "");
    let stat = skiff_core::base64::decode(reply.header("x-docker-container-path-stat").unwrap()).unwrap();
    let stat: serde_json::Value = serde_json::from_slice(&stat).unwrap();
    assert_eq!((&stat["name"], &stat["linkTarget"]), (&"l".into(), &"/etc/d".into()));
    assert_eq!(stat["mode"], 134_218_239);
    daemon.docker(&["rm", "-v", "cc"]);
}

#[test]
fn the_docker_command_line_saves_and_loads_and_notices_what_breaks_off() {
    if !has_docker() {
        return;
    }
    let daemon = Daemon::start();
    let root = daemon.data().parent().unwrap().to_owned();
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(root.join("tree")).unwrap();
    std::fs::write(root.join("tree/f"), "content ".repeat(10_000)).unwrap();
    let packed =
        std::process::Command::new("tar").args(["-cf", &path("tar"), "-C", &path("tree"), "."]).status();
    assert!(packed.unwrap().success());
    let id = daemon.docker(&["import", &path("tar"), "one:1"]);
    daemon.docker(&["tag", "one:1", "two:2"]);
    daemon.docker(&["save", "-o", &path("saved"), "one:1", "two"]);
    daemon.docker(&["rmi", "one:1", "two:2"]);
    assert_eq!(daemon.docker(&["load", "-i", &path("saved")]), "Loaded image: one:1\nLoaded image: two:2\n");
    assert_eq!(daemon.docker(&["inspect", "-f", "{{.Id}}", "two:2"]), id);
    let (_, error) = daemon.docker_fails(&["save", "none:1"]);
    assert!(error.contains("No such image: none:1"), "{error}");
    let layer = std::fs::read_dir(daemon.data().join("layers")).unwrap().next().unwrap().unwrap();
    std::fs::write(layer.path().join("tree/f"), "CONTENT ".repeat(10_000)).unwrap();
    for arguments in [&["save", "-o", &path("broken"), "one:1"][..], &["save", "one:1"]] {
        let (code, error) = daemon.docker_fails(arguments);
        assert!(code == 1 && error.contains("unexpected EOF"), "{arguments:?}: {code} {error}");
    }
    // That client leaves what came until then; it ends in the middle of the layer.
    let listed = std::process::Command::new("tar").args(["-tf", &path("broken")]).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stderr).contains("Unexpected EOF"));
}
