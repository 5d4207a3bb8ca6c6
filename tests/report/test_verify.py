"""verify: a sound report is confirmed to the last digit, and each way of being wrong is seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from opalesce.cli import main
from opalesce.errors import FormatError, InputError
from opalesce.report.build import report
from opalesce.report.verify import verify
from opalesce.runs.safetensors import write

STEPS = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("verified")
    run = home / "run"
    run.mkdir()
    rng = np.random.default_rng(5)
    w = {"a.weight": rng.normal(size=(20, 16)), "b.weight": rng.normal(size=(16, 12))}
    with (run / "log.jsonl").open("w") as log:
        for step in range(STEPS):
            w = {k: v + 0.1 * rng.normal(size=v.shape) for k, v in w.items()}
            write(run / f"step{step}.safetensors", w)
            log.write(json.dumps({"step": step, "loss": 3 - 0.1 * step + 0.05 * rng.normal()}) + "\n")
    report(run, home / "report", observables=["loss", "stable_rank", "distance_from_previous@a*"])
    return home


def document(place: Path) -> dict:
    return json.loads((place / "report" / "report.json").read_text())


def test_a_sound_report_is_confirmed_whole(place: Path):
    found = verify(place / "report" / "report.json", share=1.0)
    assert {f.witness for f in found} == {"loss", "stable_rank", "distance_from_previous@a*"}
    assert len(found) == 3 * STEPS - 1  # the first checkpoint has none before it
    assert [f for f in found if f.why] == []


def test_a_share_takes_some_of_each_curve_and_others_with_another_seed(place: Path):
    file = place / "report" / "report.json"
    some, other = verify(file, share=0.1), verify(file, share=0.1, seed=1)
    assert len(some) == 3 * 3  # a tenth of 24 and of 23 points, rounded up
    assert {(f.witness, f.x) for f in some} != {(f.witness, f.x) for f in other}


@pytest.mark.parametrize("witness", ["loss", "stable_rank"])
def test_a_changed_number_is_seen(place: Path, tmp_path: Path, witness: str):
    changed = document(place)
    row = next(w for w in changed["witnesses"] if w["name"] == witness)["runs"][0]
    row["y"][7] *= 1 + 1e-8
    file = tmp_path / "report.json"
    file.write_text(json.dumps(changed))
    wrong = [f for f in verify(file, share=1.0) if f.why]
    assert [(f.witness, f.x, f.why) for f in wrong] == [(witness, 7.0, "differs")]


def test_a_run_that_changed_or_went_away(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in (place / "run").iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    (moved / "step3.safetensors").unlink()
    (moved / "step20.safetensors").write_bytes((moved / "step21.safetensors").read_bytes())
    report_file = str(place / "report" / "report.json")
    assert main(["verify", report_file, "--run", str(moved), "--share", "1"]) == 1
    out = capsys.readouterr().out
    assert "stable_rank at 3: " in out
    assert "stable_rank at 20: " in out
    assert "loss at" not in out
    with pytest.raises(InputError, match="not where it was"):
        verify(report_file, run=str(tmp_path / "nowhere"))
    assert main(["verify", report_file]) == 0


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "opalesce.report/9"}', '{"schema": "opalesce.report/1"}', "[" * 100_000],
)
def test_what_is_no_report(tmp_path: Path, text: str):
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(FormatError):
        verify(file)
