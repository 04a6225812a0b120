// The least that isolates: clone3 with six namespaces, an overlay, pivot_root, execve, wait. What skiff is measured
// against: everything beyond this is what it does more. Usage: bare ROOT SCRATCH PROGRAM
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what) {
    if (!ok) {
        perror(what);
        _exit(125);
    }
}

int main(int count, char **words) {
    if (count != 4) return 2;
    struct clone_args args = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    must(pid >= 0, "clone3");
    if (pid == 0) {
        char options[4096];
        must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
        must(mount("tmpfs", words[2], "tmpfs", 0, NULL) == 0, "tmpfs");
        must(chdir(words[2]) == 0, "chdir");
        must(mkdir("upper", 0755) == 0 && mkdir("work", 0755) == 0 && mkdir("root", 0755) == 0, "mkdir");
        snprintf(options, sizeof options, "lowerdir=%s,upperdir=upper,workdir=work", words[1]);
        must(mount("overlay", "root", "overlay", 0, options) == 0, "overlay");
        must(mount("proc", "root/proc", "proc", 0, NULL) == 0, "proc");
        must(chdir("root") == 0 && syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
        must(umount2(".", MNT_DETACH) == 0 && chdir("/") == 0, "umount2");
        execl(words[3], words[3], NULL);
        must(0, "execve");
    }
    int status;
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
