#!/usr/bin/python3 -B
# GRUB from a CD (grub-mkrescue), with its menu on the serial line, loads Debian's kernel from that CD:
# under Umbra's own BIOS and under SeaBIOS. The guest then reads the CD by itself.
# test: timeout=300
import os
import shutil

from vm import CACHE, POWER_OFF, TMP, Vm, check, main, need, run

SEABIOS = "/usr/share/seabios/bios-256k.bin"
CONFIGURATION = """\
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=-1
menuentry "nothing" { true }
menuentry "Debian on Umbra" {
    linux /guest/vmlinuz console=ttyS0
    initrd /guest/initrd
}
"""


def make_cd():
    need(f"{CACHE}/cloud/vmlinuz", "tools/fetch-guests cloud")
    need(f"{CACHE}/initramfs.cpio.gz", "tools/make-initramfs amd64")
    folder, path = f"{TMP}/cd", f"{TMP}/grub.iso"
    os.makedirs(f"{folder}/boot/grub")
    os.mkdir(f"{folder}/guest")
    shutil.copy(f"{CACHE}/cloud/vmlinuz", f"{folder}/guest/vmlinuz")
    shutil.copy(f"{CACHE}/initramfs.cpio.gz", f"{folder}/guest/initrd")
    with open(f"{folder}/boot/grub/grub.cfg", "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    run("grub-mkrescue", "-o", path, folder)
    return path


def boot(cd, *arguments):
    with Vm("--cdrom", cd, "--memory", "512M", *arguments, limit_s=140) as vm:
        vm.expect("Debian on Umbra", 60)
        vm.send("\x0e")  # ^N: the next entry
        vm.send("\r")
        vm.expect("Linux version", 60)
        vm.shell()
        vm.command("mount -t iso9660 -o ro /dev/sr0 /mnt")
        vm.command("cmp /mnt/guest/vmlinuz /mnt/guest/initrd", status=1)
        digest = run("sha256sum", f"{CACHE}/cloud/vmlinuz").split()[0]
        check(digest in vm.command("sha256sum /mnt/guest/vmlinuz"), "the CD's kernel reads wrong")
        check("BOOT_IMAGE=/guest/vmlinuz" in vm.command("cat /proc/cmdline"), "not GRUB's kernel")
        vm.send("exit\n")
        vm.ends_with(POWER_OFF)


def test():
    cd = make_cd()
    boot(cd)
    need(SEABIOS, "tools/setup check")
    boot(cd, "--bios", SEABIOS)


main(test)
