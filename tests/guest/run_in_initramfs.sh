# In the kernel's initial root file system, where pivot_root is refused, a container has a root of its own all the same.
export SKIFF_ROOT=/run/skiff-data SKIFF_RUN=/run/skiff-test
# A monitor may still be clearing up after itself; what it removes meanwhile is no failure.
trap 'rm -rf /run/skiff-data /run/skiff-test 2>/dev/null || rm -rf /run/skiff-data /run/skiff-test' EXIT
test "$(skiff run --rm host sh -c 'echo $$; echo changed >/etc/changed; cat /etc/changed')" = "1
changed"
test ! -e /etc/changed
skiff run --rm host sh -c 'test ! -e /run/skiff-data && grep -q " / / .* overlay " /proc/self/mountinfo'
code=0
skiff run --rm host sh -c 'exit 3' || code=$?
test "$code" = 3
