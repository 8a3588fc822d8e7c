#!/usr/bin/python3 -B
# Debian's gdb on real guests: code of 16 and 64 bits from the reset vector, breakpoints of both kinds,
# watchpoints with their values, single steps into and over everything, registers and memory, ^C,
# detaching and coming back, the end of the VM; and Debian's kernel with its own symbols' addresses.
# test: timeout=240
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from console_client import Console, socket_path
from vm import TIME_OUT, TMP, TRIPLE_FAULT, USAGE, Vm, check, linux, main, need, run

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKET, CONSOLE = socket_path("gdb"), socket_path()
ELF, FLAT = f"{TMP}/debug.elf", f"{TMP}/debug.bin"
DEBUG_EXIT = 0x15 << 1 | 1
SETUP = """set pagination off
set confirm off
set width 0
python
def attempt(command):
    try:
        gdb.execute(command)
    except gdb.error as why:
        print("refused:", why)
end"""


def build():
    """The guest with its symbols: tests/boot/guests/debug.S."""
    source, base = f"{HERE}/guests/debug.S", f"{TMP}/debug"
    run("gcc", "-m64", "-ffreestanding", "-fno-pic", "-c", "-o", f"{base}.o", source)
    run(
        *("ld", "-m", "elf_x86_64", "-nostdlib", "-static", "--build-id=none", "-N"),
        *("--no-warn-rwx-segments", "-Ttext=0x7c00", "-e", "start", "-o", ELF, f"{base}.o"),
    )
    run("objcopy", "-O", "binary", "-j", ".text", ELF, FLAT)


class Gdb:
    """gdb in batch mode with a script; what it says is waited for in order."""

    def __init__(self, *lines, target=SOCKET, symbols=ELF, seconds=60):
        script = f"{TMP}/script.gdb"
        attach = [SETUP, *([f"file {symbols}"] if symbols else []), f"target remote {target}"]
        with open(script, "w", encoding="ascii") as file:
            file.write("\n".join((*attach, *lines)) + "\n")
        self.limit = time.monotonic() + seconds
        self.text = ""
        self.seen = 0
        self.process = subprocess.Popen(
            ["gdb", "-nx", "-nh", "--batch", "-x", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.set_blocking(self.process.stdout.fileno(), False)

    def _read(self):
        data = self.process.stdout.read()
        if data is None:
            time.sleep(0.01)
            return True
        self.text += data.decode(errors="replace")
        return data != b""

    def expect(self, *patterns):
        """Each of them, in this order, behind what was seen before."""
        for pattern in patterns:
            compiled = re.compile(pattern, re.MULTILINE)
            while True:
                found = compiled.search(self.text, self.seen)
                if found:
                    self.seen = found.end()
                    break
                on = time.monotonic() < self.limit and self._read()
                if not on and not compiled.search(self.text, self.seen):
                    self.end()
                    shown = self.text[: self.seen] + "<<<here>>>" + self.text[self.seen :]
                    check(False, f"gdb did not say {pattern!r}:\n{shown[-3000:]}")
        return found

    def never(self, pattern):
        while time.monotonic() < self.limit and self._read():
            pass
        check(not re.search(pattern, self.text), f"gdb said {pattern!r}:\n{self.text[-3000:]}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ends(self):
        while self._read():
            check(time.monotonic() < self.limit, f"gdb has not ended:\n{self.text[-3000:]}")
        self.process.wait()


def guest(*arguments, **more):
    if os.path.exists(SOCKET):
        os.remove(SOCKET)
    return Vm(FLAT, "--memory", "16M", "--gdb", f"unix:{SOCKET}", *arguments, limit_s=60, **more)


def gdb_on(vm, *lines, **more):
    vm.expect_error("target remote")
    return Gdb(*lines, **more)


def real_mode():
    """From the reset vector into 16-bit code, where a linear address is not rip."""
    with guest("--wait") as vm:
        gdb = gdb_on(
            vm,
            "p/x $rip",
            "p/x $cs",
            "x/2xb 0xfffffff0",
            "stepi",
            "p/x $cs * 16 + $rip",
            "hbreak copy",
            "continue",
            "x/i $pc",
            "stepi",
            "p $rcx",
            "x/2c &target",
            "stepi",
            "stepi",
            "stepi",
            "p $rcx",
            "stepi",
            "p $rcx",
            "p $pc",
            "x/s &target",
            "delete",
            "break based",
            "continue",
            "p/x $cs * 16 + $rip",
            "set $ax = 7",
            "set $rip = unbased - 0x7c00",
            "stepi",
            "p/x $cs * 16 + $rip",
            "p $ax",
            "p $cr0",
            "monitor info registers",
            "monitor nonsense",
            "set {int}&quit = 1",
            "break done",
            "detach",
        )
        gdb.expect(r"= 0xfff0$", r"= 0xf000$", r"0xfffffff0:\s+0xea", r"= 0x[0-9a-f]+$")
        gdb.expect(r"^Breakpoint 1, .* in copy \(\)", r"=> 0x[0-9a-f]+ <copy>:\s+rep movs")
        gdb.expect(r"= 4$", r"98 'b'\s+0 '\\000'", r"= 1$", r"= 0$", r"<copied>", r'"bytes"')
        gdb.expect(r"SIGTRAP", r"= 0x80[0-9a-f]+$|= 0x7[cdef][0-9a-f]{2}$")
        gdb.expect(r"= 0x7[cdef][0-9a-f]{2}$|= 0x80[0-9a-f]+$", r"= \[ ET \]", r"cr0 +0+10")
        gdb.expect(r"error:", r"detached")
        gdb.ends()
        vm.ends_with(DEBUG_EXIT, 20)


def long_mode():
    with guest("--wait") as vm:
        gdb = gdb_on(
            vm,
            "hbreak store",
            "continue",
            "p $efer",
            "p $cr0",
            "p {long}&other",
            "delete",
            "watch {long}&value",  # gdb tells old and new
            "continue",
            "p $pc",
            "continue",
            "delete",
            "rwatch {long}&other",
            "continue",
            "p $pc",
            "delete",
            "awatch {long}&aligned",  # a native instruction
            "continue",
            "p $pc",
            "delete",
            "p/x $xmm1.v2_int64[0]",
            "set $xmm1.v2_int64[0] = 0x99",
            "set $pc = vector",
            "stepi",
            "p/x {long}&aligned",
            "hbreak fault",
            "continue",
            "stepi",  # into the page fault
            "p/x $cr2",
            "p $pc",
            "break after_fault",
            "continue",  # out of it, to the instruction again
            "p $pc",
            "continue",
            "p $pc",
            "delete",
            "hbreak fault",
            "continue",
            "set {int}0x12018 = 0x83",  # a page table: there is no fault then
            "stepi",
            "p $pc",
            "delete",
            "watch {char}(0xa040 + 10)",  # inside a repeated instruction
            "set {char}(0xa040 + 10) = 1",
            "continue",
            "p $rcx",
            "p $pc",
            "delete",
            "set {char[70]}0xb000 = {0}",
            "x/2xb 0x400000 + loop",  # the other mapping
            "x/2xb loop",
            "python attempt('x/xb 0x500000000000')",  # nothing is there
            "python attempt('set {int}0x500000000000 = 1')",
            "python attempt('x/xb 0xa0000')",  # a device is not read
            "python attempt('set $cr8 = 3')",
            "set {int}(0x400000 + 0x9000) = 0x5a5aa5a5",
            "p/x {int}0x9000",
            "maint packet Qqemu.PhyMemMode:1",
            "maint packet qqemu.PhyMemMode",
            "x/xw 0x9000",
            "monitor phys off",
            # Code that was decoded long ago, changed: INC becomes a jump to done.
            "hbreak loop",
            "continue",
            "delete",
            "set $pc = $pc + 0x400000",  # the same code, at other addresses
            "hbreak store",
            "hbreak *(0x400000 + load)",
            "continue",
            "p $pc - 0x400000 == load",
            "set $pc = $pc - 0x400000",
            "set {char}store = 0xe9",
            "set {int}(store + 1) = done - store - 5",
            "set {int}&quit = 1",
            "delete",
            "continue",
        )
        gdb.expect(r"in store \(\)", r"= \[ LME LMA \]", r"= \[ PE ET PG \]", r"= 77$")
        gdb.expect(r"Hardware watchpoint 2: ", r"Old value = 0$", r"New value = 1$", r"<load>")
        gdb.expect(r"Old value = 1$", r"New value = 2$")
        gdb.expect(r"Hardware read watchpoint 3: ", r"Value = 77$", r"<load\+8>")
        gdb.expect(r"Hardware access \(read/write\) watchpoint 4", r"<call>")
        gdb.expect(r"= 0x1122334455667788$", r"= 0x99$")
        gdb.expect(r"in fault \(\)", r"in on_page_fault \(\)", r"= 0x600000$", r"<on_page_fault>")
        gdb.expect(r"<fault>", r"<after_fault>", r"in fault \(\)", r"<after_fault>")
        gdb.expect(r"Old value = 1 ", r"New value = 90 ", r"= 53$", r"<fill>")
        two = gdb.expect(r"^0x4[0-9a-f]+:\s+(0x..\s+0x..)$")[1]
        gdb.expect(rf"<loop>:\s+{two}$", *[r"refused: Cannot access memory"] * 2)
        gdb.expect(r"refused: Cannot access memory", r"refused: Could not write register")
        gdb.expect(r"= 0x5a5aa5a5$", r'"OK"', r'"1"', r"0x9000:\s+0x5a5aa5a5$", r"virtual")
        gdb.expect(r"^Breakpoint", r"^Breakpoint", r"= 1$", rf"exited with code 0{DEBUG_EXIT:o}\]")
        gdb.ends()
        vm.ends_with(DEBUG_EXIT, 10)


def steps():
    """Single steps hold interrupts, unless one asks for them; a halted processor takes one."""
    stepping = ("set $i = 0", "while $i < %d", "  stepi", "  set $i = $i + 1")
    with guest("--wait") as vm:
        gdb = gdb_on(
            vm,
            "hbreak store",
            "continue",
            "delete",
            "set $ticks = {long}&ticks",
            *(line.replace("%d", "20") for line in stepping),
            "end",
            "p {long}&ticks - $ticks",
            "hbreak halted",
            "continue",
            "stepi",
            "p $pc",
            "stepi",
            "p $pc",
            "finish_",
            seconds=30,
        )
        gdb.expect(r"= 0$", r"<done>", r"<on_timer>")
        gdb.ends()  # at finish_: an error in a script ends it, and so the connection
        gdb = Gdb(
            "maint packet Qqemu.sstep=1",
            "set $seen = 0",
            *(line.replace("%d", "2000") for line in stepping),
            "  if $pc == on_timer",
            "    set $seen = 1",
            "    set $i = 2000",
            "  end",
            "end",
            "p $seen",
            "kill",
        )
        gdb.expect(r"= 1$")
        gdb.ends()
        vm.ends_with(0, 10)


def comings_and_goings():
    """^C, detach, a connection that is lost, and the guest that goes on each time."""
    with guest("--monitor", f"unix:{CONSOLE}") as vm:
        console = Console(CONSOLE).greeted()
        for ending in ("detach", "kill -9", "^C"):
            gdb = gdb_on(vm, "p {long}&rounds", "break store", "continue", "delete", "continue")
            gdb.expect(r"= \d+$", r"in store \(\)")
            if ending == "kill -9":
                gdb.end()
                continue
            while "the guest runs" not in console.say("info status"):
                check(time.monotonic() < gdb.limit, "the guest does not go on")
            gdb.interrupt()
            gdb.expect(r"SIGINT")
            gdb.ends()  # the script's end detaches
        before = None
        for _ in range(3):
            gdb = Gdb("p {long}&rounds", "detach")
            rounds = int(gdb.expect(r"= (\d+)$")[1])
            check(before is None or rounds > before, "the guest stood still without a debugger")
            before = rounds
            gdb.ends()
        gdb = Gdb("set {int}&quit = 1", "continue")
        gdb.expect(rf"exited with code 0{DEBUG_EXIT:o}\]")
        vm.ends_with(DEBUG_EXIT, 10)


def triple_fault():
    """The user may look at it; to go on is the end."""
    with guest("--wait") as vm:
        gdb = gdb_on(
            vm,
            "hbreak loop",
            "continue",
            "set {int}&quit = 2",
            "delete",
            "continue",
            "p $pc",
            "p $idtr_",
        )
        gdb.expect(r"SIGSEGV", r"<broken\+\d+>")
        gdb.ends()
        vm.ends_with(TRIPLE_FAULT, 10)
    with guest("--wait") as vm:
        lines = ("hbreak loop", "continue", "set {int}&quit = 2", "delete", "continue", "continue")
        gdb = gdb_on(vm, *lines)
        gdb.expect(r"SIGSEGV", rf"exited with code 0{TRIPLE_FAULT:o}\]")
        vm.ends_with(TRIPLE_FAULT, 10)


def kernel():
    """Debian's kernel, from its first 64-bit instruction and at a system call of a process."""
    with linux("--gdb", f"unix:{SOCKET}", "--append", "nokaslr", terminal=True) as vm:
        vm.shell()
        names = vm.command("grep -wE '__x64_sys_sethostname|linux_banner' /proc/kallsyms")
        found = {line.split()[2]: line.split()[0] for line in names.splitlines()}
        entry, banner = found["__x64_sys_sethostname"], found["linux_banner"]
        gdb = Gdb(
            f"x/s 0x{banner}",
            f"hbreak *0x{entry}",
            "continue",
            f"p $pc == 0x{entry}",
            "p $cs & 3",
            "p/x $gs_base != 0",
            "x/s *(long*)($rdi + 0x70)",  # the system call's first argument
            "set *(char*)(*(long*)($rdi + 0x70)) = 'X'",
            "delete",
            "detach",
            symbols=None,
        )
        gdb.expect(r'"Linux version ')
        vm.send("hostname albatross; hostname\n")
        gdb.expect(r"^Breakpoint 1, 0x", r"= 1$", r"= 0$", r"= 0x1$", r'"albatross"', r"detached")
        gdb.ends()
        vm.expect(r"Xlbatross\r*\n", 30)
        vm.send("poweroff -f\n")
        vm.ends_with(0, 30)


def tcp():
    """A TCP port; the guest is where it starts, and runs for ever when it is let go."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Vm(FLAT, "--memory", "16M", "--gdb", port, "--wait", limit_s=2) as vm:
        vm.expect_error(f"target remote localhost:{port}")
        gdb = Gdb("p/x $rip", target=f"localhost:{port}")
        gdb.expect(r"= 0xfff0$", r"detached")
        vm.ends_with(TIME_OUT, 10)


def refusals():
    for arguments, status, words in (
        (("--wait",), USAGE, "--wait needs --gdb"),
        (("--gdb", "0"), USAGE, "--gdb 0"),
        (("--gdb", "localhost:1234"), USAGE, "--gdb localhost:1234"),
        (("--gdb", "unix:"), USAGE, "--gdb unix:"),
        (("--gdb", f"unix:{ELF}"), USAGE, "cannot listen"),
    ):
        with Vm(FLAT, *arguments, limit_s=10) as vm:
            vm.ends_with(status, 10)
            check(words in vm.errors, f"{arguments} is refused with {vm.errors!r}")


def lost_in_the_middle():
    """A client that says nonsense, or goes in the middle of a packet: the guest goes on."""
    with guest("--wait") as vm:
        vm.expect_error("target remote")
        for words in (b"", b"$", b"$g#", b"$vCont;s#b", b"\x03\x03-+$$$#00garbage", b"$c#63\x03"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(SOCKET)
                client.sendall(words)
        with socket.socket(socket.AF_UNIX) as client, socket.socket(socket.AF_UNIX) as second:
            client.connect(SOCKET)
            client.sendall(b"$Z0,7ce9,1#" + b"xx" + b"$qC#b4")
            check(client.recv(1) == b"-", "a wrong sum was not refused")
            second.connect(SOCKET)
            check(second.recv(100), "a second client was not told")
        gdb = Gdb("set {int}&quit = 1", "continue")
        gdb.expect(rf"exited with code 0{DEBUG_EXIT:o}\]")
        vm.ends_with(DEBUG_EXIT, 10)


def test():
    need(shutil.which("gdb") or "/usr/bin/gdb", "tools/setup check")
    build()
    parts = (
        *(refusals, real_mode, long_mode, steps, comings_and_goings, lost_in_the_middle),
        *(triple_fault, tcp, kernel),
    )
    chosen = sys.argv[1:] or os.environ.get("GDB_PARTS", "").split()
    for part in parts:
        if not chosen or part.__name__ in chosen:
            started = time.monotonic()
            part()
            print(f"{part.__name__}: {time.monotonic() - started:.1f} s")


main(test)
