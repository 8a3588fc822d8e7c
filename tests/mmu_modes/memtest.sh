#!/bin/bash
# test: timeout=300
# memtest86+ goes through all of memory, under shadow paging.
exec tests/mmu_modes/again -c "--mmu shadow" tests/boot/memtest.py
