#!/bin/bash
# `make install` puts the program and its man page below DESTDIR and PREFIX, and nothing else; the
# man page is made by scdoc, and holds each option.
# test: quick timeout=60
set -euo pipefail
if ! command -v scdoc >/dev/null; then
    echo "scdoc is not installed (tools/setup check)"
    exit 77
fi
# What runs the tests may be a make with other variables.
unset MAKEFLAGS MAKELEVEL PREFIX prefix DESTDIR
make -s "O=$O" "DESTDIR=$TEST_TMP/root" PREFIX=/opt/umbra install
(cd "$TEST_TMP/root" && find . -type f | sort) >"$TEST_TMP/files"
diff - "$TEST_TMP/files" <<'END'
./opt/umbra/bin/umbra
./opt/umbra/share/man/man1/umbra.1
END
"$TEST_TMP/root/opt/umbra/bin/umbra" version
# roff writes a dash of an option as \-.
sed 's/\\-/-/g' <"$TEST_TMP/root/opt/umbra/share/man/man1/umbra.1" >"$TEST_TMP/page"
"$UMBRA" run --help | grep -oE '^ *--[a-z-]+' | tr -d ' ' | while read -r option; do
    grep -qF -- "$option" "$TEST_TMP/page" || { echo "no $option in the man page" && exit 1; }
done
