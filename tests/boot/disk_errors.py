#!/usr/bin/python3 -B
# Errors of the host's disk: the guest finds each in its drive's registers, and the user gets one line
# for each kind. The drive's write cache: off, a write is on stable storage when it is done; on, only
# a flush brings it there.
# test: timeout=60
import errno
import os

from vm import TMP, Vm, assemble, check, main

DEBUG_EXIT = 0x15 << 1 | 1
READY, ERROR = 0x50, 0x51
UNCORRECTABLE, ABORTED, BIOS_CONTROLLER = 0x40, 0x04, 0x20
TIMES = 100

# The guest's wish, the host's call that fails, how, what the guest reads, words of the line.
ERRORS = (
    ("READ", "pread", errno.EIO, (ERROR, UNCORRECTABLE), "cannot read from the disk image"),
    ("WRITE", "pwrite", errno.ENOSPC, (ERROR, ABORTED), "cannot write to the disk image"),
    ("FLUSH", "fdatasync", errno.EIO, (ERROR, ABORTED), "cannot flush the disk image"),
    ("BIOS", "pread", errno.EIO, (BIOS_CONTROLLER, None), "cannot read from the disk image"),
)


def run(guest, rules):
    """A guest's life; returns its two registers, the host's calls and the lines on standard error."""
    path, log = f"{TMP}/disk.img", f"{TMP}/calls"
    with open(path, "wb") as file:
        file.truncate(1 << 20)
    if os.path.exists(log):
        os.unlink(log)
    preload = {"SLOW_DISK": rules, "SLOW_DISK_LOG": log}
    with Vm(guest, "--disk", path, preload=preload, limit_s=40) as vm:
        found = vm.expect(r"done (\w\w) (\w\w)", 30)
        vm.ends_with(DEBUG_EXIT)
        lines = [line for line in vm.errors.splitlines() if "error" in line]
    calls = []
    if os.path.exists(log):
        with open(log, encoding="ascii") as file:
            calls = file.read().split()
    return [int(text, 16) for text in found.groups()], calls, lines


def errors():
    for wish, call, number, registers, words in ERRORS:
        got, _, lines = run(assemble("disk_work", wish), f"{call}={number}")
        for expected, found in zip(registers, got):
            check(expected in (None, found), f"{wish} with {call} failing: registers {got}")
        good = len(lines) == 1 and words in lines[0] and os.strerror(number) in lines[0]
        check(good and "disk.img" in lines[0], f"{wish} with {call} failing: {lines}")


def one_line_a_kind():
    """A guest that goes on after a failure is no flood."""
    _, _, lines = run(assemble("disk_work", "WRITE", f"TIMES={TIMES}", "STUBBORN"), "pwrite=28")
    check(len(lines) == 1, f"{TIMES} writes that fail are told in {len(lines)} lines")


def write_cache():
    times = f"TIMES={TIMES}"
    _, calls, _ = run(assemble("disk_work", "WRITE", times), "")
    check(calls == ["pwrite"] * TIMES, "with the write cache on, a write is more than a write")
    _, calls, _ = run(assemble("disk_work", "FLUSH"), "")
    check(calls == ["fdatasync"], f"FLUSH CACHE makes {calls}")
    got, calls, _ = run(assemble("disk_work", "WRITE", times, "UNCACHED"), "")
    check(got[0] == READY, f"a write without write cache: registers {got}")
    durable = ["fdatasync"] + ["pwrite", "fdatasync"] * TIMES
    check(calls == durable, f"without the write cache: {calls[:10]}...")
    got, _, lines = run(assemble("disk_work", "WRITE", "UNCACHED"), "fdatasync=5@1")
    check(got == [ERROR, ABORTED], f"a write that does not become durable: registers {got}")
    check(len(lines) == 1, f"a write that does not become durable: {lines}")


def test():
    errors()
    one_line_a_kind()
    write_cache()


main(test)
