//! What `RUN` may use. That the kernel enforces it is for `tests/guest`, which has all controllers.

use skiff_core::process::cgroup::{Controllers, Host};

use crate::{
    build, context,
    support::{Scratch, with_box},
};

fn built(scratch: &Scratch, flags: &[&str]) -> String {
    let (code, id, error) = build(scratch, &[&["-q"], flags].concat());
    assert_eq!(code, 0, "{flags:?}: {error}");
    id
}

#[test]
fn a_step_has_its_limits_and_its_result_does_not_depend_on_them() {
    let scratch = with_box(&[]);
    let text = "FROM box\nRUN ulimit -n > /files; ulimit -H -c >> /files; cat /proc/self/cgroup > /group\n";
    context(&scratch, &[("Dockerfile", text)]);
    let parent = format!("skiff-test-build-{}", std::process::id());
    let flags = ["--ulimit", "nofile=123:456", "--ulimit", "core=0", "--cgroup-parent", &parent];
    let first = built(&scratch, &flags);
    assert_eq!(scratch.text(&["run", "--rm", first.trim(), "cat", "/files"]), "123\n0\n");
    assert_eq!(built(&scratch, &["--ulimit", "nofile=7"]), first);

    let tree = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(|root| format!("{root}/{parent}"));
    for group in tree.iter().filter(|path| std::path::Path::new(path).exists()) {
        let left = std::fs::read_dir(group).unwrap();
        let left = left.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count();
        assert_eq!(left, 0, "groups of the steps are left");
        std::fs::remove_dir(group).unwrap();
    }
}

#[test]
fn a_limit_that_the_host_cannot_enforce_is_refused_before_anything_is_built() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN true\n")]);
    let Ok(host) = Host::find() else { return println!("skipped: no cgroup2") };
    for (flags, controller, name) in [
        (&["--memory", "64m", "--memory-swap", "-1"][..], Controllers::MEMORY, "memory"),
        (&["--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota", "9000"], Controllers::CPU, "cpu"),
        (&["--cpuset-cpus", "0", "--cpuset-mems", "0"], Controllers::CPUSET, "cpuset"),
    ] {
        if host.controllers().contains(controller) {
            built(&scratch, flags);
            continue;
        }
        let (code, _, error) = build(&scratch, flags);
        let words = format!("the {name} controller is not available in cgroup2 on this host");
        assert!(code == 1 && error.contains(&words) && !error.contains("#1"), "{flags:?}: {code} {error}");
    }
}
