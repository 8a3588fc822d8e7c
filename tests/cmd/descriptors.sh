#!/bin/bash
# Standard descriptors that are closed, full or limited: the guest runs all the same, and nothing of
# its output gets into its disk.
# test: quick timeout=60
set -euo pipefail
cd "$TEST_TMP"
failures=0

# The embedded guest with --timeout, and what stands behind it; it must power off.
fail() {
    echo "$1: status $2"
    cat err
    failures=$((failures + 1))
}

run=(timeout -k 1 40 "$UMBRA" run --timeout 20)
: >err
"${run[@]}" <&- >out 2>err || fail "no standard input" $?
grep -q "Power off" out || fail "no standard input, no output" 0
"${run[@]}" </dev/null >&- 2>err || fail "no standard output" $?
"${run[@]}" </dev/null >out 2>&- || fail "no standard error" $?
"${run[@]}" <&- >&- 2>&- || fail "no standard descriptor" $?
"${run[@]}" </dev/null >/dev/full 2>err || fail "a full output" $?
grep -q "output is dropped" err || fail "a full output, no warning" 0

# A disk whose boot sector prints through the serial port and powers off by isa-debug-exit:
# mov dx, 3F8h; mov al, 'x'; mov cx, 600; again: out dx, al; loop again; out 0F4h, al
printf '\xba\xf8\x03\xb0\x78\xb9\x58\x02\xee\xe2\xfd\xe6\xf4' >disk
truncate -s 510 disk
printf '\x55\xaa' >>disk
truncate -s 1M disk
cp disk before
status=0
"${run[@]}" --disk disk <&- >&- 2>&- || status=$?
[ $status -eq $((0x78 << 1 | 1)) ] || fail "a disk and no descriptors" $status
cmp before disk || fail "the guest's output went into its disk" 0

# limited WORDS OPTION...: a limit (ulimit) that is too low for a VM is named, with status 2.
limited() {
    local words=$1 status=0
    shift
    (ulimit "$@" && exec "${run[@]}" </dev/null >out 2>err) || status=$?
    { [ $status -eq 2 ] && [ "$(wc -l <err)" -eq 1 ] && grep -qF -- "$words" err; } || fail "ulimit $*" $status
}
limited "ulimit -v" -v 200000
limited "ulimit -f" -f 1

status=0
"$UMBRA" run --help >/dev/full 2>err || status=$?
[ $status -eq 4 ] || fail "help into a full output" $status

# A report that cannot be written makes the status 4, and is told in one line, whatever the guest's was.
run_quietly() {
    "$UMBRA" run --engine soft --memory 32M "$@" >/dev/null
}
lost() {
    local status=0
    "$@" </dev/null >/dev/full 2>err || status=$?
    { [ $status -eq 4 ] && [ "$(grep -c "No space left on device" err)" -eq 1 ]; } || fail "$*" $status
}
run_quietly --stats=stats.json </dev/null 2>err
lost "$UMBRA" report stats.json
lost "$UMBRA" report stats.json -o /dev/full
lost run_quietly --stats=/dev/full
lost run_quietly --clock instructions --digest /dev/full
[ $failures -eq 0 ]
