#!/usr/bin/python3 -B
# The ways in which Linux leaves: `reboot` brings it up again, SIGTERM presses its power button, and a
# panic is told by the kernel's own driver, which finds Umbra's device by ACPI; before the driver is
# loaded it resets the machine, which ends umbra under --no-reboot.
# test: timeout=240
import gzip
import os
import signal
import subprocess

from vm import CACHE, PANIC, POWER_OFF, RESET, TMP, linux, main

# The first process of two guests. The second one looks at what ACPI says of the device.
INIT_EXITS = "#!/bin/busybox sh\nexit 5\n"
INIT_LOADS_AND_EXITS = """#!/bin/busybox sh
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
cat /sys/bus/acpi/devices/QEMU0001:00/modalias /sys/bus/acpi/devices/QEMU0001:00/status
modprobe pvpanic-mmio
grep 0505-0505 /proc/ioports
exit 5
"""


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


def with_init(text):
    """The initramfs, and a cpio archive behind it that brings /umbra-init."""
    os.makedirs(f"{TMP}/root", exist_ok=True)
    with open(f"{TMP}/root/umbra-init", "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(f"{TMP}/root/umbra-init", 0o755)
    pack = ["cpio", "--quiet", "-o", "-H", "newc"]
    archive = subprocess.run(
        pack, cwd=f"{TMP}/root", input=b"umbra-init", capture_output=True, check=True
    ).stdout
    with open(f"{CACHE}/initramfs.cpio.gz", "rb") as first, open(f"{TMP}/initrd", "wb") as both:
        both.write(first.read() + gzip.compress(archive))
    return f"{TMP}/initrd"


def panic():
    """By the kernel's sysrq; the initramfs loads the driver."""
    with linux("--memory", "256M", "--append", "panic=1", limit_s=80) as vm:
        vm.shell()
        vm.send("echo c >/proc/sysrq-trigger\n")
        vm.expect("Kernel panic - not syncing: sysrq triggered crash", 30)
        vm.ends_with(PANIC)


def init_exits(text, status, *words):
    options = ("--memory", "256M", "--append", "panic=1 rdinit=/umbra-init", "--no-reboot")
    with linux(*options, initrd=with_init(text), limit_s=80) as vm:
        for word in words:
            vm.expect(word, 60)
        vm.expect("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000500", 60)
        vm.ends_with(status)


def test():
    reboot_and_button()
    panic()
    init_exits(INIT_EXITS, RESET)
    init_exits(INIT_LOADS_AND_EXITS, PANIC, "acpi:QEMU0001:", "11", "QEMU0001:00")


main(test)
