"""The ways to end a VM from outside, and how long each takes while its guest does its worst."""
import socket
import time

from vm import ERROR, POWER_OFF, TIME_OUT, TMP, check

LIMIT_S = 0.1
TRIES = 5  # a busy host may be late by itself; what has to be waited for is late each time
MONITOR = f"{TMP}/monitor"


def by_keys(vm):
    """Ctrl-a x; the VM needs a terminal."""
    vm.send("\x01x")
    return POWER_OFF


def by_signals(vm):
    vm.terminate_twice()
    return ERROR


def by_monitor(vm):
    """The VM needs --monitor unix:MONITOR."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(MONITOR)
        client.sendall(b"quit\n")
    return POWER_OFF


def by_timeout(vm):
    """Waits for the time to be over; the VM needs a limit_s of few seconds."""
    vm.expect_error("is over")
    return TIME_OUT


def seconds_to_end(way, make, ready):
    with make() as vm:
        ready(vm)
        begin = time.monotonic()
        status = way(vm)
        if way is by_timeout:
            begin = time.monotonic()
        vm.process.wait(20)
        took = time.monotonic() - begin
        vm.ends_with(status)
        if vm.terminal is not None:
            vm.check_terminal_restored()
        return took


def ends_in_time(way, make, ready, words):
    """make() gives a VM, ready(vm) returns when its guest is at its worst."""
    took = []
    while len(took) < TRIES:
        took.append(seconds_to_end(way, make, ready))
        if took[-1] < LIMIT_S:
            return
    check(False, f"{way.__name__}, {words}: {[f'{t:.3f}' for t in took]} s")
