"""opalesce depth: from a folder and a file of prompts to a table, a document and a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
from opalesce.cli import main
from opalesce.measure.decoder import Decoder, Sizes
from opalesce.measure.words import Words

from .conftest import Command


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    Decoder(Sizes(20, 16, 24, 13, 2), 1).save(folder)
    Words({f"w{i}": i for i in range(20)}).save(folder)
    return folder


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(" ".join(f"w{i}" for i in rng.integers(0, 20, 9)) for _ in range(20)))
    return path


def test_document_and_page(opalesce: Command, model: Path, prompts: Path, tmp_path: Path):
    done = opalesce(
        "depth", model, "--prompts", prompts, "--out", tmp_path / "out", "--json", "--no-controls"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["schema"] == "opalesce.depth/1"
    assert (found["layers"], found["width"], found["prompts"], found["tokens"]) == (13, 16, 20, 180)
    assert len(found["gamma"]) == 14
    curve = found["curves"]["object_integrity"]
    assert curve["verdict"] in ("TRANSITION", "CROSSOVER", "NOT SUPPORTED", "METRIC ARTEFACT")
    assert curve["curve"]["low"][3] < curve["curve"]["mean"][3] < curve["curve"]["high"][3]
    assert set(curve["curve"]["controls"]) == {"dropped", "masked", "rotated"}
    assert "reconstruction" in found["notes"][0]
    assert (
        json.loads((tmp_path / "out" / "depth.json").read_text())["curves"].keys() == found["curves"].keys()
    )
    assert Path(found["page"]).is_file()


def test_table_with_controls(opalesce: Command, model: Path, prompts: Path):
    done = opalesce("depth", model, "--prompts", prompts, "--most", "6", "--length", "5")
    assert done.returncode == 0
    assert "13 layers, width 16, 6 prompts, 30 tokens" in done.stdout
    assert "object_integrity" in done.stdout
    assert "random weights" in done.stdout
    assert "shuffled tokens" in done.stdout


def test_activations_need_no_model(opalesce: Command, tmp_path: Path):
    rng = np.random.default_rng(0)
    (tmp_path / "acts").mkdir()
    for k in range(4):
        np.save(tmp_path / "acts" / f"layer_{k}.npy", rng.standard_normal((10, 5, 12)))
    done = opalesce("depth", tmp_path / "acts")
    assert done.returncode == 0
    assert "CANNOT TELL" in done.stdout
    assert "4 layers, and 12 are needed" in done.stdout


def test_what_is_refused(model: Path, prompts: Path, tmp_path: Path, capsys):
    for words, text in (
        ((model,), "needs prompts"),
        ((tmp_path / "absent",), "no such folder"),
        ((tmp_path, "--prompts", prompts), "no model here"),
        ((model, "--prompts", tmp_path / "absent"), "no such file"),
        ((model, "--prompts", prompts, "--most", "1"), "too few prompts"),
        ((model, "--prompts", prompts, "--seed", "-1"), "whole number"),
    ):
        code, said = main(["depth", *map(str, words)]), capsys.readouterr().err
        assert (code, text in said) == (2, True), said
