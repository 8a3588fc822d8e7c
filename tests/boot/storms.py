#!/usr/bin/python3 -B
# Guests that make Umbra's own memory grow: each way to end a VM ends it within 100 ms, what is kept
# stays below --monitor-memory, and a host that gives no memory gets a message and a status.
# test: timeout=180
import re
import resource
import subprocess

import ends
from ends import MONITOR, by_keys, by_monitor, by_signals, by_timeout
from vm import ERROR, TIME_OUT, UMBRA, USAGE, Vm, assemble, check, main

BOUND_MIB = 48
GUEST_MIB = 64
PROGRAM_MIB = 24  # the program, its libraries, the stacks of its threads
STORMS = ("LINKS", "ALIAS", "REWRITE")
SOFT = ("--engine", "soft", "--memory", f"{GUEST_MIB}M")


def resident_mib(vm):
    with open(f"/proc/{vm.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024


def ends_in_time(way, guest, *options, **more):
    def make():
        return Vm(guest, *SOFT, "--monitor-memory", f"{BOUND_MIB}M", *options, **more)

    def ready(vm):
        if way is by_timeout:
            vm.expect("begin", 60)
            return
        vm.expect(r"begin[^.]*\.", 60)
        kept = resident_mib(vm)
        most = BOUND_MIB + GUEST_MIB + PROGRAM_MIB
        check(kept < most, f"{guest} {options}: {kept:.0f} MiB are resident, not {most}")

    ends.ends_in_time(way, make, ready, f"{guest} {options}")


def poor_host(guest):
    """Little address space: whatever the guest does, the end is one that Umbra chose."""
    for mib in range(270, 340, 10):
        done = subprocess.run(
            [UMBRA, "run", guest, *SOFT, "--timeout", "1"],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        words = done.stderr.decode()
        good = done.returncode in (ERROR, USAGE, TIME_OUT) and "error" in words
        check(good, f"with {mib} MiB of address space: status {done.returncode}, {words[-500:]}")


def test():
    guests = {name: assemble("storm", name) for name in STORMS}
    for guest in guests.values():
        ends_in_time(by_signals, guest)
        ends_in_time(by_signals, guest, "--mmu", "shadow")
        ends_in_time(by_keys, guest, terminal=True)
        ends_in_time(by_monitor, guest, "--monitor", f"unix:{MONITOR}")
        ends_in_time(by_timeout, guest, limit_s=4)
    poor_host(guests["ALIAS"])


main(test)
