#!/usr/bin/python3 -B
# The monitor console on a socket and on a terminal, with a small guest, under both modes: bad input of
# every kind is answered and the VM runs on; clients that leave, crowd in or do not read do no harm.
# test: quick timeout=120
import fcntl
import os
import random
import re
import socket
import struct
import subprocess
import termios
import time

from console_client import GREETING, Console, socket_path
from vm import POWER_OFF, TMP, UMBRA, USAGE, Vm, assemble, check, main

CTRL_A = "\x01"
PATH = socket_path()
MEGABYTE = 1 << 20
CLIENTS = 200
PIPE_BYTES = 60000  # a pipe is full, or nearly
SEED = 3


def echo(mode, *arguments, **more):
    return Vm(
        *(assemble("echo"), "--memory", "4M", "--mmu", mode, "--monitor", f"unix:{PATH}"),
        *arguments,
        limit_s=60,
        **more,
    )


def alive(vm):
    """The guest still answers."""
    vm.send("hello")
    vm.expect("hello", 10)


def seconds(text):
    return float(re.search(r"virtual time ([\d.]+) s", text)[1])


def commands(console, mode):
    """Each command answers, with something of its subject."""
    subjects = {
        "status": "the guest runs\nengine soft, mmu " + mode,
        "registers": "rflags ",
        "slots": "bios alias",
        "e820": "usable RAM",
        "mmu": "--mmu " + mode,
        "ept": "leaves now" if mode == "ept" else "there is no EPT",
        "ept leaves": "MMIO" if mode == "ept" else "there is no EPT",
        "shadow": "1 roots in use" if mode == "shadow" else "there are no shadow tables",
        "shadow pages": "root" if mode == "shadow" else "there are no shadow tables",
        "tlb": "entries in use",
        "exits": "port I/O",
        "memory": "resident",
    }
    listed = console.say("info")
    for subject, words in subjects.items():
        check(f"{subject.split()[0]} " in listed, f"info does not list {subject}")
        got = console.say(f"info {subject}")
        check(words in got, f"info {subject} says {got!r}")
    listed = console.say("help")
    for name in ("info", "walk", "x", "xp", "audit", "stop", "cont", "system_reset", "quit"):
        check(f"\n{name} " in listed, f"help does not list {name}")
        check(console.say(f"help {name}").startswith(f"{name} "), f"help {name}")
    got = console.say("audit")
    check(got.startswith("tables: all invariants hold\nTLB: "), got)
    check("all in step" in got, got)
    with open(f"{TMP}/echo.bin", "rb") as file:
        code = " ".join(f"0x{byte:02x}" for byte in file.read(16))
    got = console.say("xp/16xb 0x7c00")
    check(got == f"0x7c00: {code}\n", f"the guest's first bytes are {got!r}")
    check(console.say("x/i $pc").startswith("0x"), "x/i $pc")
    got = console.say("walk 0x7c00")
    check("paging: none" in got and "= slot low + 0x7c00" in got, got)


def stopping(vm, console):
    check(console.say("stop") == "", "stop says something")
    before = console.say("info status")
    check(before.startswith("the guest is stopped by the console"), before)
    vm.send("x")
    after = console.say("info status")
    check(seconds(before) == seconds(after), "time goes on while the VM is stopped")
    check(console.say("cont") == "", "cont says something")
    vm.expect("x", 10)


BAD_LINES = [
    "nonsense",
    "info nonsense",
    "help nonsense",
    "walk",
    "walk 0xzz",
    "walk 0x123456789abcdef01",
    "walk 99999999999999999999999999",
    "walk $bogus",
    "walk 1 +",
    "x",
    "x/999999999999x 0",
    "x/q 0",
    "xp 0xffffffffffffffff",
    "x 0xd0000000",
    "stop me",
    "quit now",
]


def bad_input(vm, console):
    for line in BAD_LINES:
        console.refused(line)
    # No slot is there, but a device whose memory can be looked at without effects.
    check("0xb8000:" in console.say("xp 0xb8000"), "the screen's memory cannot be read")
    check(console.say("") == "", "an empty line gives something")
    check(console.say("  \t") == "", "a blank line gives something")
    check("printable" in console.refused("info\0status"), "a zero byte")
    check("printable" in console.refused("\x1b[A"), "an escape sequence")
    check(console.say("info e820\r") == console.say("info e820"), "a return before the line feed")
    # Several lines at once, and one line in many pieces.
    console.send("cont\ncont\n\ncont\n")
    for words in ("not stopped", "not stopped", "", "not stopped"):
        check(words in console.answer(), "lines that come together")
    for byte in "help x\n":
        console.send(byte)
    check("letters" in console.answer(), "a line that comes in pieces")
    # A line of a megabyte, and one of the greatest length and one more.
    check("longer than 1023" in console.refused("a" * MEGABYTE), "a line of a megabyte")
    check(console.say("cont" + " " * 1019) == console.say("cont"), "a line of 1023 bytes")
    check("longer than 1023" in console.refused("cont" + " " * 1020), "a line of 1024 bytes")
    check("a" * 41 not in console.refused("a" * 1000), "all of a bad command comes back")
    dice = random.Random(SEED)
    for _ in range(50):
        noise = bytes(dice.randrange(256) for _ in range(2000))
        console.send(noise.replace(b"\n", b"?") + b"\n")
        check(console.answer().startswith("error: "), f"noise of seed {SEED}")
    alive(vm)


def clients(vm):
    """Clients that come and go in every way; one at a time is served."""
    for number in range(CLIENTS):
        console = Console(PATH)
        how = number % 4
        if how == 1:
            console.send("info reg")  # gone in the middle of a line
        elif how == 2:
            console.send("info registers\n")  # gone before the answer
        elif how == 3:
            # Reset instead of an orderly end.
            console.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            console.send("help\n" * 100)
        console.close()
    first = settled()
    second = Console(PATH)
    check("another client" in second.rest(), "a second client is not refused")
    check("the guest runs" in first.say("info status"), "the first client is not served any more")
    # It has said all that it will say, and gets its answers all the same.
    first.send("info e820\n" * 3)
    first.socket.shutdown(socket.SHUT_WR)
    check(first.rest().count("ACPI tables") == 3, "answers are lost when the client has ended")
    first.close()
    alive(vm)


def settled():
    """A client that is served: umbra may not have seen yet that the one before is gone."""
    while True:
        console = Console(PATH)
        if console.socket.recv(1, socket.MSG_PEEK) == GREETING[:1].encode():
            return console.greeted()
        console.close()


def deaf_client(vm):
    """Sends without ever reading: umbra stops reading, and keeps neither memory nor the guest."""
    console = settled()
    console.socket.setblocking(False)
    sent = 0
    try:
        while sent < 64 * MEGABYTE:
            sent += console.socket.send(b"help x\n" * 1000)
    except BlockingIOError:
        pass
    check(sent < 16 * MEGABYTE, "umbra reads on although nobody takes its answers")
    alive(vm)
    with open(f"/proc/{vm.process.pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * 4096
    check(resident < 128 * MEGABYTE, f"umbra keeps {resident >> 20} MiB")
    console.close()
    check("the guest runs" in settled().say("info status"), "no other client is served")


def on_socket(mode):
    with echo(mode) as vm:
        vm.expect("ready\r\n", 20)
        check(os.stat(PATH).st_mode & 0o777 == 0o600, "others may connect to the socket")
        console = Console(PATH).greeted()
        commands(console, mode)
        stopping(vm, console)
        bad_input(vm, console)
        console.close()
        clients(vm)
        deaf_client(vm)
        # Stopped by a client that leaves at once: the next one finds it so, and may end it.
        console = settled()
        console.send("info status\n" * 20 + "stop\n")
        console.close()
        console = settled()
        check("is stopped by the console" in console.say("info status"), "who stops the VM")
        console.send("quit\n")
        vm.ends_with(POWER_OFF, 10)
    check(not os.path.exists(PATH), "the socket stays behind")


def on_terminal(mode):
    with echo(mode, terminal=True) as vm:
        vm.expect("ready\r\n", 20)
        vm.send("abc")
        vm.expect("abc", 10)
        vm.send(f"{CTRL_A}c")
        vm.expect(r"\r\nUmbra's monitor; help lists the commands, .*\r\n\(umbra\) ", 10)
        # The console has the keys now: editing, and the last lines again.
        vm.send("infp\x7fo nonsense\x15info e82X\b0\r")
        vm.expect(r"usable RAM\r\n.*ACPI tables\r\n(.*\r\n)*\(umbra\) ", 10)
        vm.send("what\x03")
        vm.expect(r"what\^C\r\n\(umbra\) ", 10)
        vm.send("\x1b[A\r\n")
        vm.expect(r"info e820\r\n(.*\r\n)*.*ACPI tables\r\n(.*\r\n)*\(umbra\) ", 10)
        vm.send("nonsense\r")
        vm.expect(r"error: there is no command nonsense; help lists them\r\n\(umbra\) ", 10)
        vm.send("stop\r")
        vm.expect(r"stop\r\n\(umbra\) ", 10)
        vm.send(f"{CTRL_A}c")
        vm.expect(r"\r\n", 10)
        vm.send(f"later{CTRL_A}c")
        # A socket sees the same VM.
        console = Console(PATH).greeted()
        check("is stopped by the console" in console.say("info status"), "the socket's view")
        console.close()
        vm.send("cont\r")
        vm.expect(r"(?s)l.*?a.*?t.*?e.*?r", 10)  # the prompt may come between
        # More than the terminal's queue holds: nothing is lost.
        vm.send("x/4096tg 0\r")
        start = vm.expect("\n0x0: ", 10).start()
        end = vm.expect(r"\n0x7ff8: [01]{64}\r\n\(umbra\) ", 20).end()
        lines = vm.output[start:end].count("\n0x")
        check(lines == 4096, f"{lines} of 4096 lines of a long answer arrived")
        vm.send(f"{CTRL_A}c")
        alive(vm)
        vm.send(f"{CTRL_A}h")
        vm.expect_error("Ctrl-a c       monitor console")
        vm.send(f"{CTRL_A}c")
        vm.expect(r"\(umbra\) ", 10)
        vm.send("quit\r")
        vm.ends_with(POWER_OFF, 10)
        vm.check_terminal_restored()


def unread(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]


def nobody_reads():
    """A guest that rests because its output is not read can be looked at, stopped and ended."""
    path = f"{TMP}/input"
    with open(path, "w", encoding="ascii") as file:
        file.write("0123456789abcde\n" * (MEGABYTE // 32) + "q")
    with open(path, "rb") as file:
        with echo("ept", stdin=file) as vm:
            console = Console(PATH).greeted()
            before, now, same = None, None, 0
            end = time.monotonic() + 30
            while same < 3 or unread(vm.stdout) < PIPE_BYTES:
                check(time.monotonic() < end, "the guest never rests")
                time.sleep(0.05)  # the guest may run between two looks; what it does decides
                before, now = now, re.search(r"\d+ instructions", console.say("info status"))[0]
                same = same + 1 if now == before else 0
            for line in ("stop", "cont"):
                check(console.say(line) == "", line)
            check("all in step" in console.say("audit"), "audit")
            vm.expect("abcde\r?\nq", 30)
            vm.ends_with(POWER_OFF, 10)


def addresses():
    """Where the console may listen, and where not."""
    in_use = socket.socket(socket.AF_UNIX)
    in_use.bind(os.path.join(TMP, "used"))
    in_use.listen()
    file = os.path.join(TMP, "file")
    with open(file, "w", encoding="ascii") as out:
        out.write("precious")
    usage = ["", "unix:", "unix:" + "a" * 200, "0", "65536", "tcp:80", "localhost:1", "-1"]
    for where in usage + [f"unix:{TMP}/used", f"unix:{file}", f"unix:{TMP}/none/sock"]:
        done = subprocess.run(
            [UMBRA, "run", f"--monitor={where}", "--timeout", "5"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        check(done.returncode == USAGE, f"--monitor={where}: status {done.returncode}")
        check(where.encode() in done.stderr, f"--monitor={where}: {done.stderr.decode()}")
    with open(file, encoding="ascii") as kept:
        check(kept.read() == "precious", "a file was overwritten")
    # What a killed umbra left behind is replaced.
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(PATH)
    stale.close()
    with echo("ept") as vm:
        vm.expect("ready\r\n", 20)
        Console(PATH).greeted().send("quit\n")
        vm.ends_with(POWER_OFF, 10)


def test():
    addresses()
    for mode in ("ept", "shadow"):
        on_socket(mode)
        on_terminal(mode)
    nobody_reads()


main(test)
