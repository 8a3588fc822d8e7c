#!/usr/bin/python3 -B
# Runs the commands of docs/lesson.md and compares what they print with what the page shows.
#
#   tests/lesson/lesson.py [rebase] [quick | kernel]
#
# `rebase` writes what they print into the page. `quick` takes the steps on the embedded guest,
# `kernel` those on Debian's kernel; without either, all.
#
# A step is a block ```console whose first line is `$ COMMAND` (more lines while one ends in a
# backslash or a bar); the rest of the block is standard output. It runs in bash, in a folder where `umbra` is
# found by name and where the tree's folders, `build` and `cache` stand. A step that the host cannot
# run is skipped: by a row of NEEDS, or because its command ends with status 77.
#
# `...` in the page stands for what no two runs share (`normalise`): host addresses but for the three
# digits of their page offset, times and rates; what the compiler of the BIOS and of the embedded guest
# decides: counts of instructions, RIP in its kernel; and, without `--clock instructions`, every number
# of three digits or more.
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PAGE = pathlib.Path("docs/lesson.md")
STEP = re.compile(r"^```console\n\$ ((?:.*[\\|]\n)*.*)\n((?:(?!```).*\n)*)```$", re.M)
TREE_PATH = re.compile(r"`((?:src|tests|tools|docs)/[\w./-]+)`")
KERNEL = re.compile(r"\bcache/|\btests/memory/")
SKIP = 77
LIMIT_S = 200


def kernel_missing():
    files = ("cloud/vmlinuz", "initramfs.cpio.gz")
    if all((CACHE / name).exists() for name in files):
        return None
    return "Debian's kernel is missing; tools/fetch-guests cloud and tools/make-initramfs amd64 bring it"


def memory_counted():
    mode = pathlib.Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip()
    return "the host counts memory strictly (vm.overcommit_memory=2)" if mode == "2" else None


# (words of a command, why this host cannot run it or None)
NEEDS = ((KERNEL, kernel_missing), (re.compile(r"--memory \d+T"), memory_counted))

VARYING = (
    # a row of exits: count, share; then time, share of time, time each
    (re.compile(r"^( +\d+ +[\d.]+%) +[\d.]+ +[\d.]+% +\d+(  \w)", re.M), r"\1        ...    ...      ...\2"),
    (re.compile(r"^( +\d+) +[\d.]+ +in all$", re.M), r"\1               ...                  in all"),
    (re.compile(r"ran [\d.]+ s\b"), "ran ... s"),
    (re.compile(r"\([\d.]+ million a second\)"), "(... million a second)"),
    (re.compile(r"\d+ instructions"), "... instructions"),
    (re.compile(r"at \d+ points up to instruction \d+"), "at ... points up to instruction ..."),
    (re.compile(r"rip 0x[7-9a-e][0-9a-f]{3}\b"), "rip ..."),
)
HOST_ADDRESS = re.compile(r"\b0x[0-9a-f]{9}([0-9a-f]{3})\b")
GUEST_ADDRESS = "0x123456789"  # of the embedded guest's page fault: as long as a host's
NUMBER = re.compile(r"\b\d(?:[\d.,]*\d){2,}")
FIRST_NUMBER = re.compile(r"^ +\d[\d.,]+\d\b", re.M)


def normalise(command, text):
    text = text.replace("\r", "")
    text = HOST_ADDRESS.sub(lambda m: m[0] if m[0].startswith(GUEST_ADDRESS) else f"...{m[1]}", text)
    for pattern, by in VARYING:
        text = pattern.sub(by, text)
    if "--clock instructions" not in command:
        text = FIRST_NUMBER.sub(lambda m: "...".rjust(len(m[0])), text)  # its column stays
        text = NUMBER.sub("...", text)
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def run(command, folder):
    """The status and the output, both of which a failing command must explain itself with."""
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=LIMIT_S, check=False,
                          env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"})
    return done.returncode, done.stdout, done.stderr


class Page:
    def __init__(self, rebase, part):
        self.rebase, self.part = rebase, part
        self.good, self.skipped, self.failed = 0, [], 0

    def chosen(self, command):
        return self.part is None or (self.part == "kernel") == bool(KERNEL.search(command))

    def step(self, match, folder):
        command, shown = match[1], match[2]
        if not self.chosen(command):
            return match[0]
        reason = next(filter(None, (why() for words, why in NEEDS if words.search(command))), None)
        if not reason:
            status, output, errors = run(command, folder)
            if status == SKIP:
                reason = (output + errors).strip().splitlines()[-1]
        if reason:
            self.skipped.append(reason)
            print(f"skipped: $ {command}\n    {reason}")
            return match[0]
        got = normalise(command, output)
        if status == 0 and (got == shown or self.rebase):
            self.good += 1
            return f"```console\n$ {command}\n{got}```"
        self.failed += 1
        print(f"$ {command}\nstatus {status}; {PAGE} and what it prints differ:")
        print("".join(difflib.unified_diff(shown.splitlines(True), got.splitlines(True), "page", "printed")))
        print(errors)
        return match[0]


def missing_paths(text):
    return [path for path in TREE_PATH.findall(text) if not os.path.exists(path)]


def main():
    words = sys.argv[1:]
    rebase = words[:1] == ["rebase"] and bool(words.pop(0))
    part = words.pop(0) if words[:1] in (["quick"], ["kernel"]) else None
    if words:
        sys.exit("usage: tests/lesson/lesson.py [rebase] [quick | kernel]")
    page, text = Page(rebase, part), PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for link in ("tests", "tools", "src"):
            (folder / link).symlink_to(pathlib.Path(link).absolute())
        (folder / "cache").symlink_to(CACHE)
        (folder / "build").symlink_to(BUILD)
        (folder / "bin").mkdir()
        (folder / "bin/umbra").symlink_to(UMBRA)
        new = STEP.sub(lambda match: page.step(match, folder), text)
    if rebase and new != text:
        PAGE.write_text(new, encoding="utf-8")
    missing = missing_paths(text)
    if missing:
        print(f"{PAGE} names what is not there: {', '.join(missing)}")
    print(f"{page.good} steps as shown, {len(page.skipped)} skipped, {page.failed} differ"
          + ("; tests/lesson/lesson.py rebase writes the page anew" if page.failed else ""))
    if page.failed or missing:
        sys.exit(1)
    if not page.good:
        print(page.skipped[-1] if page.skipped else f"{PAGE} has no such step")
        sys.exit(SKIP if page.skipped else 1)


os.chdir(pathlib.Path(__file__).resolve().parents[2])
BUILD = pathlib.Path(os.environ.get("O", "build")).absolute()
UMBRA = pathlib.Path(os.environ.get("UMBRA", BUILD / "umbra")).absolute()
CACHE = pathlib.Path(os.environ.get("CACHE", "cache")).absolute()
os.environ.update(O=str(BUILD), UMBRA=str(UMBRA), CACHE=str(CACHE))
main()
