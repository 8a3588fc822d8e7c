#!/usr/bin/python3 -B
# The monitor console beside Linux, under both modes: what walk says of a user's and of a kernel's
# address is what the guest's own kernel says; stop and cont; the buttons.
# test: timeout=480
import re
import time

from console_client import Console, socket_path
from vm import POWER_OFF, RESET, check, linux, main

PATH = socket_path()
PAGE = 4096
TRIES = 200


def gpa_of(text):
    found = re.search(r"^GPA 0x([0-9a-f]+)", text, re.M)
    return int(found[1], 16) if found else None


def stop_in_user_code(console):
    """Stops the VM while the busy shell runs: its address space is in force then."""
    for _ in range(TRIES):
        console.say("stop")
        if "CPL 3" in console.say("info status"):
            return
        console.say("cont")
        time.sleep(0.02)  # so that the guest gets anywhere between two looks
    check(False, f"the guest was never in user code, {TRIES} times")


def frame_of(vm, gva):
    """The guest-physical page of an address of the busy shell, as its kernel says."""
    read = f"dd if=/proc/$BUSY/pagemap bs=8 skip={gva // PAGE} count=1 2>/dev/null"
    entry = vm.command(f"{read} | hexdump -e '2/4 \"%08x \"'")
    low, high = (int(half, 16) for half in entry.split())
    frame = (high << 32 | low) & ((1 << 55) - 1)
    check(frame, f"the guest's pagemap says {entry!r}")
    return frame


def user_address(vm, console, mode):
    """A page of the stack of a busy shell, against its pagemap."""
    vm.command("(while :; do :; done) & BUSY=$!")
    line = vm.command("grep stack /proc/$BUSY/maps")
    gva = int(line.split()[0].split("-")[1], 16) - PAGE + 0x123
    frame = 0
    while frame_of(vm, gva) != frame:  # the page gets another one by copy-on-write, once
        frame = frame_of(vm, gva)
        stop_in_user_code(console)
        text = console.say(f"walk {gva:#x}")
        tlb = console.say("info tlb")
        console.say("cont")
    check(gpa_of(text) == frame * PAGE + 0x123, f"not {frame * PAGE:#x}:\n{text}")
    check("4 KiB, user" in text, text)
    # The supervisor is kept off a user's page by SMAP; the page may be shared still after the fork.
    check(re.search(r"read +#PF, error 0x1 +allowed\n +write +#PF, error 0x3 +", text), text)
    check(re.search(r"= slot main \+ 0x[0-9a-f]+ = HVA 0x[0-9a-f]+", text), text)
    levels = re.findall(r"^  gPT level (\d)", text, re.M)
    check(levels == ["4", "3", "2", "1"], text)
    check("--- user ---\n" in tlb, "no entry of the TLB serves user code")
    if mode == "ept":
        check(text.count("EPT 4") == 5, f"not five walks of the EPT:\n{text}")
    else:
        check(re.search(r"^  sPT 1 .* P.*page  0x", text, re.M) or "exits" in text, text)
    vm.command("kill $BUSY")


def kernel_address(vm, console):
    """The kernel's code, against /proc/iomem; its banner, against /proc/version."""
    symbols = vm.command("grep -E ' (_text|linux_banner)$' /proc/kallsyms")
    address = {name: int(at, 16) for at, _, name in (row.split() for row in symbols.splitlines())}
    code = vm.command("grep 'Kernel code' /proc/iomem")
    start = int(code.split("-")[0], 16)
    version = vm.command("cat /proc/version")
    text = console.say(f"walk {address['_text']:#x}")
    check(gpa_of(text) == start, f"the kernel's code is at {start:#x}:\n{text}")
    check("supervisor" in text and re.search(r"read +allowed +#PF, error 0x5", text), text)
    banner = console.say(f"x/s {address['linux_banner']:#x}")
    shown = banner.split('"', 1)[1].rsplit('"', 1)[0]
    check(version.startswith(shown[:100]), f"{banner!r} is not {version!r}")
    gpa = gpa_of(console.say(f"walk {address['linux_banner']:#x}"))
    check(console.say(f"xp/s {gpa:#x}").split(":", 1)[1] == banner.split(":", 1)[1], "xp and x")
    text = console.say("walk 0")
    check("not present" in text and "a supervisor read faults" in text, text)


def pictures(console, mode):
    check("all invariants hold" in console.say("audit"), "audit")
    text = console.say("info mmu")
    check("4-level" in text and f"--mmu {mode}" in text, text)
    lines = console.say("info memory").splitlines()
    main_slot = next(line.split() for line in lines if line.startswith("main "))
    check(int(main_slot[1]) == 255 * 1024, f"the size of the slot: {main_slot}")
    check(30 * 1024 < int(main_slot[2]) <= int(main_slot[1]), f"resident: {main_slot}")
    check("port I/O" in console.say("info exits"), "info exits")
    if mode == "shadow":
        text = console.say("info shadow")
        check("1 roots in use" in text, text)
        check("4-level table, UWX, root" in console.say("info shadow pages"), "no root is listed")


def observe(mode):
    with linux(
        *("--memory", "256M", "--mmu", mode, "--monitor", f"unix:{PATH}"), limit_s=200
    ) as vm:
        console = Console(PATH).greeted()
        for _ in range(50):  # while it boots, from real mode on
            text = console.say("walk $pc")
            check("GPA 0x" in text, text)
            check("all invariants hold" in console.say("audit"), "audit")
        vm.shell()
        kernel_address(vm, console)
        user_address(vm, console, mode)
        pictures(console, mode)
        check(console.say("system_powerdown") == "", "the power button")
        vm.expect("reboot: Power down", 30)
        vm.ends_with(POWER_OFF)


def reset():
    with linux(
        *("--memory", "256M", "--no-reboot", "--monitor", f"unix:{PATH}"), limit_s=150
    ) as vm:
        console = Console(PATH).greeted()
        vm.expect("Linux version", 60)
        console.say("stop")
        console.say("system_reset")
        console.send("cont\n")
        vm.ends_with(RESET)


def test():
    observe("ept")
    observe("shadow")
    reset()


main(test)
