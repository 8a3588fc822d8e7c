#!/usr/bin/env python3
# The exit status says how a guest ended.
# test: quick timeout=120
import subprocess
import sys

from guest import DEAD, DEBUG_EXIT, IDLE, PANIC, RESET, TRIPLE_FAULT, UMBRA, finish, start

CASES = [
    ("isa-debug-exit", DEBUG_EXIT, [], (0x15 << 1) | 1),
    ("reset under --no-reboot", RESET, ["--no-reboot"], 32),
    ("panic", PANIC, [], 34),
    ("time-out of a guest that idles", IDLE, ["--timeout", "1"], 36),
    ("time-out of a guest that is dead", DEAD, ["--timeout", "1"], 36),
    ("triple fault", TRIPLE_FAULT, [], 38),
]

for name, code, options, status in CASES:
    print(name, flush=True)
    finish(start(code, *options, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL), status)

print("a reset starts the guest again", flush=True)
process = start(RESET, "--timeout", "2", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
output = process.communicate(timeout=60)[0]
if process.returncode != 36 or output.count(b"R") < 2:
    sys.exit(f"status {process.returncode}, output {output[-200:]!r}")

print("the embedded guest powers off", flush=True)
finish(subprocess.Popen([UMBRA, "run", "--timeout", "60"], stdin=subprocess.DEVNULL), 0)
