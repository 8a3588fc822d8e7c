#!/bin/bash
# test: quick timeout=120
# The BIOS tests on Umbra, with a disk and a CD-ROM behind the disk port.
set -euo pipefail
make -s "O=$O" rom >/dev/null

disk=$TEST_TMP/disk.img cd=$TEST_TMP/cd.img
truncate -s 20M "$disk"
printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
truncate -s 128K "$cd"
printf '\x01CD001\x01' | dd of="$cd" bs=2048 seek=16 conv=notrunc status=none
before=$(sha256sum <"$disk")

run() {
    local name=$1 status=0
    shift
    "$UMBRA" run "$O/guests/bios/$name.bin" --memory 128M --timeout 60 "$@" </dev/null \
        >"$TEST_TMP/$name.log" 2>"$TEST_TMP/$name.err" || status=$?
    if [ $status -ne 1 ] || ! grep -qa '^PASS' "$TEST_TMP/$name.log"; then # isa-debug-exit: 0 is 1
        echo "$name.S: status $status"
        tail -n 2 "$TEST_TMP/$name.err"
        grep -a '^FAIL' "$TEST_TMP/$name.log" || tail -n 2 "$TEST_TMP/$name.log"
        exit 1
    fi
    echo "$name.S: $(grep -a '^PASS' "$TEST_TMP/$name.log")"
}

run memory
run console
run system
run disk
run disk --disk "$disk" --cdrom "$cd"
# The disk test writes two sectors and puts both back.
[ "$(sha256sum <"$disk")" = "$before" ] || { echo "the disk image has changed" && exit 1; }
