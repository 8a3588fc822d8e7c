#!/bin/bash
# tools/run-tests counts passes, failures, skips and time-outs as such, and says so in its status.
# test: quick timeout=30
set -euo pipefail
root=$TEST_TMP/root
mkdir -p "$root/tests" "$root/tools"
cp tools/run-tests "$root/tools/"
script() {
    printf '#!/bin/sh\n# test: quick timeout=1\n%s\n' "$2" >"$root/tests/$1.sh"
    chmod +x "$root/tests/$1.sh"
}
script good 'exit 0'
last=$("$root/tools/run-tests" build | tail -n 1)
[ "$last" = "1 passed, 0 failed, 0 skipped" ] || { echo "one good test gave: $last" && exit 1; }

script bad 'exit 3'
script skipped 'echo no disk; exit 77'
script slow 'sleep 20'
status=0
"$root/tools/run-tests" build >"$TEST_TMP/out" || status=$?
last=$(tail -n 1 "$TEST_TMP/out")
[ "$last" = "1 passed, 2 failed, 1 skipped" ] || { echo "the mixed set gave: $last" && exit 1; }
[ $status -eq 1 ] || { echo "the status of a failed run was $status" && exit 1; }
grep -q '^skip  tests/skipped.sh: no disk$' "$TEST_TMP/out"
