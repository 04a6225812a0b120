# cp, diff, export and commit of a container that runs and of one that has ended, with its volumes, where the host's root
# can't be pivoted away. Nothing of it is mounted outside.
here=/tmp/copy
trap 'cd /; skiff rm -f -v cc > /dev/null 2>&1; umount $here; rmdir $here' EXIT
mkdir -p $here
mount -t tmpfs tmpfs $here
export SKIFF_ROOT=$here/data SKIFF_RUN=$here/run
mkdir -p $here/root/bin $here/bind
cd $here
cp -L /proc/self/exe root/bin/busybox
for name in sh sleep rm cat ls; do ln -s busybox root/bin/$name; done
echo old > root/gone
echo of-the-host > $here/secret
tar -C root -cf - . | skiff import - box > /dev/null
skiff run -d --name cc -v vol:/v -v $here/bind:/b box sh -c \
    "echo x > /v/x; echo y > /y; rm /gone; ln -s $here/secret /link; ln -s ../../../../$here /up; echo ready; sleep 1000"
for try in $(seq 200); do [ "$(skiff logs cc)" = ready ] && break; sleep 0.1; done
same() { [ "$1" = "$2" ] || { echo "$phase: '$1' instead of '$2'"; exit 1; }; }
for phase in running stopped; do
    if [ $phase = stopped ]; then
        skiff kill cc
        skiff wait cc
    fi
    same "$(skiff cp cc:/v/x - | tar -xO)" x
    same "$(skiff cp cc:/y - | tar -xO)" y
    skiff cp -L cc:/link - && exit 1
    skiff cp cc:/up/secret - && exit 1
    echo $phase > new
    skiff cp new cc:/b/$phase
    same "$(cat bind/$phase)" $phase
    skiff cp new cc:/v/
    same "$(skiff cp cc:/v/new - | tar -xO)" $phase
    skiff cp new cc:/up/new && exit 1
    skiff diff cc | grep -q '^D /gone$'
    skiff export cc > all.tar
    same "$(tar -tf all.tar | grep -c -E '^(v|b|proc|sys|dev)/.')" 0
    skiff commit -p=false cc new:$phase > /dev/null
    same "$(skiff run --rm new:$phase cat /y)" y
    skiff run --rm new:$phase cat /gone && exit 1
done
skiff rm -v cc
skiff volume rm vol
if grep -E "$here/.|overlay" /proc/mounts; then exit 1; fi
