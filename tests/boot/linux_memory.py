#!/usr/bin/python3 -B
# Debian's kernel with little, much and very much memory: the E820 map in its log is that of a PC with
# a hole from 3 to 4 GiB, and what it counts is what was asked for. The CPU models come along.
# test: timeout=500
import re

from vm import POWER_OFF, check, linux, main

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
HOLE, ABOVE = 3 * GIB, 4 * GIB
LINE = re.compile(r"BIOS-e820: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] (.*?)\r?\n")
MODELS = {  # what each level adds to the one before (x86-64 psABI, "Micro-Architecture Levels")
    "x86-64-v1": ("sse2", "fxsr", "cx8"),
    "x86-64-v2": ("ssse3", "sse4_1", "sse4_2", "popcnt", "cx16"),
    "x86-64-v3": ("avx", "avx2", "bmi1", "bmi2", "fma", "f16c", "movbe", "xsave"),
}
RESIDENT_BYTES = 700 * MIB  # of the host's memory, at most, whatever the guest's size


def read_map(log):
    """[(begin, end, kind)] with the end behind the last byte."""
    return [(int(m[1], 16), int(m[2], 16) + 1, m[3]) for m in LINE.finditer(log)]


def check_map(ranges, memory):
    low_end = min(memory, HOLE)
    shown = "\n".join(f"{begin:#14x} {end:#14x} {kind}" for begin, end, kind in ranges)
    for (_, end, _), (begin, _, _) in zip(ranges, ranges[1:]):
        check(end <= begin, f"ranges overlap or fall:\n{shown}")
    usable = [(begin, end) for begin, end, kind in ranges if kind == "usable"]

    # Below 1 MiB: RAM from 0 on, up to somewhere in the last 64 KiB below the VGA's window.
    check(usable[0][0] == 0, f"RAM does not start at 0:\n{shown}")
    check(576 * KIB <= usable[0][1] <= 640 * KIB, f"conventional memory:\n{shown}")

    # From 1 MiB to the hole: RAM, and at most 1 MiB of ACPI tables at its end.
    check(usable[1][0] == MIB, f"RAM does not go on at 1 MiB:\n{shown}")
    check(low_end - MIB <= usable[1][1] <= low_end, f"RAM below 4 GiB:\n{shown}")
    for begin, end, kind in ranges:
        if usable[1][1] <= begin < low_end:
            check("ACPI" in kind and end <= low_end, f"behind the RAM:\n{shown}")
        if low_end <= begin < ABOVE:
            check(kind == "reserved" and end <= ABOVE, f"in the hole:\n{shown}")

    # Above 4 GiB: exactly the rest.
    above = [(ABOVE, ABOVE + memory - low_end)] if memory > low_end else []
    check(usable[2:] == above, f"RAM above 4 GiB should be {above}:\n{shown}")


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) * KIB


def check_model(vm, model):
    """The processor's flags in the guest are those of the model."""
    flags = vm.command("grep -m 1 ^flags /proc/cpuinfo").split()
    for level, name in enumerate(MODELS):
        for flag in MODELS[name]:
            offered = level <= list(MODELS).index(model)
            check((flag in flags) == offered, f"--cpu {model}: {flag} should be {offered}")


def boot(option, memory, model, arch="amd64"):
    # The 32-bit kernel's self-tests of its ciphers take 25 s; linux32.py has them.
    words = ("--append", "cryptomgr.notests")
    with linux("--memory", option, "--cpu", model, *words, arch=arch, limit_s=150) as vm:
        vm.shell()
        check_model(vm, model)
        total = int(re.search(r"\d+", vm.command("grep MemTotal: /proc/meminfo"))[0]) * KIB
        check_map(read_map(vm.output), memory)
        # The kernel takes its code and a structure of 64 bytes for each page.
        least = memory - memory // 32 - 60 * MIB
        check(least <= total < memory, f"of {memory >> 20} MiB the guest counts {total >> 20}")
        resident = resident_bytes(vm.process.pid)
        check(resident < RESIDENT_BYTES, f"{resident >> 20} MiB of the host's memory are taken")
        vm.send("exit\n")
        vm.ends_with(POWER_OFF)


def test():
    # The amd64 kernel says in its header that it needs 68 MiB to unpack itself; Umbra refuses less.
    boot("64M", 64 * MIB, "x86-64-v1", arch="i386")
    boot("80M", 80 * MIB, "x86-64-v2")
    boot("3584M", 3584 * MIB, "x86-64-v3")
    boot("8G", 8 * GIB, "x86-64-v1")


main(test)
