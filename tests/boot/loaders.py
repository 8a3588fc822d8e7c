#!/usr/bin/python3 -B
# Boot loaders from an image that is told by its content: GRUB in the first track of a disk, ISOLINUX
# on a CD and on the same image as a disk. Each loads Debian's kernel.
# test: timeout=300
import os
import shutil
import struct

from vm import CACHE, POWER_OFF, TMP, Vm, check, main, need, run

GRUB = "/usr/lib/grub/i386-pc/boot.img"
ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
ISOHYBRID = "/usr/lib/ISOLINUX/isohdpfx.bin"
LDLINUX = "/usr/lib/syslinux/modules/bios/ldlinux.c32"

SECTOR = 512
PARTITION = 2048  # first sector
SECTORS = 131072
GRUB_SCRIPT = """\
linux (hd0,msdos1)/vmlinuz console=ttyS0 umbra.batch
initrd (hd0,msdos1)/initrd
boot
"""
ISOLINUX_CFG = """\
DEFAULT linux
LABEL linux
KERNEL /vmlinuz
APPEND initrd=/initrd console=ttyS0 umbra.batch
"""


def make_tree():
    need(f"{CACHE}/cloud/vmlinuz", "tools/fetch-guests cloud")
    need(f"{CACHE}/initramfs.cpio.gz", "tools/make-initramfs amd64")
    tree = f"{TMP}/tree"
    os.mkdir(tree)
    shutil.copy(f"{CACHE}/cloud/vmlinuz", f"{tree}/vmlinuz")
    shutil.copy(f"{CACHE}/initramfs.cpio.gz", f"{tree}/initrd")
    return tree


def make_grub_disk(tree):
    """Boot sector, GRUB in the gap behind it, one ext2 partition."""
    path, script, core = f"{TMP}/disk.img", f"{TMP}/grub.cfg", f"{TMP}/core.img"
    with open(script, "w", encoding="ascii") as file:
        file.write(GRUB_SCRIPT)
    modules = ("biosdisk", "part_msdos", "ext2", "linux")
    run("grub-mkimage", "-O", "i386-pc", "-p", "/", "-c", script, "-o", core, *modules)
    run("mke2fs", "-q", "-t", "ext2", "-d", tree, f"{TMP}/partition", f"{SECTORS // 2}k")
    with open(path, "wb") as disk, open(GRUB, "rb") as boot, open(core, "rb") as gap:
        disk.write(boot.read(440).ljust(446, b"\0"))
        disk.write(struct.pack("<B3sB3sII", 0x80, bytes(3), 0x83, bytes(3), PARTITION, SECTORS))
        disk.seek(SECTOR - 2)
        disk.write(b"\x55\xaa" + gap.read())
        check(disk.tell() <= PARTITION * SECTOR, "GRUB does not fit in front of the partition")
        disk.seek(PARTITION * SECTOR)
        with open(f"{TMP}/partition", "rb") as partition:
            shutil.copyfileobj(partition, disk)
    return path


def make_isolinux_cd(tree):
    for path in (ISOLINUX, ISOHYBRID, LDLINUX):
        need(path, "tools/setup check")
    folder, path = f"{tree}/isolinux", f"{TMP}/isolinux.iso"
    os.mkdir(folder)
    shutil.copy(ISOLINUX, folder)
    shutil.copy(LDLINUX, folder)
    with open(f"{folder}/isolinux.cfg", "w", encoding="ascii") as file:
        file.write(ISOLINUX_CFG)
    run(
        *("xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-isohybrid-mbr", ISOHYBRID),
        *("-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot"),
        *("-boot-load-size", "4", "-boot-info-table", tree),
    )
    return path


def boot(kind, *arguments):
    with Vm(*arguments, "--memory", "512M", limit_s=100) as vm:
        vm.expect_error(kind)
        vm.expect(r"Command line: BOOT_IMAGE=\S*/vmlinuz", 60)
        vm.expect("umbra-guest: ready", 90)
        vm.ends_with(POWER_OFF)


def test():
    need(GRUB, "tools/setup check")
    tree = make_tree()
    boot(", a disk,", make_grub_disk(tree))
    cd = make_isolinux_cd(tree)
    boot(", a CD,", cd)
    boot(", a disk,", "--disk", cd)


main(test)
