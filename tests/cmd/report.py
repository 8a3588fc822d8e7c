#!/usr/bin/env python3
# The page of `umbra report` renders in a browser, fetches nothing, and shows what the runs did.
# Screenshots are left in $O/artifacts. Bad files are refused with one line and status 2.
# test: timeout=180
import json
import os
import re
import shutil
import subprocess
import sys

TMP = os.environ["TEST_TMP"]
UMBRA = os.environ["UMBRA"]
ARTIFACTS = os.path.join(os.environ["O"], "artifacts")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECTIONS = (
    "Exits by reason over time",
    "Exits by cost",
    "Page faults and violations",
    "TLB misses over time",
    "Sizes of the monitor",
    "Guest memory",
    "Ports",
    "All counters",
)


def check(truth, words):
    if not truth:
        sys.exit(words)


def path(name):
    return os.path.join(TMP, name)


def umbra(*words, status=0):
    done = subprocess.run(
        [UMBRA, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    check(done.returncode == status, f"umbra {words}: {done.returncode}\n{done.stderr.decode()}")
    return done.stdout.decode(), done.stderr.decode()


def browser(program, *words):
    """A headless browser that can reach no host: what a page asked for would be in its log."""
    done = subprocess.run(
        [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={path('profile')}",
            *words,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=100,
    )
    errors = done.stderr.decode()[-2000:]
    check(done.returncode == 0, f"{program} {words}: {done.returncode}\n{errors}")
    return done.stdout.decode()


def requests_of(log):
    """The addresses that the net log says were asked for."""
    with open(log) as file:
        return set(re.findall(r'"url":"([^"]+)"', file.read()))


def check_page(program, name, page, runs):
    outside = re.search(r"<script|<link|<img|<iframe|\bsrc=|\bhref=|://|@import|url\(", page)
    check(not outside, f"{name} refers outside: {outside}")
    log = path(f"{name}.netlog")
    url = f"file://{path(name)}"
    dom = browser(program, f"--log-net-log={log}", "--dump-dom", url)
    asked = {a for a in requests_of(log) if not a.startswith(("file:", "data:", "chrome:"))}
    # The browser itself asks its maker for things, with or without a page.
    own = re.compile(r"https?://([a-z0-9-]+\.)*(google|googleapis|gstatic|gvt1)\.com[:/]")
    check(not {a for a in asked if not own.match(a)}, f"{name} fetches {asked}")
    for title in SECTIONS:
        check(title in dom, f"{name}: no section {title}")
    drawings = dom.count("<svg")
    check(drawings >= 10 * runs, f"{name}: {drawings} drawings")
    check(dom.count("<path class=\"c") >= 4 * runs, f"{name}: areas are missing")
    check("port I/O" in dom and "embedded guest" in dom, f"{name}: texts are missing")
    picture = os.path.join(ARTIFACTS, name.replace(".html", ".png"))
    browser(program, f"--screenshot={picture}", "--window-size=1280,4200", "--hide-scrollbars", url)
    check(os.path.getsize(picture) > 50000, f"{name}: the picture is empty")


def check_refusals():
    with open(path("ept.json")) as file:
        good = json.load(file)
    bad = {
        "empty": "",
        "no-json": "umbra",
        "list": "[]",
        "deep": "[" * 200000,
        "nan": json.dumps({**good, "host_ns": float("nan")}),
        "huge": json.dumps({**good, "host_ns": 10**30}),
        "other": json.dumps({"format": "other"}),
        "no-series": json.dumps({k: v for k, v in good.items() if k != "series"}),
        "cut": json.dumps(good)[:-10],
    }
    for name, text in bad.items():
        with open(path(f"bad-{name}.json"), "w") as file:
            file.write(text)
        for files in ([f"bad-{name}.json"], ["ept.json", f"bad-{name}.json"]):
            out, errors = umbra("report", *map(path, files), "-o", path("bad.html"), status=2)
            one_line = errors.count("\n") == 1 and f"bad-{name}.json" in errors
            check(one_line and not out, f"{name}: {errors}")
            check(not os.path.exists(path("bad.html")), f"{name}: a page was written")
    for words in (
        [],
        [path("missing.json")],
        [TMP],
        [path("ept.json")] * 3,
        ["--what", path("ept.json")],
        [path("ept.json"), "-o"],
        [path("ept.json"), "-o", "/nonexistent/x.html"],
    ):
        errors = umbra("report", *words, status=2)[1]
        check(errors.count("\n") == 1 and errors.startswith("umbra: error: "), f"{words}: {errors}")


os.makedirs(ARTIFACTS, exist_ok=True)
for mode in ("ept", "shadow"):
    stats = f"--stats={path(mode + '.json')}"
    umbra("run", "--engine", "soft", f"--mmu={mode}", stats, "--timeout", "50")
umbra("report", path("ept.json"), "-o", path("report-one.html"))
with open(path("report-two.html"), "w") as page:
    page.write(umbra("report", path("ept.json"), path("shadow.json"))[0])
print("refusals", flush=True)
check_refusals()
program = next(filter(None, map(shutil.which, BROWSERS)), None)
if not program:
    print("no chromium to render the page; tools/setup check installs it")
    sys.exit(77)
for name, runs in (("report-one.html", 1), ("report-two.html", 2)):
    print(name, flush=True)
    with open(path(name)) as page:
        check_page(program, name, page.read(), runs)
