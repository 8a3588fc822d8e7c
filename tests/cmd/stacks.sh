#!/bin/bash
# Small stacks (ulimit -s): guests run with 64 KiB as with any, and what is too small is told in one
# line. The environment counts as stack, so each run gets an empty one.
# test: quick timeout=120
set -euo pipefail
cd "$TEST_TMP"
failures=0

fail() {
    echo "$1"
    cat err
    failures=$((failures + 1))
}

# limited KIB STATUS ARGUMENT...: umbra with that limit, soft and hard, ends with the status.
limited() {
    local limit=$1 wanted=$2 status=0
    shift 2
    (ulimit -s "$limit" && exec env -i "PATH=$PATH" timeout -k 1 60 "$UMBRA" "$@") >out 2>err </dev/null || status=$?
    [ $status -eq "$wanted" ] || fail "ulimit -s $limit, umbra $*: status $status, not $wanted"
}

for limit in 64 8192 unlimited; do
    limited "$limit" 0 run --timeout 30 --screen --stats=stats.json
    grep -q "Power off" out || fail "ulimit -s $limit: the embedded guest does not come to its end"
    limited "$limit" 0 report stats.json
done
# With 16 KiB the dynamic linker may run out, before there is somebody to tell.
limited 24 2 run
{ [ "$(wc -l <err)" -eq 1 ] && grep -q "ulimit -s 8192" err; } || fail "ulimit -s 24: not one line of advice"

# Nested as deep as the reader of JSON lets it.
deep=$(printf '[%.0s' {1..2000})
echo "{\"a\": $deep${deep//[/]}}" >deep.json
limited 64 2 report deep.json

if [ -e "$CACHE/cloud/vmlinuz" ] && [ -e "$CACHE/initramfs.cpio.gz" ]; then
    limited 64 0 run --timeout 50 --memory 256M --kernel "$CACHE/cloud/vmlinuz" \
        --initrd "$CACHE/initramfs.cpio.gz" --append umbra.batch
    grep -q "umbra-guest: ready" out || fail "Debian's kernel does not come to its shell"
fi
[ $failures -eq 0 ]
