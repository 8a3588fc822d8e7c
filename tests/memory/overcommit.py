#!/usr/bin/python3 -B
# Guests larger than the host's memory: they boot and reach all of theirs, and what they never touch
# costs nothing.
# test: timeout=300
import os
import re
import subprocess
import sys

sys.path.insert(0, "tests/boot")
from vm import POWER_OFF, UMBRA, Skipped, check, linux, main, need  # noqa: E402

O = os.environ.get("O", "build")
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
STRIDE = 64 * MIB  # of tests/guests/cpu/spread.S: a word in each
TOUCHED = re.compile(r"([0-9.]+) MiB +of guest memory touched, of (\d+) MiB")


def host_memory():
    with open("/proc/meminfo", encoding="ascii") as info:
        return int(re.search(r"MemTotal: +(\d+) kB", info.read())[1]) * KIB


def host_counts_strictly():
    with open("/proc/sys/vm/overcommit_memory", encoding="ascii") as mode:
        return mode.read().strip() == "2"


def host_gives_huge_pages():
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    if not os.path.exists(path):
        return False
    with open(path, encoding="ascii") as modes:
        return "[always]" in modes.read()


def touched_bytes(report, memory):
    found = TOUCHED.search(report)
    check(found, f"no line of guest memory in the report:\n{report}")
    check(int(found[2]) == memory // MIB, f"the guest should have {memory // MIB} MiB: {found[0]}")
    return float(found[1]) * MIB


def spread(memory, mode, backend):
    """A guest that writes a word in every 64 MiB, and reads them all again."""
    image = f"{O}/guests/cpu/spread.bin"
    need(image, f"make {image}")
    argv = [UMBRA, "run", image, "--memory", f"{memory // MIB}M", "--mmu", mode]
    argv += ["--memory-backend", backend, "--stats", "--timeout", "60"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)
    said = f"$ {' '.join(argv)}\n{done.stdout}{done.stderr}"
    check("PASS" in done.stdout, f"status {done.returncode}\n{said}")
    touched = touched_bytes(done.stderr, memory)
    page = 2 * MIB if host_gives_huge_pages() else 4 * KIB
    words = memory // STRIDE
    check(touched >= (words - 64) * 4 * KIB, f"more was touched than the host counts\n{said}")
    check(touched < (words + 16) * page + 4 * MIB, f"it cost more than it touched\n{said}")


def boot(memory):
    """Debian's kernel takes a structure of 64 bytes for each page of 4 KiB, and little else."""
    append = ("--append", "console=ttyS0 umbra.batch", "--stats")
    with linux("--memory", f"{memory // MIB}M", *append, limit_s=200) as vm:
        total = int(vm.expect(r"MemTotal: +(\d+) kB", 200)[1]) * KIB
        vm.ends_with(POWER_OFF)
        check(memory - memory // 32 - 100 * MIB < total < memory, f"{total >> 20} MiB counted")
        touched = touched_bytes(vm.errors, memory)
    limit = memory // 64 + 400 * MIB
    check(touched < limit, f"{touched / MIB:.0f} MiB taken, {limit // MIB} expected at most")
    print(f"{memory // MIB} MiB of guest, {touched / MIB:.0f} MiB of the host")


def test():
    if host_counts_strictly():
        raise Skipped("the host counts memory strictly (vm.overcommit_memory=2)")
    memory = host_memory()
    memory = (memory + memory // 4) // MIB * MIB
    for mode in ("ept", "shadow"):
        for backend in ("anon", "memfd"):
            spread(memory, mode, backend)
    spread(400 * GIB, "ept", "anon")
    boot(memory)


main(test)
