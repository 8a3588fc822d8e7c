#!/usr/bin/python3 -B
# gdb's protocol under the kvm engine, on this host's own KVM: a boot sector from the reset vector, by
# single steps, breakpoints and, where the KVM sees them, a watchpoint; more than the processor has room
# for; to the end of the VM. A KVM that emulates runs it, too, since all of it is in real mode.
# test: timeout=60
import contextlib
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from console_client import socket_path  # noqa: E402
from vm import TMP, Skipped, Vm, check, main, run  # noqa: E402

SOCKET = socket_path("gdb")
DEBUG_EXIT = 0x15 << 1 | 1
START, DATA = 0x7C00, 0x500
RIP = 0x10  # gdb's number of the register
CODE = """
        .code16
start:  xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
step:   pushf
        popw %bx
        incw %ax
write:  movw $0x1234, 0x500
after:  int $0x11
back:   movw $0xf4, %dx
        movl $0x15, %eax
end:    outb %al, %dx
        jmp .
        .org 510
        .word 0xaa55
"""


def assemble():
    """The boot sector; its labels' addresses."""
    base = f"{TMP}/sector"
    with open(f"{base}.S", "w", encoding="ascii") as file:
        file.write(CODE)
    run("gcc", "-c", "-o", f"{base}.o", f"{base}.S")
    run("objcopy", "-O", "binary", "-j", ".text", f"{base}.o", f"{base}.bin")
    symbols = [line.split() for line in run("nm", f"{base}.o").splitlines()]
    return f"{base}.bin", {name: START + int(value, 16) for value, _, name in symbols}


class Client:
    """Asks, and waits for the answer."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(SOCKET)
        self.bytes = b""

    def ask(self, packet):
        data = packet.encode()
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))
        while not (found := re.search(rb"\$([^#]*)#..", self.bytes)):
            more = self.socket.recv(4096)
            check(more, f"the stub closed the connection at {packet!r}")
            self.bytes += more
        self.bytes = self.bytes[found.end() :]
        # After its last answer, the guest's end, the stub may be gone already.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(b"+")
        return found[1].decode()

    def expect(self, packet, pattern):
        answer = self.ask(packet)
        found = re.fullmatch(pattern, answer)
        check(found, f"{packet!r} was answered with {answer!r}, not {pattern!r}")
        return found

    def stops(self, packet, address, more=""):
        """A packet that runs the guest until it stops at an address, with those words."""
        rip = address.to_bytes(8, "little").hex()
        self.expect(packet, f"T05.*{RIP:x}:{rip};.*{more}.*")


def session(gdb, at):
    # The reset vector's jump into the BIOS, then its first instruction.
    gdb.stops("s", 0xE05B) if gdb.ask("mfffffff0,5") == "ea5be000f0" else gdb.ask("s")
    gdb.expect(f"Z1,{START:x},1", "OK")
    gdb.stops("c", START)
    gdb.expect(f"z1,{START:x},1", "OK")
    # Four fit, the guest's memory stays as it is, and five are refused.
    before = gdb.ask(f"m{at['step']:x},8")
    for name in ("step", "write", "back", "end"):
        gdb.expect(f"Z0,{at[name]:x},1", "OK")
    gdb.expect(f"Z0,{at['after']:x},1", "E1c")
    gdb.expect(f"Z2,{DATA:x},2", "E1c")
    gdb.stops("c", at["step"])
    check(gdb.ask(f"m{at['step']:x},8") == before, "a breakpoint is seen in the guest's memory")
    # Nor does a PUSHF find the trap flag.
    gdb.stops("s", at["step"] + 1)
    gdb.stops("s", at["step"] + 2)
    flags = gdb.ask("p3")
    check(not int(flags[2:4], 16) & 1, f"PUSHF shows TF: {flags}")
    gdb.stops("c", at["write"])
    for name in ("step", "write", "end"):
        gdb.expect(f"z0,{at[name]:x},1", "OK")
    gdb.expect(f"Z3,{DATA:x},2", "")
    gdb.expect(f"Z2,{DATA:x},2", "OK")
    # A KVM that emulates instructions goes on to the breakpoint.
    answer = gdb.ask("c")
    check(f"watch:{DATA:x};" in answer or f"{RIP:x}:{at['back'] & 0xFF:02x}" in answer, answer)
    gdb.expect(f"m{DATA:x},2", "3412")
    if "watch:" in answer:
        gdb.stops("c", at["back"])
    # Back over it: into the BIOS's handler, whose frame holds where it returns to.
    gdb.expect(f"P{RIP:x}={at['after'].to_bytes(8, 'little').hex()}", "OK")
    gdb.expect("s", "T05.*")
    gdb.expect(f"m{0x7C00 - 6:x},2", at["back"].to_bytes(2, "little").hex())
    gdb.stops("c", at["back"])
    gdb.expect("c", f"W{DEBUG_EXIT:02x}")


def test():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skipped("no /dev/kvm that can be opened")
    image, at = assemble()
    arguments = ("--engine", "kvm", "--memory", "16M", "--gdb", f"unix:{SOCKET}", "--wait")
    with Vm(image, *arguments, limit_s=40) as vm:
        vm.expect_error("target remote")
        session(Client(), at)
        vm.ends_with(DEBUG_EXIT, 20)
        check("--engine soft has room" in vm.errors, "nobody is told what would help")


main(test)
