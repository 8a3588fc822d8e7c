#!/usr/bin/python3 -B
# The serial line on pipes and on a terminal: input that comes early is kept, its end does not end the
# guest, the keys behind Ctrl-a, and a terminal that is always restored. And: a halted guest costs
# the host nothing.
# test: quick timeout=90
import re
import subprocess
import termios

from vm import ERROR, POWER_OFF, TMP, Vm, assemble, check, cpu_seconds, main

CTRL_A = "\x01"
HALTED_CPU_S = 0.15  # of three seconds
LINES = 3000


def flat(name, **more):
    return Vm(assemble(name), "--memory", "4M", limit_s=30, **more)


def early_input():
    """More than any buffer holds, written before the guest is ready."""
    text = "".join(f"{n:05}\n" for n in range(LINES)) + "q"
    path = f"{TMP}/input"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    for stdin in ("pipe", "file"):
        if stdin == "pipe":
            feeder = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
            vm = flat("echo", stdin=feeder.stdout)
        else:
            feeder = None
            with open(path, "rb") as file:
                vm = flat("echo", stdin=file)
        with vm:
            vm.expect("ready\r\n", 10)
            vm.expect("q", 20)
            vm.ends_with(POWER_OFF, 10)
            back = vm.output.split("ready\r\n")[1]
            check(back == text, f"{len(text) - len(back)} bytes from a {stdin} were lost")
        if feeder:
            feeder.stdout.close()
            feeder.wait()


def end_of_input():
    with flat("echo") as vm:
        vm.expect("ready\r\n", 10)
        vm.send("abc\x1b")
        vm.end_of_input()
        vm.expect("abcstill here\r\n", 10)
        vm.ends_with(POWER_OFF, 10)
    with flat("echo", stdin=subprocess.DEVNULL) as vm:
        vm.expect("ready\r\n", 10)
        vm.terminate_twice()
        vm.ends_with(ERROR, 10)


def on_terminal(end):
    """A VM on a terminal, ended by the function given; the terminal must be as before."""
    with flat("echo", terminal=True) as vm:
        vm.expect("ready\r\n", 10)
        raw = termios.tcgetattr(vm.guest_side)
        check(not raw[3] & (termios.ICANON | termios.ECHO | termios.ISIG), "not a raw terminal")
        end(vm)
        vm.check_terminal_restored()


def keys(vm):
    vm.send("x\x03\x1c\x04\r" + CTRL_A + "a" + CTRL_A + CTRL_A + CTRL_A + "z.")
    vm.expect(re.escape("x\x03\x1c\x04\r\x01\x01."), 10)
    vm.send(CTRL_A + "h")
    vm.expect_error("quit Umbra")
    vm.send("y")
    vm.expect("y", 10)
    vm.send(CTRL_A + "x")
    vm.ends_with(POWER_OFF, 10)


def terminated(vm):
    vm.terminate_twice()
    vm.ends_with(ERROR, 10)


def powered_off(vm):
    vm.send("q")
    vm.ends_with(POWER_OFF, 10)


def halted():
    with flat("halt") as vm:
        vm.expect("halted\r\n", 10)
        before = cpu_seconds(vm.process.pid)
        vm.expect("awake\r\n", 20)
        cost = cpu_seconds(vm.process.pid) - before
        check(cost <= HALTED_CPU_S, f"three seconds of HLT cost {cost:.2f} s of processor time")
        vm.ends_with(POWER_OFF, 10)


def test():
    early_input()
    end_of_input()
    for end in (keys, terminated, powered_off):
        on_terminal(end)
    halted()


main(test)
