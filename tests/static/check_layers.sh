#!/bin/bash
# tools/check-layers finds what it is there to find.
# test: quick
set -euo pipefail
root=$TEST_TMP/root
mkdir -p "$root/src/dev" "$root/src/vm" "$root/src/fw/rom" "$root/tools"
cp tools/check-layers "$root/tools/"

must_find() {
    if "$root/tools/check-layers" "${@:2}" 2>"$TEST_TMP/out"; then
        echo "check-layers found nothing wrong with: $1" && exit 1
    fi
    grep -q "$1" "$TEST_TMP/out" || { echo "no word of $1 in:" && cat "$TEST_TMP/out" && exit 1; }
}

printf '#include "base/types.h"\n/* time( in words */\n' >"$root/src/dev/good.c"
"$root/tools/check-layers" sources

printf '#include "engine/engine.h"\n' >"$root/src/dev/bad.c"
must_find 'dev may not include engine/engine.h' sources
printf 'long f(void) { return time(0); }\n' >"$root/src/dev/bad.c"
must_find 'law 4' sources
printf 'int x = PROT_EXEC;\n' >"$root/src/dev/bad.c"
must_find 'law 5' sources

mkdir -p "$root/src/mmu/shadow"
printf '#include "mmu/shadow/page.h"\n' >"$root/src/mmu/shadow/track.c"
rm "$root/src/dev/bad.c"
"$root/tools/check-layers" sources
printf '#include "mmu/shadow/fault.h"\n' >"$root/src/mmu/shadow/track.c"
must_find 'includes mmu/shadow/fault.h, which stands above it' sources
rm "$root/src/mmu/shadow/track.c"
printf '\n' >"$root/src/mmu/lonely.c"
must_find 'mmu has no floor for it' sources

mkdir -p "$root/o/obj/src/dev"
printf 'int counter; static const char *const names[] = {"a"}; const char *f(int i) { static int n; return names[i + n++]; }\n' |
    gcc -x c -c -o "$root/o/obj/src/dev/bad.o" -
must_find 'counter is mutable' state o
must_find ' n is mutable' state o
if grep -q names "$TEST_TMP/out"; then
    echo "a constant table passes for state" && exit 1
fi
