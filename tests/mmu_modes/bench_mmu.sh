#!/bin/bash
# test: quick timeout=120
# tools/bench-mmu prints its table, and the exits of an operation in it are those that the manual and
# docs/memory.md promise: none under EPT; under shadow paging a fill, the guest's own fault, two
# writes to the page table and two INVLPG for a page that is protected, written and given back.
# What the times are is not asked here.
set -euo pipefail
tools/bench-mmu --no-linux --runs 1 --only '^(protect|inject|fill)$' "$O" >"$TEST_TMP/table" 2>"$TEST_TMP/err" ||
    { cat "$TEST_TMP/err" && exit 1; }
failures=0
shows() {
    grep -qE -- "$1" "$TEST_TMP/table" || { echo "no line like $1" && failures=1; }
}
shows '^workload +ept +shadow +ratio +exits an operation: ept'
shows '^fill .* none +fill 1\.00 '
shows '^inject .* none +inject 1\.00 '
shows '^protect .* none +fill 1\.00, inject 1\.00, gPT write 2\.00, INVLPG 2\.00 '
[ $failures = 0 ] || cat "$TEST_TMP/table"
exit $failures
