#!/bin/sh
# What the tests need beyond cargo, into place: run by the README's test command, and by tests/guest when something is
# missing. Installs Debian packages as root, downloads a kernel for the guest without installing it. Says what it does,
# does nothing twice.
set -eu
cd "$(dirname "$0")/.."
guest="${CARGO_TARGET_DIR:-target}/guest"

want=""
[ -x /bin/busybox ] || [ -x /usr/bin/busybox ] || want="$want busybox-static"
if [ "$(uname -m)" = x86_64 ]; then
    command -v qemu-system-x86_64 >/dev/null || want="$want qemu-system-x86"
fi

# Other people's engines and clients, for the exchange of images and the API.
if [ "$(id -u)" = 0 ]; then
    for tool in nftables:nft iproute2:ip iptables:iptables curl:curl openssl:openssl podman buildah skopeo umoci zstd xz-utils:xz attr:setfattr docker.io:dockerd docker.io:docker docker-compose systemd:systemctl procps:ps; do
        command -v "${tool#*:}" >/dev/null || want="$want ${tool%%:*}"
    done
    /usr/bin/python3 -c 'import docker' 2>/dev/null || want="$want python3-docker"
fi

updated=""
update() {
    [ -n "$updated" ] || { echo "apt-get update"; apt-get update -qq; updated=yes; }
}

if [ -n "$want" ]; then
    [ "$(id -u)" = 0 ] || { echo "missing:$want (run $0 as root, or install them)" >&2; exit 1; }
    update
    echo "apt-get install$want"
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want >/dev/null
fi

[ "$(uname -m)" = x86_64 ] || { echo "the guest's kernel is for x86_64 only"; exit 0; }
if ! ls "$guest"/kernel/boot/vmlinuz-* >/dev/null 2>&1; then
    mkdir -p "$guest"
    guest="$(cd "$guest" && pwd)"
    package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/^ *Depends: linux-image-[0-9]/ { print $2; exit }'; }
    [ -n "$(package)" ] || update
    echo "apt-get download $(package)"
    cd "$guest"
    rm -rf kernel.new linux-image-*.deb
    # Old package lists name versions that the archive no longer has.
    apt-get download -qq "$(package)" || { update; apt-get download -qq "$(package)"; }
    dpkg-deb -x linux-image-*.deb kernel.new
    rm -rf kernel linux-image-*.deb
    mv kernel.new kernel
fi
