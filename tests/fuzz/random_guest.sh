#!/bin/bash
# Random guests from fixed seeds, under sanitizers, each mode as often as the others.
# RANDOM_GUESTS and RANDOM_SEED change how many and which.
# test: timeout=240
set -euo pipefail
program=$O/fuzz/random_guest
if [ ! -x "$program" ]; then
    echo "the fuzz targets are not built (make fuzz)"
    exit 77
fi
"$program" --seed "${RANDOM_SEED:-1}" --count "${RANDOM_GUESTS:-1500}"
