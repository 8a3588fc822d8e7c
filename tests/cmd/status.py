#!/usr/bin/env python3
# The exit status says how a guest ended. The guest's own, by port F4h, are odd; Umbra's are even, and
# the same in all texts.
# test: quick timeout=120
import re
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

print("each value of port F4h is an odd status", flush=True)
for value in (0, 1, 2, 0x7F, 0x80, 0xFF):
    code = bytes((0xB0, value)) + bytes.fromhex("e6f4 f4")  # mov al, value; out 0F4h, al
    finish(start(code, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL), (value << 1 | 1) & 0xFF)

print("Umbra's own are even", flush=True)
with open("README.md", encoding="utf-8") as page:
    readme = set(map(int, re.findall(r"^\| (\d+) \| ", page.read(), re.M)))
with open("docs/umbra.1.scd", encoding="utf-8") as page:
    text = page.read().partition("# EXIT STATUS")[2].partition("\n# ")[0]
    manual = set(map(int, re.findall(r"^(?:\[\[|\|) +\*(\d+)\*$", text, re.M)))
text = subprocess.run([UMBRA, "run", "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
text = text.partition("Exit status: ")[2]
usage = set(map(int, re.findall(r"\b(\d+) [a-z]", text)))
expected = {0, 2, 4} | {status for _, _, _, status in CASES if status % 2 == 0}
if not readme == manual == usage == expected:
    sys.exit(f"README {readme}, manual {manual}, help {usage}, seen {expected}")
with open("/dev/full", "wb") as full:
    finish(subprocess.Popen([UMBRA, "help"], stdout=full, stderr=subprocess.DEVNULL), 4)

print("the embedded guest powers off", flush=True)
finish(subprocess.Popen([UMBRA, "run", "--timeout", "60"], stdin=subprocess.DEVNULL), 0)
