//! Containers on imported images, through the real binary.

mod support;

use std::{fs, process::Command};

use support::{Scratch, with_box};

fn run(scratch: &Scratch, arguments: &[&str]) -> String {
    scratch.text(&[&["run", "--rm"], arguments].concat())
}

#[test]
fn the_image_is_the_root_and_changes_go_with_the_container() {
    let scratch = with_box(&[]);
    assert_eq!(run(&scratch, &["box", "cat", "/data/seed"]), "seed\n");
    assert_eq!(
        run(
            &scratch,
            &["box", "sh", "-c", "echo changed > /data/seed; rm /etc/passwd; cat /data/seed; stat -c %a /"]
        ),
        "changed\n755\n"
    );
    assert_eq!(
        run(&scratch, &["box", "sh", "-c", "cat /data/seed; ls /etc"]),
        "seed\nhostname\nhosts\nmtab\npasswd\nresolv.conf\n"
    );
    scratch.fails(&["run", "--rm", "box", "no-such-program"], 127, "executable file not found in $PATH");
    scratch.fails(&["run", "--rm", "nosuchimage", "true"], 125, "No such image: nosuchimage:latest");
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn a_kept_container_keeps_its_changes_over_starts() {
    let scratch = with_box(&[]);
    scratch.text(&["create", "--name", "kept", "box", "sh", "-c", "echo x >> /data/seed; cat /data/seed"]);
    assert_eq!(scratch.text(&["start", "-a", "kept"]), "seed\nx\n");
    assert_eq!(scratch.text(&["start", "-a", "kept"]), "seed\nx\nx\n");
    assert_eq!(run(&scratch, &["box", "cat", "/data/seed"]), "seed\n");
    scratch.text(&[
        "run",
        "-d",
        "--name",
        "retried",
        "--restart",
        "on-failure:2",
        "box",
        "sh",
        "-c",
        "echo x >> /data/n; exit 1",
    ]);
    scratch.text(&["wait", "retried"]);
    let status = || scratch.text(&["inspect", "-f", "{{.State.Status}}", "retried"]);
    while status() != "exited\n" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let id = scratch.text(&["inspect", "-f", "{{.Id}}", "retried"]);
    let written = fs::read_to_string(scratch.path(&format!("data/containers/{}/upper/data/n", id.trim())));
    assert_eq!(written.unwrap(), "x\nx\nx\n");
    scratch.text(&["rm", "kept", "retried"]);
}

#[test]
fn settings_of_the_image_hold_unless_the_request_has_its_own() {
    let scratch = with_box(&[
        "ENV FROM=image",
        "ENV BOTH=image",
        "WORKDIR /data/deep",
        "USER app",
        "ENTRYPOINT [\"/bin/sh\", \"-c\"]",
        "CMD [\"pwd; id -u; echo $FROM $BOTH $HOME\"]",
        "LABEL kind=test",
        "STOPSIGNAL USR1",
    ]);
    assert_eq!(run(&scratch, &["box"]), "/data/deep\n1000\nimage image /home/app\n");
    assert_eq!(run(&scratch, &["-e", "BOTH=own", "-w", "/", "-u", "0", "box"]), "/\n0\nimage own /root\n");
    assert_eq!(run(&scratch, &["box", "echo other"]), "other\n");
    assert_eq!(run(&scratch, &["--entrypoint", "/bin/echo", "box", "a", "b"]), "a b\n");
    scratch.fails(&["run", "--rm", "--entrypoint", "", "box"], 125, "no command specified");
    scratch.text(&["create", "--name", "looked", "-l", "own=1", "box"]);
    let shown = scratch.text(&[
        "inspect",
        "-f",
        "{{.Config.Labels.kind}} {{.Config.Labels.own}} {{.Config.StopSignal}} {{.Config.Image}}",
        "looked",
    ]);
    assert_eq!(shown, "test 1 USR1 box\n");
    assert!(scratch.text(&["inspect", "-f", "{{.Image}}", "looked"]).starts_with("sha256:"));
}

#[test]
fn two_containers_share_an_image_and_see_nothing_of_each_other() {
    let scratch = with_box(&[]);
    for name in ["one", "two"] {
        scratch.text(&["run", "-d", "--name", name, "box", "sleep", "1000"]);
    }
    scratch.text(&["exec", "one", "touch", "/data/one"]);
    assert_eq!(scratch.text(&["exec", "two", "ls", "/data"]), "seed\n");
    assert_eq!(scratch.text(&["exec", "one", "ls", "/data"]), "one\nseed\n");
    // What is in use stays.
    let output = scratch.skiff(&["rmi", "box"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("conflict"), "{error}");
    scratch.text(&["rm", "-f", "one", "two"]);
    scratch.text(&["rmi", "box"]);
}

#[test]
fn a_read_only_root_takes_nothing() {
    let scratch = with_box(&[]);
    let script = "touch /x 2>/dev/null || echo refused; touch /tmp/x && echo taken";
    assert_eq!(
        run(&scratch, &["--read-only", "--tmpfs", "/tmp", "box", "sh", "-c", script]),
        "refused\ntaken\n"
    );
}

#[test]
fn links_in_the_image_do_not_lead_out() {
    let scratch = with_box(&[]);
    let root = scratch.path("rootfs");
    let outside = scratch.path("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("escape")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../..", root.join("up")).unwrap();
    let tar = scratch.path("hostile.tar").display().to_string();
    assert!(Command::new("tar").args(["-cf", &tar, "-C"]).arg(&root).arg(".").status().unwrap().success());
    scratch.text(&["import", &tar, "hostile"]);
    let bind = format!("{}:/escape/mounted", scratch.path("rootfs/data").display());
    // Inside, the link leads nowhere.
    for flags in [["-v", &bind], ["-w", "/escape/work"]] {
        let output = scratch.run(&[&flags[..], &["hostile", "true"]].concat());
        assert_eq!(output.status.code(), Some(125), "{flags:?}: {output:?}");
    }
    assert_eq!(
        run(&scratch, &["--tmpfs", "/up/tmp/t", "hostile", "sh", "-c", "touch /tmp/t/x && ls /tmp/t"]),
        "x\n"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was made on the host");
}

#[test]
fn volumes_of_the_image_are_filled_and_go_with_the_container() {
    let scratch = with_box(&["VOLUME /data"]);
    let volumes = || scratch.text(&["volume", "ls", "-q"]).lines().count();
    scratch.text(&["run", "-d", "--name", "server", "box", "sleep", "1000"]);
    assert_eq!(volumes(), 1);
    assert_eq!(scratch.text(&["exec", "server", "cat", "/data/seed"]), "seed\n");
    scratch.text(&["rm", "-f", "-v", "server"]);
    assert_eq!(volumes(), 0);
    assert_eq!(run(&scratch, &["-v", "own:/data", "box", "cat", "/data/seed"]), "seed\n");
    assert_eq!(volumes(), 1);
}
