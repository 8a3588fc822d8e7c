#!/usr/bin/python3 -B
# Debian's 32-bit kernel (686-pae) with a 32-bit user space: its ciphers pass their own tests, it comes
# to its shell, answers commands, powers off.
# test: timeout=260
from vm import POWER_OFF, check, linux, main


def test():
    with linux("--memory", "256M", arch="i386") as vm:
        vm.shell()
        check("self-tests failed" not in vm.output, "the kernel's ciphers fail their tests")
        check(vm.command("uname -m") == "i686", "the guest is no i686")
        check(vm.command("echo $((6*7))") == "42", "the guest's shell cannot multiply")
        check(vm.command("seq 1 3000 | md5sum | cut -c 1-8") == "ee976274", "md5sum is wrong")
        check(" pae " in vm.command("cat /proc/cpuinfo"), "the processor does not offer PAE")
        vm.command("(sleep 1; exit 3) & wait $!", status=3)
        vm.send("exit\n")
        vm.expect("umbra-guest: powering off", 60)
        vm.ends_with(POWER_OFF)


main(test)
