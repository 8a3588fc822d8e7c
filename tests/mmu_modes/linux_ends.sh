#!/bin/bash
# test: timeout=480
# Linux restarts, powers off and panics, under shadow paging with hardly any pages.
exec tests/mmu_modes/again -c "--mmu shadow --shadow-pages 64" tests/boot/linux_ends.py
