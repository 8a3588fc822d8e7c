#!/usr/bin/python3 -B
# How a VM ends and what it says then: each exit status, resets that are and are not carried out, the
# power button by SIGTERM, and the last line on standard error.
# test: quick timeout=90
import signal
import subprocess

from vm import PANIC, POWER_OFF, RESET, TIME_OUT, TRIPLE_FAULT, Vm, assemble, check, main

OWN_ERROR = 1


def flat(name, *defines, options=(), limit_s=20):
    return Vm(assemble(name, *defines), "--memory", "4M", *options, limit_s=limit_s)


def ends(way, status, words="", options=()):
    with flat("end", way, options=options) as vm:
        vm.expect("start\r\n", 10)
        vm.ends_with(status, 10)
        check(vm.output.count("start") == 1, "the guest started more than once")
        check(words in vm.errors, f"no {words!r} on standard error")
        errors = vm.errors.count("umbra: error:")
        check(errors == (1 if words.startswith("umbra: error") else 0), f"{errors} errors are told")


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
        vm.ends_with(OWN_ERROR, 10)


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
    ends("WAY_PANIC", PANIC, "umbra: error: the guest reports a panic")
    ends("WAY_TRIPLE_FAULT", TRIPLE_FAULT, "umbra: error: the guest's processor shut down")
    for way in ("WAY_RESET_CF9", "WAY_RESET_KEYBOARD", "WAY_RESET_PORT92"):
        resets(way)
    with flat("end", "WAY_REBOOT") as vm:
        vm.expect("first life\r\n[^s]*start\r\nsecond life\r\n", 10)
        vm.ends_with(POWER_OFF, 10)
    times_out()
    button()
    output_closed()


main(test)
