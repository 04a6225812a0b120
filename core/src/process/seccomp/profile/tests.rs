//! Profiles by example.

use std::{format, string::ToString};

use super::*;
use crate::process::seccomp::{
    interpreter::{Call, run},
    program::{ALLOW, ERRNO, KILL_PROCESS, KILL_THREAD, LOG, TRACE, TRAP},
};

const KERNEL: KernelVersion = KernelVersion { major: 6, minor: 1 };
const EPERM: Action = ERRNO | 1;
const ENOSYS: Action = ERRNO | 38;

fn compiled(json: &str) -> Filter {
    from_json(json.as_bytes(), CapabilitySet::STANDARD, KERNEL).unwrap()
}

fn fault(json: &str) -> String {
    from_json(json.as_bytes(), CapabilitySet::STANDARD, KERNEL).unwrap_err().to_string()
}

fn native(filter: &Filter, name: &str, arguments: [u64; 6]) -> Action {
    let number = Calls::native().get(name).unwrap();
    run(&filter.instructions, &Call { architecture: NATIVE_ARCHITECTURE, number, arguments })
}

fn entry(entry: &str) -> String {
    format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{entry}]}}"#)
}

#[test]
fn actions_are_the_kernels() {
    for (name, action) in [
        (r#""SCMP_ACT_ALLOW""#, ALLOW),
        (r#""SCMP_ACT_ERRNO", "errnoRet": 13"#, ERRNO | 13),
        (r#""SCMP_ACT_KILL""#, KILL_THREAD),
        (r#""SCMP_ACT_KILL_THREAD""#, KILL_THREAD),
        (r#""SCMP_ACT_KILL_PROCESS""#, KILL_PROCESS),
        (r#""SCMP_ACT_TRAP""#, TRAP),
        (r#""SCMP_ACT_TRACE", "errnoRet": 7"#, TRACE | 7),
        (r#""SCMP_ACT_LOG""#, LOG),
    ] {
        let filter =
            compiled(&entry(&format!(r#"{{"names": ["getpid", "no_such_call"], "action": {name}}}"#)));
        assert_eq!(native(&filter, "getpid", [0; 6]), action, "{name}");
        assert_eq!(native(&filter, "read", [0; 6]), EPERM);
    }
}

#[test]
fn calls_above_the_newest_in_the_profile_are_unknown_unless_all_is_allowed() {
    let filter = compiled(&entry(r#"{"name": "openat2", "action": "SCMP_ACT_ALLOW"}"#));
    assert_eq!(native(&filter, "clone3", [0; 6]), EPERM);
    assert_eq!(native(&filter, "faccessat2", [0; 6]), ENOSYS);
    // Also an entry that says what happens anyway tells what its writer knew.
    let filter = compiled(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
            {"names": ["faccessat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#,
    );
    assert_eq!(native(&filter, "faccessat2", [0; 6]), ERRNO | 13);
    assert_eq!(native(&filter, "process_madvise", [0; 6]), ENOSYS);
    let filter = compiled(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#,
    );
    assert_eq!(native(&filter, "mkdirat", [0; 6]), EPERM);
    assert_eq!(native(&filter, "faccessat2", [0; 6]), ALLOW);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x32_is_no_way_around_a_list_of_what_is_denied() {
    let filter = compiled(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#,
    );
    let number = Calls::native().get("mkdirat").unwrap() | 0x4000_0000;
    let call = Call { architecture: NATIVE_ARCHITECTURE, number, ..Call::default() };
    assert_eq!(run(&filter.instructions, &call), ENOSYS);
}

#[test]
fn a_profile_that_says_nothing_is_no_filter() {
    assert!(compiled("{}").instructions.is_empty());
    assert!(compiled(r#"{"defaultAction": "", "syscalls": null}"#).instructions.is_empty());
    assert!(!compiled(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).instructions.is_empty());
}

#[test]
fn an_int_is_compared_by_its_low_half_and_a_size_by_all_of_it() {
    let with = |name: &str, args: &str| {
        compiled(&entry(&format!(r#"{{"names": ["{name}"], "action": "SCMP_ACT_LOG", "args": [{args}]}}"#)))
    };
    let filter = with("socket", r#"{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}"#);
    assert_eq!(native(&filter, "socket", [40, 0, 0, 0, 0, 0]), LOG);
    assert_eq!(native(&filter, "socket", [40 | 1 << 32, 0, 0, 0, 0, 0]), LOG);
    let filter = with("mmap", r#"{"index": 1, "value": 4096, "op": "SCMP_CMP_LE"}"#);
    assert_eq!(native(&filter, "mmap", [0, 4096, 0, 0, 0, 0]), LOG);
    assert_eq!(native(&filter, "mmap", [0, 4096 | 1 << 32, 0, 0, 0, 0]), EPERM);
    // -1 however it is written
    for value in [u64::from(u32::MAX), u64::MAX] {
        let filter = with("kill", &format!(r#"{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}"#));
        assert_eq!(native(&filter, "kill", [u64::MAX, 9, 0, 0, 0, 0]), LOG);
        assert_eq!(native(&filter, "kill", [u64::from(u32::MAX), 9, 0, 0, 0, 0]), LOG);
    }
    // what an int never is
    let filter = with("kill", r#"{"index": 0, "value": 4294967296, "op": "SCMP_CMP_EQ"}"#);
    assert_eq!(native(&filter, "kill", [1 << 32, 9, 0, 0, 0, 0]), EPERM);
    let filter = with("kill", r#"{"index": 0, "value": 4294967296, "op": "SCMP_CMP_LT"}"#);
    assert_eq!(native(&filter, "kill", [1 << 32, 9, 0, 0, 0, 0]), LOG);
}

#[test]
fn conditions_on_one_argument_are_alternatives_and_on_several_all_hold() {
    let filter = compiled(&entry(
        r#"{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
           {"names": ["fcntl"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 3, "op": "SCMP_CMP_GE"},
            {"index": 1, "value": 6, "valueTwo": 4, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
    ));
    for (argument, action) in [(0, ALLOW), (8, ALLOW), (9, EPERM)] {
        assert_eq!(native(&filter, "personality", [argument, 0, 0, 0, 0, 0]), action);
    }
    for (fd, command, action) in [(3, 4, ALLOW), (3, 13, ALLOW), (2, 4, EPERM), (3, 6, EPERM)] {
        assert_eq!(native(&filter, "fcntl", [fd, command, 0, 0, 0, 0]), action, "{fd} {command}");
    }
}

#[test]
fn includes_and_excludes_choose_entries() {
    let with = |scope: &str, capabilities| {
        let json = entry(&format!(r#"{{"names": ["getpid"], "action": "SCMP_ACT_ALLOW", {scope}}}"#));
        let filter = from_json(json.as_bytes(), capabilities, KERNEL).unwrap();
        native(&filter, "getpid", [0; 6]) == ALLOW
    };
    let chown = CapabilitySet::CHOWN;
    let none = CapabilitySet::empty();
    assert!(with(r#""includes": {"caps": ["CAP_CHOWN"]}"#, chown));
    assert!(!with(r#""includes": {"caps": ["CAP_CHOWN"]}"#, none));
    assert!(!with(r#""includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}"#, chown));
    assert!(!with(r#""excludes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}"#, chown));
    assert!(with(r#""excludes": {"caps": ["CAP_CHOWN"]}"#, none));
    assert!(with(&format!(r#""includes": {{"arches": ["s390", "{NAME}"]}}"#), none));
    assert!(!with(r#""includes": {"arches": ["s390"]}"#, none));
    assert!(!with(&format!(r#""excludes": {{"arches": ["{NAME}"]}}"#), none));
    assert!(with(r#""includes": {"minKernel": "6.1"}, "excludes": {"minKernel": "6.2"}"#, none));
    assert!(!with(r#""includes": {"minKernel": "6.2"}"#, none));
    assert!(!with(r#""excludes": {"minKernel": "5.15"}"#, none));
    assert!(with(r#""includes": {}, "excludes": {"caps": null, "arches": []}, "comment": "x""#, none));
}

#[test]
fn faults_name_the_entry() {
    let ok = r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#;
    for (json, text) in [
        (r#"{"defaultAction": "X"}"#.to_string(), "seccomp profile: defaultAction: unknown action X"),
        (
            entry(&format!(r#"{ok}, {ok}, {ok}, {{"names": ["read"], "action": "SCMP_ACT_FOO"}}"#)),
            "seccomp profile: syscalls[3]: unknown action SCMP_ACT_FOO",
        ),
        (
            entry(r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#),
            "seccomp profile: syscalls[0]: SCMP_ACT_NOTIFY is not supported: no listener can be asked",
        ),
        (
            entry(r#"{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}"#),
            "seccomp profile: syscalls[0]: errnoRet 4096 is more than 4095",
        ),
        (
            entry(r#"{"names": ["read"], "name": "x", "action": "SCMP_ACT_ALLOW"}"#),
            "seccomp profile: syscalls[0]: both name and names are given",
        ),
        (
            entry(
                r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            "seccomp profile: syscalls[0]: args[0]: index 6 is not an argument: they are 0 to 5",
        ),
        (
            entry(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "op": "EQ"}]}"#),
            "seccomp profile: syscalls[0]: args[0]: unknown op EQ",
        ),
        (
            entry(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}"#),
            "seccomp profile: syscalls[0]: minKernel: \"new\" is not a version such as 4.8",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["Z80"]}"#.to_string(),
            "seccomp profile: unknown architecture Z80",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"], "archMap": [{}]}"#
                .to_string(),
            "seccomp profile: both architectures and archMap are given",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["F"]}"#.to_string(),
            "seccomp profile: flags[0]: unknown flag F",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#.to_string(),
            "seccomp profile: listenerPath: no listener can be asked",
        ),
    ] {
        assert_eq!(fault(&json), text);
    }
    assert!(fault(r#"{"syscalls": 3}"#).starts_with("seccomp profile: invalid type: integer `3`"));
    assert!(fault("").starts_with("seccomp profile: EOF while parsing"));
    assert_eq!(
        from_json(&vec![b' '; MAX_BYTES + 1], CapabilitySet::STANDARD, KERNEL).unwrap_err().to_string(),
        "seccomp profile: 4194305 bytes are more than the 4194304 allowed"
    );
}

#[test]
fn a_profile_that_is_too_long_is_refused() {
    let arg = |value: u32| format!(r#"{{"index": 1, "value": {value}, "op": "SCMP_CMP_LE"}}"#);
    let args = (1..1000).map(arg).collect::<Vec<_>>().join(",");
    let json = entry(&format!(r#"{{"names": ["mmap"], "action": "SCMP_ACT_ALLOW", "args": [{args}]}}"#));
    assert_eq!(
        fault(&json),
        "seccomp profile: it needs more than the 4096 instructions that the kernel takes"
    );
}

#[test]
fn flags_are_the_kernels() {
    let flags = |text: &str| compiled(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW"{text}}}"#)).flags;
    assert_eq!(flags(""), FilterFlags::SPEC_ALLOW);
    assert_eq!(flags(r#", "flags": []"#), FilterFlags::empty());
    assert_eq!(
        flags(r#", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]"#),
        FilterFlags::LOG
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn i386_is_filtered_by_its_own_numbers_if_the_profile_names_it() {
    let profile = |architectures: &str| {
        compiled(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", {architectures}, "syscalls": [
                {{"names": ["getpid", "bind"], "action": "SCMP_ACT_ERRNO"}},
                {{"names": ["socket"], "action": "SCMP_ACT_TRAP", "args": [{{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}}]}}]}}"#
        ))
    };
    let answer = |filter: &Filter, number, argument| {
        let architecture = COMPAT.unwrap().1;
        run(&filter.instructions, &Call { architecture, number, arguments: [argument, 0, 0, 0, 0, 0] })
    };
    let map = r#""archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}]"#;
    for both in [r#""architectures": ["SCMP_ARCH_X86"]"#, map] {
        let filter = profile(both);
        assert_eq!(answer(&filter, 20, 0), EPERM);
        assert_eq!(answer(&filter, 39, 0), ALLOW);
        // bind is number 361, and 2 of socketcall
        assert_eq!(answer(&filter, 361, 0), EPERM);
        assert_eq!([1, 2, 3].map(|selector| answer(&filter, 102, selector)), [TRAP, EPERM, ALLOW]);
    }
    let filter = profile(r#""architectures": ["SCMP_ARCH_X86_64"]"#);
    assert_eq!(answer(&filter, 39, 0), KILL_PROCESS);
}

#[test]
fn versions_are_read_from_releases() {
    assert_eq!(KernelVersion::parse("6.18.44-fc"), Some(KernelVersion { major: 6, minor: 18 }));
    assert_eq!(KernelVersion::parse("4.8"), Some(KernelVersion { major: 4, minor: 8 }));
    assert_eq!(KernelVersion::parse("5.15+"), Some(KernelVersion { major: 5, minor: 15 }));
    assert!(["", "6", "x.y", "6.", "-1.2"].iter().all(|text| KernelVersion::parse(text).is_none()));
    assert!(KernelVersion::running() > KernelVersion { major: 3, minor: 0 });
}
