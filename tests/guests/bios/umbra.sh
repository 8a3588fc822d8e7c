#!/bin/bash
# test: quick timeout=120
# The BIOS tests on Umbra, with a disk and a CD-ROM behind the disk port;
# with xorriso, also CDs whose boot image is shown as a floppy and as a hard disk.
set -euo pipefail

disk=$TEST_TMP/disk.img cd=$TEST_TMP/cd.img
truncate -s 20M "$disk"
printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
truncate -s 128K "$cd"
printf '\x01CD001\x01' | dd of="$cd" bs=2048 seek=16 conv=notrunc status=none
before=$(sha256sum <"$disk")

# run NAME FILE [OPTION...]
run() {
    local name=$1 status=0
    shift
    "$UMBRA" run --memory 128M --timeout 60 "$@" </dev/null \
        >"$TEST_TMP/$name.log" 2>"$TEST_TMP/$name.err" || status=$?
    if [ $status -ne 1 ] || ! grep -qa '^PASS' "$TEST_TMP/$name.log"; then # isa-debug-exit: 0 is 1
        echo "$name.S: status $status"
        tail -n 2 "$TEST_TMP/$name.err"
        grep -a '^FAIL' "$TEST_TMP/$name.log" || tail -n 2 "$TEST_TMP/$name.log"
        exit 1
    fi
    echo "$name.S: $(grep -a '^PASS' "$TEST_TMP/$name.log")"
}

for name in memory console system tables disk reset; do
    run $name "$O/guests/bios/$name.bin"
done
run disk "$O/guests/bios/disk.bin" --disk "$disk" --cdrom "$cd"
# The disk test writes two sectors and puts both back.
[ "$(sha256sum <"$disk")" = "$before" ] || { echo "the disk image has changed" && exit 1; }

# A disk of a floppy's size is a floppy; soft.sh has the other sizes.
floppy=$TEST_TMP/floppy.img
cp "$O/guests/bios/floppy.bin" "$floppy"
truncate -s 1440K "$floppy"
printf LAST | dd of="$floppy" bs=512 seek=2879 conv=notrunc status=none
run floppy "$floppy"
[ "$(tail -c 512 "$floppy" | head -c 4)" = WTEN ] || { echo "the floppy was not written" && exit 1; }

# emulation SECTORS XORRISO-OPTION...: a CD with emulation.S on an image of so many sectors.
emulation() {
    local sectors=$1 tree=$TEST_TMP/tree
    shift
    rm -rf "$tree" && mkdir "$tree"
    cp "$O/guests/bios/emulation.bin" "$tree/boot.img"
    truncate -s $((sectors * 512)) "$tree/boot.img"
    printf LAST | dd of="$tree/boot.img" bs=512 seek=$((sectors - 1)) conv=notrunc status=none
    xorriso -as mkisofs -quiet -o "$TEST_TMP/emulation.iso" -b boot.img "$@" "$tree" 2>/dev/null
    run emulation "$TEST_TMP/emulation.iso"
}
command -v xorriso >/dev/null || { echo "without xorriso, no El Torito emulation" && exit 0; }
emulation 2880
emulation $((8 * 16 * 63)) -hard-disk-boot
