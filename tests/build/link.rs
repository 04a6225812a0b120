//! `COPY --link` and `ADD --link`: what is copied is a layer of its own, whatever it is laid on.

use std::fs;

use crate::{build, context, support::Scratch, support::with_box};

/// The layers of an image.
fn layers(scratch: &Scratch, image: &str) -> Vec<String> {
    let json = scratch.text(&["inspect", "-f", "{{json .RootFS.Layers}}", image.trim()]);
    serde_json::from_str(&json).unwrap()
}

#[test]
fn a_layer_is_the_same_on_another_base_and_comes_from_the_cache() {
    let scratch = with_box(&[]);
    let file = |base: &str| format!("FROM box\nRUN {base}\nCOPY --link --chown=app d /opt/d/\n");
    let path = context(&scratch, &[("Dockerfile", &file("mkdir -m 700 -p /opt/one")), ("d/f", "file\n")]);
    let (code, one, error) = build(&scratch, &["-q"]);
    assert_eq!(code, 0, "{error}");
    fs::write(path.join("Dockerfile"), file("mkdir -p /opt/two; ln -s /data /link")).unwrap();
    let (code, _, error) = build(&scratch, &["--progress", "plain", "-t", "two"]);
    assert_eq!(code, 0, "{error}");
    let cached = |words: &str| {
        let line = error.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{error}"));
        error.contains(&format!("\n{} CACHED\n", line.split(' ').next().unwrap()))
    };
    assert!(cached("] COPY --link") && !cached("] RUN mkdir"), "{error}");
    let (one, two) = (layers(&scratch, &one), layers(&scratch, "two"));
    assert!(one.last() == two.last() && one[one.len() - 2] != two[two.len() - 2], "{one:?} {two:?}");
    // What is below the new directories is still there.
    assert_eq!(scratch.text(&["run", "--rm", "two", "ls", "/opt"]), "d\ntwo\n");
    assert_eq!(
        scratch.text(&["run", "--rm", "two", "stat", "-c", "%u:%g", "/opt/d", "/opt/d/f"]),
        "1000:1000\n1000:1000\n"
    );

    // A name that means another number is another layer.
    let moved = "sed -i s/1000:1000/1001:1001/ /etc/passwd";
    let moved =
        format!("FROM box\nRUN {}\nCOPY --link --chown=app d /opt/d/\n", moved.replace("sed", "busybox sed"));
    fs::write(path.join("Dockerfile"), moved).unwrap();
    let (code, id, error) = build(&scratch, &["-q"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim(), "stat", "-c", "%u:%g", "/opt/d/f"]), "1001:1001\n");
}

#[test]
fn a_layer_made_anew_depends_on_nothing_below_it() {
    let scratch = with_box(&[]);
    let path = context(&scratch, &[("d/f", "file\n")]);
    let flags = ["-q", "--no-cache", "--source-date-epoch", "1"];
    let last = ["FROM scratch", "FROM box\nRUN ln -s /data /link", "FROM box\nRUN touch /link"].map(|base| {
        fs::write(path.join("Dockerfile"), format!("{base}\nCOPY --link d /link/\n")).unwrap();
        let (code, id, error) = build(&scratch, &flags);
        assert_eq!(code, 0, "{error}");
        (layers(&scratch, &id).pop().unwrap(), id)
    });
    assert!(last.iter().all(|(layer, _)| *layer == last[0].0), "{last:?}");
    // The link on the way is not followed, but replaced.
    for (_, id) in &last[1..] {
        assert_eq!(
            scratch.text(&["run", "--rm", id.trim(), "ls", "/link", "/data"]),
            "/data:\nseed\n\n/link:\nf\n"
        );
    }
    // Without --link it is.
    fs::write(path.join("Dockerfile"), "FROM box\nRUN ln -s /data /link\nCOPY d /link/\n").unwrap();
    let (code, id, error) = build(&scratch, &["-q"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim(), "ls", "/data"]), "f\nseed\n");
}

#[test]
fn an_archive_is_unpacked_into_a_layer_of_its_own() {
    let scratch = with_box(&[]);
    let path = context(&scratch, &[("d/bin/tool", "one\n"), ("d/l/f", "two\n")]);
    let tar = |words: &[&str]| {
        let status = std::process::Command::new("tar").args(words).current_dir(&path).status().unwrap();
        assert!(status.success(), "{words:?}");
    };
    tar(&["-czf", "a.tar.gz", "-C", "d", "."]);
    fs::remove_dir_all(path.join("d")).unwrap();
    let made = ["FROM scratch", "FROM box\nRUN mkdir -m 700 /x && echo below > /x/old && ln -s /data /x/l"];
    let made = made.map(|base| {
        fs::write(path.join("Dockerfile"), format!("{base}\nADD --link --chown=7:8 a.tar.gz /x/\n")).unwrap();
        let (code, id, error) = build(&scratch, &["-q"]);
        assert_eq!(code, 0, "{error}");
        id
    });
    let [alone, on_box] = made.each_ref().map(|id| layers(&scratch, id));
    assert_eq!(alone.last(), on_box.last(), "it is from the cache on whatever it is laid");
    // The link on the way is replaced by the archive's directory; what was beside it is still there.
    let script = "cd /x; cat old bin/tool l/f; ls /data; stat -c %u:%g bin/tool";
    let run = scratch.text(&["run", "--rm", made[1].trim(), "sh", "-c", script]);
    assert_eq!(run, "below\none\ntwo\nseed\n7:8\n");
}

#[test]
fn an_owner_that_is_not_known_is_refused() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nCOPY --link --chown=nobody-here f /\n"), ("f", "")]);
    let (code, _, error) = build(&scratch, &[]);
    assert!(code == 1 && error.contains("nobody-here") && error.contains("Dockerfile:2"), "{error}");
}
