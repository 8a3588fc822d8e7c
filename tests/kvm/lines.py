#!/usr/bin/python3 -B
# An interrupt line of the board behind the kernel's interrupt controllers does what it does behind
# our own: as edge and as level, masked and not, held and dropped, at once and none lost. The guest
# is tests/boot/guests/irq_lines.S; by the rules of the hardware its answers are those below.
# test: timeout=120
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from vm import UMBRA, Skipped, assemble, check, main  # noqa: E402

ENDED = 43
EXPECTED = {
    "a": (1, "8259, edge: one interrupt, and the line that stays high makes no other"),
    "b": (2, "8259, edge: down and up again"),
    "c": (1, "8259, edge: raised while masked"),
    "d": (1, "8259: the IRR shows a line that has just been raised"),
    "e": (3, "8259, level: raised while masked, and held until the third"),
    "f": (0, "8259, level: raised and dropped while masked"),
    "g": (1, "I/O APIC, edge: one interrupt, and the line that stays high makes no other"),
    "h": (2, "I/O APIC, edge: down and up again"),
    "i": (3, "I/O APIC, level: raised while masked, and held until the third"),
    "j": (0, "I/O APIC, level: raised and dropped while masked"),
    "k": (2, "I/O APIC, level: held until the second"),
}


# A KVM that emulates instructions has a local APIC that does not show what it has in service, and
# delivers a level once more.
FAITHFUL_ONLY = "ik"


def wrong(text, leave_out=""):
    """The cases in what the guest printed that are not as expected, a line each."""
    got = {line[0]: line[1:] for line in text.split() if line[1:].isdigit()}
    return [
        f"{case}: {got.get(case)}, not {count} ({words})"
        for case, (count, words) in EXPECTED.items()
        if got.get(case) != str(count) and case not in leave_out
    ]


def run(image, *options, leave_out=""):
    done = subprocess.run(
        [UMBRA, "run", image, "--timeout", "20", *options], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=40, check=False,
    )
    what = " ".join(options)
    check(done.returncode == ENDED, f"{what}: status {done.returncode}\n{done.stdout}{done.stderr}")
    bad = wrong(done.stdout, leave_out)
    check(not bad, f"{what}:\n" + "\n".join(bad))
    return done.stderr


def test():
    image = assemble("irq_lines")
    run(image, "--engine", "soft")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skipped("no /dev/kvm to compare with; the soft engine passed")
    said = run(image, "--engine", "kvm", "--irqchip", "user")
    # Whatever else the trial says of it, on a busy host too, is no processor's KVM.
    hardware = re.search(r"as asked for; \d+ million instructions a second", said)
    run(image, "--engine", "kvm", leave_out="" if hardware else FAITHFUL_ONLY)


if __name__ == "__main__":
    main(test)
