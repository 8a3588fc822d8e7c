#!/bin/bash
# test: quick timeout=240
# The assembly guests and the embedded guest with a TLB of one entry, and of two.
exec tests/mmu_modes/again -c "--tlb-entries 1" -c "--mmu shadow --tlb-entries 2" \
    tests/guests/cpu/umbra.sh tests/guests/bios/umbra.sh tests/guests/multiboot/umbra.sh tests/boot/embedded.sh
