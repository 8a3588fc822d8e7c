#!/bin/bash
# test: timeout=600
# Debian's 32-bit kernel (PAE) with all its self-tests, under shadow paging with hardly any pages;
# linux_memory boots it in the other configuration, too.
exec tests/mmu_modes/again -c "--mmu shadow --shadow-pages 64" tests/boot/linux32.py
