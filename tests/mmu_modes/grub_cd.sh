#!/bin/bash
# test: timeout=600
# GRUB from a CD and what it loads, under shadow paging.
exec tests/mmu_modes/again tests/boot/grub_cd.py
