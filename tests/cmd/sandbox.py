#!/usr/bin/env python3
# Each thread of a running VM is under its list, and a forbidden call on it ends the VM with a message.
# test: quick timeout=120
import errno
import os
import subprocess
import sys

from guest import DEBUG_EXIT, ECHO, PRINT_R, TMP, UMBRA, finish, flat, read_until, start

OUTPUT = os.environ.get("O", "build")
FORBIDDEN = os.path.abspath(f"{OUTPUT}/tests/cmd/forbidden.so")
REFUSE = f"{OUTPUT}/tests/cmd/refuse"
DEBUG_STATUS = (0x15 << 1) | 1
STOPPED = 4
NOT_STARTED = 2
THREADS = {"loop": "event loop", "vcpu": "vCPU", "disk": "disk"}


def boot_disk():
    """A disk whose boot sector prints R and ends the VM."""
    path = os.path.join(TMP, "disk")
    with open(path, "wb") as file:
        file.write((PRINT_R + DEBUG_EXIT).ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    return path


def run(*command, **environment):
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, [line for line in done.stderr.splitlines() if "umbra: engine" not in line]


def umbra(*options, **environment):
    disk = ["--disk", boot_disk()]
    return run(UMBRA, "run", *disk, "--engine", "soft", *options, **environment)


def expect(got, status, words):
    lines = got[1]
    if got[0] != status or len(lines) != (1 if words else 0) or words not in "".join(lines):
        sys.exit(f"status {got[0]}, {lines}; expected {status} and {words!r}")


def forbidden_calls():
    for thread, name in THREADS.items():
        hostile = {"LD_PRELOAD": FORBIDDEN, "FORBIDDEN": thread}
        words = f"that the {name}'s thread never makes: socket (41)"
        expect(umbra("--sandbox", "on", **hostile), STOPPED, words)
        expect(umbra("--sandbox", "off", **hostile), DEBUG_STATUS, "")
    expect(umbra("--sandbox", "on"), DEBUG_STATUS, "")


def state_of(pid, task):
    with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def threads_are_inside():
    """As the kernel sees it; the guest's echo says that every thread has begun."""
    for option, mode in (("on", "2"), ("off", "0")):
        options = ["--disk", boot_disk(), "--engine", "soft", "--sandbox", option]
        options += ["--monitor", f"unix:{TMP}/monitor"]
        process = start(ECHO, *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        read_until(process.stdout.fileno(), b"R")
        process.stdin.write(b"x")
        process.stdin.flush()
        read_until(process.stdout.fileno(), b"x")
        tasks = [state_of(process.pid, task) for task in os.listdir(f"/proc/{process.pid}/task")]
        found = {task["Name"]: task["Seccomp"] for task in tasks}
        if len(found) != len(THREADS) or set(found.values()) != {mode}:
            sys.exit(f"--sandbox {option}: {found}")
        if option == "on" and {task["NoNewPrivs"] for task in tasks} != {"1"}:
            sys.exit("no_new_privs is not set")
        process.terminate()
        read_until_power_button(process)
        finish(process, STOPPED)


def read_until_power_button(process):
    """The first SIGTERM is a power button that this guest does not know."""
    while process.poll() is None:
        process.terminate()
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue


def host_without_seccomp():
    """It refuses to start rather than to run without."""
    rule = [f"seccomp={errno.ENOSYS}", "--"]
    command = [UMBRA, "run", flat(DEBUG_EXIT), "--engine", "soft"]
    words = "the host refuses a sandbox (seccomp): Function not implemented; --sandbox off runs without"
    expect(run(REFUSE, *rule, *command), NOT_STARTED, words)
    expect(run(REFUSE, *rule, *command, "--sandbox", "off"), DEBUG_STATUS, "")


for test in (forbidden_calls, threads_are_inside, host_without_seccomp):
    print(test.__name__, flush=True)
    test()
