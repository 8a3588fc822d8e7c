"""Drives umbra from a test, as a person at its terminal would.

Starts it on pipes or on a terminal of its own, waits for words in what the guest prints, types, and
takes the exit status. Everything has a limit: --timeout for the guest, and a deadline for each
wait. A test that fails shows what the guest printed last.

Refuses to share the caller's terminal. UMBRA and CACHE come from tools/run-tests.
"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import traceback

UMBRA = os.environ.get("UMBRA", "build/umbra")
CACHE = os.environ.get("CACHE", "cache")
TMP = os.environ.get("TEST_TMP", "/tmp")

POWER_OFF, ERROR, USAGE, RESET, PANIC, TIME_OUT, TRIPLE_FAULT = 0, 4, 2, 32, 34, 36, 38
SHOWN_BYTES = 3000  # of the guest's output, when a test fails


class Failed(Exception):
    """The guest or the monitor did not do what the test expects."""


class Skipped(Exception):
    """The test cannot run here; the text says why."""


def check(truth, words):
    if not truth:
        raise Failed(words)


def environment(preload):
    """The caller's, with a host's disk that is slow or fails, if asked for."""
    if preload is None:
        return None
    library = os.path.abspath(os.path.join(os.environ.get("O", "build"), "tests/boot/slow_disk.so"))
    need(library, "make check-build")
    asan = "verify_asan_link_order=0"
    return {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": asan, **preload}


class Vm:
    """A running `umbra run` with the given arguments; use it in a `with` statement.

    terminal: on a terminal of its own; else on pipes, or on the files given.
    limit_s: the whole life of the guest.
    stderr: a descriptor in the place of a pipe whose text is kept.
    preload: the rules of tests/boot/preload/slow_disk.c, which is preloaded then.
    """

    def __init__(
        self,
        *arguments,
        terminal=False,
        stdin=subprocess.PIPE,
        stdout=None,
        stderr=None,
        limit_s=240,
        preload=None,
    ):
        self.argv = [UMBRA, "run", "--timeout", str(limit_s), *map(str, arguments)]
        if preload is not None:
            self.argv += ["--sandbox", "off"]  # it works by calls that Umbra never makes
        self.deadline = time.monotonic() + limit_s + 10
        self.output = ""  # all of it; self.seen is how much the waits have used up
        self.seen = 0
        self.errors = ""
        self.terminal = None
        if stderr is None:
            self.stderr, stderr = os.pipe()
        else:
            self.stderr = os.open("/dev/null", os.O_RDONLY)
        if terminal:
            self.terminal, self.guest_side = pty.openpty()
            stdin = stdout = self.guest_side
            self.modes = termios.tcgetattr(self.guest_side)
        elif stdout is None:
            self.stdout, stdout = os.pipe()
        else:
            self.stdout, stdout = os.open("/dev/null", os.O_RDONLY), os.dup(stdout.fileno())
        self.process = subprocess.Popen(
            self.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env=environment(preload),
        )
        os.close(stderr)
        if terminal:
            # The test keeps its own end of the terminal open, to look at the modes afterwards.
            self.stdout = self.stdin = self.terminal
        else:
            os.close(stdout)
            self.stdin = self.process.stdin.fileno() if self.process.stdin else -1
        self.open = [self.stdout, self.stderr]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if kind:
            print(f"$ {' '.join(self.argv)}")
            print(self.output[-SHOWN_BYTES:].replace("\r", ""))
            print(self.errors[-SHOWN_BYTES:])
        for fd in {self.stderr, self.stdout}:
            os.close(fd)
        if self.terminal is not None:
            os.close(self.guest_side)

    def _read(self, seconds):
        """Takes in what comes within that time; False at the end of all output."""
        if self.terminal is not None and self.process.poll() is not None:
            seconds = 0  # a terminal has no end of file while the test holds its other end
        ready, _, _ = select.select(self.open, [], [], max(0, seconds))
        for fd in ready:
            data = os.read(fd, 65536)
            if not data:
                self.open.remove(fd)
            elif fd == self.stdout:
                self.output += data.decode(errors="replace")
            else:
                self.errors += data.decode(errors="replace")
        if not ready and self.process.poll() is not None:
            return False
        return bool(self.open)

    def expect_error(self, words, seconds=10):
        """Waits for words on standard error."""
        end = time.monotonic() + seconds
        while words not in self.errors:
            check(time.monotonic() < end, f"no {words!r} on standard error within {seconds} s")
            check(self._read(0.1) or words in self.errors, f"umbra ended before {words!r}")

    def terminate_twice(self):
        """The power button, and when umbra has seen that, the end."""
        self.process.send_signal(signal.SIGTERM)
        self.expect_error("power button")
        self.process.send_signal(signal.SIGTERM)

    def expect(self, pattern, seconds=120):
        """Waits until the guest has printed the pattern, behind what was waited for before."""
        compiled = re.compile(pattern)
        end = min(self.deadline, time.monotonic() + seconds)
        while True:
            found = compiled.search(self.output, self.seen)
            if found:
                self.seen = found.end()
                return found
            left = end - time.monotonic()
            check(left > 0, f"no {pattern!r} from the guest within {seconds} s")
            if not self._read(left):
                found = compiled.search(self.output, self.seen)
                check(found, f"umbra ended (status {self.process.wait()}) before {pattern!r}")

    def send(self, text):
        os.write(self.stdin, text.encode())

    def end_of_input(self):
        self.process.stdin.close()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def status(self, seconds=60):
        """Waits for the end of umbra and returns its exit status."""
        end = min(self.deadline, time.monotonic() + seconds)
        while self.process.poll() is None or self._read(0):
            left = end - time.monotonic()
            check(left > 0, f"umbra has not ended within {seconds} s")
            self._read(min(left, 0.2))
        return self.process.wait()

    def ends_with(self, status, seconds=60):
        got = self.status(seconds)
        check(got == status, f"umbra ended with status {got}, expected {status}")

    def check_terminal_restored(self):
        now = termios.tcgetattr(self.guest_side)
        check(now == self.modes, "the terminal's modes are not as before")

    # --- a shell in the guest ---

    def shell(self, seconds=200):
        """Waits for the test guest's shell and makes it fit for command()."""
        self.expect("umbra-guest: ready", seconds)
        self.expect("umbra:.*# ", 60)
        # No kernel messages between the answers, but those of its end.
        self.send("dmesg -n 1; stty cols 240; PS1='>'\n")
        self.expect(r"\n>", 60)

    def command(self, text, seconds=60, status=0):
        """Types a command and returns its output; its exit status must be the one given."""
        self.send(f"{text}; echo rc=$?=\n")
        begin = self.seen
        found = self.expect(r"rc=(\d+)=\r*\n", seconds)
        # What was typed is echoed first; twice, if the shell was not ready for it.
        answer = re.split(r"rc=\$\?=\s*\n", self.output[begin : found.start()])[-1]
        answer = answer.replace("\r", "").strip("\n")
        got = int(found[1])
        check(got == status, f"`{text}` ended with status {got}, and said:\n{answer}")
        return answer


def linux(*arguments, arch="amd64", initrd=None, **more):
    """Debian's kernel with the test guest's initramfs, or with one that is made of it."""
    guest, initramfs = {
        "amd64": ("cloud", "initramfs.cpio.gz"),
        "i386": ("i386", "initramfs-i386.cpio.gz"),
    }[arch]
    kernel, initramfs = f"{CACHE}/{guest}/vmlinuz", f"{CACHE}/{initramfs}"
    need(kernel, f"tools/fetch-guests {guest}")
    need(initramfs, f"tools/make-initramfs {arch}")
    return Vm("--kernel", kernel, "--initrd", initrd or initramfs, *arguments, **more)


def need(path, how):
    if not os.path.exists(path):
        raise Skipped(f"{path} is not there; {how}")


def cpu_seconds(pid):
    """The processor time that a process has used so far, its own and the kernel's for it."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(*command, **more):
    """A program of the host that must succeed; returns what it prints."""
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
    )
    text = done.stdout.decode(errors="replace")
    check(done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}\n{text}")
    return text


def assemble(name, *defines):
    """Builds tests/boot/guests/NAME.S as a flat 16-bit binary for 0000:7C00."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guests", f"{name}.S")
    base = os.path.join(TMP, "-".join((name, *defines)))
    flags = [f"-D{define}" for define in defines]
    run("gcc", "-m16", "-ffreestanding", "-fno-pic", "-c", *flags, "-o", f"{base}.o", source)
    run(
        *("ld", "-m", "elf_i386", "-nostdlib", "-static", "--build-id=none"),
        *("-Ttext=0x7c00", "-e", "start", "-o", f"{base}.elf", f"{base}.o"),
    )
    run("objcopy", "-O", "binary", "-j", ".text", f"{base}.elf", f"{base}.bin")
    return f"{base}.bin"


def main(test):
    """Runs a test function: status 0, 1 for a failure, 77 for a skip."""
    try:
        test()
    except Skipped as why:
        print(why)
        sys.exit(77)
    except Failed as why:
        frames = traceback.extract_tb(why.__traceback__)
        where = next(f for f in reversed(frames) if not f.filename.endswith("vm.py"))
        print(f"{os.path.basename(where.filename)}:{where.lineno}: {why}")
        sys.exit(1)
