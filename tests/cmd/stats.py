#!/usr/bin/env python3
# The statistics of a run agree with what the guest did, with themselves, and with their options.
# test: quick timeout=120
import json
import os
import re
import struct
import subprocess
import sys

from guest import DEAD, TMP, TRIPLE_FAULT, UMBRA, finish, flat, start

OUTS, CPUIDS = 1000, 50


def code():
    """Real mode: OUTS writes to port 80h, CPUIDS CPUIDs, a write to each of 64 pages, the end."""
    out = b"\xb9" + struct.pack("<H", OUTS)  # mov cx, n
    out += b"\xe6\x80\xe2\xfc"  # l: out 80h, al; loop l
    cpuid = b"\xbe" + struct.pack("<H", CPUIDS)  # mov si, n
    cpuid += b"\x31\xc0\x0f\xa2\x4e\x75\xf9"  # l: xor ax, ax; cpuid; dec si; jnz l
    # Segments from 1000h on, a page apart: mov ax, 1000h; mov cx, 64; l: mov ds, ax;
    # mov [0], al; add ax, 100h; loop l
    write = b"\xb8\x00\x10\xb9\x40\x00\x8e\xd8\xa2\x00\x00\x05\x00\x01\xe2\xf6"
    return out + cpuid + write + b"\xb0\x15\xe6\xf4\xf4"  # isa-debug-exit


def fail(words):
    sys.exit(words)


def check(truth, words):
    if not truth:
        fail(words)


def run(*options, guest=None, status=(0x15 << 1) | 1, timeout_s=60):
    done = subprocess.run(
        [UMBRA, "run", *([flat(guest)] if guest else []), "--engine", "soft", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=timeout_s,
    )
    errors = done.stderr.decode()
    check(done.returncode == status, f"{options}: status {done.returncode}\n{errors}")
    return errors


def load(path):
    with open(path) as file:
        return json.load(file)


def exits(stats):
    return {row["name"]: row["count"] for row in stats["exits"]}


def value(stats, name):
    return stats["counters"][name]["value"]


def check_agrees(stats, mode):
    """What must hold for any run."""
    rows = stats["exits"]
    check(stats["format"] == "umbra-stats" and stats["version"] == 1, "the schema")
    check(stats["run"]["mmu"] == mode, "the mode")
    check(value(stats, "exits") == sum(row["count"] for row in rows), "the sum of exits")
    check(value(stats, "exit_ns") == sum(row["ns"] for row in rows), "the sum of times")
    check(0 < value(stats, "exit_ns") < stats["host_ns"], "exits take a part of the time")
    check(value(stats, "tlb_lookups") >= value(stats, "tlb_hits") > 0, "TLB hits")
    check(value(stats, "tlb_misses") >= value(stats, "tlb_fetch_misses"), "TLB misses")
    flushes = ("cr3", "mode", "guest", "monitor")
    flushed = sum(value(stats, f"tlb_flush_{cause}") for cause in flushes)
    check(value(stats, "tlb_flushes") == flushed, "flushes")
    if mode == "shadow":
        ends = ("injected", "retried", "mmio", "rom", "emulated")
        faults = value(stats, "shadow_faults")
        check(faults == sum(value(stats, f"shadow_{e}") for e in ends), "outcomes of faults")
        check(value(stats, "shadow_bytes") > 0, "shadow pages")
    else:
        filled = [value(stats, f"ept_filled_{size}") for size in ("4k", "2m", "1g")]
        violations = sum(filled) + value(stats, "ept_mmio")
        check(violations == exits(stats)["EPT_VIOLATION"], "outcomes of violations")
        check(value(stats, "ept_bytes") > 0, "the EPT")
    series = stats["series"]
    count = len(series["time_ns"])
    check(count >= 2 and series["time_ns"] == sorted(series["time_ns"]), "the times of samples")
    for kind in ("exits", "counters"):
        for name, column in series[kind].items():
            check(len(column) == count, f"samples of {name}")
    for row in rows:
        check(series["exits"][row["name"]][-1] == row["count"], f"the last sample of {row['name']}")
    for slot in stats["memory"]:
        pages = slot["bucket_bytes"] // 4096
        for resident, dirty in zip(slot["resident_pages"], slot["dirty_pages"]):
            check(dirty <= resident <= pages, "pages of a bucket")


def check_known_guest(mode):
    """The guest with nothing in place of its loops, and with them: the difference is theirs."""
    path = os.path.join(TMP, f"{mode}.json")
    empty = os.path.join(TMP, f"{mode}-empty.json")
    # Counted time: the BIOS waits for the clock as often in both.
    counted = ("--clock", "instructions")
    run(f"--mmu={mode}", *counted, f"--stats={empty}", guest=b"\xb0\x15\xe6\xf4\xf4")
    run(f"--mmu={mode}", *counted, f"--stats={path}", guest=code())
    stats, base = load(path), load(empty)
    check_agrees(stats, mode)
    check_agrees(base, mode)
    got = {name: count - exits(base).get(name, 0) for name, count in exits(stats).items()}
    check(got["IO"] == OUTS, f"{got['IO']} port accesses, not {OUTS}")
    check(got["CPUID"] == CPUIDS, f"{got['CPUID']} CPUIDs, not {CPUIDS}")
    ports = {row["port"]: row["count"] for row in stats["ports"]}
    check(ports[0x80] >= OUTS, "the top ports")
    misses = value(stats, "tlb_misses") - value(base, "tlb_misses")
    check(misses == 64, f"{misses} TLB misses for 64 pages touched")
    if mode == "ept":  # shadow paging fills the neighbours of an entry too
        check(got["EPT_VIOLATION"] == 64, f"{got['EPT_VIOLATION']} violations for 64 pages")
    resident = sum(sum(slot["resident_pages"]) for slot in stats["memory"])
    before = sum(sum(slot["resident_pages"]) for slot in base["memory"])
    check(64 <= resident - before <= 64 + 2, f"{resident - before} pages more are resident")


def check_all_ends():
    """The file is there however the guest ends, and whole."""
    path = os.path.join(TMP, "end.json")
    for guest, options, status in ((TRIPLE_FAULT, [], 38), (DEAD, ["--timeout", "1"], 36)):
        if os.path.exists(path):
            os.unlink(path)
        run(*options, f"--stats={path}", guest=guest, status=status)
        check(load(path)["run"]["status"] == status, "the status in the file")
    check(not [f for f in os.listdir(TMP) if f.startswith("end.json.")], "a file is left over")
    check(len(load(path)["series"]["time_ns"]) > 8, "samples of a second")


def check_live():
    errors = run("--timeout", "3", "--stats-interval", "1", guest=DEAD, status=36)
    lines = errors.splitlines()
    heads = [i for i, line in enumerate(lines) if line.split()[:2] == ["time", "s"]]
    check(len(heads) == 1, f"one heading\n{errors}")
    table = [line for line in lines[heads[0] + 1 :] if re.match(r" +\d+\.\d", line)]
    check(len(table) in (3, 4), f"three or four lines\n{errors}")
    check(all(len(line) <= 79 for line in table + [lines[heads[0]]]), f"79 columns\n{errors}")
    check(all(len(line.split()) == 10 for line in table), f"ten columns\n{errors}")


def check_text():
    errors = run("--stats", guest=code())
    check(re.search(r"^ *\d+ +[\d.]+% +[\d.]+ +[\d.]+% +\d+  port I/O$", errors, re.M), errors)


def check_refusals():
    for option in (
        "--stats=/nonexistent/x.json",
        f"--stats={TMP}",
        "--stats=",
        "--stats-interval=x",
        "--stats-interval=86401",
    ):
        errors = run(option, guest=code(), status=2)
        check(errors.count("\n") == 1 and "error: --stats" in errors, f"{option}:\n{errors}")


for name in ("ept", "shadow"):
    print(name, flush=True)
    check_known_guest(name)
for part in (check_all_ends, check_live, check_text, check_refusals):
    print(part.__name__, flush=True)
    part()
print("a pipe", flush=True)
process = start(code(), "--stats=/dev/stdout", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
text = process.communicate(timeout=60)[0]
finish(process, (0x15 << 1) | 1)
check(json.loads(text[text.index(b"{") :])["version"] == 1, "JSON on a pipe")
