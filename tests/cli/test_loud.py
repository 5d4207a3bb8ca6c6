"""--verbose and --log-file: what is done is said, errors keep their traceback, names stay harmless."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Command, make_run


def test_quiet_by_default_and_loud_anywhere(opalesce: Command, run: Path):
    words = ("measure", run, "--observables", "norm")
    quiet = opalesce(*words)
    assert "measured step" not in quiet.stderr
    loud = opalesce("--verbose", *words)
    assert loud.stdout == quiet.stdout
    assert sum("measured step" in line for line in loud.stderr.splitlines()) == 14
    assert "measured step" in opalesce(*words, "--verbose").stderr


def test_the_log_file_has_the_files_and_the_traceback(opalesce: Command, run: Path, tmp_path: Path):
    log = tmp_path / "run.log"
    (run / "model.bin").write_bytes(b"pickle")
    assert opalesce("check", run, "--log-file", log).returncode in (0, 1)
    text = log.read_text("utf-8")
    assert "left model.bin: " in text
    assert "looked at step 1300, 14 of 14" in text
    assert opalesce("check", tmp_path / "nowhere", f"--log-file={log}").returncode == 2
    assert "Traceback" in log.read_text("utf-8").removeprefix(text)
    assert opalesce("check", run, "--log-file").returncode == 2
    assert opalesce("check", run, "--log-file", tmp_path / "no" / "folder.log").returncode == 2


def test_hostile_names_do_not_reach_the_terminal(opalesce: Command, tmp_path: Path):
    folder = make_run(tmp_path / "run")
    (folder / "evil\x1b[2J.bin").write_bytes(b"x")
    done = opalesce("check", folder, "--verbose", "--log-file", tmp_path / "l")
    assert "\x1b" not in done.stderr + (tmp_path / "l").read_text("utf-8")
    assert "evil\\x1b" in (tmp_path / "l").read_text("utf-8")


def test_errors_are_documents_where_json_is_asked_for(opalesce: Command, tmp_path: Path):
    done = opalesce("check", tmp_path / "nowhere", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert told["schema"] == "opalesce.error/1"
    assert told["kind"] == "InputError"
    assert told["what"]
    assert told["expected"]
