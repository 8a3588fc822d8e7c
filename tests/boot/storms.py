#!/usr/bin/python3 -B
# Guests that make Umbra's own memory grow: each way to end a VM ends it within 100 ms, what is kept
# stays below --monitor-memory, and a host that gives no memory gets a message and a status.
# test: timeout=180
import re
import resource
import subprocess
import time

from vm import ERROR, POWER_OFF, TIME_OUT, UMBRA, USAGE, Vm, assemble, check, main

LIMIT_S = 0.1
TRIES = 5  # a busy host may be late by itself; a step of the guest's that is long is late each time
BOUND_MIB = 48
GUEST_MIB = 64
PROGRAM_MIB = 24  # the program, its libraries, the stacks of its threads
STORMS = ("LINKS", "ALIAS", "REWRITE")
SOFT = ("--engine", "soft", "--memory", f"{GUEST_MIB}M")


def by_keys(vm):
    vm.send("\x01x")
    return POWER_OFF


def by_signals(vm):
    vm.terminate_twice()
    return ERROR


def resident_mib(vm):
    with open(f"/proc/{vm.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024


def seconds_to_end(way, guest, *options, **more):
    with Vm(guest, *SOFT, "--monitor-memory", f"{BOUND_MIB}M", *options, **more) as vm:
        vm.expect(r"begin[^.]*\.", 60)
        kept = resident_mib(vm)
        most = BOUND_MIB + GUEST_MIB + PROGRAM_MIB
        check(kept < most, f"{guest} {options}: {kept:.0f} MiB are resident, not {most}")
        begin = time.monotonic()
        status = way(vm)
        vm.process.wait(20)
        took = time.monotonic() - begin
        vm.ends_with(status)
        return took


def ends_in_time(way, guest, *options, **more):
    took = []
    while len(took) < TRIES:
        took.append(seconds_to_end(way, guest, *options, **more))
        if took[-1] < LIMIT_S:
            return
    check(False, f"{way.__name__} in {guest} {options}: {[f'{t:.3f}' for t in took]} s")


def times_out(guest):
    with Vm(guest, *SOFT, limit_s=1) as vm:
        begin = time.monotonic()
        vm.ends_with(TIME_OUT)
        check(time.monotonic() - begin < 3, "--timeout 1 took more than three seconds")


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
    ends_in_time(by_keys, guests["LINKS"], terminal=True)
    times_out(guests["LINKS"])
    poor_host(guests["ALIAS"])


main(test)
