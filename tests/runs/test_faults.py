"""Every planted fault is found where it was planted; sound runs have no finding."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from opalesce.cli import main
from opalesce.runs.check import Finding
from opalesce.runs.check_model import cloned
from opalesce.runs.clock import clock_faults
from opalesce.runs.continuity import distances, rotated
from opalesce.runs.open import open as open_run
from opalesce.runs.safetensors import checkpoint, write
from opalesce.systems.faults import FAULTS, Planted, clean_run


def grave(folder: Path) -> list[Finding]:
    return [f for f in open_run(folder).check() if f.severity != "note"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_run(tmp_path_factory.mktemp("faults") / "sound", seed=1)


def test_there_are_enough_kinds():
    assert len(FAULTS) >= 20
    assert len({p.name for p in FAULTS}) == len(FAULTS)
    assert {p.where for p in FAULTS} == {"checkpoint", "log", "evals"}


def test_the_sound_run_has_no_finding(sound: Path):
    assert grave(sound) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name.replace(" ", "-"))
def test_a_planted_fault_is_found_at_its_place(sound: Path, tmp_path: Path, fault: Planted):
    bad = tmp_path / "bad"
    shutil.copytree(sound, bad)
    fault.plant(bad)
    hits = [f for f in grave(bad) if f.kind == fault.finding]
    assert hits
    assert fault.place is None or any(fault.place in (f.step, *f.x) for f in hits)
    assert all(f.expected and f.seen for f in hits)


@pytest.mark.validate
@pytest.mark.parametrize("seed", range(20))
def test_twenty_trained_runs_have_no_finding(tmp_path: Path, seed: int):
    assert grave(clean_run(tmp_path / "run", seed=100 + seed)) == []


def test_the_level_that_fails(sound: Path, tmp_path: Path):
    bad = tmp_path / "bad"
    shutil.copytree(sound, bad)
    next(f for f in FAULTS if f.name == "missing step").plant(bad)  # a warning, no fault
    assert main(["check", str(bad)]) == 1
    assert main(["check", str(bad), "--fail-on", "high"]) == 0
    assert main(["check", str(bad), "--fail-on", "medium"]) == 1
    assert main(["check", str(bad), "--fail-on", "never"]) == 2


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("parts", [2, 4, 8])
def test_clones_are_counted_on_either_side(tmp_path: Path, side: int, parts: int):
    rng = np.random.default_rng(0)
    w = np.concatenate([rng.normal(size=(64, 64))] * parts, axis=side)
    near = w + 0.3 * rng.normal(size=w.shape)  # some steps after the initialisation
    file = write(tmp_path / "x.safetensors", {"w": near})
    assert cloned(checkpoint(file, 0), "w", near.shape) == (side, parts)


def test_independent_matrices_are_no_clones(tmp_path: Path):
    """3000 matrices of the least size that is looked at, normal and heavy-tailed."""
    rng = np.random.default_rng(1)
    tensors = {f"n{i}": rng.normal(size=(64, 32)) for i in range(1500)}
    tensors |= {f"t{i}": rng.standard_t(3, size=(64, 32)) for i in range(1500)}
    # trained embeddings: every row has the same strong part, so that all rows correlate at 0.9
    tensors |= {f"e{i}": rng.normal(size=(64, 32)) + 3 * rng.normal(size=32) for i in range(200)}
    state = checkpoint(write(tmp_path / "x.safetensors", tensors), 0)
    assert [n for n in tensors if cloned(state, n, (64, 32))] == []


def test_honest_paths_are_not_rotated_and_cut_ones_are():
    rng = np.random.default_rng(2)
    for seed in range(200):
        path = np.cumsum(rng.normal(size=(30, 40)) + (seed % 3) * 0.5, axis=0)
        assert rotated(distances(path)) is None
        circle = np.stack(
            [f(np.linspace(0, 2 * np.pi, 30, endpoint=False)) for f in (np.sin, np.cos)], axis=1
        )
        assert rotated(distances(circle)) is None  # a run that comes back to where it began
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    assert rotated(distances(circle)) is None  # a run that comes back to where it began
    drift = np.cumsum(rng.normal(size=(30, 40)) + 0.5, axis=0)
    assert rotated(distances(np.roll(drift, 12, axis=0))) == 12


def test_a_clock_that_starts_anew_after_a_resume_is_honest():
    rows = [{"step": float(s), "time": 100.0 + s} for s in (1, 2, 3)]
    again = [{"step": float(s), "time": 50.0 + s} for s in (2, 3, 4)]  # the steps go back too
    assert clock_faults(rows + again, "step", "log") == []
    assert clock_faults([*rows, {"step": 4.0, "time": 90.0}], "step", "log")[0].x == (4.0,)
