//! Stages that do not wait for each other.

use crate::{
    build, cached, context,
    support::{Scratch, with_box},
};

/// Builds this Dockerfile as `it`: exit code and what was told.
fn built(scratch: &Scratch, dockerfile: &str) -> (i32, String) {
    context(scratch, &[("Dockerfile", dockerfile), ("a", "content\n")]);
    let (code, _, told) = build(scratch, &["-t", "it"]);
    (code, told)
}

#[test]
fn stages_that_need_nothing_of_each_other_are_built_side_by_side() {
    let scratch = with_box(&[]);
    // Each waits for the other one to be there.
    let meet = |own: &str, other: &str| {
        format!(
            "FROM box AS {own}\nRUN --mount=type=cache,id=meeting,target=/c touch /c/{own}; \
             i=0; until test -e /c/{other}; do i=$((i+1)); test $i -lt 300 || exit 1; sleep 0.1; done; echo {own} > /{own}\n"
        )
    };
    let last = "FROM box\nCOPY --from=left /left /\nCOPY --from=right /right /\n";
    let dockerfile = meet("left", "right") + &meet("right", "left") + last;
    let file = scratch.path("trace.json");
    context(&scratch, &[("Dockerfile", &dockerfile)]);
    let (code, _, told) = build(&scratch, &["-t", "it", "--trace", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/left", "/right"]), "left\nright\n");
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let runs: Vec<_> =
        read["traceEvents"].as_array().unwrap().iter().filter(|one| one["ph"] == "X").collect();
    assert_eq!(runs.len(), 7, "{read}");
    assert!(runs.iter().any(|one| one["cat"] == "done" && one["dur"].as_i64().unwrap() > 0), "{read}");
    assert!(runs.iter().any(|one| one["tid"] == 2), "{read}");
    let (code, told) = built(&scratch, &dockerfile);
    assert_eq!((code, cached(&told)), (0, (7, 0)), "{told}");
}

#[test]
fn a_step_that_two_stages_have_is_made_once() {
    let scratch = with_box(&[]);
    let step = "RUN sleep 0.5; cat /proc/sys/kernel/random/uuid > /made\n";
    let (code, told) = built(
        &scratch,
        &format!(
            "FROM box AS a\n{step}FROM box AS b\n{step}FROM box\nCOPY --from=a /made /a\nCOPY --from=b /made /b\n\
             RUN cmp /a /b\n"
        ),
    );
    assert_eq!(code, 0, "{told}");
    let left = std::fs::read_dir(scratch.path("run/steps")).unwrap().count();
    assert_eq!(left, 0, "files of steps that are made");
}

#[test]
fn a_stage_that_fails_ends_the_others() {
    let scratch = with_box(&[]);
    let begun = std::time::Instant::now();
    let (code, told) = built(
        &scratch,
        "FROM box AS slow\nRUN sleep 1000\nFROM box AS wrong\nRUN sleep 0.2; echo because; exit 3\n\
         FROM box\nCOPY --from=slow /x /\nCOPY --from=wrong /x /\n",
    );
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("because") && told.contains("exit code: 3"), "{told}");
    assert!(begun.elapsed().as_secs() < 100, "the other stage was waited for");
    assert_eq!(scratch.text(&["ps", "-aq"]), "");
}

#[test]
fn this_machine_as_a_stage_can_be_copied_from_when_another_process_has_built_it() {
    let scratch = with_box(&[]);
    let (code, told) = built(
        &scratch,
        "FROM host AS tools\nRUN mkdir /made-side-by-side && echo made > /made-side-by-side/f\nFROM box AS other\nRUN true\n\
         COPY a /a\nFROM box\nCOPY --from=other /a /\nCOPY --from=tools /made-side-by-side/f /f\n",
    );
    assert_eq!(code, 0, "{told}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/a", "/f"]), "content\nmade\n");
}

#[test]
fn what_a_base_image_leaves_to_do_may_copy_from_a_stage() {
    let scratch = with_box(&[]);
    let (code, told) = built(&scratch, "FROM box\nONBUILD COPY --from=tools /a /b\n");
    assert_eq!(code, 0, "{told}");
    let (code, told) = built(&scratch, "FROM scratch AS tools\nCOPY a /a\nFROM it\n");
    assert_eq!(code, 0, "{told}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/b"]), "content\n");
}
