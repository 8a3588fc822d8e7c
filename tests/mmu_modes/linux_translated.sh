#!/bin/bash
# test: timeout=400
# Debian's kernel on a terminal with each block translated at once, and with none translated at all.
exec tests/mmu_modes/again -c "--translate 1" -c "--translate off" tests/boot/linux_shell.py
