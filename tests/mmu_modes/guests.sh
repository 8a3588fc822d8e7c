#!/bin/bash
# test: quick timeout=240
# The assembly guests and the embedded guest under shadow paging.
exec tests/mmu_modes/again tests/guests/cpu/umbra.sh tests/guests/bios/umbra.sh tests/guests/multiboot/umbra.sh tests/boot/embedded.sh
