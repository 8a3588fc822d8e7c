#!/usr/bin/python3 -B
# Debian's kernel on a terminal: commands are typed and answered, the clock is right, ^C goes to the
# guest, an idle guest leaves the host alone, `exit` powers off, the terminal is as it was.
# test: timeout=300
import time

from vm import POWER_OFF, check, cpu_seconds, linux, main

CLOCK_ERROR_S = 4
IDLE_SHARE = 0.5  # of one host processor, while the guest sleeps


def check_answers(vm):
    check(vm.command("echo $((6*7))") == "42", "the guest's shell cannot multiply")
    check(vm.command("uname -m") == "x86_64", "the guest is no x86_64")
    check("MemTotal:" in vm.command("cat /proc/meminfo"), "no MemTotal in /proc/meminfo")
    check(" lm " in vm.command("cat /proc/cpuinfo"), "the processor does not offer long mode")
    check(vm.command("seq 1 3000 | md5sum | cut -c 1-8") == "ee976274", "md5sum is wrong")
    check(vm.command("cat /sys/class/dmi/id/product_name") == "Standard PC", "no SMBIOS tables")
    vm.command("cat /nothing", status=1)


def check_clock(vm):
    guest, host = int(vm.command("date +%s")), time.time()
    check(abs(guest - host) <= CLOCK_ERROR_S, f"the guest's clock says {guest}, the host's {host}")
    cpu, start = cpu_seconds(vm.process.pid), time.monotonic()
    vm.command("sleep 3")
    took, cpu = time.monotonic() - start, cpu_seconds(vm.process.pid) - cpu
    check(2.5 < took < 3 + CLOCK_ERROR_S, f"the guest's 3 seconds took {took:.1f}")
    check(cpu < IDLE_SHARE * took, f"sleeping for {took:.1f} s cost {cpu:.1f} s of processor time")
    ticks = vm.command("grep -E 'timer|LOC:' /proc/interrupts")
    counts = [int(line.split()[1]) for line in ticks.splitlines()]
    check(sum(counts) > 10, f"no timer interrupts:\n{ticks}")


def check_interrupt_key(vm):
    # The words come from the program that is to be interrupted: it is in the foreground by then.
    vm.send("sh -c 'echo going; exec sleep 1000'\n")
    vm.expect("\ngoing\r", 30)
    vm.send("\x03")
    vm.expect(r"\^C\s*>", 30)  # the guest's terminal drops what is typed before
    check(vm.command("echo was $?") == "was 130", "^C did not end the guest's sleep")


def test():
    with linux("--memory", "512M", terminal=True) as vm:
        vm.shell()
        check_answers(vm)
        check_clock(vm)
        check_interrupt_key(vm)
        vm.send("exit\n")
        vm.expect("umbra-guest: powering off", 60)
        vm.ends_with(POWER_OFF)
        vm.check_terminal_restored()


main(test)
