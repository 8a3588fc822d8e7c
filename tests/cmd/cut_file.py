#!/usr/bin/env python3
# A file that is cut short while umbra reads it, behind each of its calls in turn: one line and a
# status, or a run as if nothing had been; never SIGBUS.
# test: quick timeout=120
import os
import re
import struct
import subprocess
import sys

from guest import DEBUG_EXIT, TMP, UMBRA

OUTPUT = os.environ.get("O", "build")
LIBRARY = os.path.abspath(f"{OUTPUT}/tests/cmd/cut_file.so")
DEBUG_STATUS = (0x15 << 1) | 1
NOT_STARTED, TIME_OUT = 2, 36
SECTOR, BLOCK = 512, 2048
REFUSAL = re.compile("cut short|is empty|whole|has a multiple")
MOST_CALLS = 40  # on one file, from its opening to the guest's start


def patched(size, *values):
    content = bytearray(size)
    for offset, form, *value in values:
        struct.pack_into("<" + form, content, offset, *value)
    return bytes(content)


def bzimage():
    """A kernel of protocol 2.15 whose setup code, in real mode, ends the VM (boot.rst)."""
    return patched(
        5 * SECTOR + (200 << 10),
        (0x1F1, "B", 4),
        (0x1FE, "H", 0xAA55),
        (0x200, "H", 0x66EB),  # jmp 268h
        (0x202, "4s", b"HdrS"),
        (0x206, "H", 0x020F),
        (0x211, "B", 1),
        (0x22C, "I", 0x7FFFFFFF),
        (0x238, "I", 255),
        (0x258, "Q", 0x100000),
        (0x268, "8s", DEBUG_EXIT),
    )


def multiboot():
    """An ELF32 whose program header and segment lie far behind its first bytes."""
    header, segment, headers = 0x1000, 0x40000, 0x50000
    return patched(
        headers + 32,
        (0, "16sHHIIII", b"\x7fELF\1\1\1", 2, 3, 1, 0x200000, headers, 0),
        (36, "IHHHHHH", 0, 52, 32, 1, 0, 0, 0),
        (header, "III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF),
        (segment, "8s", DEBUG_EXIT),
        (headers, "8I", 1, segment, 0x200000, 0x200000, 0x1000, 0x1000, 7, 0x1000),
    )


def cd():
    """El Torito without emulation; the catalog lies behind 512 KiB of data."""
    catalog, image = 300, 301
    return patched(
        302 * BLOCK,
        (16 * BLOCK, "6s", b"\1CD001"),
        (17 * BLOCK, "7s23s", b"\0CD001\1", b"EL TORITO SPECIFICATION"),
        (17 * BLOCK + 0x47, "I", catalog),
        (18 * BLOCK, "6s", b"\xffCD001"),
        (catalog * BLOCK, "B", 1),
        (catalog * BLOCK + 28, "HH", -0xAA55 - 1 & 0xFFFF, 0xAA55),
        (catalog * BLOCK + 32, "BBHBxHI", 0x88, 0, 0, 0, 4, image),
        (image * BLOCK, "8s", DEBUG_EXIT),
    )


def bios():
    """16 bytes before its end the processor starts."""
    return bytes(0xFFF0) + DEBUG_EXIT.ljust(16, b"\0")


def disk():
    return (DEBUG_EXIT.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0")


def write(name, content):
    path = os.path.join(TMP, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def umbra(options, **environment):
    done = subprocess.run(
        [UMBRA, "run", "--engine", "soft", "--sandbox", "off", "--timeout", "1", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "verify_asan_link_order=0", **environment},
    )
    return done.returncode, done.stderr.decode(errors="replace")


def cut_everywhere(name, content, options, reaches_guest=False):
    """Cuts the file behind its first call, its second, until no call is left to cut it behind."""
    for call in range(1, MOST_CALLS):
        path = write(name, content)
        hostile = {"LD_PRELOAD": LIBRARY, "CUT_FILE": path, "CUT_AT": str(call)}
        status, error = umbra([*options, path], **hostile)
        errors = [line for line in error.splitlines() if line.startswith("umbra: error: ")]
        if os.path.getsize(path) == len(content):
            if status != DEBUG_STATUS or call == 1:
                sys.exit(f"{name}, whole: status {status}\n{error}")
            return
        # A drive's bytes may go while the guest runs: it gets read errors then, and waits for a key.
        refused = status == NOT_STARTED and len(errors) == 1 and REFUSAL.search(errors[0])
        if not refused and status != DEBUG_STATUS and not (reaches_guest and status == TIME_OUT):
            sys.exit(f"{name}, cut behind call {call}: status {status}\n{error}")
    sys.exit(f"{name}: more than {MOST_CALLS} calls")


cut_everywhere("flat", DEBUG_EXIT.ljust(300 << 10, b"\0"), [])
cut_everywhere("bzimage", bzimage(), ["--kernel"])
cut_everywhere("multiboot", multiboot(), ["--kernel"])
cut_everywhere("initrd", bytes(200 << 10), ["--kernel", write("kernel", bzimage()), "--initrd"])
cut_everywhere("cd", cd(), ["--cdrom"], reaches_guest=True)
cut_everywhere("disk", disk(), ["--disk"], reaches_guest=True)
cut_everywhere("bios", bios(), ["--bios"])
