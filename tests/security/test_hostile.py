"""Every command over a folder of hostile files: nothing runs, nothing leaks, the sound files are measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report.conftest import requests

from security.hostile import NAMES, STATES, Bomb, corpus

WATCHED = Path(__file__).with_name("watched.py")
PACKAGE = Path(__file__).resolve().parents[2] / "src"
SECONDS = 120  # of one command on a slow machine


@dataclass(frozen=True)
class Done:
    """What one command said, and what it touched."""

    code: int
    out: str
    err: str
    seen: list[tuple[str, str, str]]

    def of(self, kind: str) -> list[tuple[str, str]]:
        return [(what, more) for k, what, more in self.seen if k == kind]


@dataclass(frozen=True)
class Place:
    """The corpus, and how to run a command on it."""

    home: Path
    root: Path
    go: Callable[..., Done]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("hostile")
    root = corpus(home)

    def go(*words: str, script: Path = WATCHED) -> Done:
        notes = home / "notes.json"
        notes.unlink(missing_ok=True)
        env = os.environ | {"HOME": str(home / "user"), "TMPDIR": str(home / "tmp"), "OMP_NUM_THREADS": "1"}
        env |= {"MPLCONFIGDIR": str(home / "user"), "PYTHONDONTWRITEBYTECODE": "1"}
        (home / "tmp").mkdir(exist_ok=True)
        (home / "user").mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(script), str(notes), *words],
            capture_output=True, cwd=home, env=env, timeout=SECONDS,
        )  # fmt: skip
        out, err = (t.decode("utf-8", "surrogateescape") for t in (done.stdout, done.stderr))
        seen = json.loads(notes.read_text("utf-8", "replace"))
        return Done(done.returncode, out, err, [tuple(s) for s in seen])

    return Place(home, root, go)


@pytest.fixture(scope="module")
def report(place: Place) -> Done:
    return place.go("report", "run", "--observables", "stable_rank", "--out", "out/report")


def harmless(place: Place, done: Done, *codes: int) -> None:
    """No process, no socket, no foreign pickle, no write elsewhere, nothing read outside; a proper end."""
    assert done.code in codes, (done.code, done.err[-2000:])
    assert "Traceback" not in done.err
    assert not (place.home / "canary").exists(), "a pickle or a tag was executed"
    assert done.of("net") == []
    # numba unpickles what it compiled before, from beside the package: none of that is the bombs' global
    # and matplotlib asks the system for its fonts when it starts for the first time
    called = [(w, m) for w, m in done.of("run") if w != "pickle.find_class" or "system" in m]
    assert [(w, m) for w, m in called if not m.startswith("('fc-list'")] == []
    outside = str(place.home / "outside")
    assert [p for k, p, _ in done.seen if p.startswith(outside)] == []
    mine = (*(str(place.home / f) for f in ("out", "user", "tmp")), "/dev/null")
    wrote = [p for p, _ in done.of("write") if not p.startswith(mine)]
    assert [p for p in wrote if "__pycache__" not in p or not p.startswith(str(PACKAGE))] == []
    assert done.of("read"), "the watch saw nothing, so it proves nothing"
    for text in (done.out, done.err):
        assert not set(text) & {"\x1b", "\x07", "\u202e", "\u2066", "\u200f"}
        assert "\nfault: forged" not in text


def test_the_watch_sees_what_it_should(place: Place, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(
        "import sys, runpy, pickle, socket\n"
        f"sys.path.insert(0, {str(WATCHED.parent)!r})\n"
        "import watched\n"
        "def command():\n"
        f"    open({str(place.home / 'outside' / 'secret.json')!r})\n"
        f"    open({str(tmp_path / 'new')!r}, 'w')\n"
        f"    pickle.load(open({str(place.root / 'pickles' / 'data.pkl')!r}, 'rb'))\n"
        "    socket.socket().bind(('127.0.0.1', 0))\n"
        "import opalesce.cli\n"
        "opalesce.cli.main = command\n"
        "watched.main()\n"
    )
    canary = place.home / "canary"
    try:
        done = place.go(script=evil)
        assert canary.exists()
    finally:
        canary.unlink(missing_ok=True)
    assert any(p.endswith("secret.json") for p, _ in done.of("read"))
    assert any(p == str(tmp_path / "new") for p, _ in done.of("write"))
    assert "os.system" in [w for w, _ in done.of("run")]
    assert done.of("net")
    assert isinstance(Bomb(canary).__reduce__()[1][0], str)


def test_check(place: Place) -> None:
    done = place.go("check", "run", "--json")
    harmless(place, done, 1)
    findings = json.loads(done.out)["findings"]
    bad = {f["file"] for f in findings if f["kind"] == "bad file"}
    for name in (
        "step9001",
        "step9002",
        "step9003",
        "step9004",
        "step9005",
        "step9006",
        "step9007",
        "step9008",
    ):
        assert any(f"/{name}/" in b for b in bad), name
    for name in ("step9101", "step9102", "step9103", "step9104", "step9105", "9201", "step9202", "step9203"):
        assert any(f"/{name}/" in b or b.endswith(f"/{name}") for b in bad), name
    for name in ("bomb.npz", "bomb.csv.gz", "line.csv.gz", "up_step1.eval", "dos_step1.eval", "config.yaml"):
        assert any(b.endswith(name) for b in bad), name
    assert not [b for b in bad if "/weights/" in b]


def test_measure(place: Place) -> None:
    done = place.go("measure", "run", "--observables", "stable_rank,log_norm", "--out", "out/measured")
    harmless(place, done, 0, 1)
    (table,) = (place.home / "out" / "measured").glob("*.csv")
    text = table.read_text("utf-8")
    assert not set(text) & {"\x1b", "\u202e", "\r", "\t"}
    frame = pd.read_csv(table)
    cells = [str(v) for column in frame.columns for v in frame[column] if isinstance(v, str)]
    assert not [c for c in cells if c.lstrip().startswith(("=", "+", "-", "@", "＝"))]
    sound = frame[(frame["step"] < 100 * STATES) & (frame["name"] == "stable_rank")]
    assert len(sound) == STATES * (1 + len(NAMES))
    assert sound["value"].notna().all()


def test_plan(place: Place) -> None:
    harmless(place, place.go("plan", "run", "--observables", "stable_rank", "--pilot", "5"), 1)


def test_report_and_what_reads_it(place: Place, report: Done) -> None:
    harmless(place, report, 1)
    page = (place.home / "out" / "report" / "report.html").read_text("utf-8")
    assert "<script>window.pwned" not in page
    harmless(place, place.go("explain", "out/report/report.json"), 0)
    harmless(place, place.go("figures", "out/report/report.json", "--out", "out/figures"), 0)
    harmless(place, place.go("verify", "out/report/report.json"), 0)


@pytest.mark.browser
def test_the_page_runs_no_script_of_theirs(place: Place, report: Done, driver: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    assert report.code == 1
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get((place.home / "out" / "report" / "report.html").as_uri())
    ready = "return document.documentElement.dataset.ready === 'yes'"
    WebDriverWait(driver, 60).until(lambda d: d.execute_script(ready))
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert driver.execute_script("return window.pwned === undefined")
    assert driver.execute_script("return document.querySelectorAll('main img, svg a').length") == 0
    sent = requests(driver)
    assert sent
    assert [u for u in sent if not u.startswith(("file:", "data:", "blob:"))] == []
    assert [e for e in driver.get_log("browser") if e["level"] == "SEVERE"] == []
    shown = driver.execute_script("return document.body.textContent")
    assert NAMES[0] in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("pickles", ["step1.pt", "step2.pt", "pytorch_model.bin"])
def test_allowed_pickles_run_nothing_either(place: Place, pickles: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "opalesce", "check", str(place.root / "pickles" / pickles), "--allow-pickle"],
        capture_output=True, text=True, cwd=place.home, timeout=SECONDS,
        env=os.environ | {"OPALESCE_CACHE": str(place.home / "user")},
    )  # fmt: skip
    assert done.returncode in (1, 2), done.stderr
    assert not (place.home / "canary").exists()
