//! `RUN --mount=type=cache`: what is in a cache at first, and what becomes of it while others prune.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use crate::{build, context, support::with_box};

#[test]
fn a_cache_begins_with_a_copy_of_what_it_is_from() {
    let scratch = with_box(&[]);
    let text = "FROM box AS seed
RUN mkdir -p /s/sub && echo first > /s/sub/f && ln /s/sub/f /s/sub/l && mkdir -m 1777 /s/sub/d && echo no > /s/other \
    && chmod 750 /s/sub && chmod 4755 /s/sub/f && ln -s /s/sub /link
FROM box
RUN --mount=type=cache,id=c,from=seed,source=/s/sub,target=/c \
    ls -ln /c > /seen && stat -c '%a %h' /c /c/f >> /seen && cat /c/f /c/more >> /seen; echo more >> /c/more
";
    let directory = context(&scratch, &[("Dockerfile", text)]);
    let seen = |flags: &[&str]| {
        let (code, id, error) = build(&scratch, &[&["-q"], flags].concat());
        assert_eq!(code, 0, "{error}");
        scratch.text(&["run", "--rm", id.trim(), "cat", "/seen"])
    };
    let first = seen(&[]);
    assert!(first.ends_with("\n4755 2\nfirst\n"), "{first}");
    assert!(first.contains("drwxrwxrwt") && !first.contains("other") && first.contains("\n750 "), "{first}");
    // It goes on with what it has.
    let second = seen(&["--no-cache"]);
    assert!(second.ends_with("first\nmore\n"), "{second}");
    // A link to the place does as well as the place; who it belongs to may be said.
    let other = text
        .replace("id=c,from=seed,source=/s/sub", "id=d,from=seed,source=/link,uid=7,gid=8,mode=0711")
        .replace("stat -c '%a %h'", "stat -c '%u %g %a'");
    fs::write(directory.join("Dockerfile"), other).unwrap();
    let third = seen(&[]);
    assert!(third.contains("\n7 8 711\n0 0 4755\n") && third.ends_with("\nfirst\n"), "{third}");

    // Other first content is another cache, and the step is another.
    fs::write(directory.join("Dockerfile"), text.replace("echo first", "echo changed")).unwrap();
    let changed = seen(&[]);
    assert!(changed.ends_with("\nchanged\n"), "{changed}");

    let wrong = text.replace("source=/s/sub,", "source=/s/sub/f,");
    fs::write(directory.join("Dockerfile"), wrong).unwrap();
    let (code, _, error) = build(&scratch, &[]);
    assert!(code == 1 && error.contains("\"/s/sub/f\": not a directory"), "{error}");
    let wrong = text.replace("source=/s/sub,", "source=/none,");
    fs::write(directory.join("Dockerfile"), wrong).unwrap();
    let (code, _, error) = build(&scratch, &[]);
    assert!(code == 1 && error.contains("/none"), "{error}");
    assert_eq!(fs::read_dir(scratch.path("data/tmp")).map_or(0, Iterator::count), 0);
}

#[test]
fn a_cache_that_is_pruned_while_a_step_waits_for_it_is_made_again() {
    let scratch = with_box(&[]);
    let run = "RUN --mount=type=cache,target=/cache,sharing=locked echo line >> /cache/log && cat /cache/log";
    context(&scratch, &[("Dockerfile", &format!("FROM box\n{run}\n"))]);
    let flags = ["--no-cache", "--progress", "plain"];
    assert_eq!(build(&scratch, &flags).0, 0);
    let caches = scratch.path("data/cache-mounts");
    let all = || fs::read_dir(&caches).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let [cache] = all().try_into().unwrap();

    let held = fs::File::open(&cache).unwrap();
    held.lock().unwrap();
    let path = scratch.path("context").display().to_string();
    let mut child = scratch
        .skiff(&[&["build"], &flags[..], &[path.as_str()]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("] RUN ")));
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the step does not wait");
    // What is in use is not pruned; this is what a prune does that came before the step.
    scratch.text(&["builder", "prune", "-af"]);
    assert_eq!(all(), std::slice::from_ref(&cache));
    fs::remove_dir_all(&cache).unwrap();
    drop(held);
    let rest: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    assert_eq!(fs::read_to_string(cache.join("log")).unwrap(), "line\n");

    scratch.text(&["builder", "prune", "-af"]);
    assert_eq!(all().len(), 0);
    assert_eq!(fs::read_dir(scratch.path("data/tmp")).map_or(0, Iterator::count), 0);
}
