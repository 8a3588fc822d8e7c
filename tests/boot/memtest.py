#!/usr/bin/python3 -B
# memtest86+ tests the guest's memory, seen on the serial line: its first pass runs through all tests
# that do not wait, without an error; Esc makes it restart the machine.
# test: timeout=240
import re

from vm import CACHE, RESET, Vm, check, main, need

# Of which it tests all but some 400 KiB. The tests take time in proportion; with less memory the
# screen, written by serial line now and then, would not name each of them.
MEMORY = "32M"


def test():
    kernel = f"{CACHE}/memtest/memtest86+x64.bin"
    need(kernel, "tools/fetch-guests memtest")
    options = ("--append", "console=ttyS0", "--memory", MEMORY, "--no-reboot")
    with Vm("--kernel", kernel, *options, limit_s=180) as vm:
        vm.expect(r"Memtest86\+ v", 30)
        vm.expect(r"#0 +\[Address test", 30)
        vm.expect(r"#6 +\[Moving inversions", 120)
        # The last one waits for minutes; the screen names it when the others are done.
        vm.expect(r"#10 +\[Bit fade", 120)
        vm.expect(r"Errors: +\d+", 30)
        errors = set(re.findall(r"Errors: +(\d+)", vm.output))
        check(errors == {"0"}, f"memtest86+ counts errors: {errors}")
        tested = re.search(r"of ([\d.]+)MB\]", vm.output)
        check(tested and 31 < float(tested[1]) < 32, f"it tests {tested and tested[0]}")
        vm.send("\x1b")  # its key for the end
        vm.ends_with(RESET)


main(test)
