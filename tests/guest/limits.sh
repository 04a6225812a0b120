# Limits through the command itself: what is asked for is in the group, holds, and can be changed.
export SKIFF_ROOT=/tmp/skiff-data SKIFF_RUN=/run/skiff-test
trap 'skiff rm -f one hog nest >/dev/null 2>&1; rm -rf /tmp/skiff-data /run/skiff-test 2>/dev/null || rm -rf /tmp/skiff-data /run/skiff-test' EXIT
same() { test "$1" = "$2" || { echo "found '$1', not '$2': $3"; exit 1; }; }

id=$(skiff run -d --name one -m 32m --memory-swap 32m --pids-limit 20 --cpus 0.5 --device-write-bps /dev/vda:1mb \
    host sleep 1000)
group=/sys/fs/cgroup/skiff/$id
same "$(cat $group/memory.max)" 33554432 memory.max
same "$(cat $group/memory.swap.max)" 0 memory.swap.max
same "$(cat $group/pids.max)" 20 pids.max
same "$(cat $group/cpu.max)" "50000 100000" cpu.max
same "$(cat $group/io.max)" "254:0 rbps=max wbps=1048576 riops=max wiops=max" io.max
same "$(skiff stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' one | sed 's/ [^ ]* \// X \//')" \
    "one X / 32MiB 1" stats

skiff update -m 48m --memory-swap 64m --pids-limit 30 --cpus 1.5 --cpuset-cpus 1 one
same "$(cat $group/memory.max)" 50331648 "updated memory.max"
same "$(cat $group/memory.swap.max)" 16777216 "updated memory.swap.max"
same "$(cat $group/pids.max)" 30 "updated pids.max"
same "$(cat $group/cpu.max)" "150000 100000" "updated cpu.max"
same "$(cat $group/cpuset.cpus)" 1 "updated cpuset.cpus"
same "$(skiff inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' one)" "50331648 30" inspect
skiff restart -t 0 one
same "$(cat $group/memory.max)" 50331648 "memory.max after a restart"
skiff rm -f one
test ! -e "$group"
same "$(skiff run --rm --cpus 1.5 host cat /sys/fs/cgroup/cpu.max)" "150000 100000" "cpu.max from the beginning"

# A hog is killed, and it is told why.
code=0
skiff run --name hog -m 16m --memory-swap 16m host sh -c 'x=0123456789abcdef; while :; do x=$x$x; done' || code=$?
same "$code" 137 "exit code of the hog"
same "$(skiff inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' hog)" "true 137" "state of the hog"
same "$(skiff events --since 1h --until 0s -f container=hog -f event=oom --format '{{.Action}}')" oom "event"
skiff rm hog

# A kill is told when it happens, once, though the container goes on.
skiff run -d --name nest -m 16m --memory-swap 16m host sh -c \
    'sh -c "x=0123456789abcdef; while :; do x=\$x\$x; done"; sleep 1000' >/dev/null
ooms() { skiff events --since 1h --until 0s -f container=nest -f event=oom --format '{{.Action}}' | wc -l; }
i=0
while [ "$(ooms)" = 0 ]; do i=$((i+1)); [ $i -lt 200 ] || { echo "no oom event"; exit 1; }; sleep 0.1; done
same "$(skiff inspect -f '{{.State.Running}} {{.State.OOMKilled}}' nest)" "true true" "state of the one that lives on"
skiff kill nest >/dev/null
skiff wait nest >/dev/null
same "$(ooms)" 1 "number of oom events"
same "$(skiff inspect -f '{{.State.OOMKilled}}' nest)" true "OOMKilled at the end"
skiff rm nest

# No more processes than allowed.
skiff run --rm --pids-limit 5 host sh -c \
    'n=0; for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; exit 0' 2>&1 | grep -q "fork" || { echo "all forks went"; exit 1; }

# The steps of a build have theirs, through either of its requests.
mkdir -p /tmp/skiff-data/tree/bin /tmp/skiff-data/context
cp /bin/busybox /tmp/skiff-data/tree/bin
for applet in sh cat sleep; do ln -s busybox /tmp/skiff-data/tree/bin/$applet; done
tar -C /tmp/skiff-data/tree -cf - . | skiff import - box >/dev/null
cd /tmp/skiff-data/context
printf 'FROM box\nRUN cd /sys/fs/cgroup && cat memory.max memory.swap.max cpu.max cpu.weight cpuset.cpus cpuset.mems\n' \
    >Dockerfile
limits="-m 64m --memory-swap 96m --cpu-period 50000 --cpu-quota 25000 -c 512 --cpuset-cpus 1 --cpuset-mems 0"
expected="67108864 33554432 25000 50000 59 1 0"
told() { sed -n 's/^#[0-9]* [0-9.]* \([0-9 ]*\)$/\1/p' | tr '\n' ' '; }
same "$(skiff build --no-cache --progress plain $limits . 2>&1 | told)" "$expected " "limits of a step"
same "$(tar -cf - . | skiff build --no-cache --progress plain $limits - 2>&1 | grep -o '^[0-9 ]*$' | tr '\n' ' ')" \
    "$expected " "limits of a step through POST /build"
printf 'FROM box\nRUN x=0123456789abcdef; while :; do x=$x$x; done\n' >Dockerfile
skiff build -m 16m --memory-swap 16m --cgroup-parent builds/deep . 2>&1 | grep -q "exit code: 137" || \
    { echo "a hog was not killed"; exit 1; }
same "$(find /sys/fs/cgroup/builds -type d)" "$(printf '%s\n' /sys/fs/cgroup/builds /sys/fs/cgroup/builds/deep)" groups
rmdir /sys/fs/cgroup/builds/deep /sys/fs/cgroup/builds
cd /
