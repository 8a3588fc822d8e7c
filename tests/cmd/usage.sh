#!/bin/bash
# What the command line refuses: status 2, one line on standard error, nothing on standard output,
# and nothing started.
# test: quick timeout=60
set -euo pipefail
cd "$TEST_TMP"
: >empty
head -c 614400 /dev/zero >zeroes
head -c 100 /dev/zero >flat
printf 'QFI\373' >qcow2
mkdir folder
echo "Dear guest, boot." >text
truncate -s 1M gpt
printf '\125\252EFI PART' | dd of=gpt bs=1 seek=510 conv=notrunc status=none
truncate -s 1M uefi
printf '_FVH' | dd of=uefi bs=1 seek=40 conv=notrunc status=none
failures=0

# refuses WORDS ARGUMENT...
refuses() {
    local words=$1 status=0
    shift
    timeout 20 "$UMBRA" "$@" >out 2>err </dev/null || status=$?
    if [ $status -ne 2 ] || [ "$(wc -l <err)" -ne 1 ] || [ -s out ] || ! grep -qF -- "$words" err; then
        echo "umbra $*: status $status, expected 2 and one line with \"$words\"; it said:"
        cat err out
        failures=$((failures + 1))
    fi
}

refuses "no command"
refuses "unknown command boot" boot
refuses "did you mean: umbra run flat" flat
refuses "did you mean: umbra run -kernel ..." -kernel flat
refuses "no help on x" help x
refuses "did you mean --memory" run --memroy 1G
refuses "--memory lots is no size" run --memory lots
refuses "needs a value" run --kernel
refuses "Umbra says --memory SIZE" run -m 512
refuses "Umbra says --memory SIZE" run --mem 512
refuses "one processor" run --smp 2
refuses "no network" run --net user
refuses "Umbra says --disk" run --hda flat
refuses "Umbra says --disk" run -drive file=flat
refuses "serial line" run -nographic
refuses "did you mean --kernel" run -kernel flat
refuses "did you mean --cdrom" run -cdrom flat
refuses "did you mean --stats=out.json" run --stats out.json
refuses "is given as --stats=FILE.json" run --stats missing
refuses "between 1 MiB and 1024 GiB" run --memory 0
refuses "between 1 MiB and 1024 GiB" run --memory 2T
refuses "too large" run --memory 99999999999999999999
refuses "multiple of 4K" run --memory 1025K
refuses "unknown --cpu i486" run --cpu i486
refuses "no event matches" run --trace 'nothing-like-this'
refuses "no whole number" run --timeout soon
refuses "at most" run --timeout 99999999999
refuses "--clock takes host, instructions" run --clock wall
refuses "--clock takes host, instructions" run --clock instructions=
refuses "--clock takes host, instructions" run --clock instructions=0
refuses "--clock takes host, instructions" run --clock instructions=10001
refuses "--clock takes host, instructions" run --clock instructions=4ns
refuses "--digest needs --clock instructions" run --digest out
refuses "need --digest FILE" run --clock instructions --digest-to 5
refuses "needs --digest-to" run --clock instructions --digest out --digest-memory memory
refuses "before the first digest" run --clock instructions --digest out --digest-from 9 --digest-to 5
refuses "cannot write to folder" run --clock instructions --digest folder
refuses "power of two" run --tlb-entries 3
refuses "power of two" run --tlb-entries 8192
refuses "No such file" run missing
refuses "No such file" run --kernel missing
refuses "No such file or directory; truncate -s 8G NAME makes an empty disk" run --disk missing
refuses "Is a directory; name a file" run --disk folder
refuses "No such file" run --bios missing
refuses "empty" run empty
refuses "empty" run --disk empty
refuses "directory" run folder
refuses "QCOW2" run qcow2
refuses "it is a QCOW2 disk image, and drives take raw images; make one: qemu-img convert -O raw qcow2 qcow2.raw" run --disk qcow2
refuses "QCOW2" run --floppy qcow2
refuses "QCOW2" run --cdrom qcow2
cmp qcow2 <(printf 'QFI\373') || failures=$((failures + 1))
refuses "a text file" run text
refuses "GPT disk without boot code" run gpt
refuses "UEFI firmware" run --bios uefi
refuses "UEFI firmware" run uefi
refuses "too large for a flat binary" run zeroes
refuses "neither a Linux bzImage nor" run --kernel flat
refuses "without a kernel" run --initrd flat
refuses "without a kernel" run --append quiet
refuses "goes with" run flat --initrd flat
refuses "boot signature" run --disk zeroes
refuses "El Torito" run --cdrom zeroes
refuses "BIOS" run --bios flat
refuses "not both" run flat zeroes

# What has no effect is said, in one line beside the usual one; the guest runs all the same.
printf '\260\025\346\364\364' >exits # mov al, 15h; out 0F4h, al; hlt
warns() {
    local words=$1 status=0
    shift
    timeout 20 "$UMBRA" run exits --memory 4 --engine soft "$@" >out 2>err </dev/null || status=$?
    if [ $status -ne 43 ] || [ "$(wc -l <err)" -ne 2 ] || ! grep -qF -- "$words" err; then
        echo "umbra run $*: status $status, expected 43 and a line with \"$words\"; it said:"
        cat err
        failures=$((failures + 1))
    fi
}
warns "--irqchip user has no effect" --irqchip user
warns "--shadow-pages has no effect" --shadow-pages 100
warns "--shadow-pages has no effect" --mmu ept --shadow-pages 100
if timeout 20 "$UMBRA" run exits --memory 4 --engine soft --mmu shadow --shadow-pages 100 \
    --tlb-entries 64 --translate off 2>&1 | grep "no effect"; then
    failures=$((failures + 1))
fi
head -c 600 /dev/zero >zero600
timeout 20 "$UMBRA" run zero600 --memory 4 --engine soft --timeout 1 >out 2>err </dev/null || true
grep -qF "zero600 has no format that Umbra knows, and it begins with zeroes" err || {
    cat err
    failures=$((failures + 1))
}

for words in "help" "--help" "run --help" "help run" "help soft" "help kvm" "help trace" "version" "-V"; do
    # shellcheck disable=SC2086 # the words are arguments of their own
    timeout 20 "$UMBRA" $words >out 2>err || { echo "umbra $words failed" && failures=$((failures + 1)); }
    if [ ! -s out ] || [ -s err ]; then
        echo "umbra $words: no text, or text on standard error"
        failures=$((failures + 1))
    fi
done

# The help fits a terminal of 80 columns.
for words in "help" "run --help" "help soft" "help kvm" "report --help"; do
    # shellcheck disable=SC2086 # as above
    if "$UMBRA" $words | grep -E '.{81}'; then
        echo "umbra $words: lines of more than 80 columns"
        failures=$((failures + 1))
    fi
done

# Each option of the table is in the manual page, and the other way round.
cd "$OLDPWD"
"$UMBRA" run --help | grep -oE '^ *--[a-z-]+' | tr -d ' ' | sort >"$TEST_TMP/options"
grep -oE '^\*--[a-z-]+' docs/umbra.1.scd | tr -d '*' | sort >"$TEST_TMP/manual"
diff "$TEST_TMP/options" "$TEST_TMP/manual" || failures=$((failures + 1))
[ $failures -eq 0 ]
