#!/bin/bash
# What `make run` starts when it has no terminal: the guest's log, a report, power-off, status 0.
# test: timeout=150
set -euo pipefail
if [ ! -e "$CACHE/cloud/vmlinuz" ] || [ ! -e "$CACHE/initramfs.cpio.gz" ]; then
    echo "the guest is not there; tools/fetch-guests cloud && tools/make-initramfs amd64"
    exit 77
fi
status=0
tools/run-guest "$UMBRA" --stats </dev/null >"$TEST_TMP/out" 2>"$TEST_TMP/err" || status=$?
tr -d '\r' <"$TEST_TMP/out" >"$TEST_TMP/log"
if [ $status -ne 0 ]; then
    tail -n 30 "$TEST_TMP/log"
    cat "$TEST_TMP/err"
    echo "status $status"
    exit 1
fi
failures=0
shows() {
    grep -qE -- "$1" "$TEST_TMP/$2" || { echo "nothing like '$1' in the guest's $2" && failures=$((failures + 1)); }
}
shows '^\[.*Linux version' log
shows '^umbra-guest: ready$' log
shows '^Linux .* x86_64' log
shows '^MemTotal: ' log
shows '^umbra-guest: powering off$' log
shows 'engine soft' err
shows 'instructions' err
[ $failures -eq 0 ]
