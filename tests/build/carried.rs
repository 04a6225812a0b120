//! `--cache-to` and `--cache-from`: steps that are carried from one store to another.

use std::fs;

use crate::{build, context, support::with_box};

const DOCKERFILE: &str = "FROM box AS tools\nRUN echo tool > /tool\nFROM box\nCOPY a /a\n\
                          RUN cat /proc/sys/kernel/random/uuid > /made && chmod 4711 /made\nCOPY --from=tools /tool /\n";

#[test]
fn what_another_machine_has_made_is_not_made_again() {
    let (first, second) = (with_box(&[]), with_box(&[]));
    let carried = first.path("carried");
    let (to, from) = (
        format!("--cache-to=type=local,dest={}", carried.display()),
        format!("--cache-from=type=local,src={}", carried.display()),
    );
    for scratch in [&first, &second] {
        context(scratch, &[("Dockerfile", DOCKERFILE), ("a", "one\n")]);
    }
    let (code, _, told) = build(&first, &["-t", "it", &to]);
    assert!(code == 0 && told.contains("exporting cache to"), "{told}");
    let steps = fs::read_dir(carried.join("steps")).unwrap().count();
    assert_eq!(steps, 3, "those of the result");
    let (code, _, told) = build(&second, &["-t", "it", &from]);
    // The stage that is only copied from was not carried.
    assert!(code == 0 && told.lines().filter(|line| line.contains(" DONE ")).count() == 1, "{told}");
    let of =
        |scratch: &crate::support::Scratch| scratch.text(&["inspect", "-f", "{{json .RootFS.Layers}}", "it"]);
    assert_eq!(of(&first), of(&second));
    assert_eq!(second.text(&["run", "--rm", "it", "stat", "-c", "%a", "/made"]), "4711\n");

    // All stages.
    build(&first, &["-t", "it", &format!("{to},mode=max")]);
    assert_eq!(fs::read_dir(carried.join("steps")).unwrap().count(), 4);
    second.text(&["rmi", "it"]);
    second.text(&["builder", "prune", "-af"]);
    let (code, _, told) = build(&second, &[&from]);
    assert!(code == 0 && !told.contains(" DONE "), "{told}");
}

#[test]
fn a_layer_that_is_not_what_it_is_called_is_refused() {
    let (first, second) = (with_box(&[]), with_box(&[]));
    let carried = first.path("carried");
    for scratch in [&first, &second] {
        context(scratch, &[("Dockerfile", "FROM box\nCOPY a /a\n"), ("a", "one\n")]);
    }
    build(&first, &[&format!("--cache-to=type=local,dest={}", carried.display())]);
    let layer = fs::read_dir(carried.join("layers")).unwrap().next().unwrap().unwrap().path();
    let mut tar = fs::read(&layer).unwrap();
    let at = tar.windows(4).position(|part| part == b"one\n").unwrap();
    tar[at] = b'O';
    fs::write(&layer, tar).unwrap();
    let from = format!("--cache-from=type=local,src={}", carried.display());
    let (code, _, told) = build(&second, &[&from]);
    assert!(code == 1 && told.contains("not what its name says"), "{told}");
    let (code, _, told) = build(&second, &[]);
    assert!(code == 0 && told.contains(" DONE "), "{told}");
    for (flag, words) in [("--cache-from=box", "registries"), ("--cache-to=type=inline", "registries")] {
        let (code, _, told) = build(&second, &[flag]);
        assert!(code != 0 && told.contains(words), "{told}");
    }
}
