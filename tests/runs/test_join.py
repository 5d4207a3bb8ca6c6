"""Logs along tokens, FLOPs and epochs, turned into steps by what the run states, or left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opalesce.runs.join import scale
from opalesce.runs.open import open
from opalesce.runs.safetensors import write


def log(path: Path, *rows: dict[str, float]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(json.dumps(r) for r in rows))
    return path


def test_by_a_log_that_has_both(tmp_path: Path) -> None:
    # the batch doubles at step 4
    seen = {0: 0, 2: 200, 4: 400, 6: 800, 8: 1200}
    log(tmp_path / "a.jsonl", *({"step": s, "tokens": t, "loss": 9.0 - s} for s, t in seen.items()))
    log(tmp_path / "b.jsonl", *({"tokens": t, "probe": t} for t in (100, 400, 600, 1200, 5000)))
    run = open(tmp_path)
    assert run.curves["probe"].x.tolist() == [1, 4, 5, 8]  # 5000 lies beyond what is known
    assert run.curves["probe"].y.tolist() == [100, 400, 600, 1200]
    assert [f.kind for f in run.scan.faults] == ["points left"]
    assert dict(run.scan.took)["b.jsonl"] == "JSONL log, its tokens turned into step by a.jsonl"


def test_by_the_names_of_checkpoints(tmp_path: Path) -> None:
    for step, tokens in ((1, 4), (2, 8), (3, 12)):
        folder = tmp_path / f"step{step}-tokens{tokens}B"
        folder.mkdir()
        write(folder / "model.safetensors", {"w": np.full((3, 3), step, np.float32)})
    log(tmp_path / "b.jsonl", {"tokens": 4e9, "probe": 1}, {"tokens": 20e9, "probe": 2})
    assert open(tmp_path).curves["probe"].x.tolist() == [1, 5]  # one rate: it holds beyond


def test_by_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"tokens_per_step": 512}')
    log(tmp_path / "a.jsonl", {"step": 0, "loss": 2}, {"step": 9, "loss": 1})
    log(tmp_path / "b.jsonl", {"tokens": 0, "probe": 1}, {"tokens": 1024, "probe": 2})
    assert open(tmp_path).curves["probe"].x.tolist() == [0, 2]


def test_an_epoch_ends_with_its_last_step(tmp_path: Path) -> None:
    rows = [{"step": s, "epoch": s // 4, "loss": 9.0 - s} for s in range(9)]
    log(tmp_path / "a.jsonl", *rows)
    log(tmp_path / "b.jsonl", {"epoch": 0, "acc": 0.1}, {"epoch": 1, "acc": 0.2})
    assert open(tmp_path).curves["acc"].x.tolist() == [3, 7]


def test_left_where_nothing_says_how(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", {"step": 0, "loss": 2}, {"step": 9, "loss": 1})
    log(tmp_path / "b.jsonl", {"tokens": 0, "probe": 1}, {"tokens": 1024, "probe": 2})
    run = open(tmp_path)
    assert set(run.curves) == {"loss"}
    assert "nothing states how" in run.scan.left[0].why
    assert dict(run.scan.took) == {"a.jsonl": "JSONL log"}


@pytest.mark.parametrize("pairs", [[], [(0, 0)], [(1, 2), (2, 1)], [(1, float("nan"))], [(-1, 1)]])
def test_no_scale(pairs: list[tuple[float, float]]) -> None:
    assert scale(pairs, "here") is None


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=30, unique=True), st.randoms())
def test_there_and_back(places: list[int], random: object) -> None:
    here = np.sort(np.array(places, float))
    there = np.cumsum(here % 7 + 1)
    to = scale(list(zip(here.tolist(), there.tolist(), strict=True)), "log")
    back = scale(list(zip(there.tolist(), here.tolist(), strict=True)), "log")
    assert to is not None
    assert back is not None
    x = np.linspace(here[0], here[-1], 17)
    y, sure = to.to(x)
    z, _ = back.to(y)
    assert sure.all()
    assert np.allclose(z, x, rtol=2e-3)
