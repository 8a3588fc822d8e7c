#!/bin/bash
# `umbra run` with no file: the embedded guest goes through its modes, shows the E820 map, takes its
# page fault, runs its ring-3 program, and powers off.
# test: quick timeout=60
set -euo pipefail
cd "$TEST_TMP"
failures=0

# One run, with further arguments; the log lands in out.
run_demo() {
    local status=0
    timeout 40 "$UMBRA" run --timeout 30 "$@" >out 2>err </dev/null || status=$?
    tr -d '\r' <out >log
    if [ $status -ne 0 ] || grep -q 'umbra: error' err; then
        echo "umbra run $*: status $status; it said:"
        cat err log
        exit 1
    fi
}

shows() {
    grep -qE -- "$1" log || { echo "the embedded guest does not show: $1" && failures=$((failures + 1)); }
}

# The end of a range that starts at the given address, as E820 shows it to the guest.
ram_end() {
    sed -nE "s/^ *$1 - ([0-9A-F]{16}) +RAM.*/\1/p" log
}

run_demo
shows '^ *0000000000000000 - [0-9A-F]{16} +RAM'
shows 'Protected mode, 32 bit'
shows 'long mode, 64 bit'
shows 'CR0 = 80010011h'
shows '#PF at RIP = .*CR2 = 123456789000h, error code 2h'
shows 'both read 756D627261h. Right'
shows 'Hello from ring 3'
shows '#PF at RIP = .*CR2 = 7C00h, error code 5h'
shows '#GP at RIP = .*CPL = 3'
shows 'status is 42; I have seen 2 page faults'
shows 'GVA 123456789000h reads 756D627261h in the one'
shows 'space and 6F74686572h in the other.*Right'
shows 'Power off'
grep -q 'engine soft' err || { echo "no word about the engine" && failures=$((failures + 1)); }
end=$(ram_end 0000000000100000)
[ $((16#${end:-FFFFFFFF})) -lt $((512 << 20)) ] || { echo "512 MiB of RAM end at '$end'" && failures=$((failures + 1)); }

# RAM below the hole ends at 3 GiB, the rest of 5 GiB lies above 4 GiB: 2 GiB.
run_demo --memory 5G
end=$(ram_end 0000000100000000)
[ "$end" = 000000017FFFFFFF ] || { echo "of 5 GiB, the RAM above 4 GiB ends at '$end'" && failures=$((failures + 1)); }

# Memory is taken on demand: a large guest starts on a small host.
run_demo --memory 1T --stats
shows '^ *0000000100000000 - 000001003FFFFFFF +RAM'

run_demo --memory 1M
end=$(ram_end 0000000000100000)
[ -z "$end" ] || { echo "of 1 MiB there is RAM from 1 MiB to $end" && failures=$((failures + 1)); }
[ $failures -eq 0 ]
