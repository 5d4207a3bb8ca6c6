from __future__ import annotations

from pathlib import Path

import pytest

from opalesce.runs.steps import parse_path, parse_step


@pytest.mark.parametrize(
    ("name", "step", "tokens"),
    [
        ("step1000", 1000, None),
        ("step_1000", 1000, None),
        ("checkpoint-1000", 1000, None),
        ("stage1-step100-tokens4B", 100, 4e9),
        ("stage1-step1907359-tokens4001B", 1907359, 4001e9),
        ("iter_0000500", 500, None),
        ("iteration-7", 7, None),
        ("epoch3", 3, None),
        ("epoch=3-step=1200.ckpt", 1200, None),
        ("160m_step1000.json", 1000, None),
        ("160m-5shot_step3000.json", 3000, None),
        ("1.4b_step0.json", 0, None),
        ("step000100.safetensors", 100, None),
        ("model_step10", 10, None),
        ("global_step143000", 143000, None),
        ("step10k", 10_000, None),
        ("checkpoint_step_25", 25, None),
    ],
)
def test_names_with_a_step(name: str, step: float, tokens: float | None) -> None:
    tag = parse_step(name)
    assert tag is not None
    assert (tag.step, tag.tokens) == (step, tokens)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "model-00001-of-00002.safetensors", "footstep5", "160m", "results_2024", "step"],
)
def test_names_without_a_step(name: str) -> None:
    assert parse_step(name) is None


def test_epoch_is_said_to_be_one() -> None:
    tag = parse_step("epoch3")
    assert tag is not None
    assert tag.kind == "epoch"


def test_the_nearest_name_counts() -> None:
    root = Path("/runs/step9")
    near = parse_path(root / "step7" / "checkpoint-5" / "model.safetensors", root)
    assert near is not None
    assert near.step == 5
    assert parse_path(root / "model.safetensors", root) is None  # the root holds many states
    own = parse_path(root / "model.safetensors", root / "model.safetensors")
    assert own is not None
    assert own.step == 9
