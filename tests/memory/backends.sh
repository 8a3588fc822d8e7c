#!/bin/bash
# test: quick timeout=120 alone
# The embedded guest on each kind of memory; what the host lacks is told, with the way to get it.
set -uo pipefail
huge=/proc/sys/vm/nr_hugepages
failed=0

if [ "$(cat /proc/sys/vm/overcommit_memory)" = 2 ]; then
    echo "the host counts memory strictly (vm.overcommit_memory=2)"
    exit 77
fi

fail() {
    echo "$1"
    cat "$TEST_TMP/err"
    failed=1
}
# run WORDS STATUS OPTION...: the words must stand in the report.
run() {
    local words=$1 status=$2 got=0
    shift 2
    timeout 60 "$UMBRA" run --stats --timeout 50 "$@" </dev/null >"$TEST_TMP/out" 2>"$TEST_TMP/err" || got=$?
    [ $got = "$status" ] || fail "umbra run $*: status $got instead of $status"
    grep -qE -- "$words" "$TEST_TMP/err" || fail "umbra run $*: nothing like '$words'"
}

small='[ 0-9][0-9]\.[0-9] MiB +of guest memory touched, of 128 MiB'
all='12[78]\.[0-9] MiB +of guest memory touched, of 128 MiB'
run "$small" 0 --memory 128M
run "$small" 0 --memory 128M --memory-backend anon --ksm
run "$small" 0 --memory 128M --memory-backend memfd
run "$all" 0 --memory 128M --prealloc
run "$all" 0 --memory 128M --memory-backend memfd --prealloc
run 'of guest memory touched' 0 --memory 128M --thp
run '--ksm merges private pages only; it needs --memory-backend anon' 2 --memory-backend memfd --ksm
run '--thp has no use with --memory-backend hugetlb' 2 --memory-backend hugetlb --thp
run 'unknown --memory-backend disk; choose from anon.memfd.hugetlb' 2 --memory-backend disk
run '--prealloc needs 972800 MiB .* the host has [0-9]+ MiB to give' 2 --memory 950G --prealloc
run 'needs 486399 huge pages of 2 MiB, .* sysctl vm.nr_hugepages=[0-9]+' 2 --memory 950G --memory-backend hugetlb

# Huge pages that are really there; the kernel may not find so many in a row.
before=$(cat $huge)
trap 'echo "$before" 2>/dev/null >$huge' EXIT
if echo $((before + 63)) 2>/dev/null >$huge && [ "$(cat $huge)" -ge $((before + 63)) ]; then
    run '126\.[0-9] MiB +of guest memory touched, of 128 MiB' 0 --memory 128M --memory-backend hugetlb
    run "$all" 0 --memory 128M --memory-backend hugetlb --prealloc
else
    echo "no huge pages can be set aside here: hugetlb not tried"
fi
exit $failed
