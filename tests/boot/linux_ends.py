#!/usr/bin/python3 -B
# The ways in which Linux leaves: `reboot` brings it up again, SIGTERM presses its power button, and a
# panic resets the machine, which ends umbra under --no-reboot.
# test: timeout=240
import signal

from vm import POWER_OFF, RESET, linux, main


def reboot_and_button():
    with linux("--memory", "256M", limit_s=150) as vm:
        vm.shell()
        vm.command("echo gone >/tmp/file")
        vm.send("reboot -f\n")
        vm.expect("reboot: Restarting system", 30)
        vm.expect("Linux version", 60)
        vm.shell()
        vm.command("test -e /tmp/file", status=1)
        vm.signal(signal.SIGTERM)
        vm.expect("reboot: Power down", 30)
        vm.ends_with(POWER_OFF)


def panic():
    with linux("--memory", "256M", "--append", "panic=1", "--no-reboot", limit_s=80) as vm:
        vm.shell()
        vm.send("echo c >/proc/sysrq-trigger\n")
        vm.expect("Kernel panic - not syncing: sysrq triggered crash", 30)
        vm.ends_with(RESET)


def test():
    reboot_and_button()
    panic()


main(test)
