# Networks on Debian's kernel, with its packet filter and without: then a process carries what comes to a published port.
export SKIFF_ROOT=/tmp/skiff-data SKIFF_RUN=/run/skiff-test SKIFF_NETWORK=
trap 'cat /tmp/out /tmp/said; skiff rm -f web >/dev/null 2>&1; rm -rf /tmp/skiff-data /run/skiff-test' EXIT
same() { test "$1" = "$2" || { echo "found '$1', not '$2': $3"; exit 1; }; }
mkdir -p /tmp/www; echo hello > /tmp/www/index.html

# (busybox's wget looks for files of the C library that are not here.)
get() { printf 'GET / HTTP/1.0\r\n\r\n' | timeout 2 busybox nc "${1%:*}" "${1#*:}" 2>/dev/null | tail -n 1; }
answers() {
    for try in $(seq 100); do [ "$(get "$1")" = hello ] && return 0; sleep 0.05; done
    echo "$1 does not answer"; return 1
}

publish() {
    skiff run -d --name web -p 8080:80 -p 127.0.0.1:8081:80 --network front \
        -v /tmp/www:/www:ro host busybox httpd -f -p 80 -h /www
    answers 127.0.0.1:8080
    answers 127.0.0.1:8081
    place=$(skiff inspect -f '{{.NetworkSettings.Networks.front.IPAddress}}' web)
    answers "$place:80"
    skiff run --rm --network front host busybox nslookup web 172.18.0.1 | grep -q "$place"
    skiff run --rm -p 8080:80 host true 2>/dev/null && { echo "the port was given twice"; exit 1; }
    skiff restart -t 0 web >/dev/null
    answers 127.0.0.1:8080
    skiff rm -f web >/dev/null
    [ "$(get 127.0.0.1:8080)" = hello ] && { echo "somebody still answers"; exit 1; }
    return 0
}

skiff network create front >/dev/null
publish 2>/tmp/said >/tmp/out
same "$(cat /tmp/said)" "" "warnings"
same "$(cat /proc/sys/net/ipv4/ip_forward)" 1 "forwarding"
skiff network rm front >/dev/null
echo 0 > /proc/sys/net/ipv4/ip_forward

# Again and again, since one needs the other.
for try in $(seq 20); do
    for module in $(cut -d ' ' -f 1 /proc/modules | grep ^nf); do rmmod "$module" 2>/dev/null || true; done
done
test ! -d /sys/module/nf_tables
skiff network create front >/dev/null
publish 2>/tmp/said >/tmp/out
grep -q "^WARNING: this kernel has no nf_tables" /tmp/said
skiff info 2>&1 | grep -q "no nf_tables"
same "$(cat /proc/sys/net/ipv4/ip_forward)" 0 "forwarding"
skiff network rm front >/dev/null
