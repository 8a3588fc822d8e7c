#!/bin/bash
# test: timeout=180
# A second opinion on the processor's test guests: QEMU's TCG must let them pass too, apart from
# what they skip there (see on_tcg in guest.h).
set -uo pipefail
O=${O:-build}
work=${TEST_TMP:-$(mktemp -d)}
failed=0

command -v qemu-system-x86_64 >/dev/null || { echo "qemu-system-x86_64 is not installed" && exit 77; }
if [ $# -eq 0 ]; then
    mapfile -t names < <(basename -s .S tests/guests/cpu/*.S)
    set -- "${names[@]}"
fi
for name in "$@"; do
    [ "$name" = boot ] && continue
    cat "$O/guests/cpu/boot.bin" "$O/guests/cpu/$name.bin" >"$work/$name.img"
    truncate -s 128K "$work/$name.img"
    said=$(timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 64 -display none -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=1 -debugcon stdio \
        -drive "file=$work/$name.img,format=raw,if=ide" 2>/dev/null </dev/null)
    echo "$name: $said"
    [ "$said" = PASS ] || [ "$name,$said" = triple,DOWN ] || failed=1
done
exit $failed
