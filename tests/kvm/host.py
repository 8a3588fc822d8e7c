#!/usr/bin/python3 -B
# The kvm engine on this host's own KVM, whatever it is worth: the processor's test guests run on it
# and on the soft engine. Where KVM runs at the hardware's speed all must pass; where it emulates, those
# that do not are listed with what KVM answered. None may hang, crash umbra, or end without a word.
# test: timeout=400
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from vm import TIME_OUT, TRIPLE_FAULT, UMBRA, Skipped, check, main  # noqa: E402

O = os.environ.get("O", "build")
GUEST_S = 6  # a guest's own time; each is done in a second where it runs at all
ERROR = 4


def umbra(*words, **more):
    done = subprocess.run(
        [UMBRA, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=GUEST_S + 20, check=False, **more,
    )
    return done.returncode, done.stdout, done.stderr


def run_guest(engine, name):
    image = f"{O}/guests/cpu/{name}.bin"
    return umbra(
        *("run", image, "--engine", engine, "--memory", "64M", "--no-reboot"),
        *("--timeout", str(GUEST_S)),
    )


def passed(name, status, out):
    if name == "triple":
        return status == TRIPLE_FAULT and "DOWN" in out
    return re.search("^PASS$", out, re.M) is not None


def answer(status, out, errors):
    """What became of a guest that did not pass, in a few words; None: there are none."""
    if status == ERROR and (found := re.search("the kvm engine failed: (.*)", errors)):
        return found[1]
    if status == TRIPLE_FAULT and "triple fault" in errors:
        return "a triple fault that should not be"
    if status == TIME_OUT and "--timeout" in errors:
        return f"nothing within {GUEST_S} s"
    if found := re.search("FAIL line 0*([0-9]+)|vector .*", out):
        return f"the guest's own check: {found[0]}"
    return None


def check_engines():
    """umbra engines tells the truth: what it measures is what a run says."""
    status, table, _ = umbra("engines")
    check(status == 0, f"umbra engines ended with status {status}")
    print(table)
    kvm = re.search(r"^kvm +(\S+) +(\S+) +(\S+) ", table, re.M)
    check(kvm, "no row for kvm")
    fast = "--engine auto takes kvm" in table
    check(re.search(r"^soft +[0-9.]+ +[0-9.]+ +ept, shadow", table, re.M), "no row for soft")
    _, _, errors = umbra("run", "--timeout", "20")
    word = "kvm" if fast else "soft"
    check(f"engine {word} (" in errors, f"auto did not take {word}: {errors}")
    return fast


def check_hidden():
    """Without permission, and without a device: the soft engine runs, and the line says why."""
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        status, out, errors = umbra("run", "--timeout", "20", **nobody)
    except PermissionError:
        print("not tried as nobody: this needs root, and umbra where nobody can reach it")
        return
    check(status == 0 and "engine soft" in errors, f"as nobody: status {status}\n{errors}{out}")
    check("no permission for /dev/kvm" in errors, f"as nobody: {errors}")
    status, _, errors = umbra("run", "--engine", "kvm", **nobody)
    check(status == 2, f"as nobody, --engine kvm: status {status}")
    check("--engine kvm cannot be used: no permission" in errors, f"as nobody: {errors}")


def test():
    if not os.path.exists("/dev/kvm"):
        raise Skipped("this host has no /dev/kvm")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skipped("no permission for /dev/kvm")
    fast = check_engines()
    check_hidden()
    names = [name[:-4] for name in sorted(os.listdir(f"{O}/guests/cpu")) if name.endswith(".bin")]
    ran = 0
    for name in names:
        if name in ("boot", "spread"):
            continue
        status, out, errors = run_guest("soft", name)
        check(passed(name, status, out), f"{name} does not pass on soft: {status}\n{out}{errors}")
        status, out, errors = run_guest("kvm", name)
        if passed(name, status, out):
            ran += 1
            print(f"{name}: as on soft")
            continue
        words = answer(status, out, errors)
        check(words, f"{name} on kvm: status {status} and no word why\n{out[-500:]}{errors}")
        check(not fast, f"{name} on kvm, which runs at the hardware's speed: {words}")
        print(f"{name}: {words}")
    print(f"{ran} guests ran on this host's KVM as on the soft engine")
    check(ran > 0 or not fast, "no guest ran on kvm")


main(test)
