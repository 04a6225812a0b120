//! Volumes and binds of containers, through the real binary.

mod support;

use std::fs;

use support::Scratch;

fn volumes(scratch: &Scratch) -> String {
    scratch.text(&["volume", "ls", "-q"])
}

#[test]
fn a_named_volume_is_made_filled_and_kept() {
    let scratch = Scratch::new();
    let script = "echo kept > /var/tmp/vol/f; cat /var/tmp/vol/f";
    assert_eq!(scratch.sh(&["-v", "data:/var/tmp/vol"], script), "kept\n");
    assert_eq!(
        scratch.sh(&["-v", "data:/other:ro"], "cat /other/f; touch /other/x 2>/dev/null || echo refused"),
        "kept\nrefused\n"
    );
    assert_eq!(volumes(&scratch), "data\n");
    // What the image has there comes with the first use only.
    assert!(scratch.sh(&["-v", "etc:/etc"], "cat /etc/passwd; rm /etc/passwd").contains("root:x:0:0"));
    assert_eq!(
        scratch.sh(&["-v", "etc:/etc"], "test -e /etc/passwd || echo gone; test -e /etc/group && echo there"),
        "gone\nthere\n"
    );
    assert_eq!(scratch.sh(&["-v", "bare:/etc/ssl:nocopy"], "ls -A /etc/ssl"), "");
    assert_eq!(
        scratch.sh(&["--mount", "type=volume,src=bare2,dst=/etc/ssl,volume-nocopy"], "ls -A /etc/ssl"),
        ""
    );
    scratch.text(&["volume", "rm", "data", "etc", "bare", "bare2"]);
    assert_eq!(volumes(&scratch), "");
}

#[test]
fn an_anonymous_volume_goes_with_its_container() {
    let scratch = Scratch::new();
    assert_eq!(
        scratch.sh(
            &["-v", "/scratch", "--mount", "type=volume,dst=/more"],
            "touch /scratch/x /more/x && echo ok"
        ),
        "ok\n"
    );
    assert_eq!(volumes(&scratch), "");
    scratch.text(&["create", "--name", "with", "-v", "/scratch", "-v", "named:/named", "host", "true"]);
    let anonymous = scratch.text(&[
        "inspect",
        "-f",
        "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}};{{end}}",
        "with",
    ]);
    assert_eq!(anonymous, "volume /named true;volume /scratch true;\n");
    assert_eq!(volumes(&scratch).lines().count(), 2);
    scratch.fails(&["volume", "rm", "named"], 1, "volume is in use");
    scratch.text(&["rm", "-v", "with"]);
    assert_eq!(volumes(&scratch), "named\n");
    scratch.text(&["create", "--name", "without", "-v", "/scratch", "host", "true"]);
    scratch.text(&["rm", "without"]);
    assert_eq!(volumes(&scratch).lines().count(), 2, "without -v it stays");
}

#[test]
fn volumes_from_another_container_are_the_same_ones() {
    let scratch = Scratch::new();
    scratch.text(&[
        "run",
        "--name",
        "first",
        "-v",
        "/shared",
        "-v",
        "named:/named",
        "host",
        "sh",
        "-c",
        "echo 1 > /shared/f",
    ]);
    assert_eq!(
        scratch.sh(&["--volumes-from", "first"], "cat /shared/f; touch /named/x && echo ok"),
        "1\nok\n"
    );
    assert_eq!(
        scratch.sh(&["--volumes-from", "first:ro"], "touch /shared/x 2>/dev/null || echo refused"),
        "refused\n"
    );
    assert_eq!(volumes(&scratch).lines().count(), 2, "they are the first one's");
    scratch.refused_beside(&["--volumes-from", "nobody", "host", "true"], 125, "No such container: nobody");
    scratch.text(&["rm", "-v", "first"]);
}

#[test]
fn sources_of_binds_are_made_or_missed() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing/deep").display().to_string();
    scratch.refused(
        &["--mount", &format!("type=bind,src={missing},dst=/mnt"), "host", "true"],
        125,
        "bind source path does not exist",
    );
    assert!(!fs::exists(&missing).unwrap());
    assert_eq!(scratch.sh(&["-v", &format!("{missing}:/mnt")], "touch /mnt/f && echo ok"), "ok\n");
    assert!(fs::exists(format!("{missing}/f")).unwrap());
    for (flag, words) in [
        ("/a:/b:nosuch", "invalid mode: nosuch"),
        ("/a:/b:nocopy", "invalid mode: nocopy"),
        ("vol:/b:rshared", "invalid mode: rshared"),
        ("vol:/", "destination can't be '/'"),
        ("vol:relative", "mount path must be absolute"),
        ("x:/b", "volume name is too short"),
    ] {
        scratch.refused(&["-v", flag, "host", "true"], 125, words);
    }
    scratch.refused(&["-v", "vol:/b", "-v", "/tmp:/b/", "host", "true"], 125, "Duplicate mount point: /b/");
    assert_eq!(volumes(&scratch), "", "a refused container leaves a volume");
}

#[test]
fn a_subpath_stays_within_the_volume() {
    let scratch = Scratch::new();
    scratch.sh(&["-v", "vol:/v"], "mkdir /v/sub; echo in > /v/sub/f; ln -s /etc /v/out; ln -s ../.. /v/up");
    assert_eq!(scratch.sh(&["--mount", "type=volume,src=vol,dst=/m,volume-subpath=sub"], "cat /m/f"), "in\n");
    for hostile in ["out", "up", "up/etc"] {
        let mount = format!("type=volume,src=vol,dst=/m,volume-subpath={hostile}");
        scratch.refused(&["--mount", &mount, "host", "ls", "/m"], 125, "open volume subpath");
    }
    scratch.refused(
        &["--mount", "type=volume,src=vol,dst=/m,volume-subpath=../x", "host", "true"],
        125,
        "relative path within the volume",
    );
}
