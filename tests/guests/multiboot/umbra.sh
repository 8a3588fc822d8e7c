#!/bin/bash
# test: quick timeout=60
# The multiboot guest on Umbra: as ELF and flat, named as FILE and by --kernel, with and without a
# module.
set -uo pipefail
printf 'four words of module' >"$TEST_TMP/module"
failed=0

# run NAME MEMORY OPTION...: the guest must end with a pass; its output is in $said.
run() {
    local name=$1 memory=$2 status=0
    shift 2
    said=$("$UMBRA" run --memory "$memory" --timeout 30 "$@" 2>"$TEST_TMP/errors" </dev/null) || status=$?
    if [ $status = 1 ] && grep -qx PASS <<<"$said"; then # isa-debug-exit: 0 is 1
        echo "$name: PASS"
        return
    fi
    echo "$name: status $status"
    grep -E '^(FAIL|umbra)' <<<"$said" || tail -n 3 <<<"$said" "$TEST_TMP/errors"
    failed=1
}

# says LINE: the last guest printed it.
says() {
    grep -qxF "$1" <<<"$said" || { echo "it did not print: $1" && failed=1; }
}

for kind in elf flat; do
    guest=$O/guests/multiboot/guest.$kind
    run "$kind" 64M "$guest"
    says 'modules: none'
    says "command line: guest.$kind"
    says 'loader: Umbra'
    run "$kind, --kernel, a module and a command line" 64M \
        --kernel "$guest" --initrd "$TEST_TMP/module" --append 'one two=2'
    says 'module: four words of module'
    says "command line: guest.$kind one two=2"
    run "$kind, 8 GiB" 8G "$guest"
    says 'map: 100000000 140000000 1'
done
exit $failed
