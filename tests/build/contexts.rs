//! `--build-context`: directories and images under other names.

use std::fs;

use crate::{build, context, support::with_box};

#[test]
fn another_directory_is_built_on_copied_from_and_mounted() {
    let scratch = with_box(&[]);
    let text = "FROM box AS tools\nRUN exit 1\nFROM data AS files\nFROM box\nCOPY --from=tools /t /t\n\
                COPY --from=files / /files\nRUN --mount=from=data,target=/m cat /m/sub/f > /f\n";
    context(&scratch, &[("Dockerfile", text)]);
    let other = scratch.path("other");
    fs::create_dir_all(other.join("sub")).unwrap();
    for (name, content) in
        [(".dockerignore", "secret\n"), ("secret", "no"), ("sub/f", "content\n"), ("t", "tool\n")]
    {
        fs::write(other.join(name), content).unwrap();
    }
    let [data, tools] = ["data", "tools"].map(|name| format!("--build-context={name}={}", other.display()));
    let flags = [data.as_str(), tools.as_str(), "-t", "it"];
    let (code, _, told) = build(&scratch, &flags);
    assert_eq!(code, 0, "{told}");
    let script = "cat /t /f; cd /files; find . | sort";
    let seen = scratch.text(&["run", "--rm", "it", "sh", "-c", script]);
    assert_eq!(seen, "tool\ncontent\n.\n./.dockerignore\n./sub\n./sub/f\n./t\n");
    let (_, _, again) = build(&scratch, &flags);
    assert!(!again.contains(" DONE "), "{again}");
    // What is in it counts, and what is left out of it does not.
    fs::write(other.join("secret"), "changed").unwrap();
    assert!(!build(&scratch, &flags).2.contains(" DONE "));
    fs::write(other.join("sub/f"), "changed\n").unwrap();
    assert!(build(&scratch, &flags).2.contains(" DONE "));
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/f"]), "changed\n");
}

#[test]
fn an_image_stands_for_another_one() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM nowhere/missing:1\nRUN echo made > /made\n")]);
    let (code, _, told) =
        build(&scratch, &["--build-context", "nowhere/missing:1=docker-image://box", "-t", "it"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/made"]), "made\n");
}

#[test]
fn what_is_no_context_is_refused() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box AS last\n")]);
    for (value, words) in [
        ("x", "NAME=DIRECTORY"),
        ("x=/nowhere/at/all", "not found"),
        ("x=https://example.com/y.git", "nothing is fetched"),
        ("x=oci-layout:///tmp", "skiff load"),
        ("last=/tmp", "can't be replaced"),
    ] {
        let (code, _, told) = build(&scratch, &["--build-context", value]);
        assert!(code != 0 && told.contains(words), "{value}: {told}");
    }
}
