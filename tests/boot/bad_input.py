#!/usr/bin/python3 -B
# Files that cannot be started: missing, empty, cut short, of another kind, with hostile headers, or
# too large for the memory. Each gets status 2, one line on standard error and nothing on standard
# output, at once; the guest is not started. tests/cmd/usage.sh has the wrong options.
# test: quick timeout=120
import os
import struct
import subprocess

from vm import TMP, UMBRA, USAGE, Vm, assemble, check, main

SECTOR, BLOCK = 512, 2048
SETUP_SECTORS = 4
failures = []


def file(name, content):
    path = f"{TMP}/{name}"
    with open(path, "wb") as out:
        out.write(content)
    return path


def refused(what, *arguments, words=""):
    """Umbra must refuse the arguments; failures are collected, so that one run shows all."""
    try:
        done = subprocess.run(
            [UMBRA, "run", "--timeout", "5", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        failures.append(f"{what}: it hangs")
        return
    error = done.stderr.decode(errors="replace")
    if done.returncode != USAGE:
        failures.append(f"{what}: status {done.returncode}\n    {error.strip()}")
    elif done.stdout or error.count("\n") != 1 or not error.startswith("umbra: error: "):
        failures.append(f"{what}: not exactly one line of error\n    {error.strip()}")
    elif words not in error:
        failures.append(f"{what}: no {words!r} in\n    {error.strip()}")


def patch(content, *changes):
    """The bytes with values put in: (offset, struct format, value)."""
    content = bytearray(content)
    for offset, form, value in changes:
        struct.pack_into("<" + form, content, offset, value)
    return bytes(content)


# --- Linux (Documentation/arch/x86/boot.rst) ---


def bzimage():
    """A header of protocol 2.15 and 4 KiB that nobody runs."""
    size = (SETUP_SECTORS + 1) * SECTOR + 4096
    return patch(
        bytes(size),
        (0x1F1, "B", SETUP_SECTORS),
        (0x1F4, "I", 4096 // 16),
        (0x1FE, "H", 0xAA55),
        (0x200, "H", 0x66EB),
        (0x202, "4s", b"HdrS"),
        (0x206, "H", 0x020F),
        (0x211, "B", 1),
        (0x22C, "I", 0x7FFFFFFF),
        (0x230, "I", 0x1000),
        (0x234, "B", 1),
        (0x238, "I", 255),
        (0x258, "Q", 0x100000),
        (0x260, "I", 0x100000),
    )


def linux_cases():
    good = bzimage()
    for size in (1, 0x1FF, 0x202, 0x210, 0x264, SECTOR * SETUP_SECTORS, len(good) - 4096):
        refused(f"bzImage cut to {size} bytes", "--kernel", file("kernel", good[:size]))
    for name, *changes in (
        ("64 setup sectors in a small file", (0x1F1, "B", 64)),
        ("255 setup sectors", (0x1F1, "B", 255)),
        ("protocol 1.0", (0x206, "H", 0x0100)),
        ("a zImage", (0x211, "B", 0)),
        ("4 GiB to run in", (0x260, "I", 0xFFFFFFFF)),
        ("a preferred address at the end of all", (0x258, "Q", 0xFFFFFFFFFFFFF000), (0x234, "B", 0)),
        ("an alignment that is no power of 2", (0x230, "I", 0x1234), (0x234, "B", 1)),
    ):
        refused(f"bzImage: {name}", "--kernel", file("kernel", patch(good, *changes)))
    kernel = file("kernel", good)
    refused("a long command line", "--kernel", kernel, "--append", "x" * 300, words="command line")
    initrd = file("initrd", b"")
    os.truncate(initrd, 64 << 20)
    refused("an initrd larger than memory", "--kernel", kernel, "--initrd", initrd, "--memory", "32M",
            words="--memory")  # fmt: skip
    refused("an empty initrd", "--kernel", kernel, "--initrd", file("none", b""), words="empty")
    refused("a kernel larger than memory", "--kernel", kernel, "--memory", "1M", words="--memory")


# --- multiboot (Multiboot Specification 0.6.96) and ELF ---

HEADER_AT, LOAD_AT = 0x1000, 0x200000


def multiboot(flags=0, magic=0x1BADB002, checksum=None):
    """An ELF32 with one segment of 256 bytes that holds the multiboot header."""
    elf = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, LOAD_AT + 64, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<8I", 1, HEADER_AT, LOAD_AT, LOAD_AT, 256, 512, 7, 0x1000)
    if checksum is None:
        checksum = -(magic + flags) & 0xFFFFFFFF
    header = struct.pack("<3I", magic, flags, checksum)
    return (elf + segment).ljust(HEADER_AT, b"\0") + header.ljust(256, b"\0")


ENTRY, PHOFF, PHENTSIZE, PHNUM, SEGMENT = 24, 28, 42, 44, 52


def multiboot_cases():
    good = multiboot()
    for size in (HEADER_AT + 12, HEADER_AT + 255):
        refused(f"multiboot cut to {size} bytes", "--kernel", file("mb", good[:size]))
    for name, *changes in (
        ("program headers behind the file", (PHOFF, "I", 0xFFFFFFF0)),
        ("65535 program headers", (PHNUM, "H", 0xFFFF)),
        ("no program headers", (PHNUM, "H", 0)),
        ("program headers of no size", (PHENTSIZE, "H", 0)),
        ("a segment behind the file", (SEGMENT + 4, "I", 0xFFFFFF00)),
        ("a segment longer than the file", (SEGMENT + 16, "I", 0x7FFFFFFF)),
        ("a segment larger in the file than in memory", (SEGMENT + 20, "I", 16)),
        ("a segment around the end of 4 GiB", (SEGMENT + 12, "I", 0xFFFFFF80)),
        ("a segment over the BIOS", (SEGMENT + 12, "I", 0xFFF80)),
        ("a segment larger than memory", (SEGMENT + 20, "I", 0x7FFFFFFF)),
        ("an entry outside", (ENTRY, "I", 0x70000000)),
        ("an ELF of 64 bits", (4, "B", 2)),
        ("an ELF of another processor", (18, "H", 8)),
    ):
        refused(f"multiboot: {name}", "--kernel", file("mb", patch(good, *changes)))
    refused("multiboot: a wrong checksum", "--kernel", file("mb", multiboot(checksum=1)))
    refused("multiboot: unknown demands", "--kernel", file("mb", multiboot(flags=0x8000)))
    addresses = (HEADER_AT + 12, "5I")
    for name, *values in (
        ("the load address behind the header", LOAD_AT, LOAD_AT + 64, 0, 0, LOAD_AT),
        ("the end before the start", LOAD_AT, LOAD_AT, LOAD_AT - 64, 0, LOAD_AT),
        ("all ones", *[0xFFFFFFFF] * 5),
    ):
        image = bytearray(multiboot(flags=0x10000))
        struct.pack_into("<" + addresses[1], image, addresses[0], *values)
        image[:4] = b"none"  # no ELF: the addresses count
        refused(f"multiboot: {name}", "--kernel", file("mb", bytes(image)))


# --- El Torito 1.0 on ISO 9660 ---

CATALOG, IMAGE = 20, 21


def cd():
    """Volume descriptors, a boot catalog, an image of one block."""
    image = bytearray(24 * BLOCK)
    image[16 * BLOCK : 16 * BLOCK + 7] = b"\1CD001\1"
    image[17 * BLOCK : 17 * BLOCK + 30] = b"\0CD001\1EL TORITO SPECIFICATION"
    struct.pack_into("<I", image, 17 * BLOCK + 0x47, CATALOG)
    image[18 * BLOCK : 18 * BLOCK + 7] = b"\xffCD001\1"
    validation = bytearray(b"\1".ljust(30, b"\0") + b"\x55\xaa")
    words = struct.unpack("<16H", validation)
    struct.pack_into("<H", validation, 28, -sum(words) & 0xFFFF)
    entry = struct.pack("<BBHBxHI", 0x88, 0, 0, 0, 4, IMAGE).ljust(32, b"\0")
    image[CATALOG * BLOCK : CATALOG * BLOCK + 64] = validation + entry
    return bytes(image)


def cd_cases():
    good, at = cd(), CATALOG * BLOCK + 32
    refused("a CD cut before its boot record", "--cdrom", file("cd", good[: 17 * BLOCK]))
    refused("a CD cut before its catalog", "--cdrom", file("cd", good[: CATALOG * BLOCK]))
    refused("a CD cut before its image", "--cdrom", file("cd", good[: IMAGE * BLOCK]))
    for name, change in (
        ("the catalog behind the end", (17 * BLOCK + 0x47, "I", 0xFFFFFFFF)),
        ("a wrong checksum", (CATALOG * BLOCK + 4, "I", 0x12345678)),
        ("no 55 AA", (CATALOG * BLOCK + 30, "H", 0)),
        ("not bootable", (at, "B", 0)),
        ("an unknown medium", (at + 1, "B", 9)),
        ("the image behind the end", (at + 8, "I", 0xFFFFFFF0)),
        ("more sectors than memory below 640 KiB", (at + 6, "H", 0xFFFF)),
        ("loaded over the BIOS", (at + 2, "H", 0xFFF0)),
    ):
        refused(f"El Torito: {name}", "--cdrom", file("cd", patch(good, change)))


# --- no files, and files of other kinds ---


def other_cases():
    fifo = f"{TMP}/fifo"
    os.mkfifo(fifo)
    kernel = file("kernel", bzimage())
    for option in ("--kernel", "--disk", "--cdrom", "--bios"):
        refused(f"{option}, missing", option, f"{TMP}/missing", words="No such file")
        refused(f"{option}, empty", option, file("none", b""), words="empty")
        refused(f"{option}, a directory", option, TMP, words="directory")
        refused(f"{option}, a pipe", option, fifo)
        refused(f"{option}, /dev/null", option, "/dev/null")
        refused(f"{option}, text", option, file("text", b"This is no guest.\n" * 1000))
    refused("an initrd that is a pipe", "--kernel", kernel, "--initrd", fifo)
    refused("a Windows program", file("exe", b"MZ".ljust(4096, b"\0")))
    refused("a host's program", "/bin/true")
    refused("a gzip file", file("gz", b"\x1f\x8b\x08" + bytes(1 << 20)))
    refused("both a file and a kernel", kernel, "--kernel", kernel)
    refused("an unknown option", "--frobnicate", words="--frobnicate")
    refused("a kernel with a foreign BIOS", "--bios", file("bios", bytes(65536)), "--kernel", kernel)


def disk_in_use():
    """Two VMs that write to one disk would spoil it."""
    disk = file("disk", b"\xfa\xf4" + bytes(508) + b"\x55\xaa" + bytes(SECTOR * 63))
    with Vm(assemble("button", "DEAF"), "--disk", disk, "--memory", "4M", limit_s=60) as vm:
        vm.expect("ready\r\n", 20)
        refused("a disk in use", "--disk", disk, words="has locked it: end that, or give a copy")


def test():
    linux_cases()
    multiboot_cases()
    cd_cases()
    other_cases()
    disk_in_use()
    check(not failures, "\n".join([f"{len(failures)} failures", *failures]))


main(test)
