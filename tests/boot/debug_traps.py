#!/usr/bin/python3 -B
# The debug traps that a Linux program gets: single steps and breakpoints of the debug registers, and
# what waits behind a load of SS, are in the guest as they are on the host's processor.
# test: timeout=200
import gzip
import os
import subprocess

from vm import CACHE, POWER_OFF, TMP, Skipped, check, linux, main, need, run

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "debug_traps.c")
SKIPPED = 77
DONE = "umbra-guest: test status 0"


def make_initrd(program):
    """The test guest's initramfs with an archive behind it that brings the program."""
    need(f"{CACHE}/initramfs.cpio.gz", "tools/make-initramfs amd64")
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"],
        cwd=os.path.dirname(program),
        input=b"umbra-test\n",
        capture_output=True,
        check=True,
    ).stdout
    path = f"{TMP}/initrd"
    with open(f"{CACHE}/initramfs.cpio.gz", "rb") as first, open(path, "wb") as out:
        out.write(first.read() + gzip.compress(archive, 1))
    return path


def test():
    program = f"{TMP}/umbra-test"
    run("gcc", "-O2", "-static", "-o", program, SOURCE)
    here = subprocess.run([program], capture_output=True, timeout=60, text=True)
    if here.returncode == SKIPPED:
        raise Skipped(f"the host does not let programs be debugged: {here.stderr.strip()}")
    check(here.returncode == 0, f"on the host: status {here.returncode}\n{here.stdout}")
    arguments = ("--engine", "soft", "--append", "console=ttyS0 quiet")
    with linux(*arguments, initrd=make_initrd(program)) as vm:
        vm.expect(DONE)
        vm.ends_with(POWER_OFF)
    lines = vm.output.replace("\r", "").splitlines()
    for line in here.stdout.splitlines():
        title = line.partition(":")[0]
        there = next((other for other in lines if other.startswith(f"{title}:")), "nothing")
        check(line == there, f"on the host\n  {line}\nin the guest\n  {there}")


main(test)
