"""The command line: verbs, exit codes 0-3, one JSON document on standard output, plain words on error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce import cli
from opalesce.cli.typed import spread
from opalesce.errors import InputError

from .conftest import Command, make_run


def test_the_published_pair_that_is_one_run_gives_both_findings(opalesce: Command, data: Path) -> None:
    pair = [data / "pythia_evals" / n for n in ("pythia-2.8b", "pythia-2.8b-deduped")]
    done = opalesce("check", *pair)
    assert done.returncode == 1
    assert "curves equal beyond chance" in done.stdout
    assert "curves too often equal" in done.stdout
    assert "61-75 %" in done.stdout
    assert "2 faults, 0 warnings" in done.stdout


def test_an_honest_published_pair_is_fine(opalesce: Command, data: Path) -> None:
    pair = [data / "pythia_evals" / n for n in ("pythia-1.4b", "pythia-410m")]
    done = opalesce("check", *pair, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["schema"] == "opalesce.check/1"
    assert {f["severity"] for f in document["findings"]} == {"note"}  # step 0 equals step 1, in each
    assert [len(r["took"]) for r in document["runs"]] == [27, 27]
    assert "took 27 lm-evaluation-harness results" in done.stderr


def test_report_on_real_evaluations(opalesce: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = opalesce("report", data / "pythia_evals" / "pythia-160m", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((out / "report.json").read_text("utf-8"))
    assert document["schema"] == "opalesce.report/1"
    assert [w["name"] for w in document["witnesses"] if w["primary"]] == [
        "lambada_openai/log_ppl",
        "lambada_openai/acc",
        "sciq/acc",
        "arc_easy/acc",
        "piqa/acc",
    ]
    page = (out / "report.html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "pythia-160m" in page
    assert not {p.name for p in out.iterdir()} - {"report.html", "report.json", "store"}


def test_measure_writes_a_table_and_resumes(opalesce: Command, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "measured"
    asked = ("measure", run, "--observables", "norm, stable_rank,loss", "--out", out)
    first = opalesce(*asked)
    assert first.returncode == 0, first.stderr
    table = pd.read_csv(out / "measured.csv", keep_default_na=False)
    assert table["name"].value_counts().to_dict() == {"loss": 70, "norm": 14, "stable_rank": 14}
    cells = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (out / "store").rglob("*.json")}
    assert len(cells) == 14
    text = (out / "measured.csv").read_bytes()
    (out / "measured.csv").unlink()
    next(iter(cells)).unlink()  # as if killed before the last cell
    second = opalesce(*asked, "--json")
    assert second.returncode == 0, second.stderr
    again = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (out / "store").rglob("*.json")}
    assert sum(again[p] != cells[p] for p in cells) == 1, "only the missing cell is computed"
    assert {p: b for p, (_, b) in again.items()} == {p: b for p, (_, b) in cells.items()}
    assert (out / "measured.csv").read_bytes() == text
    document = json.loads(second.stdout)
    assert document["schema"] == "opalesce.measure/1"
    assert document["table"] == str(out / "measured.csv")
    assert len(document["rows"]) == 98


def test_measured_json_keeps_every_digit(opalesce: Command, run: Path) -> None:
    import opalesce as package

    done = opalesce("measure", run, "--observables", "norm", "--json")
    rows = json.loads(done.stdout)["rows"]
    exact = package.measure(run, ["norm"])["norm"].values.ravel()
    assert [r["value"] for r in rows] == exact[np.isfinite(exact)].tolist()


def test_a_curve_named_like_a_status_is_in_the_table(opalesce: Command, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,exit_status,loss\n" + "".join(f"{k},{k % 3},{k / 7}\n" for k in range(20)))
    done = opalesce("measure", log, "--out", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "m" / "measured.csv")["name"]) == {"exit_status", "loss"}


def test_measure_says_which_checkpoint_it_could_not_open(opalesce: Command, run: Path) -> None:
    whole = (run / "step300.safetensors").read_bytes()
    (run / "step300.safetensors").write_bytes(whole[:-10])
    done = opalesce("measure", run, "--observables", "norm", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["unreadable"] == [300.0]
    bad = [r for r in document["rows"] if r["step"] == 300]
    assert bad
    assert all(r["value"] is None and "step300.safetensors" in r["status"] for r in bad)


def test_observables_and_cite(opalesce: Command) -> None:
    listed = opalesce("observables", "--json")
    assert listed.returncode == 0
    document = json.loads(listed.stdout)
    assert document["schema"] == "opalesce.observables/1"
    assert {"stable_rank", "token_match", "norm"} <= {o["name"] for o in document["observables"]}
    assert "stable_rank" in opalesce("observables").stdout
    cited = opalesce("cite", "stable_rank")
    assert cited.returncode == 0
    assert cited.stdout.startswith("@article{rudelson2007sampling,")


BAD = {
    "no such path": (("check", "{run}x"), ("there is no file or folder", "expected:", "did you mean")),
    "unknown observable": (("measure", "{run}", "--observables", "nrm"), ("expected:", "got: nrm", "norm?")),
    "shard out of range": (("measure", "{run}", "--shard", "4/2"), ("expected:", "got: (4, 2)")),
    "shard without a slash": (("measure", "{run}", "--shard", "4"), ("expected: i/n", "got: 4")),
    "no workers": (("measure", "{run}", "--jobs", "0"), ("expected: 1 or more", "got: 0")),
    "unknown engine": (("measure", "{run}", "--engine", "steam"), ("expected: loky", "got: steam")),
    "alpha of 3": (("report", "{run}", "--alpha", "3"), ("expected: between 0 and 0.5", "got: 3")),
    "alpha in words": (("report", "{run}", "--alpha", "five"), ("--alpha", "got: five", "report --help")),
    "scale": (("report", "{run}", "--scale", "sqrt"), ("expected: log or linear", "got: 'sqrt'")),
    "resolution 0": (("report", "{run}", "--wstar", "0"), ("expected: a positive number", "got: 0")),
    "resolution nan": (("report", "{run}", "--wstar", "nan"), ("expected: a positive number", "got: nan")),
    "seed -1": (("report", "{run}", "--seed", "-1"), ("expected: 0 or more", "got: -1")),
    "no events file": (("report", "{run}", "--events", "{run}/no.json"), ("no.json", "got:")),
    "empty glob": (("report", "{run}", "--null", "--out", "x"), ("--null names no run", "got: none")),
    "nothing in it": (("check", "{empty}"), ("nothing to read", "expected: checkpoints", "an empty folder")),
    "unknown verb": (("chek", "{run}"), ("chek", "--help")),
    "unknown option": (("check", "{run}", "--fast"), ("--fast", "check --help")),
    "no run": (("check",), ("RUN", "check --help")),
    "unknown citation": (("cite", "stable_rnk"), ("expected:", "got: stable_rnk", "stable_rank")),
    "folder in the way": (
        ("measure", "{run}", "--out", "{file}"),
        ("cannot write into", "expected:", "--out"),
    ),
    "no such device": (("report", "{run}", "--out", "/proc/no/such"), ("cannot write into", "try:")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_exit_2_and_says_what_was_expected(
    case: str, opalesce: Command, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("in the way")
    words, said = BAD[case]
    names = {"run": run, "empty": tmp_path / "empty", "file": tmp_path / "file"}
    done = opalesce(*(w.format(**names) for w in words))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for text in said:
        assert text in done.stderr


def test_no_words_print_the_help_and_are_bad_input(opalesce: Command) -> None:
    done = opalesce()
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert "Commands:" in done.stderr
    assert opalesce("--help").returncode == 0


def test_an_internal_fault_is_exit_3_and_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    @cli.app.command("break-now")
    def broken() -> None:
        raise ZeroDivisionError("a mistake of ours")

    try:
        assert cli.main(["break-now"]) == 3
    finally:
        cli.app.registered_commands.pop()
    said = capsys.readouterr()
    assert said.out == ""
    assert "ZeroDivisionError: a mistake of ours" in said.err
    assert "internal fault" in said.err


def test_a_full_disk_is_not_our_fault(capsys: pytest.CaptureFixture[str]) -> None:
    @cli.app.command("fill-disk")
    def broken() -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    try:
        assert cli.main(["fill-disk"]) == 2
    finally:
        cli.app.registered_commands.pop()
    assert "No space left" in capsys.readouterr().err


def test_progress_is_quiet_where_there_is_no_terminal(opalesce: Command, run: Path) -> None:
    done = opalesce("measure", run, "--observables", "norm", env={"TERM": "xterm-256color"})
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stderr
    assert "measuring" not in done.stderr
    assert len(done.stderr.splitlines()) == 1  # what the scan took


def test_progress_on_a_terminal_shows_what_is_done(run: Path, tmp_path: Path) -> None:
    """A real pseudo-terminal: the status line is drawn with escape codes, and only on standard error."""
    import os
    import pty
    import subprocess
    import sys

    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "opalesce", "measure", str(run), "--out", str(tmp_path / "m"), "--json"],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
        timeout=120,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            block = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(master)
    assert done.returncode == 0
    assert b"\x1b[" in shown
    assert json.loads(done.stdout)["schema"] == "opalesce.measure/1"


HOSTILE = {
    "tag": "<script>alert(1)<",
    "formula": "=cmd|' C'!A0",
    "escape": "a\x1b[31mred",
    "bidi": "\u202egnp.exe",
    "bytes": b"raw\xff".decode("utf-8", "surrogateescape"),
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_folder_names_do_no_harm(name: str, opalesce: Command, tmp_path: Path) -> None:
    folder = make_run(tmp_path / name)
    out = tmp_path / "out"
    done = opalesce("report", folder, "--observables", "loss", "--out", out)
    assert done.returncode in (0, 1), done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr
    page = (out / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    checked = opalesce("check", folder, "--json", env={"PYTHONIOENCODING": "ascii"})
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["schema"] == "opalesce.check/1"
    plain = opalesce("check", folder, env={"PYTHONIOENCODING": "ascii"})
    assert plain.returncode == 0, plain.stderr


@pytest.mark.parametrize("name", ["=1+cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(1)"])
def test_no_name_becomes_a_formula_in_the_table(name: str, opalesce: Command, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", states=3, tensor=name)
    done = opalesce("measure", folder, "--observables", "norm", "--out", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "m" / "measured.csv", keep_default_na=False)
    assert set(table["module"]) == {f"'{name}"}
    assert len(table) == 3
    assert (table["value"].astype(float) > 0).all()  # numbers stay numbers


def test_no_name_breaks_a_row_of_the_table(opalesce: Command, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", states=3, tensor='a\r\n=1+1,"b"')
    done = opalesce("measure", folder, "--observables", "norm", "--out", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "m" / "measured.csv").read_bytes().decode().split("\n")
    assert len(lines) == 5  # head, three rows, the end
    assert set(pd.read_csv(tmp_path / "m" / "measured.csv")["module"]) == {'a\\r\\n=1+1,"b"'}


def test_python_m_and_the_console_script_agree(opalesce: Command) -> None:
    import subprocess
    import sys

    script = Path(sys.executable).with_name("opalesce")
    if not script.exists():
        pytest.skip("the console script is not installed beside this interpreter")
    by_name = subprocess.run([script, "observables"], capture_output=True, text=True)
    assert by_name.stdout == opalesce("observables").stdout != ""
    assert subprocess.run([script, "chek"], capture_output=True).returncode == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("report R --null a b c --out o", "report R --null a --null b --null c --out o"),
        ("report R --null a --null b", "report R --null a --null b"),
        ("report R --seeds a b --null c d", "report R --seeds a --seeds b --null c --null d"),
        ("report --out o R --null a", "report --out o R --null a"),
        ("report R --null=a --json", "report R --null=a --json"),
        ("report --null a b -- R", "report --null a --null b -- R"),
        ("check a b c", "check a b c"),
        ("", ""),
    ],
)
def test_spread_lets_shell_globs_work(typed: str, meant: str) -> None:
    assert spread(typed.split()) == meant.split()


def test_spread_keeps_empty_words_and_refuses_an_empty_glob() -> None:
    assert spread(["check", ""]) == ["check", ""]
    for words in (["report", "R", "--null"], ["report", "--seeds", "--json", "R"], ["--null", "--null", "a"]):
        with pytest.raises(InputError, match="names no run"):
            spread(words)
