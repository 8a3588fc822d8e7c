#!/bin/bash
# test: quick timeout=240
# The assembly guests and the embedded guest with each block translated at once.
exec tests/mmu_modes/again -c "--translate 1" -c "--translate 1 --mmu shadow --tlb-entries 2" \
    tests/guests/cpu/umbra.sh tests/guests/bios/umbra.sh tests/guests/multiboot/umbra.sh tests/boot/embedded.sh
