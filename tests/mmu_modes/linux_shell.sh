#!/bin/bash
# test: timeout=300
# Debian's kernel on a terminal, under shadow paging.
exec tests/mmu_modes/again tests/boot/linux_shell.py
