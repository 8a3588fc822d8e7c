"""Flat real-mode guests, a few bytes each, and umbra with its ends in the test's hands."""
import os
import select
import subprocess
import time

UMBRA = os.environ["UMBRA"]
TMP = os.environ["TEST_TMP"]
PATIENCE_S = 30  # for what should come at once

# Each starts at 0000:7C00 in real mode; serial port 3F8h.
PRINT_R = bytes.fromhex("baf803 b052 ee")  # mov dx, 3F8h; mov al, 'R'; out dx, al
# again: mov dx, 3FDh; in al, dx; test al, 1; jz again; mov dx, 3F8h; in al, dx; out dx, al; jmp again
ECHO = PRINT_R + bytes.fromhex("bafd03 ec a801 74f8 baf803 ec ee ebf1")
# mov dx, 3F8h; mov al, 'x'; again: out dx, al; jmp again
FLOOD = bytes.fromhex("baf803 b078 ee ebfd")
# again: sti; hlt; jmp again
IDLE = PRINT_R + bytes.fromhex("fb f4 ebfc")
# cli; hlt
DEAD = PRINT_R + bytes.fromhex("fa f4")
# mov al, 15h; out 0F4h, al
DEBUG_EXIT = bytes.fromhex("b015 e6f4 f4")
# mov al, 0FEh; out 64h, al
RESET = PRINT_R + bytes.fromhex("b0fe e664 f4")
# lidt [cs:zeroes]: a limit of 0 lets no vector through; int3
TRIPLE_FAULT = bytes.fromhex("2e0f011e077c cc 0000 0000 0000")
# mov dx, 505h; mov al, 1; out dx, al
PANIC = bytes.fromhex("ba0505 b001 ee f4")


def flat(code):
    """Writes a guest to a file and returns its path."""
    path = os.path.join(TMP, "guest-%08x" % (hash(code) & 0xFFFFFFFF))
    with open(path, "wb") as file:
        file.write(code)
    return path


def start(code, *options, **popen):
    return subprocess.Popen([UMBRA, "run", flat(code), *options], **popen)


def read_until(fd, wanted, patience_s=PATIENCE_S):
    """Reads until the bytes have come; all that came. Fails when they do not come."""
    data = b""
    end = time.monotonic() + patience_s
    while wanted not in data:
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise SystemExit(f"{wanted!r} did not come; this came: {data!r}")
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # a pseudo-terminal whose other end is closed
            chunk = b""
        if not chunk:
            raise SystemExit(f"the end came before {wanted!r}; this came: {data!r}")
        data += chunk
    return data


def finish(process, status):
    """Waits for the end and checks the exit status."""
    try:
        got = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"umbra did not end; status {status} was expected")
    if got != status:
        raise SystemExit(f"umbra ended with status {got}, not {status}")
