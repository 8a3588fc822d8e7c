#!/usr/bin/python3 -B
# How a VM ends and what it says then: each exit status, resets that are and are not carried out, the
# power button by SIGTERM, and the last line on standard error.
# test: quick timeout=90
import signal
import subprocess

from vm import ERROR, PANIC, POWER_OFF, RESET, TIME_OUT, TRIPLE_FAULT, Vm, assemble, check, main


def flat(name, *defines, options=(), limit_s=20):
    return Vm(assemble(name, *defines), "--memory", "4M", *options, limit_s=limit_s)


def ends(way, status, words="", errors=0, options=()):
    """It ends in this way after one start, with these words and so many errors."""
    with flat("end", way, options=options) as vm:
        vm.expect("start\r\n", 10)
        vm.ends_with(status, 10)
        check(vm.output.count("start") == 1, "the guest started more than once")
        check(words in vm.errors, f"no {words!r} on standard error")
        told = vm.errors.count("umbra: error:")
        check(told == errors, f"{told} errors are told")


def resets(way):
    ends(way, RESET, "--no-reboot", options=("--no-reboot",))
    with flat("end", way) as vm:
        vm.expect("(start\r\n[^s]*){3}", 10)  # again and again


def times_out():
    with flat("end", "WAY_SPIN", limit_s=1) as vm:
        vm.ends_with(TIME_OUT, 10)
        check("--timeout" in vm.errors, "no word about the time")


def button():
    with flat("button") as vm:
        vm.expect("ready\r\n", 10)
        vm.signal(signal.SIGTERM)
        vm.expect("button\r\n", 10)
        vm.ends_with(POWER_OFF, 10)
    with flat("button", "DEAF") as vm:
        vm.expect("ready\r\n", 10)
        vm.terminate_twice()
        vm.ends_with(ERROR, 10)


def output_closed():
    """A reader that goes away stops neither the guest nor its exit status."""
    image = assemble("end", "WAY_DEBUG_EXIT")
    with open("/dev/full", "wb") as full:
        vm = Vm(image, "--memory", "4M", limit_s=20, stdout=full, stdin=subprocess.DEVNULL)
    with vm:
        vm.ends_with(0x15 << 1 | 1, 10)


def test():
    ends("WAY_POWER_OFF", POWER_OFF)
    ends("WAY_DEBUG_EXIT", 0x15 << 1 | 1)
    ends("WAY_PANIC", PANIC, "umbra: error: the guest reports a panic", 1)
    for way in range(1, 5):  # power-off, reset, triple fault, HLT with interrupts off
        ends(f"WAY_CRASH={way}", PANIC, "a panic; its crash kernel goes on", 2 if way == 3 else 1)
    ends("WAY_TRIPLE_FAULT", TRIPLE_FAULT, "umbra: error: the guest's processor shut down", 1)
    for way in ("WAY_RESET_CF9", "WAY_RESET_KEYBOARD", "WAY_RESET_PORT92"):
        resets(way)
    with flat("end", "WAY_REBOOT") as vm:
        vm.expect("first life\r\n[^s]*start\r\nsecond life\r\n", 10)
        vm.ends_with(POWER_OFF, 10)
    times_out()
    button()
    output_closed()


main(test)
