#!/bin/bash
# test: timeout=120
# gdb on guests with page tables of their own, under shadow paging.
GDB_PARTS="long_mode comings_and_goings triple_fault" exec tests/mmu_modes/again tests/boot/gdb.py
