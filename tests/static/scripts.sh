#!/bin/bash
# No word from shellcheck on any shell script of the tree.
# test: quick
set -euo pipefail
if ! command -v shellcheck >/dev/null; then
    echo "shellcheck is not installed (tools/setup check)"
    exit 77
fi
find . -name .git -prune -o -name 'build*' -prune -o -name cache -prune -o -type f -print | while read -r file; do
    case $(head -c 40 "$file" | head -n 1 | tr -d '\000') in
    '#!/bin/bash'* | '#!/bin/sh'*) echo "$file" ;;
    esac
done | xargs shellcheck
