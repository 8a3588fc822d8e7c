#!/usr/bin/python3 -B
# Two guests of the same kernel with --ksm: the host merges their equal pages, and both run on. Turns
# the host's KSM on if it may, and back to what it was.
# test: timeout=400 alone
import os
import sys
import time

sys.path.insert(0, "tests/boot")
from vm import POWER_OFF, Skipped, check, linux, main  # noqa: E402

KSM = "/sys/kernel/mm/ksm"
# Two guests of Debian's kernel share its text and much of its data, and their empty pages.
MERGED_PAGES = 5000
SETTINGS = {"pages_to_scan": "20000", "sleep_millisecs": "20", "run": "1"}


def read(name):
    with open(f"{KSM}/{name}", encoding="ascii") as file:
        return file.read().strip()


def write(name, value):
    with open(f"{KSM}/{name}", "w", encoding="ascii") as file:
        file.write(value)


def merged_pages(vms):
    """Of these processes (Linux 5.19 tells), else of the host."""
    pages = 0
    for vm in vms:
        path = f"/proc/{vm.process.pid}/ksm_merging_pages"
        if not os.path.exists(path):
            return int(read("pages_sharing"))
        with open(path, encoding="ascii") as file:
            pages += int(file.read())
    return pages


def await_merging(vms, seconds):
    end = time.monotonic() + seconds
    while merged_pages(vms) < MERGED_PAGES:
        check(time.monotonic() < end, f"{merged_pages(vms)} pages merged within {seconds} s")
        for vm in vms:
            vm._read(0.2)  # guests may print meanwhile; this is also the pause between two looks


def run():
    with linux("--ksm", limit_s=300) as one, linux("--ksm", limit_s=300) as two:
        vms = (one, two)
        for vm in vms:
            vm.shell()
        await_merging(vms, 120)
        print(f"{merged_pages(vms)} pages of 4 KiB merged; the host keeps {read('pages_shared')}")
        write("run", "0")  # what is merged stays so, and the guests have the processors again
        # A page that is written parts again, and the other guest does not see it.
        for vm, name in zip(vms, ("one", "two")):
            vm.command(f"for i in $(seq 20000); do echo {name}; done >/tmp/file")
        for vm, name in zip(vms, ("one", "two")):
            got = vm.command("sort -u /tmp/file").split()
            check(got == [name], f"a guest reads {got!r} where it wrote {name}")
            vm.send("exit\n")
        for vm in vms:
            vm.ends_with(POWER_OFF)


def test():
    if not os.access(f"{KSM}/run", os.W_OK):
        raise Skipped("the host's KSM is missing or cannot be turned on by this user")
    before = {name: read(name) for name in SETTINGS}
    try:
        for name, value in SETTINGS.items():
            write(name, value)
        run()
    except OSError as error:
        raise Skipped(f"the host's KSM cannot be set up: {error}") from error
    finally:
        for name, value in before.items():
            write(name, value)


main(test)
