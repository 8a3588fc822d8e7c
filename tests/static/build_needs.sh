#!/bin/bash
# On a machine without the packages, make says which are missing and how to get them, and compiles
# nothing; it tells a missing tool and a missing library by name.
# test: quick timeout=60
set -euo pipefail
unset MAKEFLAGS MAKELEVEL CC IASL LDLIBS
mkdir "$TEST_TMP/bin"
printf '#!/bin/sh\nexit 1\n' >"$TEST_TMP/bin/dpkg-query" # nothing is installed
chmod +x "$TEST_TMP/bin/dpkg-query"

# lacks WORDS VARIABLE=VALUE: a build with the variable set.
lacks() {
    if PATH="$TEST_TMP/bin:$PATH" make "O=$TEST_TMP/out" "$2" >"$TEST_TMP/said" 2>&1; then
        echo "make $2 went on" && exit 1
    fi
    for words in "$1" "Missing packages:" acpica-tools libzydis-dev "tools/setup build"; do
        grep -qF -- "$words" "$TEST_TMP/said" || { cat "$TEST_TMP/said" && echo "no '$words'" && exit 1; }
    done
    ! grep -q '^  CC' "$TEST_TMP/said"
}

lacks "lacks: no-such-iasl" IASL=no-such-iasl
lacks "lacks: no-such-compiler" CC=no-such-compiler
lacks "lacks: -lno-such-library" "LDLIBS=-lno-such-library"
tools/build-needs "${CC:-gcc}" "" od
