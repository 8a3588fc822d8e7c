#!/bin/bash
# test: quick timeout=120
# BIOS tests for the soft engine: time that no busy host makes longer, a processor that checks
# segment limits and has an x87, which not every KVM shows a guest in real mode, and floppies of all
# sizes.
set -euo pipefail

# run NAME FILE [OPTION...]
run() {
    local name=$1 status=0
    shift
    "$UMBRA" run --engine soft --memory 128M --timeout 60 "$@" </dev/null >"$TEST_TMP/log" 2>"$TEST_TMP/err" ||
        status=$?
    if [ $status -ne 1 ] || ! grep -qa '^PASS' "$TEST_TMP/log"; then # isa-debug-exit: 0 is 1
        echo "$name: status $status"
        tail -n 2 "$TEST_TMP/err"
        grep -a '^FAIL' "$TEST_TMP/log" || tail -n 2 "$TEST_TMP/log"
        exit 1
    fi
    echo "$name: $(grep -a '^PASS' "$TEST_TMP/log")"
}

run wait.S "$O/guests/bios/wait.bin" --clock instructions=100

# What a boot sector finds, under Umbra's BIOS and under the one that PCs of this kind mostly have.
# The image ends within its thirteenth sector.
disk=$TEST_TMP/disk.img
cp "$O/guests/bios/handover.bin" "$disk"
truncate -s $((13 * 512 - 100)) "$disk"
for mmu in ept shadow; do
    run "handover.S, $mmu" "$disk" --mmu $mmu
done
seabios=/usr/share/seabios/bios-256k.bin
if [ -e $seabios ]; then run "handover.S, SeaBIOS" "$disk" --bios $seabios; fi

# floppy CYLINDERS HEADS SECTORS TYPE [KIB]: an image for floppy.S, of the medium's size or cut off.
floppy() {
    local sectors=$(($1 * $2 * $3)) short=${5:+1} kib=${5:-$(($1 * $2 * $3 / 2))}
    cp "$O/guests/bios/floppy.bin" "$floppy"
    printf '%b' "$(printf '\\x%02x' $(($1 - 1)) $(($2 - 1)) "$3" "$4" "${short:-0}")" |
        dd of="$floppy" bs=1 seek=500 conv=notrunc status=none
    truncate -s "${kib}K" "$floppy"
    [ -n "$short" ] || printf LAST | dd of="$floppy" bs=512 seek=$((sectors - 1)) conv=notrunc status=none
}

# A disk of a floppy's size is a floppy; another one is, if the user says so.
floppy=$TEST_TMP/floppy.img
while read -r cylinders heads sectors type; do
    floppy "$cylinders" "$heads" "$sectors" "$type"
    run "floppy.S, $cylinders cylinders of $heads x $sectors" "$floppy"
    [ "$(tail -c 512 "$floppy" | head -c 4)" = WTEN ] || { echo "the floppy was not written" && exit 1; }
done <<<"40 1 8 1
40 1 9 1
40 2 8 1
40 2 9 1
80 2 9 3
80 2 15 2
80 2 18 4
80 2 36 6"
floppy 80 2 18 4 5
run "floppy.S, 5 KiB" --floppy "$floppy"
floppy 80 2 36 6 1441
run "floppy.S, 1441 KiB" --floppy "$floppy"
floppy 100 2 36 6
run "floppy.S, 100 cylinders" --floppy "$floppy"
