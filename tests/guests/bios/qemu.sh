#!/bin/bash
# test: timeout=120
# The BIOS and the embedded guest on QEMU: a second machine that knows
# nothing of Umbra's own. QEMU hands over the same fw_cfg files; it has no disk port, so disk.S
# checks only what a PC without disks answers.
set -euo pipefail
command -v qemu-system-x86_64 >/dev/null || { echo "qemu-system-x86_64 is missing" && exit 77; }
# struct boot_info of src/fw/boot.h: magic, version 1, kind BOOT_FLAT, zeroes.
{ printf 'UMBB\x01\x00\x04\x00'; head -c 56 /dev/zero; } >"$TEST_TMP/boot"

# run FLAT-BINARY [OPTION...]
run() {
    local guest=$1
    shift
    exec timeout 50 qemu-system-x86_64 -accel tcg -machine pc -bios "$O/rom/bios.bin" -m 128 \
        -net none -display none -serial stdio -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 \
        -fw_cfg "name=opt/umbra/boot,file=$TEST_TMP/boot" \
        -device "loader,file=$guest,addr=0x7c00,force-raw=on" "$@" </dev/null
}

for name in memory console system disk; do
    status=0
    (run "$O/guests/bios/$name.bin") >"$TEST_TMP/$name.log" || status=$?
    if [ $status -ne 1 ]; then # isa-debug-exit: value 0 is status 1
        echo "$name.S: status $status" && grep -a '^FAIL' "$TEST_TMP/$name.log"
        exit 1
    fi
    echo "$name.S: $(grep -a '^PASS' "$TEST_TMP/$name.log")"
done

# An option ROM at C8000h: signature, one block, then code that prints * by INT 10h and returns;
# the last byte makes the sum 0. A second one with a wrong sum must not run.
printf '\x55\xaa\x01\xb8\x2a\x0e\xcd\x10\xcb' >"$TEST_TMP/optrom"
truncate -s 512 "$TEST_TMP/optrom"
cp "$TEST_TMP/optrom" "$TEST_TMP/optrom.bad"
sum=0
for byte in $(od -An -v -tu1 "$TEST_TMP/optrom"); do sum=$((sum + byte)); done
printf '%b' "\\x$(printf %02x $((-sum & 255)))" |
    dd of="$TEST_TMP/optrom" bs=1 seek=511 conv=notrunc status=none
status=0
(run "$O/guests/bios/memory.bin" -device "loader,file=$TEST_TMP/optrom,addr=0xc8000,force-raw=on" \
    -device "loader,file=$TEST_TMP/optrom.bad,addr=0xc9000,force-raw=on") \
    >"$TEST_TMP/optrom.log" || status=$?
if [ $status -ne 1 ] || [ "$(head -c 3 "$TEST_TMP/optrom.log")" != '*ok' ]; then
    echo "the option ROM did not run once: $(head -c 20 "$TEST_TMP/optrom.log")"
    exit 1
fi
echo "an option ROM runs, one with a wrong checksum does not"

status=0
(run "$O/rom/demo.bin") >"$TEST_TMP/demo.log" 2>/dev/null || status=$?
if [ $status -ne 0 ]; then
    echo "the embedded guest did not power QEMU's board off: status $status"
    exit 1
fi
for line in '16 bit' 'RAM' '32 bit' '64 bit' 'CR2 = 123456789000h, error code 2h' 'Right.' \
    'ring 3> Hello' 'error code 5h' 'status is 42' 'One name, two frames. Right.' 'Power off'; do
    grep -qaF "$line" "$TEST_TMP/demo.log" ||
        { echo "the embedded guest did not print: $line" && exit 1; }
done
echo "the embedded guest says all its lines"
