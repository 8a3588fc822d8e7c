#!/bin/bash
# Every C file is laid out by .clang-format; headers of the assembly guests are none.
# test: quick
set -euo pipefail
if ! command -v clang-format >/dev/null; then
    echo "clang-format is not installed (tools/setup check)"
    exit 77
fi
find src tests -name guests -prune -o -name '*.[ch]' -exec clang-format --dry-run -Werror --ferror-limit=2 {} + ||
    { echo "run: make format" && exit 1; }
