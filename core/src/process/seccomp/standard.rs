//! The standard profile: Docker's, item by item. For the standard capabilities the program is compiled with the engine
//! itself; for others the rules are put together at run time from a table of numbers that is.
//!
//! # Spec
//! moby `profiles/seccomp`, with two differences: arguments are compared by their low 32 bits, as the kernel reads them,
//! and x32 calls give ENOSYS, as on a kernel without x32.

use alloc::{borrow::Cow, vec::Vec};

use rustix::io::Errno;
use skiff_syscalls::seccomp::Instruction;

use super::{
    calls::{COMPAT, Calls, NATIVE_ARCHITECTURE, next_word},
    program::{ALLOW, Action, Comparison, Condition, ERRNO, PRIVATE, Rule, Section, Width, compile},
};
use crate::process::capability::CapabilitySet;

/// The program for a container with these capabilities.
pub fn default_program(capabilities: CapabilitySet) -> Cow<'static, [Instruction]> {
    if capabilities.intersection(RELEVANT) == CapabilitySet::STANDARD.intersection(RELEVANT) {
        return Cow::Borrowed(&STANDARD);
    }
    Cow::Owned(built_for(capabilities))
}

// Apart, for what is built takes tens of KiB of stack.
#[inline(never)]
fn built_for(capabilities: CapabilitySet) -> Vec<Instruction> {
    let built = build(capabilities);
    built.instructions[built.start..].to_vec()
}

/// Names that share a fate.
struct Group {
    when: When,
    action: Action,
    /// One of them has to hold; none: always.
    alternatives: &'static [Condition],
    names: &'static str,
}

enum When {
    Always,
    With(CapabilitySet),
    Without(CapabilitySet),
}

impl Group {
    const fn applies(&self, capabilities: CapabilitySet) -> bool {
        match self.when {
            When::Always => true,
            When::With(one) => capabilities.contains(one),
            When::Without(one) => !capabilities.contains(one),
        }
    }
}

const fn allow(when: When, names: &'static str) -> Group {
    Group { when, action: ALLOW, alternatives: &[], names }
}

const fn first_argument(comparison: Comparison, value: u64) -> Condition {
    Condition { argument: 0, width: Width::Narrow, comparison, value }
}

const DENY: Action = ERRNO | Errno::PERM.raw_os_error() as u32;
const UNKNOWN: Action = ERRNO | Errno::NOSYS.raw_os_error() as u32;

/// CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
const NAMESPACES: u64 = 0x7e02_0000;

/// All of the profile. Names that an architecture doesn't have are left out there, so that conditions on the architecture
/// are not needed.
static GROUPS: [Group; 21] = [
    allow(When::Always, ALWAYS),
    Group {
        when: When::Always,
        action: ALLOW,
        // Every address family but AF_ALG (38) and AF_VSOCK (40).
        alternatives: &[
            first_argument(Comparison::Less, 38),
            first_argument(Comparison::Equal, 39),
            first_argument(Comparison::Greater, 40),
        ],
        names: "socket",
    },
    Group {
        when: When::Always,
        action: ALLOW,
        // PER_LINUX, PER_LINUX32, both with UNAME26, and the question for the present one.
        alternatives: &[
            first_argument(Comparison::Equal, 0),
            first_argument(Comparison::Equal, 8),
            first_argument(Comparison::Equal, 0x20000),
            first_argument(Comparison::Equal, 0x20008),
            first_argument(Comparison::Equal, 0xffff_ffff),
        ],
        names: "personality",
    },
    Group {
        when: When::Without(CapabilitySet::SYS_ADMIN),
        action: ALLOW,
        alternatives: &[first_argument(Comparison::Masked(NAMESPACES), 0)],
        names: "clone",
    },
    // Its flags are in memory, where a filter can't look; libcs fall back to clone.
    Group {
        when: When::Without(CapabilitySet::SYS_ADMIN),
        action: UNKNOWN,
        alternatives: &[],
        names: "clone3",
    },
    allow(
        When::With(CapabilitySet::SYS_ADMIN),
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    allow(When::With(CapabilitySet::DAC_READ_SEARCH), "open_by_handle_at"),
    allow(When::With(CapabilitySet::SYS_BOOT), "reboot"),
    allow(When::With(CapabilitySet::SYS_CHROOT), "chroot"),
    allow(When::With(CapabilitySet::SYS_MODULE), "delete_module init_module finit_module"),
    allow(When::With(CapabilitySet::SYS_PACCT), "acct"),
    // Docker's other three of this group are allowed to everybody since 4.8, as ALWAYS has them.
    allow(When::With(CapabilitySet::SYS_PTRACE), "kcmp pidfd_getfd process_madvise"),
    allow(When::With(CapabilitySet::SYS_RAWIO), "iopl ioperm"),
    allow(When::With(CapabilitySet::SYS_TIME), "settimeofday stime clock_settime clock_settime64"),
    allow(When::With(CapabilitySet::SYS_TTY_CONFIG), "vhangup"),
    allow(When::With(CapabilitySet::SYS_NICE), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    allow(When::With(CapabilitySet::SYSLOG), "syslog"),
    allow(When::With(CapabilitySet::BPF), "bpf"),
    allow(When::With(CapabilitySet::PERFMON), "perf_event_open"),
    // The kernel is newer than 4.8, from which on the filter is asked after the tracer and cannot be got around.
    allow(When::Always, "process_vm_readv process_vm_writev ptrace"),
    // Calls that one family of architectures has.
    allow(
        When::Always,
        "arch_prctl modify_ldt riscv_flush_icache arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint \
         cacheflush set_tls",
    ),
];

const ALWAYS: &str = "\
    _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown \
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 \
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old \
    eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate \
    fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr \
    flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate \
    ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list \
    get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 \
    getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
    getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday \
    getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel \
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set \
    ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link \
    linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise \
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
    mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
    mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall \
    munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe \
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 \
    process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv \
    recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat \
    renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max \
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile \
    sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 \
    setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 \
    setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 \
    setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn \
    socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync \
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 \
    timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat \
    uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// The capabilities that make a difference.
const RELEVANT: CapabilitySet = {
    let mut relevant = CapabilitySet::empty();
    let mut i = 0;
    while i < GROUPS.len() {
        if let When::With(one) | When::Without(one) = GROUPS[i].when {
            relevant = relevant.union(one);
        }
        i += 1;
    }
    relevant
};

/// A call of the profile: its number and, in the low byte, the index of its group. Sorted, this is also the order in
/// which the compiler wants the rules.
type Entry = u32;

const CAPACITY: usize = 512;

struct Entries {
    list: [Entry; CAPACITY],
    len: usize,
}

const fn entries(calls: &Calls) -> Entries {
    let mut entries = Entries { list: [0; CAPACITY], len: 0 };
    let mut group = 0;
    while group < GROUPS.len() {
        let mut text = GROUPS[group].names;
        while let Some((name, rest)) = next_word(text) {
            if let Some(number) = calls.get(name) {
                let entry = number << 8 | group as u32;
                let mut i = entries.len;
                while i > 0 && entries.list[i - 1] > entry {
                    entries.list[i] = entries.list[i - 1];
                    i -= 1;
                }
                entries.list[i] = entry;
                entries.len += 1;
            }
            text = rest;
        }
        group += 1;
    }
    entries
}

const fn trimmed<const LEN: usize>(entries: &Entries) -> [Entry; LEN] {
    let mut list = [0; LEN];
    let mut i = 0;
    while i < LEN {
        list[i] = entries.list[i];
        i += 1;
    }
    list
}

const NATIVE_ENTRIES: Entries = entries(&Calls::native());
static NATIVE: [Entry; NATIVE_ENTRIES.len] = trimmed(&NATIVE_ENTRIES);
const COMPAT_ENTRIES: Entries = entries(&Calls::compat());
static COMPAT_LIST: [Entry; COMPAT_ENTRIES.len] = trimmed(&COMPAT_ENTRIES);

struct Rules {
    list: [Rule<'static>; CAPACITY],
    len: usize,
    newest: Option<u32>,
}

impl Rules {
    const fn section(&self, architecture: u32) -> Section<'_> {
        let rules = self.list.split_at(self.len).0;
        // x32 numbers are above the newest one.
        Section { architecture, rules, default: DENY, newest: self.newest, newer: UNKNOWN, x32: None }
    }
}

/// The rules that hold for a container with these capabilities.
const fn rules(entries: &[Entry], capabilities: CapabilitySet) -> Rules {
    let mut rules =
        Rules { list: [Rule { number: 0, action: 0, conditions: &[] }; CAPACITY], len: 0, newest: None };
    let mut i = 0;
    while i < entries.len() {
        let group = &GROUPS[(entries[i] & 0xff) as usize];
        if group.applies(capabilities) {
            let number = entries[i] >> 8;
            if number < PRIVATE {
                rules.newest = Some(number);
            }
            let mut alternatives = group.alternatives;
            loop {
                let (conditions, rest) = alternatives.split_at(if alternatives.is_empty() { 0 } else { 1 });
                rules.list[rules.len] = Rule { number, action: group.action, conditions };
                rules.len += 1;
                alternatives = rest;
                if rest.is_empty() {
                    break;
                }
            }
        }
        i += 1;
    }
    rules
}

struct Built {
    instructions: [Instruction; CAPACITY],
    start: usize,
}

const NOTHING: Instruction = Instruction { code: 0, if_true: 0, if_false: 0, operand: 0 };

const fn build(capabilities: CapabilitySet) -> Built {
    let native = rules(&NATIVE, capabilities);
    let compat = rules(&COMPAT_LIST, capabilities);
    let both = [
        native.section(NATIVE_ARCHITECTURE),
        compat.section(match COMPAT {
            Some((_, architecture)) => architecture,
            None => 0,
        }),
    ];
    let sections = both.split_at(if COMPAT.is_some() { 2 } else { 1 }).0;
    let mut built = Built { instructions: [NOTHING; CAPACITY], start: 0 };
    match compile(sections, &mut built.instructions) {
        Ok(start) => built.start = start,
        Err(_) => panic!("the standard profile fits, as a test over all sets of capabilities shows"),
    }
    built
}

const STANDARD_BUILT: Built = build(CapabilitySet::STANDARD);

/// The program for the standard capabilities.
static STANDARD: [Instruction; CAPACITY - STANDARD_BUILT.start] = {
    let mut program = [NOTHING; CAPACITY - STANDARD_BUILT.start];
    let mut i = 0;
    while i < program.len() {
        program[i] = STANDARD_BUILT.instructions[STANDARD_BUILT.start + i];
        i += 1;
    }
    program
};

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, vec::Vec};

    use super::*;
    use crate::process::seccomp::{
        interpreter::{Call, run},
        program::KILL_PROCESS,
    };

    /// The architectures of the program, with their tables.
    fn architectures() -> impl Iterator<Item = (u32, Calls)> {
        [(NATIVE_ARCHITECTURE, Calls::native())]
            .into_iter()
            .chain(COMPAT.map(|(_, architecture)| (architecture, Calls::compat())))
    }

    /// The profile read group by group: the groups of each number, and the newest number.
    fn table(calls: &Calls, capabilities: CapabilitySet) -> (BTreeMap<u32, Vec<&'static Group>>, u32) {
        let mut table = BTreeMap::<_, Vec<_>>::new();
        for group in GROUPS.iter().filter(|group| group.applies(capabilities)) {
            for number in group.names.split(' ').filter_map(|name| calls.get(name)) {
                table.entry(number).or_default().push(group);
            }
        }
        let newest = *table.keys().rfind(|number| **number < 0xf0000).unwrap();
        (table, newest)
    }

    fn holds(condition: &Condition, argument: u64) -> bool {
        let low = argument & 0xffff_ffff;
        match condition.comparison {
            Comparison::Less => low < condition.value,
            Comparison::Equal => low == condition.value,
            Comparison::Greater => low > condition.value,
            Comparison::Masked(mask) => low & mask == condition.value,
            _ => panic!("the profile has no other"),
        }
    }

    const ARGUMENTS: [u64; 22] = [
        0,
        1,
        2,
        8,
        0x11,
        37,
        38,
        39,
        40,
        41,
        0x20000,
        0x20008,
        0x20009,
        0x3d0f00,
        0x1000_0000,
        0x7e02_0000,
        0xffff_ffff,
        38 | 1 << 32,
        39 | 1 << 32,
        40 | 1 << 32,
        1 << 32,
        u64::MAX,
    ];

    fn program_is_the_profile(capabilities: CapabilitySet) {
        let program = default_program(capabilities);
        for (architecture, calls) in architectures() {
            let (table, newest) = table(&calls, capabilities);
            for number in (0..1100).chain(0xeffff..0xf0010).chain(0x3fff_ffff..0x4000_0400).chain([u32::MAX])
            {
                let groups = table.get(&number).map_or(&[][..], Vec::as_slice);
                for argument in ARGUMENTS {
                    let allowed = groups.iter().find(|group| {
                        group.alternatives.is_empty()
                            || group.alternatives.iter().any(|one| holds(one, argument))
                    });
                    let expected = match allowed {
                        Some(group) => group.action,
                        None if number > newest && groups.is_empty() => UNKNOWN,
                        None => DENY,
                    };
                    let call = Call { architecture, number, arguments: [argument, 0, 0, 0, 0, 0] };
                    assert_eq!(run(&program, &call), expected, "{call:x?} {capabilities:?}");
                }
            }
        }
    }

    #[test]
    fn the_program_of_the_build_is_that_of_the_run_time_compiler() {
        let built = build(CapabilitySet::STANDARD);
        assert!(matches!(default_program(CapabilitySet::STANDARD), Cow::Borrowed(_)));
        assert_eq!(*default_program(CapabilitySet::STANDARD), built.instructions[built.start..]);
    }

    #[test]
    fn the_program_is_the_profile_for_every_call() {
        program_is_the_profile(CapabilitySet::STANDARD);
        program_is_the_profile(CapabilitySet::empty());
        program_is_the_profile(CapabilitySet::all());
    }

    #[test]
    fn the_program_is_the_profile_for_every_relevant_capability() {
        for one in RELEVANT.iter() {
            program_is_the_profile(CapabilitySet::STANDARD.symmetric_difference(one));
        }
    }

    #[test]
    fn the_program_fits_for_every_set_of_relevant_capabilities() {
        let mut set = 0u64;
        loop {
            // Counts through the subsets of RELEVANT.
            let built = build(CapabilitySet::from_bits_retain(set));
            assert!(built.start > 128, "{set:x}");
            set = set.wrapping_sub(RELEVANT.bits()) & RELEVANT.bits();
            if set == 0 {
                break;
            }
        }
    }

    #[test]
    fn a_capability_that_makes_no_difference_compiles_nothing() {
        let more = CapabilitySet::STANDARD | CapabilitySet::NET_ADMIN;
        assert!(matches!(default_program(more), Cow::Borrowed(_)));
        assert!(matches!(default_program(more | CapabilitySet::SYS_ADMIN), Cow::Owned(_)));
    }

    #[test]
    fn the_profile_says_what_docker_says() {
        let calls = Calls::native();
        let answer = |capabilities, name: &str, argument| {
            let number = calls.get(name).unwrap();
            let arguments = [argument, 0, 0, 0, 0, 0];
            run(
                &default_program(capabilities),
                &Call { architecture: NATIVE_ARCHITECTURE, number, arguments },
            )
        };
        let standard = |name, argument| answer(CapabilitySet::STANDARD, name, argument);
        let admin =
            |name, argument| answer(CapabilitySet::STANDARD | CapabilitySet::SYS_ADMIN, name, argument);
        for name in ["read", "getpid", "execve", "ptrace", "chroot", "openat2", "seccomp", "removexattrat"] {
            assert_eq!(standard(name, 0), ALLOW, "{name}");
        }
        for name in [
            "keyctl",
            "add_key",
            "unshare",
            "mount",
            "bpf",
            "io_uring_setup",
            "userfaultfd",
            "kexec_load",
            "syslog",
        ] {
            assert_eq!(standard(name, 0), DENY, "{name}");
        }
        for name in ["clone3", "open_tree_attr", "file_getattr"] {
            assert_eq!(standard(name, 0), UNKNOWN, "{name}");
        }
        for name in ["clone3", "unshare", "mount", "bpf", "syslog"] {
            assert_eq!(admin(name, 0x1000_0000), ALLOW, "{name}");
        }
        assert_eq!(standard("clone", 0x11), ALLOW);
        assert_eq!(standard("clone", 0x1000_0011), DENY);
        assert_eq!(standard("clone", 0x1_1000_0011), DENY);
        assert_eq!(admin("clone", 0x1000_0011), ALLOW);
        assert_eq!(standard("socket", 1), ALLOW);
        assert_eq!(standard("socket", 38), DENY);
        assert_eq!(standard("socket", 40), DENY);
        assert_eq!(standard("socket", 40 | 1 << 32), DENY);
        assert_eq!(standard("personality", 8), ALLOW);
        assert_eq!(standard("personality", 0x40000), DENY);
        assert_eq!(standard("personality", u64::MAX), ALLOW);
        assert_eq!(answer(CapabilitySet::STANDARD - CapabilitySet::SYS_CHROOT, "chroot", 0), DENY);
        assert_eq!(standard("memfd_secret", 0), ALLOW);
    }

    #[test]
    fn a_foreign_architecture_ends_the_process() {
        let call = Call { architecture: 0x1234, ..Call::default() };
        assert_eq!(run(&default_program(CapabilitySet::STANDARD), &call), KILL_PROCESS);
    }

    #[test]
    fn every_name_of_the_profile_is_there_once_and_the_program_is_short() {
        assert_eq!(ALWAYS.split(' ').count(), 361);
        assert!(STANDARD.len() < 180, "{}", STANDARD.len());
    }
}
