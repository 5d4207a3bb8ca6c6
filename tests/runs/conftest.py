"""A small training run on disk, sound unless a test spoils it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from opalesce.runs.safetensors import write

State = dict[str, NDArray[np.generic]]


def path_of_states(n: int = 13, seed: int = 0) -> list[State]:
    """A random walk with drift in weight space: what a training run looks like from its weights."""
    rng = np.random.default_rng(seed)
    shapes = {"embed.weight": (40, 16), "layer.0.weight": (32, 24), "layer.1.weight": (32, 24)}
    state: dict[str, NDArray[np.float32]] = {
        k: rng.normal(0, 0.2, s).astype(np.float32) for k, s in shapes.items()
    }
    drift = {k: rng.normal(0, 0.02, s).astype(np.float32) for k, s in shapes.items()}
    out: list[State] = []
    for i in range(n):
        norm = {
            "norm.weight": (1 + 0.01 * i * rng.normal(size=24)).astype(np.float32),
            "norm.bias": (0.01 * i * rng.normal(size=24)).astype(np.float32),
        }
        out.append({**state, **norm})  # norm weights are ones, and biases zeros, at step 0
        state = {k: v + drift[k] + rng.normal(0, 0.02, v.shape).astype(np.float32) for k, v in state.items()}
    return out


def save(folder: Path, states: list[State], every: int = 100) -> Path:
    for i, state in enumerate(states):
        inner = folder / f"step{i * every}"
        inner.mkdir(parents=True)
        write(inner / "model.safetensors", state)
    rng = np.random.default_rng(int(1e6 * abs(float(np.sum(states[-1]["embed.weight"])))))
    with (folder / "log.jsonl").open("w") as log:
        for i in range(len(states)):
            loss = float(4 - 0.1 * i + 0.01 * rng.normal())
            log.write(json.dumps({"step": i * every, "loss": loss}) + "\n")
    return folder


@pytest.fixture
def states() -> list[State]:
    return path_of_states()


@pytest.fixture
def sound(tmp_path: Path, states: list[State]) -> Path:
    return save(tmp_path / "sound", states)
