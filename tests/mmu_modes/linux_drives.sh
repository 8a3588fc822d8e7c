#!/bin/bash
# test: timeout=600
# Linux on a disk and a CD, under shadow paging.
exec tests/mmu_modes/again tests/boot/linux_drives.py
