# The scenarios' own ground: the tools, the disk, the modules, the mounts.
test "$(id -u)" = 0
test "$(blockdev --getsize64 /dev/vda)" = 16777216
for module in overlay veth bridge nf_tables nft_masq loop; do
    test -d "/sys/module/$module" || { echo "no module $module"; exit 1; }
done
grep -q ' / / .* - tmpfs ' /proc/self/mountinfo
test -x /bin/skiff
ip link show lo | grep -q UP
