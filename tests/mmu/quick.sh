#!/bin/bash
# Paging compared with the manual's rules: the same few steps in each mode.
# test: quick timeout=120
set -e
exec 2>&1
"$O/mmu/random_paging" --seed 1 --steps 30000 --mode both
"$O/mmu/random_paging" --seed 2 --steps 50000 --mode ept
"$O/mmu/random_paging" --seed 2 --steps 50000 --mode shadow
