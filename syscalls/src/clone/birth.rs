//! A child in new namespaces, made while this process goes on. The kernel takes most of a millisecond for a network
//! namespace and keeps the caller of clone3 waiting, so somebody else calls it: a midwife, a process that shares this
//! one's memory and descriptors, and does nothing but that. CLONE_PARENT makes the child this process's own. What takes
//! longest the midwife makes for itself, and the child inherits it: for that, nobody has to know yet in which control group
//! the child will be. Afterwards the midwife lends a hand with [mounting](Birth::mount) what this process has prepared,
//! if it has a processor for that.
//!
//! The child waits for what it is to do. It borrows this process's memory like one of [`vfork`](super::vfork), and as
//! there, this process sleeps while the child works, so that no two processes ever use the same values. Until then the
//! child uses its stack and what is in [`Shared`], and makes what every container has: a loopback interface that is up,
//! and the [`Standard`] file systems of its namespaces.

use core::{
    convert::Infallible,
    ffi::c_void,
    ptr::NonNull,
    sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering},
};

use linux_raw_sys::general::{
    CLONE_CHILD_CLEARTID, CLONE_FILES, CLONE_INTO_CGROUP, CLONE_PARENT, CLONE_VM, clone_args,
};
use rustix::{
    event::Timespec,
    fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    io::Errno,
    mount::{FsMountFlags, MountAttrFlags, fsconfig_create, fsmount},
    process::{Pid, PidfdFlags, WaitId, WaitIdOptions, waitid},
    thread::{ThreadNameSpaceType, UnshareFlags, futex},
};

use super::{CloneFlags, STACK, arguments, clone_onto_stack, die_with, map};
use crate::{
    exec, network,
    processor::Processors,
    signal,
    standard::{self, Standard},
};

/// What the three processes share, at the start of the mapping whose rest is two stacks.
struct Shared {
    /// 0, then the child's number, or an error's, negative.
    born: AtomicU32,
    /// [`WAIT`], [`RUN`] or [`LEAVE`].
    order: AtomicU32,
    /// Not 0 as long as the child borrows this memory; the kernel sets it to 0 and wakes who waits.
    borrowed: AtomicU32,
    /// The child's pidfd, by the kernel.
    pidfd: AtomicI32,
    /// The address of what the child runs.
    closure: AtomicUsize,
    /// For the child.
    arguments: clone_args,
    /// The control group that it is to be born in, or [`UNKNOWN`], [`NOWHERE`], or [`OWN`].
    cgroup: AtomicU32,
    /// A pidfd of the process that all this is for.
    parent: RawFd,
    /// A process whose pid namespace the child is to be born in, or -1.
    pid_namespace: RawFd,
    /// The same for its user namespace.
    user_namespace: RawFd,
    /// Where the process that all this is for may run, and so may the child.
    processors: Processors,
    /// The file system context that is to be mounted from, or [`UNKNOWN`], or [`NOWHERE`]; [`TAKEN`] as soon as somebody
    /// does that.
    context: AtomicU32,
    /// The mount, or an error's number, negative; [`PENDING`] until then.
    mounted: AtomicU32,
    /// What came of bringing up the loopback interface: 0, or an error's number.
    loopback: AtomicI32,
    /// Whether the child makes the standard file systems.
    standard: bool,
    /// 1 when the child has come so far that it waits.
    ready: AtomicU32,
    /// The standard file systems, in the descriptors that both have; -1 if they were not made.
    made: [AtomicI32; standard::COUNT],
}

impl Shared {
    /// Mounts from the context, unless none was named, or somebody else is at it.
    fn mount(&self) -> Option<Result<OwnedFd, Errno>> {
        let context = self.context.load(Ordering::Relaxed);
        if matches!(context, UNKNOWN | NOWHERE | TAKEN) {
            return None;
        }
        self.context.compare_exchange(context, TAKEN, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        // SAFETY: whoever named it keeps it open until there is the mount.
        Some(mount(unsafe { BorrowedFd::borrow_raw(context as RawFd) }))
    }
}

const WAIT: u32 = 0;
const RUN: u32 = 1;
const LEAVE: u32 = 2;

/// Nothing has been named yet.
const UNKNOWN: u32 = u32::MAX;
/// Nothing will be: there is to be no child, or nothing to mount.
const NOWHERE: u32 = u32::MAX - 1;

/// It is that of the process that all this is for.
const OWN: u32 = u32::MAX - 2;

/// Somebody is at it.
const TAKEN: u32 = u32::MAX - 3;

/// No error's number.
const PENDING: u32 = i32::MIN as u32;

/// There is no mount to be taken, as an error's number: ECHILD.
const NOT_THERE: u32 = -Errno::CHILD.raw_os_error() as u32;

/// What a midwife can make for itself. It stays among this process's mounts.
const EARLY: CloneFlags = CloneFlags::NEWNET.union(CloneFlags::NEWIPC).union(CloneFlags::NEWUTS);

/// Bytes at the start of the mapping for [`Shared`].
const HEAD: usize = 4096;
/// Bytes of all of it.
const LENGTH: usize = HEAD + 2 * STACK;

type Closure<'a> = &'a mut dyn FnMut() -> Infallible;

/// Whose namespaces a child is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Those that are made with it, for good, and a control group namespace: it makes the [`Standard`] file systems.
    Own,
    /// It has still to enter others, or to become somebody in them.
    Shared,
}

/// Processes in whose namespaces a child is to be born.
#[derive(Debug, Clone, Copy, Default)]
pub struct Family<'a> {
    /// Its pid namespace is that one's.
    pub pid: Option<BorrowedFd<'a>>,
    /// Its user namespace is that one's, which then owns the namespaces that are made.
    pub user: Option<BorrowedFd<'a>>,
}

/// Why there is no child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stillborn {
    /// clone3 failed.
    Clone(Errno),
    /// The loopback interface of its network namespace could not be brought up.
    Loopback(Errno),
}

/// A child that is being made. Dropped, it goes without having done anything.
#[derive(Debug)]
pub struct Birth {
    shared: NonNull<Shared>,
    midwife: Option<Pid>,
    /// What [`Shared`] names by number.
    _parent: OwnedFd,
}

impl Birth {
    /// Has a child made in new namespaces, in those of other processes if some are given, as soon as a control group is
    /// [named](Birth::enter). In a new network namespace it brings up the loopback interface while it waits.
    ///
    /// Until the child has been [run](Birth::run), this process stays on its processor.
    ///
    /// # Kernel
    /// clone3 with CLONE_PIDFD, 5.3.
    ///
    /// # Errors
    /// EAGAIN, ENOMEM. What is wrong with the namespaces is said by [`Birth::run`].
    pub fn begin(namespaces: CloneFlags, family: Family<'_>, place: Place) -> Result<Birth, Errno> {
        let parent = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let processors = Processors::own();
        let shared = map(LENGTH)?.cast::<Shared>();
        let more = u64::from(CLONE_VM | CLONE_FILES | CLONE_PARENT | CLONE_CHILD_CLEARTID);
        // SAFETY: a fresh mapping, aligned to a page and longer than the value.
        let at = unsafe {
            shared.write(Shared {
                born: AtomicU32::new(0),
                order: AtomicU32::new(WAIT),
                borrowed: AtomicU32::new(1),
                pidfd: AtomicI32::new(-1),
                closure: AtomicUsize::new(0),
                arguments: arguments(namespaces, None, &mut -1, more),
                cgroup: AtomicU32::new(UNKNOWN),
                context: AtomicU32::new(UNKNOWN),
                mounted: AtomicU32::new(PENDING),
                parent: parent.as_raw_fd(),
                pid_namespace: family.pid.map_or(-1, |process| process.as_raw_fd()),
                user_namespace: family.user.map_or(-1, |process| process.as_raw_fd()),
                processors,
                loopback: AtomicI32::new(0),
                standard: place == Place::Own,
                ready: AtomicU32::new(0),
                made: [const { AtomicI32::new(-1) }; standard::COUNT],
            });
            let arguments = &mut (*shared).arguments;
            // The child sends what the midwife would, so CLONE_PARENT wants none here.
            arguments.exit_signal = 0;
            arguments.pidfd = (*shared).pidfd.as_ptr() as u64;
            arguments.child_tid = (*shared).borrowed.as_ptr() as u64;
            arguments.stack = shared as u64 + (HEAD + STACK) as u64;
            arguments.stack_size = STACK as u64;
            NonNull::new_unchecked(shared)
        };
        let mut birth = Birth { shared: at, midwife: None, _parent: parent };
        let mut args = arguments(CloneFlags::empty(), None, &mut -1, u64::from(CLONE_VM | CLONE_FILES));
        args.flags &= !u64::from(super::CLONE_PIDFD);
        args.pidfd = 0;
        args.stack = shared as u64 + HEAD as u64;
        args.stack_size = STACK as u64;
        // SAFETY: the midwife runs `deliver` on its own stack, in the mapping that lives until it has been waited for.
        let result = unsafe { clone_onto_stack(&args, deliver as *const () as usize, shared as usize) };
        birth.midwife = Pid::from_raw(result? as i32);
        if let Some(midwife) = birth.midwife {
            processors.move_away(midwife);
        }
        processors.stay();
        Ok(birth)
    }

    /// The control group that the child will be born in, whose descriptor stays open until it is; or this process's.
    ///
    /// # Kernel
    /// clone3 with CLONE_INTO_CGROUP, 5.7.
    pub fn enter(&self, cgroup: Option<BorrowedFd<'_>>) {
        set(&self.shared().cgroup, cgroup.map_or(OWN, |cgroup| cgroup.as_raw_fd() as u32));
    }

    /// Lets the child run `child`, and waits until it has executed a program or has exited. What it writes to memory is
    /// seen here. It keeps away from this process's processor until it [roams](Processors::roam).
    ///
    /// # Errors
    /// Of clone3: EPERM, ENOSPC, ENOMEM, EAGAIN; of the interface: EPERM.
    pub fn run(mut self, child: Closure<'_>) -> Result<(Pid, OwnedFd), Stillborn> {
        let mut child = child;
        let closure = &raw mut child;
        let pid = self.child().map_err(Stillborn::Clone)?;
        let pidfd = self.pidfd().ok_or(Stillborn::Clone(Errno::CHILD))?;
        let shared = self.shared();
        shared.closure.store(closure as usize, Ordering::Relaxed);
        // This process has a processor to wait on, which nobody is to be driven from when it is woken.
        shared.processors.move_away(pid);
        set(&shared.order, RUN);
        wait_until_zero(&shared.borrowed);
        match shared.loopback.load(Ordering::Relaxed) {
            0 => Ok((pid, pidfd)),
            errno => {
                bury(&pidfd);
                Err(Stillborn::Loopback(Errno::from_raw_os_error(errno)))
            }
        }
    }

    /// The standard file systems, as soon as the child has made them; `None` if it didn't, or they were taken before.
    pub fn standard(&mut self) -> Option<Standard> {
        // What is wrong with the birth is said by run.
        self.child().ok()?;
        let shared = self.shared();
        while shared.ready.load(Ordering::Acquire) == 0 && shared.borrowed.load(Ordering::Acquire) != 0 {
            // Somebody may kill it meanwhile, which wakes nobody.
            let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let _ = futex::wait(&shared.ready, futex::Flags::PRIVATE, 0, Some(&patience));
        }
        let mut taken = shared.made.each_ref().map(|made| match made.swap(-1, Ordering::Relaxed) {
            -1 => None,
            // SAFETY: the child has made it for this process, with which it shared the table; it is taken once.
            fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
        });
        if taken.iter().any(Option::is_none) {
            return None;
        }
        Some(Standard::from_array(taken.each_mut().map(|fd| fd.take().expect("all are there"))))
    }

    /// Waits for the child to be there. It goes on waiting for what it is to do.
    ///
    /// # Errors
    /// Of clone3: EPERM, ENOSPC, ENOMEM, EAGAIN. ECHILD if no control group was named.
    pub fn child(&mut self) -> Result<Pid, Errno> {
        let shared = self.shared();
        if shared.cgroup.load(Ordering::Relaxed) == UNKNOWN {
            set(&shared.cgroup, NOWHERE);
        }
        self.wait_for(&shared.born, 0);
        let born = shared.born.load(Ordering::Acquire) as i32;
        if born == 0 {
            // What it may have left behind waits for an order, and finds this memory gone.
            set(&shared.order, LEAVE);
            return Err(Errno::CHILD);
        }
        match born {
            ..0 => Err(Errno::from_raw_os_error(-born)),
            _ => Ok(Pid::from_raw(born).expect("it is not 0")),
        }
    }

    /// Has the file system that was configured in a context mounted, while this process goes on, if there is somebody
    /// with nothing else to do. Once.
    ///
    /// # Kernel
    /// fsconfig(FSCONFIG_CMD_CREATE) and fsmount, 5.2.
    pub fn mount(&self, context: BorrowedFd<'_>) {
        set(&self.shared().context, context.as_raw_fd() as u32);
    }

    /// The mount that was [asked for](Birth::mount), attached nowhere. It is made here if nobody has begun yet.
    ///
    /// # Errors
    /// Of fsconfig and fsmount. ECHILD if it was not asked for, was taken before, or whoever made it was killed.
    pub fn mounted(&self) -> Result<OwnedFd, Errno> {
        let shared = self.shared();
        if let Some(mounted) = shared.mount() {
            shared.mounted.store(NOT_THERE, Ordering::Relaxed);
            return mounted;
        }
        if shared.context.load(Ordering::Relaxed) != TAKEN {
            return Err(Errno::CHILD);
        }
        self.wait_for(&shared.mounted, PENDING);
        match shared.mounted.swap(NOT_THERE, Ordering::Acquire) {
            PENDING => Err(Errno::CHILD),
            fd if fd as i32 >= 0 => {
                // SAFETY: the midwife has made it for this process, with which it shares the table; it is taken once.
                Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
            }
            error => Err(Errno::from_raw_os_error(-(error as i32))),
        }
    }

    /// Waits until the midwife has changed a word from `value`, or is no more.
    fn wait_for(&self, word: &AtomicU32, value: u32) {
        // Somebody may kill it, which wakes nobody.
        let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let gone = || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            self.midwife.is_none_or(|midwife| !matches!(waitid(WaitId::Pid(midwife), options), Ok(None)))
        };
        while word.load(Ordering::Acquire) == value {
            let waited = futex::wait(word, futex::Flags::PRIVATE, value, Some(&patience));
            if waited == Err(Errno::TIMEDOUT) && gone() {
                return;
            }
        }
    }

    /// The child's pidfd, once.
    fn pidfd(&self) -> Option<OwnedFd> {
        match self.shared().pidfd.swap(-1, Ordering::Relaxed) {
            -1 => None,
            // SAFETY: the midwife shares our descriptors, among which the kernel has put a new one, owned by nobody.
            pidfd => Some(unsafe { OwnedFd::from_raw_fd(pidfd) }),
        }
    }

    fn shared(&self) -> &'static Shared {
        // SAFETY: the mapping lives as long as this value, and no reference outlives the functions here, of which drop
        // is the last. What changes in it is atomic.
        unsafe { self.shared.as_ref() }
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        if self.child().is_ok()
            && let Some(pidfd) = self.pidfd()
        {
            set(&self.shared().order, LEAVE);
            bury(&pidfd);
        }
        drop(self.standard());
        let shared = self.shared();
        // Who has not begun to mount does not begin any more; what has been begun is taken.
        let not_begun = |context| (context != TAKEN).then_some(NOWHERE);
        match shared.context.fetch_update(Ordering::Relaxed, Ordering::Relaxed, not_begun) {
            Ok(_) => set(&shared.context, NOWHERE),
            Err(_) => drop(self.mounted()),
        }
        if let Some(midwife) = self.midwife {
            while let Err(Errno::INTR) = waitid(WaitId::Pid(midwife), WaitIdOptions::EXITED) {}
        }
        shared.processors.roam();
        // SAFETY: made by map, and nobody uses it any more: the midwife has been waited for, the child has executed or
        // ended.
        let _ = unsafe { rustix::mm::munmap(self.shared.as_ptr().cast::<c_void>(), LENGTH) };
    }
}

/// Waits for the end of a child.
fn bury(pidfd: &OwnedFd) {
    while let Err(Errno::INTR) = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {}
}

fn set(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    let _ = futex::wake(word, futex::Flags::PRIVATE, 1);
}

/// Sleeps as long as the word is `value`; what it is then.
fn wait_while(word: &AtomicU32, value: u32) -> u32 {
    loop {
        let now = word.load(Ordering::Acquire);
        if now != value {
            return now;
        }
        let _ = futex::wait(word, futex::Flags::PRIVATE, value, None);
    }
}

/// Sleeps until the kernel has cleared the word.
fn wait_until_zero(word: &AtomicU32) {
    loop {
        let now = word.load(Ordering::Acquire);
        if now == 0 {
            return;
        }
        // Not private, as the kernel's wake isn't.
        let _ = futex::wait(word, futex::Flags::empty(), now, None);
    }
}

/// The midwife's life. It has the memory of a process that goes on meanwhile, and touches nothing but `shared`.
unsafe extern "C" fn deliver(shared: *const Shared) -> ! {
    // SAFETY: the mapping outlives this process, which is waited for.
    let shared = unsafe { &*shared };
    let make = || -> Result<usize, Errno> {
        // SAFETY: Birth owns it until this process has ended.
        die_with(unsafe { BorrowedFd::borrow_raw(shared.parent) })?;
        let mut arguments = shared.arguments;
        if shared.pid_namespace >= 0 {
            // SAFETY: begin's caller keeps it open, as our table is that of the process that goes on.
            let process = unsafe { BorrowedFd::borrow_raw(shared.pid_namespace) };
            rustix::thread::move_into_thread_name_spaces(process, ThreadNameSpaceType::PROCESS_ID)?;
        }
        if shared.user_namespace >= 0 {
            // SAFETY: as above.
            let process = unsafe { BorrowedFd::borrow_raw(shared.user_namespace) };
            rustix::thread::move_into_thread_name_spaces(process, ThreadNameSpaceType::USER)?;
        }
        // A new user namespace is made with those that it is to own.
        let joins = shared.pid_namespace >= 0 || shared.user_namespace >= 0;
        let early = CloneFlags::from_bits_truncate(arguments.flags) & EARLY;
        if !joins && arguments.flags & CloneFlags::NEWUSER.bits() == 0 && !early.is_empty() {
            arguments.flags &= !early.bits();
            // SAFETY: none of these is about descriptors.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::from_bits_retain(early.bits() as u32)) }?;
        }
        match wait_while(&shared.cgroup, UNKNOWN) {
            NOWHERE => return Err(Errno::CHILD),
            OWN => {}
            cgroup => {
                arguments.flags |= CLONE_INTO_CGROUP;
                arguments.cgroup = u64::from(cgroup);
            }
        }
        let argument = core::ptr::from_ref(shared) as usize;
        // SAFETY: the arguments are complete, and their stack is the child's alone.
        unsafe { clone_onto_stack(&arguments, begin_life as *const () as usize, argument) }
    };
    let born = make().map_or_else(|errno| -errno.raw_os_error(), |pid| pid as i32);
    set(&shared.born, born as u32);
    // Without a child there may be nobody either who says what to mount.
    if born > 0 {
        wait_while(&shared.context, UNKNOWN);
        // The child has enough to do, and perhaps no other processor.
        rustix::thread::sched_yield();
        if let Some(mounted) = shared.mount() {
            let result = mounted.map_or_else(|errno| -errno.raw_os_error(), IntoRawFd::into_raw_fd);
            set(&shared.mounted, result as u32);
        }
    }
    exec::exit(0)
}

fn mount(context: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    fsconfig_create(context)?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// The child's first steps: it waits for its order, and ends with the process that gives it.
unsafe extern "C" fn begin_life(shared: *const Shared) -> ! {
    // SAFETY: the mapping lives until this process has left it.
    let shared = unsafe { &*shared };
    let wait = || -> Result<(), Errno> {
        // SAFETY: Birth owns it until the child has run.
        die_with(unsafe { BorrowedFd::borrow_raw(shared.parent) })?;
        shared.processors.roam();
        if shared.arguments.flags & CloneFlags::NEWNET.bits() != 0
            && let Err(errno) = network::loopback_up()
        {
            shared.loopback.store(errno.raw_os_error(), Ordering::Relaxed);
            return Err(errno);
        }
        if shared.standard
            && let Ok(standard) = Standard::make()
        {
            for (made, fd) in shared.made.iter().zip(standard.into_array()) {
                made.store(fd.into_raw_fd(), Ordering::Relaxed);
            }
        }
        set(&shared.ready, 1);
        // Of the signals of whoever began all this, which may have come to it from anybody, nothing is left.
        signal::reset_all();
        wait_while(&shared.order, WAIT);
        // SAFETY: from here on the descriptors are a copy; the process that they were shared with sleeps.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES) }
    };
    if wait().is_err() || shared.order.load(Ordering::Acquire) != RUN {
        exec::exit(127)
    }
    let closure = shared.closure.load(Ordering::Relaxed) as *mut Closure<'_>;
    // SAFETY: run stored a pointer to its own local, and sleeps until this process has left its memory.
    match (unsafe { &mut *closure })() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(namespaces: CloneFlags) -> Birth {
        let birth = Birth::begin(namespaces, Family::default(), Place::Shared).unwrap();
        birth.enter(None);
        birth
    }

    #[test]
    fn a_child_that_was_made_ahead_writes_to_the_parents_memory() {
        let birth = begin(CloneFlags::NEWNET | CloneFlags::NEWPID);
        let mut written = 0;
        let (_, pidfd) = birth
            .run(&mut || {
                written = rustix::process::getpid().as_raw_nonzero().get() + 41;
                exec::exit(7)
            })
            .unwrap();
        let exited = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        assert_eq!((exited.exit_status(), written), (Some(7), 42));
    }

    #[test]
    fn a_midwife_that_is_killed_leaves_a_child_or_an_error_and_keeps_nobody_waiting() {
        for _ in 0..30 {
            let birth = begin(CloneFlags::NEWNET);
            rustix::process::kill_process(birth.midwife.unwrap(), rustix::process::Signal::KILL).unwrap();
            let mut written = 0;
            let run = birth.run(&mut || {
                written = 42;
                exec::exit(7)
            });
            match run {
                Ok((_, pidfd)) => {
                    let exited =
                        waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
                    assert_eq!((exited.exit_status(), written), (Some(7), 42));
                }
                Err(errno) => assert_eq!((errno, written), (Stillborn::Clone(Errno::CHILD), 0)),
            }
        }
    }

    #[test]
    fn a_child_in_namespaces_of_its_own_makes_their_file_systems_meanwhile() {
        let own = CloneFlags::NEWNS | CloneFlags::NEWNET | CloneFlags::NEWPID | CloneFlags::NEWIPC;
        let mut birth = Birth::begin(own, Family::default(), Place::Own).unwrap();
        birth.enter(None);
        let standard = birth.standard().unwrap();
        assert!(birth.standard().is_none());
        let null = rustix::fs::statat(&standard.dev, c"null", rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!((null.st_rdev, null.st_mode & 0o7777), (rustix::fs::makedev(1, 3), 0o666));
        let (_, pidfd) = birth.run(&mut || exec::exit(3)).unwrap();
        assert_eq!(
            waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap().exit_status(),
            Some(3)
        );
        // What nobody takes goes with it.
        let birth = Birth::begin(own, Family::default(), Place::Own).unwrap();
        birth.enter(None);
        drop(birth);
    }

    #[test]
    fn a_child_that_is_not_wanted_leaves() {
        drop(begin(CloneFlags::NEWNET));
        // One that was never said where to go is not even born.
        let mut lost = Birth::begin(CloneFlags::NEWNET, Family::default(), Place::Shared).unwrap();
        assert_eq!(lost.child(), Err(Errno::CHILD));
        drop(Birth::begin(CloneFlags::NEWNET, Family::default(), Place::Shared).unwrap());
        let mut waited_for = begin(CloneFlags::NEWNET);
        let pid = waited_for.child().unwrap();
        assert_eq!(waited_for.child(), Ok(pid));
        drop(waited_for);
        assert_eq!(rustix::process::test_kill_process(pid), Err(Errno::SRCH));
    }
}
