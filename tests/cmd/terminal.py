#!/usr/bin/env python3
# The program on a terminal, on pipes, and before readers that do not read.
# test: quick timeout=180
import fcntl
import os
import pty
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from guest import ECHO, FLOOD, IDLE, finish, read_until, start


def on_terminal():
    keyboard, tty = pty.openpty()
    before = termios.tcgetattr(tty)
    process = start(ECHO, stdin=tty, stdout=tty, stderr=tty)
    read_until(keyboard, b"R")
    os.write(keyboard, b"a\x03\x1ab")  # ^C and ^Z are the guest's
    read_until(keyboard, b"a\x03\x1ab")
    os.write(keyboard, b"\x01a\x01\x01.")
    read_until(keyboard, b"\x01\x01.")
    paste(keyboard, 44000)
    os.write(keyboard, b"\x01h")
    read_until(keyboard, b"quit Umbra")
    os.write(keyboard, b"\x01x")
    finish(process, 0)
    if termios.tcgetattr(tty) != before:
        sys.exit("the terminal is not as it was")


def paste(keyboard, count):
    """Far more at once than the guest takes; all of it must come back."""
    text = b"".join(b"line %06d\r" % i for i in range(count // 12)) + b"done."
    echo, left, end = b"", text, time.monotonic() + 60
    os.set_blocking(keyboard, False)
    while not echo.endswith(b"done.") and time.monotonic() < end:
        readable, writable, _ = select.select([keyboard], [keyboard] if left else [], [], 5)
        if writable:
            left = left[os.write(keyboard, left[:4096]) :]
        if readable:
            echo += os.read(keyboard, 65536)
    os.set_blocking(keyboard, True)
    if echo != text:
        sys.exit(f"of {len(text)} bytes pasted {len(echo)} came back: {echo[-100:]}")


def killed_on_terminal(number, status):
    keyboard, tty = pty.openpty()
    before = termios.tcgetattr(tty)
    process = start(ECHO, stdin=tty, stdout=tty, stderr=tty)
    read_until(keyboard, b"R")
    process.send_signal(number)
    finish(process, status)
    if termios.tcgetattr(tty) != before:
        sys.exit(f"the terminal is not as it was after signal {number}")


def on_pipes():
    process = start(ECHO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    text = b"x\x01x" + bytes(range(256)) * 40 + b"end"
    # What comes before the guest reads its line waits for that, and for no BIOS.
    process.stdin.write(text)
    process.stdin.close()  # the end of the input is not the end of the guest
    data = read_until(process.stdout.fileno(), b"end")
    if data != b"R" + text:
        sys.exit(f"the echo of {len(text)} bytes differs: {len(data)} bytes")
    if process.poll() is not None:
        sys.exit("the end of standard input ended the guest")
    end_by_two_signals(process)


def end_by_two_signals(process):
    process.send_signal(signal.SIGTERM)  # the power button: this guest does not care
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    finish(process, 4)


def reader_gone():
    process = start(FLOOD, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    read_until(process.stdout.fileno(), b"x")
    process.stdout.close()
    time.sleep(0.5)
    if process.poll() is not None:
        sys.exit(f"a closed output ended umbra with status {process.returncode}")
    end_by_two_signals(process)


def reader_stuck():
    """The guest rests, and a time-out still ends it."""
    process = start(FLOOD, "--timeout", "2", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    finish(process, 36)


def idle_costs_nothing():
    process = start(IDLE, "--timeout", "3", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finish(process, 36)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if spent > 1:
        sys.exit(f"a halted guest cost {spent:.2f} s of 3 s")


def in_the_monitor():
    """A long answer stops after a screen; keys turn its pages. Tab and the arrows edit."""
    keyboard, tty = pty.openpty()
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = start(IDLE, stdin=tty, stdout=tty, stderr=tty)
    read_until(keyboard, b"R")
    os.write(keyboard, b"\x01c")
    read_until(keyboard, b"(umbra) ")
    os.write(keyboard, b"xp /100xg 0x7c00\r")  # 50 lines
    for key, lines in ((b"\r", 22), (b" ", 1)):
        shown = read_until(keyboard, b"q: no more) --")
        if shown.count(b": 0x") != lines:
            sys.exit(f"a page of {lines} lines was expected before {key}: {shown}")
        os.write(keyboard, key)
    read_until(keyboard, b"-- more")
    os.write(keyboard, b"q")
    read_until(keyboard, b"(umbra) ")
    os.write(keyboard, b"inf\tlots\x1b[D\x1b[D\x1b[D\x1b[Ds\r")
    read_until(keyboard, b"bios alias")
    os.write(keyboard, b"\x01x")
    finish(process, 0)


for test in (on_terminal, in_the_monitor, on_pipes, reader_gone, reader_stuck, idle_costs_nothing):
    print(test.__name__, flush=True)
    test()
print("killed on a terminal", flush=True)
killed_on_terminal(signal.SIGABRT, -signal.SIGABRT)
killed_on_terminal(signal.SIGSEGV, -signal.SIGABRT)  # an internal error, with last words
