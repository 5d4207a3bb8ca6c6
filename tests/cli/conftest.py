"""The command line in a process of its own, and a small run to give it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from opalesce.runs.safetensors import write

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def opalesce(tmp_path: Path) -> Command:
    """Run `python -m opalesce ...` in an empty folder; standard output and error apart."""
    home = tmp_path / "cwd"
    home.mkdir()

    def go(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "opalesce", *map(os.fspath, words)],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            cwd=home,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | (env or {}),
            timeout=300,
        )

    return go


def make_run(folder: Path, states: int = 14, tensor: str = "layer.weight", seed: int = 0) -> Path:
    """Checkpoints that drift, and a log with a step in the middle."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    w = rng.standard_normal((8, 6))
    for k in range(states):
        write(folder / f"step{100 * k}.safetensors", {tensor: (w + 0.05 * k).astype(np.float32)})
    rows = [{"step": 20 * k, "loss": 4 - 2 * (k > 35) + rng.normal(0, 0.05)} for k in range(70)]
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "plain")
