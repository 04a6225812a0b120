# User and time namespaces on Debian's kernel: its overlayfs wants layers that are mounted somewhere, its tmpfs has no
# id-mapped mounts, and a process that borrows memory enters its time namespace too early.
# The last command's engine may still be putting things away when it is over.
disk=/tmp/skiff-disk
export SKIFF_ROOT=$disk/data SKIFF_RUN=/run/skiff-test
mkdir $disk
trap 'skiff rm -f one >/dev/null 2>&1; umount $disk || { sleep 3; umount $disk; }; rm -rf $disk /tmp/skiff-tree /run/skiff-test /etc/subuid /etc/subgid' EXIT
mke2fs /dev/vda >/dev/null 2>&1
mount -t ext4 /dev/vda $disk
same() { test "$1" = "$2" || { echo "found '$1', not '$2': $3"; exit 1; }; }

mkdir -p /tmp/skiff-tree/bin /tmp/skiff-tree/data
cp /bin/busybox /tmp/skiff-tree/bin
for applet in sh cat id stat touch sleep chown ls; do ln -s busybox /tmp/skiff-tree/bin/$applet; done
echo seed > /tmp/skiff-tree/data/seed
tar -C /tmp/skiff-tree -cf - . | skiff import - box

# The ids are those that the host gives.
echo skiff:200000:1000 > /etc/subuid
code=0
skiff run --rm --userns auto box true > $disk/said 2>&1 || code=$?
same $code 125 "half of a range"
grep -q "/etc/subgid has none" $disk/said
echo skiff:300000:65536 > /etc/subgid
same "$(skiff run --rm --userns auto box sh -c 'cat /proc/self/uid_map /proc/self/gid_map' | tr -s ' ')" \
    " 0 200000 1000
 0 300000 65536" "ids"

skiff run -d --name one --userns auto -v vol:/data box sleep 1000
same "$(stat -c %u:%g /proc/$(skiff inspect -f '{{.State.Pid}}' one))" 200000:300000 "root inside"
same "$(skiff exec one sh -c 'id -u; touch /x; chown 7:8 /x; stat -c %u:%g /x /data/seed /dev/null /dev/pts')" "0
7:8
0:0
0:0
0:0" "files inside"
same "$(stat -c %u:%g $SKIFF_ROOT/volumes/vol/_data/seed)" 0:0 "the volume on disk"
echo copied > $disk/file
chown 5:6 $disk/file
skiff cp -a $disk/file one:/copied
same "$(skiff exec one stat -c %u:%g /copied)" 5:6 "a file that was copied in"
same "$(skiff cp one:/x - | tar -tvf - | tr -s ' ' | cut -d ' ' -f 2)" 7/8 "a file that was copied out"
skiff commit one made >/dev/null
same "$(skiff run --rm made stat -c %u:%g /x)" 7:8 "a file of a new image"
skiff rm -f -v one >/dev/null

# What this kernel can't do is said.
code=0
skiff run --rm --userns auto host true > $disk/said 2>&1 || code=$?
same $code 125 "the host's root on a tmpfs"
grep -q "tmpfs since Linux 6.3" $disk/said
code=0
skiff run --rm --timens private box true > $disk/said 2>&1 || code=$?
same $code 125 "a time namespace"
grep -q "time namespaces need Linux 6.2" $disk/said
