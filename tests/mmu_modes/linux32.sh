#!/bin/bash
# test: timeout=600
# Debian's 32-bit kernel (PAE), under shadow paging.
exec tests/mmu_modes/again tests/boot/linux32.py
