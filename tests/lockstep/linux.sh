#!/bin/bash
# Debian's kernel to its shell and off again, in lockstep: registers and a hash of memory are equal at
# every million instructions in both modes of memory virtualization, and with a TLB of one entry and
# 64 shadow pages. A TLB of one entry over the EPT, the slowest of all, is run for the first part.
# test: timeout=900
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
CACHE=${CACHE:-cache}
kernel=$CACHE/cloud/vmlinuz
initrd=$CACHE/initramfs.cpio.gz
if [ ! -e "$kernel" ] || [ ! -e "$initrd" ]; then
    echo "no guest in $CACHE (tools/prepare-guests)"
    exit 77
fi
options=(--kernel "$kernel" --initrd "$initrd" --append "console=ttyS0 umbra.batch" --no-reboot)
points=1500 # at the least; a kernel that ends early is none that boots

said=$(timeout 650 tools/lockstep --seconds 640 --mmu ept -- --mmu shadow -- --mmu shadow --shadow-pages 64 \
    --tlb-entries 1 --all "${options[@]}")
status=$?
tail -n 80 <<<"$said"
[ $status = 0 ] || exit 1
equal=$(sed -nE 's/.*equal at ([0-9]+) points .* status 0$/\1/p' <<<"$said")
[ "${equal:-0}" -ge $points ] || { echo "not $points points, or the guest did not power off" && exit 1; }

timeout 220 tools/lockstep --upto 300000000 --seconds 210 --mmu ept -- --mmu ept --tlb-entries 1 \
    --all "${options[@]}" | tail -n 80
exit "${PIPESTATUS[0]}"
