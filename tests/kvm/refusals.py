#!/usr/bin/python3 -B
# A KVM that refuses, step by step: tests/kvm/fake stands in for /dev/kvm and fails where a row below
# says so. --engine kvm must say what failed, in one line; under auto the soft engine runs the guest to
# its right end, unless it has started already; umbra engines must tell the truth.
# test: timeout=240
import concurrent.futures
import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from vm import TMP, UMBRA, USAGE, check, main  # noqa: E402

FAKE = f"{os.environ.get('O', 'build')}/tests/kvm/fake_kvm.so"
POWERED_OFF, ERROR = 0, 4
FAKE_STATUS, FAKE_OUTPUT = 41, "fake guest\n"  # of the guest that the fake pretends to run
LATE = "no answer within 150 ms"  # what auto says on a host that is too busy for the trial
TRIES = 5
HERE = "the embedded guest, 512 MiB"
ANYWHERE = "; --engine soft runs everywhere"

# The ioctls by their numbers (linux/kvm.h).
CREATE_VM, GET_SUPPORTED_CPUID, CREATE_VCPU, SET_MEMORY, SET_IDENTITY = 0x01, 0x05, 0x41, 0x46, 0x48
CREATE_IRQCHIP, GET_IRQCHIP, SET_ROUTING, CREATE_PIT = 0x60, 0x62, 0x6A, 0x77
GET_SREGS, SET_SREGS, SET_CPUID = 0x83, 0x84, 0x90
CAP_READONLY_MEM, CAP_IMMEDIATE_EXIT = 81, 136
EXIT_FAIL_ENTRY, EXIT_INTERNAL_ERROR, EXIT_UNKNOWN = 9, 17, 99

# What fails in the trial, and the reason that is given: KVM cannot be used at all.
TRIAL = (
    (f"open={errno.ENOENT}", "there is no /dev/kvm: the kvm module is not loaded, or hidden here"),
    (f"open={errno.EACCES}", "no permission for /dev/kvm; is the user in the group kvm?"),
    (f"open={errno.ENODEV}", "No such device"),
    ("api=11", "its API has version 11, not 12"),
    (f"fail=0,{errno.ENOTTY}", "/dev/kvm does not answer as KVM does"),
    ("page=64", "/dev/kvm does not answer as KVM does"),
    (f"without={CAP_IMMEDIATE_EXIT}", "it is too old, without immediate exit (Linux 4.11)"),
    (f"without={CAP_READONLY_MEM}", "it is too old, without read-only memory (Linux 3.7)"),
    (f"fail={CREATE_VM},{errno.ENOMEM}", "KVM_CREATE_VM: Cannot allocate memory"),
    (
        f"fail={CREATE_VM},{errno.EBUSY}",
        "KVM_CREATE_VM: Device or resource busy (another hypervisor may have the processor's extension)",
    ),
    (f"fail={SET_MEMORY},{errno.EINVAL}", "KVM_SET_USER_MEMORY_REGION: Invalid argument"),
    (f"fail={CREATE_VCPU},{errno.EEXIST}", "KVM_CREATE_VCPU: File exists"),
    ("map=1", "the vCPU's page cannot be mapped: Permission denied"),
    (f"fail={GET_SREGS},{errno.EIO}", "the vCPU's registers: Input/output error"),
    (f"run=0,{errno.EIO}", "KVM_RUN: Input/output error"),
    (f"run=0,{errno.EFAULT}", "KVM_RUN: Bad address"),
)

# The trial goes on to an end that is not the right one: no reason for auto, yet --engine kvm may try.
BAD_TRIAL = (
    (f"exit=0,{EXIT_INTERNAL_ERROR}", "a 64-bit guest does not run: it ends in the wrong way"),
    (f"exit=0,{EXIT_UNKNOWN}", "a 64-bit guest does not run: it ends in the wrong way"),
    ("hang=1", "a 64-bit guest does not run: it takes too long"),
)

NO_IRQCHIP = "the kernel's interrupt controllers cannot be made (--irqchip user does without them)"

# The trial was fine, but then the vCPU could not be made.
MAKING = (
    (f"open={errno.EMFILE}", "/dev/kvm: Too many open files"),
    ("api=11", "KVM_GET_API_VERSION: Protocol error"),
    (f"fail={CREATE_VM},{errno.ENOMEM}", "KVM_CREATE_VM: Cannot allocate memory"),
    (f"fail={CREATE_VM},{errno.EBUSY}", "KVM_CREATE_VM: Device or resource busy"),
    (f"fail={SET_IDENTITY},{errno.EINVAL}", "KVM_SET_IDENTITY_MAP_ADDR: Invalid argument"),
    (f"fail={CREATE_IRQCHIP},{errno.ENOTTY}", f"{NO_IRQCHIP}: Inappropriate ioctl for device"),
    (f"fail={CREATE_PIT},{errno.EINVAL}", f"{NO_IRQCHIP}: Invalid argument"),
    (f"fail={SET_ROUTING},{errno.ENOMEM}", f"{NO_IRQCHIP}: Cannot allocate memory"),
    (f"fail={SET_MEMORY},{errno.EINVAL}", "KVM_SET_USER_MEMORY_REGION: Invalid argument"),
    (f"fail={CREATE_VCPU},{errno.EEXIST}", "KVM_CREATE_VCPU: File exists"),
    ("map=1", "the vCPU's page cannot be mapped: Permission denied"),
    (f"fail={GET_SUPPORTED_CPUID},{errno.E2BIG}", "KVM_SET_CPUID2: Argument list too long"),
    (f"fail={SET_CPUID},{errno.EINVAL}", "KVM_SET_CPUID2: Invalid argument"),
    (
        f"fail={GET_IRQCHIP},{errno.EIO}",
        "the kernel's interrupt controllers cannot be read: Input/output error",
    ),
    (f"fail={SET_SREGS},{errno.EINVAL}", "the vCPU cannot be reset: Invalid argument"),
)

# The guest runs, and its fifth entry fails (N: the entry).
MIDDLE = (
    (f"run=N,{errno.EIO}", "KVM_RUN failed: Input/output error; use --engine soft"),
    (f"run=N,{errno.EFAULT}", "KVM_RUN failed: Bad address; use --engine soft"),
    (
        f"exit=N,{EXIT_INTERNAL_ERROR}",
        "KVM_RUN ended in an internal error (0): no reason is known; this host's KVM does not run such "
        "a guest, use --engine soft",
    ),
    (
        f"exit=N,{EXIT_FAIL_ENTRY}",
        "the processor refuses the VM entry (hardware reason 0); use --engine soft",
    ),
    (
        f"exit=N,{EXIT_UNKNOWN}",
        f"KVM_RUN ended for a reason ({EXIT_UNKNOWN}) that is not known; use --engine soft",
    ),
)


def environment(rules):
    return {
        **os.environ,
        "LD_PRELOAD": FAKE,
        "FAKE_KVM": rules,
        "LC_ALL": "C",
        "ASAN_OPTIONS": "verify_asan_link_order=0",
    }


class Ended:
    """A run of umbra: its status, output, and its lines on standard error."""

    def __init__(self, rules, *words, **more):
        if words[0] == "run":
            words += ("--sandbox", "off")  # the fake works by calls that Umbra never makes
        for _ in range(TRIES):
            done = subprocess.run(
                [UMBRA, *words], env=environment(rules), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=60, check=False, **more,
            )
            if "hang" in rules or LATE not in done.stderr:
                break
            print("the host is busy: once more")
        self.what = f"FAKE_KVM='{rules}' umbra {' '.join(words)}"
        self.status, self.out = done.returncode, done.stdout
        self.lines = done.stderr.splitlines()

    def expect(self, status, out, *lines):
        """It ended so, its output matches, and these and no other lines stood on standard error."""
        said = "\n".join([f"{self.what}: status {self.status}", *self.lines, self.out[-400:]])
        check(self.status == status, f"status {status} expected; {said}")
        check(re.search(out, self.out, re.S), f"not as expected ({out!r}); {said}")
        check(len(self.lines) == len(lines), f"{len(lines)} lines expected; {said}")
        for line, expected in zip(self.lines, lines):
            check(re.fullmatch(expected, line), f"{expected!r} expected; {said}")


def engine_line(name, why):
    return rf"umbra: engine {name} \({why}\), {re.escape(HERE)}"


def expect_soft(ended, why):
    """The soft engine ran the embedded guest to its end, and the line says why it."""
    line = engine_line("soft", re.escape(why))
    ended.expect(POWERED_OFF, r"exit status 42\..*Good-bye\.\n$", line)


def expect_refusal(ended, status, words):
    ended.expect(status, "^$", f"umbra: error: {re.escape(words + ANYWHERE)}")


def expect_table(ended, row, auto):
    ended.expect(0, rf"\n{row}\nsoft .*\n[^\n]*--engine auto takes {auto}\.\n$")


FAST = "[0-9]+ million instructions a second"


def check_willing():
    """The fake itself is a KVM that runs its guest: what fails below fails by its row."""
    line = engine_line("kvm", FAST)
    Ended("", "run").expect(FAKE_STATUS, f"^{FAKE_OUTPUT}$", line)
    for more in ((), ("--irqchip", "user")):
        Ended("", "run", "--engine", "kvm", *more).expect(
            FAKE_STATUS, f"^{FAKE_OUTPUT}$", engine_line("kvm", f"as asked for; {FAST}")
        )
    expect_table(Ended("", "engines"), rf"kvm( +[0-9.]+){{2}} +\S+ +{FAST}", "kvm")


def check_speed():
    """The trial counts the time on the processor: a busy host makes no KVM slow."""
    Ended("trial:away=5", "run").expect(FAKE_STATUS, f"^{FAKE_OUTPUT}$", engine_line("kvm", FAST))
    slow = r"it runs [0-3]\.[0-9] million instructions a second: it emulates them"
    line = engine_line("soft", f"KVM is no help here: {slow}")
    Ended("trial:busy=8", "run").expect(POWERED_OFF, "Good-bye", line)


def check_trial():
    for rule, reason in TRIAL:
        rules = f"trial:{rule} vm:{rule}"
        expect_soft(Ended(rules, "run"), f"KVM is no help here: {reason}")
        words = f"--engine kvm cannot be used: {reason}"
        expect_refusal(Ended(rules, "run", "--engine", "kvm"), USAGE, words)
        expect_table(Ended(rules, "engines"), rf"kvm +no +no +- +{re.escape(reason)}", "soft")
    for rule, reason in BAD_TRIAL:
        rules = f"trial:{rule}"
        expect_soft(Ended(rules, "run"), f"KVM is no help here: {reason}")
        Ended(rules, "run", "--engine", "kvm").expect(
            FAKE_STATUS, f"^{FAKE_OUTPUT}$", engine_line("kvm", f"as asked for; {re.escape(reason)}")
        )
        expect_table(Ended(rules, "engines"), rf"kvm +no +no +\S+ +{re.escape(reason)}", "soft")


def check_no_answer():
    """KVM_RUN that not even a signal ends; no timer to send one."""
    begin = time.monotonic()
    expect_soft(Ended("trial:hang=2", "run"), "KVM is no help here: KVM gives no answer within 150 ms")
    check(time.monotonic() < begin + 10, "auto waited for a KVM that hangs")
    reason = "KVM gives no answer within 10000 ms"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(Ended, "trial:hang=2", "run", "--engine", "kvm")
        table = pool.submit(Ended, "trial:hang=2", "engines")
    expect_refusal(asked.result(), USAGE, f"--engine kvm cannot be used: {reason}")
    expect_table(table.result(), f"kvm +no +no +- +{reason}", "soft")

    def no_timers():
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))

    words = "the host has no timer for a trial: Resource temporarily unavailable"
    expect_soft(Ended("", "run", preexec_fn=no_timers), f"KVM is no help here: {words}")


def check_making():
    for rule, words in MAKING:
        rules = f"vm:{rule}"
        expect_soft(Ended(rules, "run"), f"KVM failed to make a vCPU: {words}")
        refused = Ended(rules, "run", "--engine", "kvm")
        expect_refusal(refused, USAGE, f"KVM failed to make a vCPU: {words}")
    expect_table(Ended(f"vm:{MAKING[0][0]}", "engines"), rf"kvm( +[0-9.]+){{2}} +\S+ +{FAST}", "kvm")
    # As the words promise.
    Ended(f"vm:fail={CREATE_IRQCHIP},{errno.ENOTTY}", "run", "--irqchip", "user").expect(
        FAKE_STATUS, f"^{FAKE_OUTPUT}$", engine_line("kvm", FAST)
    )


def check_middle():
    """A guest that has started is not started again: the VM ends, and says how."""
    for rule, words in MIDDLE:
        for entry in (0, 4):
            failed = f"umbra: error: the kvm engine failed: {re.escape(words)}"
            rules = f"vm:{rule.replace('N', str(entry))}"
            out = f"^{FAKE_OUTPUT[:entry]}$"
            Ended(rules, "run").expect(ERROR, out, engine_line("kvm", FAST), failed)
            Ended(rules, "run", "--engine", "kvm").expect(
                ERROR, out, engine_line("kvm", f"as asked for; {FAST}"), failed
            )


# --- what is left behind ---


def children(pid):
    """The processes that have this parent, zombies among them."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(name))
    return found


def descriptors(pid):
    """What a process has open, a line each."""
    found = ""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(f"/proc/{pid}/fd/{fd}") + "\n"
        except OSError:
            pass
    return found


def wait_for(what, truth, seconds=8):
    end = time.monotonic() + seconds
    while not (found := truth()):
        check(time.monotonic() < end, f"no {what} within {seconds} s")
        time.sleep(0.01)
    return found


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(rules, *words):
    return subprocess.Popen(
        [UMBRA, "run", *words], env=environment(rules), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )


def check_leftovers():
    """No zombie, and none of KVM's descriptors, beside a guest that runs on the soft engine."""
    image = f"{TMP}/halt.bin"
    with open(image, "wb") as out:
        out.write(b"\xfa\xf4\xeb\xfd")  # cli; 1: hlt; jmp 1b
    last = f"vm:fail={SET_SREGS},{errno.EINVAL}"
    for rules in ("trial:hang=2", f"trial:fail={CREATE_VM},{errno.EBUSY}", "vm:map=1", last):
        with start(rules, image, "--timeout", "60") as process:
            line = process.stderr.readline()
            fds = descriptors(process.pid)
            left = children(process.pid)
            process.kill()
        check("engine soft" in line, f"{rules}: {line}")
        check(not left, f"{rules}: umbra has a process left: {left}")
        check("fake-" not in fds, f"{rules}: umbra has kept a descriptor:\n{fds}")


def check_killed():
    """The trial's process, killed; and umbra, killed while that hangs."""
    with start("trial:hang=2", "--engine", "kvm") as process:
        trial = wait_for("process for the trial", lambda: children(process.pid))
        os.kill(trial[0], signal.SIGKILL)
        errors = process.stderr.read()
    check(process.returncode == USAGE, f"status {process.returncode}: {errors}")
    words = f"--engine kvm cannot be used: the trial ended without an answer{ANYWHERE}"
    check(errors == f"umbra: error: {words}\n", f"the trial was killed: {errors}")
    with start("trial:hang=2", "--engine", "kvm") as process:
        trial = wait_for("process for the trial", lambda: children(process.pid))
        # It must have got to KVM_RUN: before, it could not have asked for its end.
        wait_for("pause in the trial", lambda: "fake-vcpu" in descriptors(trial[0]))
        process.kill()
    wait_for("end of the trial after umbra's", lambda: not lives(trial[0]))


def test():
    check_willing()
    check_speed()
    check_trial()
    check_no_answer()
    check_making()
    check_middle()
    check_leftovers()
    check_killed()


main(test)
