#!/bin/bash
# test: timeout=900
# Debian's kernel with all sizes of memory, under shadow paging.
exec tests/mmu_modes/again tests/boot/linux_memory.py
