"""The plan of a sweep: what it counts is exact, what it scales follows the power law it states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.measure import measure
from opalesce.measure.cost import _scaled, cost
from opalesce.runs.open import open as open_run
from opalesce.runs.safetensors import write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    rng = np.random.default_rng(0)
    shapes = {"a.weight": (40, 30), "b.weight": (40, 30), "c.weight": (80, 60), "bias": (7,)}
    for step in range(5):
        write(folder / f"step{step}.safetensors", {k: rng.normal(size=s) for k, s in shapes.items()})
    return folder


def test_counts_are_those_of_the_sweep(run: Path, tmp_path: Path):
    told = cost(open_run(run), ["stable_rank", "norm"])
    measure(open_run(run), ["stable_rank", "norm"], out=tmp_path / "store")
    assert told.cells == len(list((tmp_path / "store").rglob("*.json"))) == 15
    assert told.files == told.checkpoints == 5
    assert told.bytes == 5 * 8 * (2 * 40 * 30 + 80 * 60)  # the bias is not read
    assert {(k.shape, k.modules, k.cells, k.measured) for k in told.kinds} == {
        ("40 x 30", 2, 10, True),
        ("80 x 60", 1, 5, True),
    }
    assert told.seconds > sum(k.seconds * k.cells for k in told.kinds)  # a start takes time too
    assert told.memory > 0


def test_what_cannot_be_reached_is_named(run: Path):
    (run / "step3.safetensors").write_bytes(b"\x00" * 5)
    told = cost(open_run(run), ["norm"])
    assert [step for step, _ in told.unreachable] == [3.0]
    assert "too short" in told.unreachable[0][1]
    assert told.cells == 12


def test_shapes_beyond_the_budget_follow_a_power_law():
    # t ~ size^1.25 measured at two sizes, asked for at two more
    assert _scaled([10, 100, 1000, 10_000], [1.0, 10**1.25]) == pytest.approx(
        [1, 10**1.25, 10**2.5, 10**3.75]
    )
    assert _scaled([10, 100], [1.0]) == [1.0, 10.0]


def test_refusals(run: Path, tmp_path: Path):
    with pytest.raises(InputError, match="time and workers"):
        cost(open_run(run), budget=0)
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    with pytest.raises(InputError, match="no weights"):
        cost(open_run(log))
