#!/usr/bin/python3 -B
# The kvm engine on a whole KVM: QEMU's TCG, which emulates SVM, runs Debian's kernel, whose kvm-amd
# gives umbra a /dev/kvm; there umbra boots the test guests and Debian's kernel, with nested paging
# and with KVM's shadow pages, and without a /dev/kvm. What is checked inside stands in guest_test.
# test: timeout=820
import gzip
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
import lines  # noqa: E402
from vm import CACHE, TMP, UMBRA, assemble, check, cpu_seconds, main, need  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT_TESTS = [
    os.path.join(os.environ.get("O", "build"), f"tests/unit/engine/test_kvm_{name}")
    for name in ("memory", "debug", "time")
]
LIMIT_S = 780
STALL_S = 30
TRIES = 4
MODULES = ("virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-amd.ko")


def libraries(program):
    """The shared libraries that a program needs here, as paths."""
    answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(", answer)


def make_initrd(path):
    """Debian's initramfs with an archive behind it that brings umbra and its guests."""
    root = f"{TMP}/overlay"
    inside = f"{root}/umbra"
    os.makedirs(inside)
    for library in {library for name in (UMBRA, *UNIT_TESTS) for library in libraries(name)}:
        os.makedirs(root + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, root + library)
    shutil.copy(UMBRA, f"{inside}/umbra")
    for name in UNIT_TESTS:
        shutil.copy(name, inside)
    shutil.copy(assemble("irq_lines"), inside)
    for name in ("cloud/vmlinuz", "initramfs.cpio.gz"):
        shutil.copy(f"{CACHE}/{name}", inside)
    for name in MODULES:
        shutil.copy(f"{CACHE}/cloud/modules/kernel/{name}", inside)
    shutil.copy(f"{HERE}/guest_test", f"{root}/umbra-test")
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names, capture_output=True, check=True
    ).stdout
    with open(path, "wb") as out, open(f"{CACHE}/initramfs.cpio.gz", "rb") as first:
        shutil.copyfileobj(first, out)
        out.write(gzip.compress(archive, 1))


def wait_or_stall(process, deadline):
    """Waits for the end; False when the time is over, or QEMU has done nothing for STALL_S."""
    seen, since = 0.0, time.monotonic()
    while time.monotonic() < deadline:
        try:
            process.wait(timeout=2)
            return True
        except subprocess.TimeoutExpired:
            used = cpu_seconds(process.pid)
        if used > seen + 0.2:
            seen, since = used, time.monotonic()
        elif time.monotonic() > since + STALL_S:
            return False
    return False


def run_outer(initrd):
    """Runs the outer guest to its end; returns what it printed.

    QEMU 7.2 sometimes halts the outer processor for ever while it emulates SVM: its vCPU waits, and
    no timer of the guest comes any more, while nothing in the guest ever sleeps so long. Such a run
    is told and made again.
    """
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1536", "-nodefaults"]
    command += ["-display", "none", "-serial", f"file:{TMP}/serial", "-no-reboot"]
    command += ["-kernel", f"{CACHE}/cloud/vmlinuz", "-initrd", initrd]
    command += ["-append", "console=ttyS0 quiet"]
    deadline = time.monotonic() + LIMIT_S
    for attempt in range(TRIES):
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            ended = wait_or_stall(process, deadline)
            process.kill()
        with open(f"{TMP}/serial", encoding="utf-8", errors="replace") as serial:
            text = serial.read().replace("\r", "")
        if ended:
            return text
        print(f"run {attempt + 1}: QEMU stands still behind: {text.rstrip()[-100:]!r}")
    return text


class Results:
    """What guest_test said: statuses, and the words behind each."""

    def __init__(self, text):
        self.text = text
        self.status = {}
        self.said = {}
        self.engines = {}
        part = name = ""
        for line in text.split("\n"):
            if found := re.match(r"check: (\S+) (\d+)$", line):
                name = found[1]
                self.status[name] = int(found[2])
                self.said[name] = []
            elif line.startswith("said: ") and name:
                self.said[name].append(line[len("said: ") :])
            elif line.startswith("engines: "):
                words = line[len("engines: ") :]
                if words in ("hidden", "npt=1", "npt=0"):
                    part = words
                    self.engines[part] = {}
                elif found := re.match(r"(kvm|soft) ", words):
                    self.engines[part][found[1]] = words.split(None, 4)[1:]

    def expect(self, name, status=0, said=""):
        """A guest ended with this status, and a line that it or umbra said matches."""
        got = self.status.get(name)
        words = "\n".join(self.said.get(name, []))
        check(got == status, f"{name}: status {got}, expected {status}; it said:\n{words}")
        check(re.search(said, words, re.M), f"{name} did not say {said!r} but:\n{words}")


def check_lines(results, name):
    """Interrupt lines behind the controllers of a KVM that is a faithful one."""
    results.expect(name, lines.ENDED, said="^engine kvm")
    bad = lines.wrong(" ".join(results.said[name]))
    check(not bad, f"{name}:\n" + "\n".join(bad))


def check_memory(results, name):
    """The unit test of slots, A20 and dirty logs: this KVM has all that it can be about."""
    results.expect(name)
    check(not results.said[name], f"{name}: {results.said[name]}")


def check_guests(results, paging):
    check_memory(results, f"{paging}-memory")
    check_lines(results, f"{paging}-lines")
    for name, count in ((f"{paging}-debug", 1), (f"{paging}-time", 4)):
        results.expect(name)
        check(f"passed: {name} {count} test" in results.text, f"{name}: tests were skipped")
    results.expect(f"{paging}-embedded", said="^engine kvm")
    for words in ("^engine kvm", "^clocksource: .*kvm-clock", "^up since", "powering off"):
        results.expect(f"{paging}-linux", said=words)
    results.expect(f"{paging}-auto", said="^engine soft .*KVM is no help here")


def check_engines(results):
    hidden, npt, shadow = (results.engines.get(part, {}) for part in ("hidden", "npt=1", "npt=0"))
    check(hidden.get("kvm", [""] * 4)[:3] == ["no", "no", "-"], f"hidden: {hidden}")
    check("no /dev/kvm" in hidden["kvm"][3], f"hidden: {hidden}")
    check(npt.get("kvm", [""] * 4)[2] == "NPT", f"npt=1: {npt}")
    check(shadow.get("kvm", [""] * 4)[2] == "shadow", f"npt=0: {shadow}")
    for part in (hidden, npt, shadow):
        check(float(part["soft"][0]) > 1 and float(part["soft"][1]) > 1, f"soft: {part}")


def test():
    need(f"{CACHE}/cloud/vmlinuz", "tools/fetch-guests cloud")
    need(f"{CACHE}/initramfs.cpio.gz", "tools/make-initramfs amd64")
    for name in UNIT_TESTS:
        need(name, "make unit")
    initrd = f"{TMP}/initrd"
    make_initrd(initrd)
    text = run_outer(initrd)
    results = Results(text)
    for name in re.findall(r"^again: (\S+)$", text, re.M):
        print(f"{name} ran out of time once")
    try:
        results.expect("hidden-auto", said="^engine soft .*no /dev/kvm")
        results.expect("hidden-kvm", 2)
        check_engines(results)
        check_guests(results, "npt1")
        check_guests(results, "npt0")
        check_lines(results, "user-irqchip-lines")
        results.expect("user-irqchip-embedded", said="^engine kvm")
        for words in ("^engine kvm", "^up since", "powering off"):
            results.expect("user-irqchip-linux", said=words)
    except BaseException:
        print(text[-6000:])
        raise


main(test)
