#!/usr/bin/python3 -B
# Debian's kernel with an ext4 file system on the IDE disk and an ISO image in the CD drive: it reads
# what the host put there, writes 4 MiB, and leaves a clean file system with the right bytes in it. Once
# by bus-master DMA, once by programmed I/O.
# test: timeout=240
import hashlib
import os
import random

from vm import POWER_OFF, TMP, check, linux, main, run

DISK_BYTES = 48 << 20
FILE_BYTES = 4 << 20
SEED = 20261122

os.environ["PATH"] += ":/usr/sbin:/sbin"  # mke2fs and its like


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def make_folder(work):
    """What the host puts on both drives: a line of text, and bytes that no compression shortens."""
    folder = f"{work}/content"
    os.mkdir(folder)
    with open(f"{folder}/note.txt", "w", encoding="ascii") as note:
        note.write("from the host\n")
    with open(f"{folder}/bytes.bin", "wb") as file:
        file.write(random.Random(SEED).randbytes(FILE_BYTES))
    return folder


def make_disk(folder):
    path = f"{folder}.img"
    with open(path, "wb") as file:
        file.truncate(DISK_BYTES)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", folder, path)
    return path


def make_cdrom(folder):
    path = f"{folder}.iso"
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "UMBRA", "-R", "-o", path, folder)
    return path


def use_disk(vm, digest, mode):
    sectors = vm.command("cat /sys/block/sda/size")
    check(int(sectors) == DISK_BYTES // 512, f"/dev/sda has {sectors} sectors")
    vm.command("mount -t ext4 /dev/sda /mnt")
    check(vm.command("cat /mnt/note.txt") == "from the host", "the host's file reads wrong")
    check(digest in vm.command("sha256sum /mnt/bytes.bin"), "the host's 4 MiB read wrong")
    # Rewritten, so that neither the reads nor the page cache can stand for the writes.
    vm.command("mkdir /mnt/new && tr 'a-zA-Z' 'n-za-mN-ZA-M' </mnt/bytes.bin >/mnt/new/rot13.bin")
    vm.command("rm /mnt/note.txt && sync && umount /mnt")
    got = vm.command("cat /sys/class/ata_device/dev1.0/xfer_mode")
    check(mode in got, f"the disk works in the mode {got}, expected {mode}")


def use_cdrom(vm, digest):
    vm.command("mount -t iso9660 -o ro /dev/sr0 /mnt")
    check(vm.command("cat /mnt/note.txt") == "from the host", "the CD's file reads wrong")
    check(digest in vm.command("sha256sum /mnt/bytes.bin"), "the CD's 4 MiB read wrong")
    vm.command("umount /mnt")


def check_disk(disk, folder):
    run("e2fsck", "-f", "-n", disk)
    run("debugfs", "-R", f"dump /new/rot13.bin {folder}.back", disk)
    lower, upper = b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    table = bytes.maketrans(lower + upper, lower[13:] + lower[:13] + upper[13:] + upper[:13])
    with open(f"{folder}/bytes.bin", "rb") as before, open(f"{folder}.back", "rb") as after:
        check(after.read() == before.read().translate(table), "the guest's 4 MiB are wrong")
    gone = run("debugfs", "-R", "stat /note.txt", disk)
    check("File not found" in gone, "the file that the guest removed is still there")


def attempt(name, words, mode):
    """A whole life of the drives; words for the kernel decide how it talks to them."""
    os.mkdir(f"{TMP}/{name}")
    folder = make_folder(f"{TMP}/{name}")
    disk, cdrom = make_disk(folder), make_cdrom(folder)
    image, digest = sha256(cdrom), sha256(f"{folder}/bytes.bin")
    with linux("--disk", disk, "--cdrom", cdrom, "--append", words, limit_s=100) as vm:
        vm.shell()
        use_disk(vm, digest, mode)
        use_cdrom(vm, digest)
        errors = vm.command("dmesg | grep -icE 'ata[0-9].*(exception|error|failed)|I/O error'; true")
        check(errors == "0", f"{errors} lines of drive errors in the guest's log")
        vm.send("exit\n")
        vm.ends_with(POWER_OFF)
    check_disk(disk, folder)
    check(sha256(cdrom) == image, "the CD's image has changed")


def test():
    attempt("dma", "", "DMA")
    attempt("pio", "libata.dma=0", "PIO")


main(test)
