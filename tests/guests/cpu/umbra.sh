#!/bin/bash
# test: quick timeout=120
# Runs the processor's test guests on Umbra: each must print PASS, and triple must shut the
# processor down (status 38). NAME... runs only those.
set -uo pipefail
O=${O:-build}
UMBRA=${UMBRA:-$O/umbra}
failed=0

if [ $# -eq 0 ]; then
    mapfile -t names < <(basename -s .S tests/guests/cpu/*.S)
    set -- "${names[@]}"
fi
for name in "$@"; do
    [ "$name" = boot ] && continue
    said=$(timeout 30 "$UMBRA" run "$O/guests/cpu/$name.bin" --memory 64M --no-reboot --timeout 20 2>&1 </dev/null)
    status=$?
    if grep -qx PASS <<<"$said" || { [ "$name" = triple ] && grep -qx DOWN <<<"$said" && [ $status = 38 ]; }; then
        echo "$name: PASS"
    else
        echo "$name: status $status"
        tail -n 5 <<<"$said"
        failed=1
    fi
done
exit $failed
