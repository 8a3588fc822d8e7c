#!/usr/bin/env python3
# test: quick timeout=100
"""tools/lockstep finds the first differing instruction, and says so when it cannot: with a made-up
umbra, whose runs differ where the test wants it."""
import os
import re
import subprocess
import sys
import tempfile

FAKE = "tests/lockstep/fake_umbra"
failures = 0


def lockstep(*arguments):
    environment = dict(os.environ, UMBRA=FAKE)
    done = subprocess.run(["tools/lockstep", *arguments], capture_output=True, text=True, timeout=60,
                          env=environment, check=False)
    return done.returncode, done.stdout + done.stderr


def expect(what, status, patterns, *arguments):
    global failures
    got, text = lockstep(*arguments)
    missing = [p for p in patterns if not re.search(p, text, re.MULTILINE)]
    if got != status or missing:
        failures += 1
        print(f"{what}: status {got}, not {status}; without {missing}; it said:\n{text}")


expect("equal runs", 0, [r"equal at 26 points up to instruction 2500; each ended with status 7"],
       "--every", "100", "--", "--", "--all", "--status", "7")
for number in (1, 13, 1000, 1001, 2500):
    expect(f"a flip at {number}", 1,
           [rf"^> +{number} ", rf"the first differing instruction is number {number}$",
            rf"^\* rax +{number:x} +10{number:014x}$", r"^\* 000000001000  A 00 00 00 00 aa",
            r"^ +B 00 00 00 00 55", "1 lines of 16 bytes in 1 pages differ"],
           "--every", "1000" if number <= 1000 else "2500", "--length", "2500", "--",
           "--flip", str(number))
expect("a flip in a long interval", 1, ["instruction is number 1234567$"],
       "--every", "2000000", "--length", "2000000", "--", "--flip", "1234567", "--length", "2000000")
expect("a flip in the third", 1, ["^lockstep: A .* and C .* differ", "instruction is number 700$", "^  +C 00"],
       "--every", "1000", "--", "--", "--flip", "700")
expect("a run that ends earlier", 1, ["A .* has ended", "B .* goes on", "part after instruction 1500"],
       "--every", "100", "--length", "1500", "--", "--length", "1700")
expect("a run that ends between", 1, ["A .* has ended", "B .* goes on", "part after instruction 1512"],
       "--every", "100", "--length", "1512", "--", "--length", "1700")
expect("a flip, and an earlier end", 1, ["instruction is number 1333$"],
       "--every", "500", "--", "--flip", "1333", "--length", "1400")
expect("other exit statuses", 1, ["other statuses: A 0, B 3"], "--every", "100", "--", "--status", "3")
expect("a difference after the end", 0, ["up to instruction 900"],
       "--every", "100", "--upto", "900", "--", "--flip", "901")
expect("wrong options", 2, ["B .* did not start", "unknown option --refuse"], "--every", "100", "--", "--refuse")
expect("a run that hangs", 3, ["time is over"], "--seconds", "2", "--every", "100", "--", "--hang", "500")
with tempfile.TemporaryDirectory() as folder:
    expect("a difference that is gone", 3, ["does not repeat exactly"], "--every", "1000", "--",
           "--flip", "700", "--once", os.path.join(folder, "once"))
expect("one configuration", 2, ["2 to 26 configurations"], "--mmu", "ept")
expect("no number", 2, ["--every takes a number"], "--every", "x", "--", "--mmu", "ept")
expect("no program", 2, ["cannot start /nowhere"], "umbra=/nowhere", "--")
expect("help", 0, ["^Runs a guest under several"], "--help")
sys.exit(failures != 0)
