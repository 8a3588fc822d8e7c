#!/usr/bin/python3 -B
# What a pipe sends from the first moment on reaches the shell of Debian's kernel whole: no BIOS, no
# early boot and no driver that starts takes a byte of it.
# test: timeout=120
from vm import POWER_OFF, linux, main


def test():
    with linux("--memory", "256M") as vm:
        vm.send("echo $((6*7)) is the answer; exit\n")
        vm.expect("umbra-guest: ready", 90)
        vm.expect("\n42 is the answer\r", 60)
        vm.expect("umbra-guest: powering off", 60)
        vm.ends_with(POWER_OFF)


main(test)
