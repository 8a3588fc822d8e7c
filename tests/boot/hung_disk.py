#!/usr/bin/python3 -B
# The host's disk hangs for ever in pread, pwrite or fdatasync: the guest's timers go on, and each way
# to end a VM ends it within 100 ms. The second SIGTERM does so even when standard error hangs, and
# with it whatever holds a lock.
# test: timeout=120
import os
import signal
import time

import ends
from ends import MONITOR, by_keys, by_monitor, by_signals, by_timeout
from vm import ERROR, TMP, Vm, assemble, check, main

DOTS = r"(\.[^.]*){4}"


def start(guest, call, *options, **more):
    """A VM whose guest is going to wait for that call of the host's."""
    path = f"{TMP}/hung.img"
    with open(path, "wb") as file:
        file.truncate(1 << 20)
    preload = {"SLOW_DISK": f"{call}=hang"}
    return Vm(guest, "--disk", path, *options, preload=preload, **{"limit_s": 40, **more})


def ends_in_time(way, guest, call, *options, **more):
    def ready(vm):
        vm.expect("begin", 20)
        vm.expect(DOTS, 20)
        check("done" not in vm.output, f"the guest got past the {call} that hangs")

    ends.ends_in_time(
        way, lambda: start(guest, call, *options, **more), ready, f"while {call} hangs"
    )


def counted(guest):
    """--clock instructions: no time passes meanwhile, but the VM ends."""
    with start(guest, "pread", "--clock", "instructions") as vm:
        vm.expect("begin", 20)
        time.sleep(0.3)
        vm.terminate_twice()
        vm.ends_with(ERROR)


def fill(writer):
    """Until a writer of this pipe has to wait."""
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x"):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)


def stuck_process():
    """Nothing but the handler of the second signal can end this one: its log is a full pipe."""
    reader, writer = os.pipe()
    deaf = assemble("button", "DEAF")
    with Vm(deaf, terminal=True, limit_s=40, stderr=os.dup(writer)) as vm:
        vm.expect("ready", 20)
        fill(writer)
        vm.signal(signal.SIGTERM)  # the event loop now tells of the power button, for ever
        time.sleep(0.3)
        vm.signal(signal.SIGTERM)
        start = time.monotonic()
        vm.process.wait(20)
        took = time.monotonic() - start
        vm.ends_with(ERROR)
        vm.check_terminal_restored()
        check(took < 1, f"a process that is stuck took {took:.3f} s to end")
    os.close(reader)
    os.close(writer)


def test():
    calls = {"READ": "pread", "WRITE": "pwrite", "FLUSH": "fdatasync", "BIOS": "pread"}
    guests = {name: assemble("disk_work", name) for name in calls}
    for name, call in calls.items():
        ends_in_time(by_signals, guests[name], call)
    ends_in_time(by_keys, guests["WRITE"], "pwrite", terminal=True)
    ends_in_time(by_monitor, guests["READ"], "pread", "--monitor", f"unix:{MONITOR}")
    ends_in_time(by_timeout, guests["FLUSH"], "fdatasync", limit_s=2)
    counted(guests["READ"])
    stuck_process()


main(test)
