#!/usr/bin/env python3
# A host that refuses what Umbra needs before the guest starts: status 2, one line with the host's own
# reason, and no word of the guest.
# test: quick timeout=60
import errno
import os
import subprocess
import sys

from guest import DEBUG_EXIT, TMP, UMBRA, flat

REFUSE = f"{os.environ.get('O', 'build')}/tests/cmd/refuse"
NOT_STARTED = 2
PORT = "40999"


def disk():
    with open(f"{TMP}/disk.img", "wb") as file:
        file.truncate(1 << 20)
    return "disk.img"


# The refused calls, options, and words of the line.
CASES = (
    (["timerfd_create=%d" % errno.EPERM], [], "a timer (timerfd_create): Operation not permitted"),
    (["timerfd_create=%d" % errno.EMFILE], [], "Too many open files; raise the limit (ulimit -n)"),
    (["timerfd_settime=%d" % errno.EPERM], ["--timeout", "5"], "--timeout (timerfd): Operation not"),
    (["timerfd_settime=%d" % errno.EPERM], ["--stats"], "could not be made: Operation not permitted"),
    (["epoll_create1=%d" % errno.ENFILE], [], "an event loop (epoll, eventfd): Too many open files in"),
    (["eventfd2=%d" % errno.EMFILE], [], "an event loop (epoll, eventfd): Too many open files"),
    (["epoll_ctl=%d" % errno.ENOSPC], [], "an event loop (epoll, eventfd): No space left"),
    (
        ["clone3=%d" % errno.ENOSYS, "clone=%d" % errno.EAGAIN],
        [],
        "a thread (pthread_create): Resource temporarily unavailable; raise the limit of processes",
    ),
    (
        ["clone3=%d" % errno.ENOSYS, "clone=%d" % errno.EAGAIN],
        ["--disk", disk()],
        "a thread for the disk image disk.img: Resource temporarily unavailable; raise the limit",
    ),
    (
        ["bind=%d" % errno.EACCES],
        ["--gdb", PORT],
        f"the gdb stub cannot listen at {PORT}: Permission denied",
    ),
    (
        ["bind=%d" % errno.EACCES],
        ["--monitor", PORT],
        f"the monitor console cannot listen at {PORT}: Permission denied",
    ),
    (["socket=%d" % errno.EMFILE], ["--gdb", PORT], f"cannot listen at {PORT}: Too many open files"),
    (
        [],
        ["--monitor", "unix:/nonexistent/x"],
        "the monitor console cannot listen at unix:/nonexistent/x: No such file or directory",
    ),
    ([], ["--gdb", "unix:/nonexistent/x"], "cannot listen at unix:/nonexistent/x: No such file"),
    ([], ["--monitor", f"unix:{flat(DEBUG_EXIT)}"], "that is no socket, choose another name"),
)

failures = 0
for rules, options, words in CASES:
    umbra = [UMBRA, "run", flat(DEBUG_EXIT), "--engine", "soft", *options]
    run = subprocess.run(
        [REFUSE, *rules, "--", *umbra] if rules else umbra,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=TMP,
    )
    lines = run.stderr.splitlines()
    if run.returncode != NOT_STARTED or len(lines) != 1 or words not in run.stderr or run.stdout:
        print(f"{rules} {options}: status {run.returncode}, expected one line with {words!r}:")
        print(run.stderr + run.stdout, flush=True)
        failures += 1
sys.exit(1 if failures else 0)
