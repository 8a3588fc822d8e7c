#!/bin/bash
# test: timeout=480
# Linux restarts, powers off and panics, under shadow paging.
exec tests/mmu_modes/again tests/boot/linux_ends.py
