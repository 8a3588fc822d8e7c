#!/usr/bin/python3 -B
# A disk's boot sector under Umbra's own BIOS and under Debian's SeaBIOS, in each of its builds: it
# prints to the serial line and to port E9h, uses INT 13h, and ends by isa-debug-exit.
# test: timeout=120
import struct

from vm import TMP, Vm, assemble, check, main, need

SECTOR, SECTORS = 512, 32768
READ, WRITTEN = 30000, 31000
DEBUG_EXIT = 0x15 << 1 | 1
STEPS = (
    "boot sector: started",
    "geometry: read",
    "CHS: read",
    "LBA: read",
    "end of disk: refused",
    "LBA: written",
    "all right",
)
SEABIOS = ("/usr/share/seabios/bios.bin", "/usr/share/seabios/bios-256k.bin")


def make_disk():
    """The code, then sectors that begin with their own number."""
    with open(assemble("boot_sector"), "rb") as file:
        code = file.read()
    check(len(code) <= 8 * SECTOR, "the boot code does not fit into 8 sectors")
    path = f"{TMP}/disk.img"
    with open(path, "wb") as file:
        for number in range(SECTORS):
            file.write(struct.pack("<I", number).ljust(SECTOR, b"\xe5"))
        file.seek(0)
        file.write(code.ljust(8 * SECTOR, b"\0"))
    return path


def check_disk(path):
    with open(path, "rb") as file:
        for number in range(8, SECTORS):
            file.seek(number * SECTOR)
            got = struct.unpack("<I", file.read(4))[0]
            expected = READ if number == WRITTEN else number
            check(got == expected, f"sector {number} holds {got}, expected {expected}")


def boot(*arguments):
    disk = make_disk()
    with Vm("--disk", disk, *arguments, limit_s=40) as vm:
        for step in STEPS:
            # Twice, in any mixture: the serial line and port E9h are one stream here.
            vm.expect(f"{step}\r\n", 30)
            vm.expect(f"{step}\r\n", 10)
        vm.ends_with(DEBUG_EXIT)
        check("FAILED" not in vm.output, "the boot sector complains")
    check_disk(disk)


def test():
    boot()
    for bios in SEABIOS:
        need(bios, "tools/setup check")
        boot("--bios", bios)


main(test)
