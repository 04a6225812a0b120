//! System calls of aarch64 and of 32-bit ARM (EABI) programs on it, by name in alphabetical order.

use linux_raw_sys::ptrace::{AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};

/// What `seccomp_data.arch` holds for a native call.
pub const NATIVE_ARCHITECTURE: u32 = AUDIT_ARCH_AARCH64;

/// The name of this architecture in a profile's `includes` and `excludes`.
pub const NAME: &str = "arm64";

/// The name of this architecture in a profile's `architectures` and `archMap`.
pub const PROFILE_NAME: &str = "SCMP_ARCH_AARCH64";

/// The 32-bit architecture whose programs the kernel can run too: its name in a profile, and in `seccomp_data.arch`.
pub const COMPAT: Option<(&str, u32)> = Some(("SCMP_ARCH_ARM", AUDIT_ARCH_ARM));

numbered! {
    __NR_accept __NR_accept4 __NR_acct __NR_add_key __NR_adjtimex __NR_bind __NR_bpf __NR_brk __NR_cachestat
    __NR_capget __NR_capset __NR_chdir __NR_chroot __NR_clock_adjtime __NR_clock_getres __NR_clock_gettime
    __NR_clock_nanosleep __NR_clock_settime __NR_clone __NR_clone3 __NR_close __NR_close_range __NR_connect
    __NR_copy_file_range __NR_delete_module __NR_dup __NR_dup3 __NR_epoll_create1 __NR_epoll_ctl __NR_epoll_pwait
    __NR_epoll_pwait2 __NR_eventfd2 __NR_execve __NR_execveat __NR_exit __NR_exit_group __NR_faccessat __NR_faccessat2
    __NR_fadvise64 __NR_fallocate __NR_fanotify_init __NR_fanotify_mark __NR_fchdir __NR_fchmod __NR_fchmodat
    __NR_fchmodat2 __NR_fchown __NR_fchownat __NR_fcntl __NR_fdatasync __NR_fgetxattr __NR_file_getattr
    __NR_file_setattr __NR_finit_module __NR_flistxattr __NR_flock __NR_fremovexattr __NR_fsconfig __NR_fsetxattr
    __NR_fsmount __NR_fsopen __NR_fspick __NR_fstat __NR_fstatfs __NR_fsync __NR_ftruncate __NR_futex
    __NR_futex_requeue __NR_futex_wait __NR_futex_waitv __NR_futex_wake __NR_get_mempolicy __NR_get_robust_list
    __NR_getcpu __NR_getcwd __NR_getdents64 __NR_getegid __NR_geteuid __NR_getgid __NR_getgroups __NR_getitimer
    __NR_getpeername __NR_getpgid __NR_getpid __NR_getppid __NR_getpriority __NR_getrandom __NR_getresgid
    __NR_getresuid __NR_getrlimit __NR_getrusage __NR_getsid __NR_getsockname __NR_getsockopt __NR_gettid
    __NR_gettimeofday __NR_getuid __NR_getxattr __NR_getxattrat __NR_init_module __NR_inotify_add_watch
    __NR_inotify_init1 __NR_inotify_rm_watch __NR_io_cancel __NR_io_destroy __NR_io_getevents __NR_io_pgetevents
    __NR_io_setup __NR_io_submit __NR_io_uring_enter __NR_io_uring_register __NR_io_uring_setup __NR_ioctl
    __NR_ioprio_get __NR_ioprio_set __NR_kcmp __NR_kexec_file_load __NR_kexec_load __NR_keyctl __NR_kill
    __NR_landlock_add_rule __NR_landlock_create_ruleset __NR_landlock_restrict_self __NR_lgetxattr __NR_linkat
    __NR_listen __NR_listmount __NR_listxattr __NR_listxattrat __NR_llistxattr __NR_lookup_dcookie __NR_lremovexattr
    __NR_lseek __NR_lsetxattr __NR_lsm_get_self_attr __NR_lsm_list_modules __NR_lsm_set_self_attr __NR_madvise
    __NR_map_shadow_stack __NR_mbind __NR_membarrier __NR_memfd_create __NR_memfd_secret __NR_migrate_pages
    __NR_mincore __NR_mkdirat __NR_mknodat __NR_mlock __NR_mlock2 __NR_mlockall __NR_mmap __NR_mount
    __NR_mount_setattr __NR_move_mount __NR_move_pages __NR_mprotect __NR_mq_getsetattr __NR_mq_notify __NR_mq_open
    __NR_mq_timedreceive __NR_mq_timedsend __NR_mq_unlink __NR_mremap __NR_mseal __NR_msgctl __NR_msgget __NR_msgrcv
    __NR_msgsnd __NR_msync __NR_munlock __NR_munlockall __NR_munmap __NR_name_to_handle_at __NR_nanosleep
    __NR_newfstatat __NR_nfsservctl __NR_open_by_handle_at __NR_open_tree __NR_open_tree_attr __NR_openat __NR_openat2
    __NR_perf_event_open __NR_personality __NR_pidfd_getfd __NR_pidfd_open __NR_pidfd_send_signal __NR_pipe2
    __NR_pivot_root __NR_pkey_alloc __NR_pkey_free __NR_pkey_mprotect __NR_ppoll __NR_prctl __NR_pread64 __NR_preadv
    __NR_preadv2 __NR_prlimit64 __NR_process_madvise __NR_process_mrelease __NR_process_vm_readv
    __NR_process_vm_writev __NR_pselect6 __NR_ptrace __NR_pwrite64 __NR_pwritev __NR_pwritev2 __NR_quotactl
    __NR_quotactl_fd __NR_read __NR_readahead __NR_readlinkat __NR_readv __NR_reboot __NR_recvfrom __NR_recvmmsg
    __NR_recvmsg __NR_remap_file_pages __NR_removexattr __NR_removexattrat __NR_renameat __NR_renameat2
    __NR_request_key __NR_restart_syscall __NR_rseq __NR_rt_sigaction __NR_rt_sigpending __NR_rt_sigprocmask
    __NR_rt_sigqueueinfo __NR_rt_sigreturn __NR_rt_sigsuspend __NR_rt_sigtimedwait __NR_rt_tgsigqueueinfo
    __NR_sched_get_priority_max __NR_sched_get_priority_min __NR_sched_getaffinity __NR_sched_getattr
    __NR_sched_getparam __NR_sched_getscheduler __NR_sched_rr_get_interval __NR_sched_setaffinity __NR_sched_setattr
    __NR_sched_setparam __NR_sched_setscheduler __NR_sched_yield __NR_seccomp __NR_semctl __NR_semget __NR_semop
    __NR_semtimedop __NR_sendfile __NR_sendmmsg __NR_sendmsg __NR_sendto __NR_set_mempolicy
    __NR_set_mempolicy_home_node __NR_set_robust_list __NR_set_tid_address __NR_setdomainname __NR_setfsgid
    __NR_setfsuid __NR_setgid __NR_setgroups __NR_sethostname __NR_setitimer __NR_setns __NR_setpgid __NR_setpriority
    __NR_setregid __NR_setresgid __NR_setresuid __NR_setreuid __NR_setrlimit __NR_setsid __NR_setsockopt
    __NR_settimeofday __NR_setuid __NR_setxattr __NR_setxattrat __NR_shmat __NR_shmctl __NR_shmdt __NR_shmget
    __NR_shutdown __NR_sigaltstack __NR_signalfd4 __NR_socket __NR_socketpair __NR_splice __NR_statfs __NR_statmount
    __NR_statx __NR_swapoff __NR_swapon __NR_symlinkat __NR_sync __NR_sync_file_range __NR_syncfs __NR_sysinfo
    __NR_syslog __NR_tee __NR_tgkill __NR_timer_create __NR_timer_delete __NR_timer_getoverrun __NR_timer_gettime
    __NR_timer_settime __NR_timerfd_create __NR_timerfd_gettime __NR_timerfd_settime __NR_times __NR_tkill
    __NR_truncate __NR_umask __NR_umount2 __NR_uname __NR_unlinkat __NR_unshare __NR_userfaultfd __NR_utimensat
    __NR_vhangup __NR_vmsplice __NR_wait4 __NR_waitid __NR_write __NR_writev
}

/// `name number` of 32-bit ARM (EABI).
pub(super) const COMPAT_CALLS: &str = "\
    _llseek 140 _newselect 142 _sysctl 149 accept 285 accept4 366 access 33 acct 51 add_key 309 adjtimex 124 \
    arm_fadvise64_64 270 arm_sync_file_range 341 bdflush 134 bind 282 bpf 386 breakpoint 983041 brk 45 \
    cacheflush 983042 cachestat 451 capget 184 capset 185 chdir 12 chmod 15 chown 182 chown32 212 chroot 61 \
    clock_adjtime 372 clock_adjtime64 405 clock_getres 264 clock_getres_time64 406 clock_gettime 263 \
    clock_gettime64 403 clock_nanosleep 265 clock_nanosleep_time64 407 clock_settime 262 clock_settime64 404 \
    clone 120 clone3 435 close 6 close_range 436 connect 283 copy_file_range 391 creat 8 delete_module 129 \
    dup 41 dup2 63 dup3 358 epoll_create 250 epoll_create1 357 epoll_ctl 251 epoll_pwait 346 epoll_pwait2 441 \
    epoll_wait 252 eventfd 351 eventfd2 356 execve 11 execveat 387 exit 1 exit_group 248 faccessat 334 \
    faccessat2 439 fallocate 352 fanotify_init 367 fanotify_mark 368 fchdir 133 fchmod 94 fchmodat 333 \
    fchmodat2 452 fchown 95 fchown32 207 fchownat 325 fcntl 55 fcntl64 221 fdatasync 148 fgetxattr 231 \
    file_getattr 468 file_setattr 469 finit_module 379 flistxattr 234 flock 143 fork 2 fremovexattr 237 \
    fsconfig 431 fsetxattr 228 fsmount 432 fsopen 430 fspick 433 fstat 108 fstat64 197 fstatat64 327 fstatfs 100 \
    fstatfs64 267 fsync 118 ftruncate 93 ftruncate64 194 futex 240 futex_requeue 456 futex_time64 422 \
    futex_wait 455 futex_waitv 449 futex_wake 454 futimesat 326 get_mempolicy 320 get_robust_list 339 \
    get_tls 983046 getcpu 345 getcwd 183 getdents 141 getdents64 217 getegid 50 getegid32 202 geteuid 49 \
    geteuid32 201 getgid 47 getgid32 200 getgroups 80 getgroups32 205 getitimer 105 getpeername 287 getpgid 132 \
    getpgrp 65 getpid 20 getppid 64 getpriority 96 getrandom 384 getresgid 171 getresgid32 211 getresuid 165 \
    getresuid32 209 getrusage 77 getsid 147 getsockname 286 getsockopt 295 gettid 224 gettimeofday 78 getuid 24 \
    getuid32 199 getxattr 229 getxattrat 464 init_module 128 inotify_add_watch 317 inotify_init 316 \
    inotify_init1 360 inotify_rm_watch 318 io_cancel 247 io_destroy 244 io_getevents 245 io_pgetevents 399 \
    io_pgetevents_time64 416 io_setup 243 io_submit 246 io_uring_enter 426 io_uring_register 427 \
    io_uring_setup 425 ioctl 54 ioprio_get 315 ioprio_set 314 kcmp 378 kexec_file_load 401 kexec_load 347 \
    keyctl 311 kill 37 landlock_add_rule 445 landlock_create_ruleset 444 landlock_restrict_self 446 lchown 16 \
    lchown32 198 lgetxattr 230 link 9 linkat 330 listen 284 listmount 458 listxattr 232 listxattrat 465 \
    llistxattr 233 lookup_dcookie 249 lremovexattr 236 lseek 19 lsetxattr 227 lsm_get_self_attr 459 \
    lsm_list_modules 461 lsm_set_self_attr 460 lstat 107 lstat64 196 madvise 220 map_shadow_stack 453 mbind 319 \
    membarrier 389 memfd_create 385 migrate_pages 400 mincore 219 mkdir 39 mkdirat 323 mknod 14 mknodat 324 \
    mlock 150 mlock2 390 mlockall 152 mmap2 192 mount 21 mount_setattr 442 move_mount 429 move_pages 344 \
    mprotect 125 mq_getsetattr 279 mq_notify 278 mq_open 274 mq_timedreceive 277 mq_timedreceive_time64 419 \
    mq_timedsend 276 mq_timedsend_time64 418 mq_unlink 275 mremap 163 mseal 462 msgctl 304 msgget 303 msgrcv 302 \
    msgsnd 301 msync 144 munlock 151 munlockall 153 munmap 91 name_to_handle_at 370 nanosleep 162 nfsservctl 169 \
    nice 34 open 5 open_by_handle_at 371 open_tree 428 open_tree_attr 467 openat 322 openat2 437 pause 29 \
    pciconfig_iobase 271 pciconfig_read 272 pciconfig_write 273 perf_event_open 364 personality 136 \
    pidfd_getfd 438 pidfd_open 434 pidfd_send_signal 424 pipe 42 pipe2 359 pivot_root 218 pkey_alloc 395 \
    pkey_free 396 pkey_mprotect 394 poll 168 ppoll 336 ppoll_time64 414 prctl 172 pread64 180 preadv 361 \
    preadv2 392 prlimit64 369 process_madvise 440 process_mrelease 448 process_vm_readv 376 \
    process_vm_writev 377 pselect6 335 pselect6_time64 413 ptrace 26 pwrite64 181 pwritev 362 pwritev2 393 \
    quotactl 131 quotactl_fd 443 read 3 readahead 225 readlink 85 readlinkat 332 readv 145 reboot 88 recv 291 \
    recvfrom 292 recvmmsg 365 recvmmsg_time64 417 recvmsg 297 remap_file_pages 253 removexattr 235 \
    removexattrat 466 rename 38 renameat 329 renameat2 382 request_key 310 restart_syscall 0 rmdir 40 rseq 398 \
    rt_sigaction 174 rt_sigpending 176 rt_sigprocmask 175 rt_sigqueueinfo 178 rt_sigreturn 173 rt_sigsuspend 179 \
    rt_sigtimedwait 177 rt_sigtimedwait_time64 421 rt_tgsigqueueinfo 363 sched_get_priority_max 159 \
    sched_get_priority_min 160 sched_getaffinity 242 sched_getattr 381 sched_getparam 155 sched_getscheduler 157 \
    sched_rr_get_interval 161 sched_rr_get_interval_time64 423 sched_setaffinity 241 sched_setattr 380 \
    sched_setparam 154 sched_setscheduler 156 sched_yield 158 seccomp 383 semctl 300 semget 299 semop 298 \
    semtimedop 312 semtimedop_time64 420 send 289 sendfile 187 sendfile64 239 sendmmsg 374 sendmsg 296 \
    sendto 290 set_mempolicy 321 set_mempolicy_home_node 450 set_robust_list 338 set_tid_address 256 \
    set_tls 983045 setdomainname 121 setfsgid 139 setfsgid32 216 setfsuid 138 setfsuid32 215 setgid 46 \
    setgid32 214 setgroups 81 setgroups32 206 sethostname 74 setitimer 104 setns 375 setpgid 57 setpriority 97 \
    setregid 71 setregid32 204 setresgid 170 setresgid32 210 setresuid 164 setresuid32 208 setreuid 70 \
    setreuid32 203 setrlimit 75 setsid 66 setsockopt 294 settimeofday 79 setuid 23 setuid32 213 setxattr 226 \
    setxattrat 463 shmat 305 shmctl 308 shmdt 306 shmget 307 shutdown 293 sigaction 67 sigaltstack 186 \
    signalfd 349 signalfd4 355 sigpending 73 sigprocmask 126 sigreturn 119 sigsuspend 72 socket 281 \
    socketpair 288 splice 340 stat 106 stat64 195 statfs 99 statfs64 266 statmount 457 statx 397 swapoff 115 \
    swapon 87 symlink 83 symlinkat 331 sync 36 sync_file_range2 341 syncfs 373 sysfs 135 sysinfo 116 syslog 103 \
    tee 342 tgkill 268 timer_create 257 timer_delete 261 timer_getoverrun 260 timer_gettime 259 \
    timer_gettime64 408 timer_settime 258 timer_settime64 409 timerfd_create 350 timerfd_gettime 354 \
    timerfd_gettime64 410 timerfd_settime 353 timerfd_settime64 411 times 43 tkill 238 truncate 92 \
    truncate64 193 ugetrlimit 191 umask 60 umount2 52 uname 122 unlink 10 unlinkat 328 unshare 337 uselib 86 \
    userfaultfd 388 usr26 983043 usr32 983044 ustat 62 utimensat 348 utimensat_time64 412 utimes 269 vfork 190 \
    vhangup 111 vmsplice 343 vserver 313 wait4 114 waitid 280 write 4 writev 146";
