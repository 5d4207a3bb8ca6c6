"""The main job on a run that is trained here: a run goes in, verdicts come out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opalesce
from opalesce import cli
from opalesce.report.document import document
from opalesce.transitions.result import Transition, Trial
from opalesce.transitions.verdict import Verdict

from .conftest import WITNESSES, judge, linked

pytestmark = pytest.mark.torch


def found(trial: Trial) -> list[Transition]:
    return [t for t in trial.transitions if t.verdict is Verdict.TRANSITION]


def test_the_real_run_has_one_transition_where_the_circuit_forms(held: Trial) -> None:
    assert len(found(held)) == 1
    (t,) = found(held)
    assert 230 <= t.place.value <= 310
    assert t.interval[0] <= t.place.value <= t.interval[1]
    assert {"loss", "induction_score"} <= set(t.witnesses)
    assert "stable_rank@*.qk" not in t.witnesses  # it moves earlier, in the twin too
    assert 0 < t.p_value <= held.setting.alpha
    assert 0 < t.width.value <= t.width.high <= 0.4  # W*/2 = 0.4 decade
    assert t.direction == "down"  # of the loss, the first witness
    assert {f.severity for f in held.findings} <= {"note"}


def test_every_spectral_witness_has_its_twins_its_excess_and_its_own_date(held: Trial) -> None:
    card = held.hearing.card("stable_rank@*.qk")
    assert card is not None
    e = card.evidence
    assert e.witness.n_twins == 2
    assert e.excess.low < e.excess.value < 0  # the real run ends lower than its twins
    assert e.halfway.value < found(held)[0].interval[0]  # and moved before the transition


def test_the_twins_judged_as_runs_have_none(held: Trial) -> None:
    assert [h.run for _, h in held.twins] == ["null1", "null2"]
    verdicts = {c.verdict for _, h in held.twins for c in h.cards}
    assert verdicts
    assert Verdict.TRANSITION not in verdicts


def test_a_run_cut_before_it_has_none(lab: Path, tmp_path: Path) -> None:
    for name in ("real1", "null1", "null2"):
        linked(lab / name, tmp_path / name, until=180)
    early = judge(tmp_path, "real1", "null1", "null2", store=lab / "store", judge_twins=False)
    assert len(early.main.run.checkpoints) == 19
    assert all(c.evidence.judged is not None for c in early.hearing.cards)
    assert found(early) == []


def test_the_json_twin_says_what_the_api_says(held: Trial, tmp_path: Path) -> None:
    page = opalesce.report(held, out=tmp_path)
    said = json.loads(page.with_name("report.json").read_text("utf-8"))
    assert said["schema"] == "opalesce.report/1"
    assert said["counts"]["TRANSITION"] == 1
    by_witness = {tuple(t["witnesses"]): t for t in said["transitions"]}
    assert len(by_witness) == len(held.transitions)
    for t in held.transitions:
        s = by_witness[t.witnesses]
        assert s["verdict"] == t.verdict
        assert s["p_value"] == t.p_value
        assert s["direction"] == t.direction
        for part in ("value", "low", "high"):
            for kind in ("place", "width"):
                mine = getattr(getattr(t, kind), part)
                assert s[kind][part] == (mine if math.isfinite(mine) else None)
    for w in said["witnesses"]:
        (run,) = w["runs"]
        witness = next(x for x in held.witnesses["real1"] if x.name == w["name"])
        assert run["y"] == witness.y.tolist()
        assert w["twin"]["mean"] == np.mean(witness.twins, axis=0).tolist()


def test_a_second_report_measures_nothing_and_is_the_same_bit_for_bit(held: Trial, lab: Path) -> None:
    cells = {p: p.stat().st_mtime_ns for p in (lab / "store").rglob("*.json")}
    assert len(cells) >= 3 * 61
    again = judge(lab, "real1", "null1", "null2", store=lab / "store")
    assert {p: p.stat().st_mtime_ns for p in (lab / "store").rglob("*.json")} == cells
    assert stripped(again) == stripped(held)


def stripped(trial: Trial) -> str:
    """All numbers of the report as text, without the time of day and the command line."""
    whole = document(trial)
    whole["how"] = {k: v for k, v in whole["how"].items() if k not in ("time", "command")}
    return json.dumps(whole, default=lambda a: a.tolist() if isinstance(a, np.ndarray) else str(a))


def test_a_checkpoint_cut_short_in_the_middle_is_named_and_the_report_still_comes(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = linked(lab / "real1", tmp_path / "real1")
    broken = run / "step000300.safetensors"
    whole = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    out.mkdir()
    (out / "store").symlink_to(lab / "store")  # what the whole run shares with this one
    words = ["report", str(run), "--json", "--observables", ",".join(WITNESSES), "--out", str(out)]
    assert cli.main(words) == 1
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (out / "report.html").stat().st_size > 1e6
    faults = [f for f in said["health"]["findings"] if f["severity"] == "fault"]
    assert [f["file"] for f in faults] == ["step000300.safetensors"]
    assert said["counts"]["TRANSITION"] == 1
    (t,) = [t for t in said["transitions"] if t["verdict"] == "TRANSITION"]
    assert 230 <= t["place"]["value"] <= 310
    assert 300 not in curve(said, "token_match")["x"]  # nothing is known of the weights there
    assert 300 in curve(said, "loss")["x"]  # the log is whole
    ds = opalesce.measure(run, ["norm"], out=tmp_path / "store")
    bad = (ds["norm_status"] != "").any("module").values
    assert ds["step"].values[bad].tolist() == [300]
    assert "step000300.safetensors" in str(ds["norm_status"].sel(step=300).values[0])


def curve(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(w for w in said["witnesses"] if w["name"] == name)["runs"][0]
