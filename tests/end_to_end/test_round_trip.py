"""Trainer, Lightning, TensorBoard and the evaluation harness, all real, in one folder: one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs.real_logs import STEPS, write

import opalesce
from opalesce import cli
from opalesce.runs.run import Run

pytestmark = pytest.mark.torch
STREAMS = ["loss", "eval_loss", "val_loss", "tb/new/loss", "lambada/acc", "noise_scale"]
SAVED = [10, 20, 30, 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mixed") / "run"
    root.mkdir()
    places = {"trainer": root, "lightning": root, "tensorboard": root / "tb"}
    writers = {kind: write(kind, place) for kind, place in places.items()}
    assert {kind: w.wait(timeout=200) for kind, w in writers.items()} == dict.fromkeys(places, 0)
    for step in SAVED:
        acc = 0.2 + step / 100
        error = (acc * (1 - acc) / 99) ** 0.5
        result = {
            "results": {"lambada": {"alias": "lambada", "acc,none": acc, "acc_stderr,none": error}},
            "n-samples": {"lambada": {"original": 100, "effective": 100}},
            "config": {"model": "hf", "model_args": f"pretrained=./checkpoint-{step}"},
        }  # fmt: skip
        (root / f"results_step{step}.json").write_text(json.dumps(result))
    # a log that knows tokens only: the trainer's num_input_tokens_seen turns them into steps
    rows = [{"tokens_seen": 128 * s, "noise_scale": 1.0 + s} for s in range(0, STEPS + 1, 5)]
    (root / "side.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    return root


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return opalesce.open(folder)


def test_every_stream_is_on_the_axis_of_steps(run: Run, folder: Path) -> None:
    assert (run.axis.name, [c.step for c in run.checkpoints]) == ("step", SAVED)
    x = {name: c.x.tolist() for name, c in run.curves.items()}
    assert x["loss"] == list(range(2, STEPS + 1, 2))  # training rows of the trainer state
    assert x["eval_loss"] == SAVED  # its evaluation rows, in between
    assert x["train_loss_step"] == list(range(0, STEPS, 2))  # Lightning, where half the rows are others
    assert x["val_loss"] == [8, 18, 28, 38]
    assert x["grad_norm"] == list(range(2, STEPS + 1, 2))
    assert x["tb/grad_norm"] == x["tb/new/loss"] == list(range(STEPS))  # TensorBoard, both forms of a scalar
    assert x["lambada/acc"] == SAVED
    assert x["noise_scale"] == list(range(0, STEPS + 1, 5))
    assert all(run.curves[n].complete == "complete" for n in ("loss", "tb/grad_norm", "val_loss"))
    history = json.loads((folder / "checkpoint-40" / "trainer_state.json").read_text())["log_history"]
    assert run.curves["loss"].y.tolist() == [r["loss"] for r in history if "loss" in r]
    assert [(e.x, e.kind) for e in run.events] == [(10.0, "warm-up end")]  # of Lightning's hparams.yaml


def test_the_scan_says_what_it_did(run: Run) -> None:
    took = dict(run.scan.took)
    assert took["checkpoint-40/trainer_state.json"] == "trainer state"
    told = "JSONL log, its tokens turned into step by checkpoint-40/trainer_state.json"
    assert took["side.jsonl"] == told
    left = {item.path: item.why for item in run.scan.left}
    assert left["checkpoint-30/trainer_state.json"] == "an earlier trainer state"
    assert not [f for f in run.scan.faults if f.severity == "fault"]


def test_one_report_holds_them_all(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["norm", *STREAMS]
    words = ["report", str(folder), "--json", "--observables", ",".join(names), "--out", str(tmp_path)]
    code = cli.main(words)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code in (0, 1)
    assert (tmp_path / "report.html").stat().st_size > 1e6
    twin = json.loads((tmp_path / "report.json").read_text())
    assert twin["axis"]["name"] == said["axis"]["name"] == "step"
    shown = {w["name"].split("@")[0] for w in twin["witnesses"]}
    assert shown == set(names)
    ds = opalesce.measure(folder, names, out=tmp_path / "store")
    assert set(SAVED) <= set(ds["step"].values.tolist())
    assert np.isfinite(ds["norm"].sel(step=SAVED)).any("module").all()
