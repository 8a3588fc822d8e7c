#!/bin/bash
# test: timeout=240
# A boot sector under three BIOSes, under shadow paging.
exec tests/mmu_modes/again tests/boot/boot_sector.py
