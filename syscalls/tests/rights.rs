//! Rights against the real kernel: a forked child takes them on, and asks for what it may and what it may not.
//!
//! It has no test harness, whose threads a fork would leave behind, and stands in this package because calls that have to
//! fail can only be made by number.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode},
};

use rustix::{
    io::Errno,
    process::{Gid, Uid, geteuid, getpid},
    stdio::stderr,
    thread::{
        CapabilitySet as KernelSet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
        set_capabilities,
    },
};
use skiff_core::{
    fork::{self, Ended},
    process::{
        capability::CapabilitySet,
        rights::{Failed, Identity, Rights},
        seccomp::{self, KernelVersion},
    },
};

fn main() -> ExitCode {
    if !geteuid().is_root() {
        println!("skipped: only root has rights to give up");
        return ExitCode::SUCCESS;
    }
    let mut tests: Vec<(&str, fn())> = vec![
        ("the_filter_answers_as_the_profile_says", the_filter_answers_as_the_profile_says),
        ("root_holds_the_standard_set_and_nothing_else", root_holds_the_standard_set_and_nothing_else),
        ("what_was_inheritable_or_ambient_is_gone", what_was_inheritable_or_ambient_is_gone),
        ("another_user_holds_nothing_and_has_its_groups", another_user_holds_nothing_and_has_its_groups),
        ("the_sets_hold_across_execve", the_sets_hold_across_execve),
        ("without_privilege_the_step_that_fails_is_named", without_privilege_the_step_that_fails_is_named),
        ("no_filter_is_no_filter", no_filter_is_no_filter),
        ("a_profile_of_ones_own_is_enforced", a_profile_of_ones_own_is_enforced),
    ];
    #[cfg(target_arch = "x86_64")]
    match in_child(|| assert_eq!(i386::call(20, 0), getpid().as_raw_nonzero().get())) {
        Ended::Exited(0) => {
            tests.push(("i386_is_filtered_by_its_own_numbers", i386_is_filtered_by_its_own_numbers))
        }
        _ => println!("skipped i386_is_filtered_by_its_own_numbers: the kernel runs no i386 programs"),
    }
    let mut failed = 0;
    for (name, test) in &tests {
        let ended = in_child(test);
        println!("test {name} ... {}", if ended == Ended::Exited(0) { "ok" } else { "FAILED" });
        failed += usize::from(ended != Ended::Exited(0));
    }
    println!("test result: {} passed; {failed} failed", tests.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a test in a process of its own; a panic ends it with 101.
fn in_child(test: impl FnOnce()) -> Ended {
    let body = || if catch_unwind(AssertUnwindSafe(test)).is_ok() { 0 } else { 101 };
    // SAFETY: nothing here closes descriptor 2.
    let stderr = unsafe { stderr() };
    let child = fork::child(&[stderr], body).expect("a process can be forked");
    fork::wait(&child.pidfd).expect("it is a child")
}

fn standard() -> Rights {
    Rights {
        capabilities: CapabilitySet::STANDARD & CapabilitySet::all().bounded().unwrap(),
        no_new_privs: false,
        filter: seccomp::default_program(CapabilitySet::STANDARD),
        filter_flags: seccomp::STANDARD_FLAGS,
    }
}

/// A system call whose arguments are plain numbers.
fn call(number: u32, arguments: [usize; 3]) -> Result<i64, Errno> {
    // SAFETY: no argument that a test passes is the address of something: the kernel either copies from address 0, which
    // is not mapped, or takes the argument as a number. The process is a copy that ends after the test.
    let result = unsafe { libc::syscall(number.into(), arguments[0], arguments[1], arguments[2], 0, 0, 0) };
    if result == -1 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap();
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(result)
}

/// `/proc/self/status`, by field.
fn status() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(":"));
    fields
        .map(|(name, value)| (name.to_string(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

fn assert_sets(bounding: CapabilitySet, held: CapabilitySet) {
    let status = status();
    for (name, set) in [
        ("CapBnd", bounding),
        ("CapPrm", held),
        ("CapEff", held),
        ("CapInh", CapabilitySet::empty()),
        ("CapAmb", CapabilitySet::empty()),
    ] {
        assert_eq!(status[name], format!("{:016x}", set.bits()), "{name}");
    }
}

fn the_filter_answers_as_the_profile_says() {
    use linux_raw_sys::general::*;
    const SOCK_STREAM: usize = 1;
    const HIGH: usize = 1 << 32;
    standard().apply(&Identity::root()).unwrap();
    assert_eq!(call(__NR_getpid, [0; 3]), Ok(getpid().as_raw_nonzero().get().into()));
    assert_eq!(call(__NR_keyctl, [0; 3]), Err(Errno::PERM));
    assert_eq!(call(__NR_clone3, [0; 3]), Err(Errno::NOSYS));
    assert_eq!(call(__NR_unshare, [CLONE_NEWUSER as usize, 0, 0]), Err(Errno::PERM));
    assert_eq!(call(__NR_clone, [CLONE_NEWUSER as usize | 17, 0, 0]), Err(Errno::PERM));
    assert_eq!(call(__NR_clone, [CLONE_NEWUSER as usize | 17 | HIGH, 0, 0]), Err(Errno::PERM));
    assert_eq!(call(1000, [0; 3]), Err(Errno::NOSYS));
    assert_eq!(call(__NR_open_tree_attr, [0; 3]), Err(Errno::NOSYS));
    assert_eq!(call(__NR_io_uring_setup, [0; 3]), Err(Errno::PERM));
    for family in [38, 40, 38 | HIGH, 40 | HIGH] {
        assert_eq!(call(__NR_socket, [family, SOCK_STREAM, 0]), Err(Errno::PERM), "{family:#x}");
    }
    assert!(call(__NR_socket, [1, SOCK_STREAM, 0]).is_ok());
    assert!(call(__NR_personality, [0xffff_ffff, 0, 0]).is_ok());
    assert_eq!(call(__NR_personality, [0x4_0000, 0, 0]), Err(Errno::PERM));
    if cfg!(target_arch = "x86_64") {
        assert_eq!(call(__NR_getpid | 0x4000_0000, [0; 3]), Err(Errno::NOSYS));
    }
    assert_eq!(status()["Seccomp"], "2");
}

fn root_holds_the_standard_set_and_nothing_else() {
    let rights = standard();
    rights.apply(&Identity::root()).unwrap();
    assert_sets(rights.capabilities, rights.capabilities);
    assert_eq!((&*status()["NoNewPrivs"], &*status()["Groups"]), ("0", "0"));
}

fn what_was_inheritable_or_ambient_is_gone() {
    let held = capabilities(None).unwrap();
    set_capabilities(None, CapabilitySets { inheritable: held.permitted, ..held }).unwrap();
    configure_capability_in_ambient_set(KernelSet::CHOWN, true).unwrap();
    assert_ne!(status()["CapAmb"], "0000000000000000");
    let rights = Rights { capabilities: CapabilitySet::CHOWN, ..standard() };
    rights.apply(&Identity::root()).unwrap();
    assert_sets(CapabilitySet::CHOWN, CapabilitySet::CHOWN);
}

fn another_user_holds_nothing_and_has_its_groups() {
    let gid = Gid::from_raw;
    let rights = Rights { no_new_privs: true, ..standard() };
    rights.apply(&Identity::new(Uid::from_raw(1000), gid(100), &[gid(27)])).unwrap();
    assert_sets(rights.capabilities, CapabilitySet::empty());
    let status = status();
    for (name, value) in [
        ("Uid", "1000 1000 1000 1000"),
        ("Gid", "100 100 100 100"),
        ("Groups", "27 100"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(status[name], value, "{name}");
    }
}

fn the_sets_hold_across_execve() {
    let rights = standard();
    rights.apply(&Identity::root()).unwrap();
    let seen = Command::new("cat").arg("/proc/self/status").output().unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    for name in ["CapBnd", "CapPrm", "CapEff"] {
        assert!(
            seen.contains(&format!("{name}:\t{:016x}\n", rights.capabilities.bits())),
            "{name} in {seen}"
        );
    }
    assert!(
        seen.contains("CapInh:\t0000000000000000\n") && seen.contains("CapAmb:\t0000000000000000\n"),
        "{seen}"
    );
}

fn without_privilege_the_step_that_fails_is_named() {
    let user = Identity::new(Uid::from_raw(1000), Gid::from_raw(1000), &[]);
    let rights = standard();
    rights.apply(&user).unwrap();
    assert_eq!(
        rights.apply(&user),
        Err(Failed { operation: "install seccomp filter", errno: Errno::ACCESS })
    );
    let fewer = Rights { capabilities: CapabilitySet::empty(), ..rights };
    let operation = "drop capabilities from the bounding set";
    assert_eq!(fewer.apply(&user), Err(Failed { operation, errno: Errno::PERM }));
    assert_eq!(Identity::root().apply(), Err(Failed { operation: "set groups", errno: Errno::PERM }));
}

fn no_filter_is_no_filter() {
    let all = CapabilitySet::all() & CapabilitySet::all().bounded().unwrap();
    let rights = Rights { capabilities: all, filter: Vec::new().into(), ..standard() };
    rights.apply(&Identity::root()).unwrap();
    assert_sets(all, all);
    assert_eq!(status()["Seccomp"], "0");
}

fn a_profile_of_ones_own_is_enforced() {
    let json = br#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        {"names": ["fchdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_GE"}]}]}"#;
    let filter = seccomp::from_json(json, CapabilitySet::STANDARD, KernelVersion::running()).unwrap();
    let rights = Rights { filter: filter.instructions.into(), filter_flags: filter.flags, ..standard() };
    rights.apply(&Identity::root()).unwrap();
    assert_eq!(call(linux_raw_sys::general::__NR_getppid, [0; 3]), Err(Errno::ACCESS));
    assert_eq!(call(linux_raw_sys::general::__NR_fchdir, [6, 0, 0]), Err(Errno::BADF));
    assert_eq!(call(linux_raw_sys::general::__NR_fchdir, [7, 0, 0]), Err(Errno::PERM));
}

#[cfg(target_arch = "x86_64")]
fn i386_is_filtered_by_its_own_numbers() {
    let answer = |errno: Errno| -errno.raw_os_error();
    standard().apply(&Identity::root()).unwrap();
    assert_eq!(i386::call(20, 0), getpid().as_raw_nonzero().get());
    for (name, number, argument, errno) in [
        ("keyctl", 288, 0, Errno::PERM),
        ("unshare", 310, 0x1000_0000, Errno::PERM),
        ("clone", 120, 0x1000_0011, Errno::PERM),
        ("socket", 359, 40, Errno::PERM),
        ("clone3", 435, 0, Errno::NOSYS),
        ("none", 1000, 0, Errno::NOSYS),
    ] {
        assert_eq!(i386::call(number, argument), answer(errno), "{name}");
    }
}

/// Calls by i386's gate, which a 64-bit process can use too.
#[cfg(target_arch = "x86_64")]
mod i386 {
    pub fn call(number: u32, argument: u32) -> i32 {
        let result: u32;
        // SAFETY: as of `super::call`. rbx, which the compiler keeps for itself, is swapped in and back; the gate may
        // clear r8 to r11.
        unsafe {
            core::arch::asm!(
                "xchg rbx, rdi",
                "int 0x80",
                "xchg rbx, rdi",
                inlateout("eax") number => result,
                inlateout("rdi") u64::from(argument) => _,
                in("ecx") 0,
                in("edx") 0,
                in("esi") 0,
                lateout("r8") _,
                lateout("r9") _,
                lateout("r10") _,
                lateout("r11") _,
            );
        }
        result.cast_signed()
    }
}
