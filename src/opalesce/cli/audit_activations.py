"""The activations part of an audit: geometry layer by layer, beside a copy with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import InputError


def audit_activations(
    source: Path, prompts: Path, seed: int, progress: Callable[[str], object]
) -> dict[str, Any]:
    """Curves along depth of the model in `source`, its control, and lines to print.

    Raises
    ------
    InputError
        `source` is no folder of a model, or the prompts cannot be read.
    """
    from opalesce.measure.layers import layer_geometry, layer_points
    from opalesce.measure.models import load_model, random_weights, read_prompts

    if not source.is_dir():
        raise InputError(
            "activations need a model", expected="a folder with config.json and weights", got=str(source)
        )
    model, encode = load_model(source)
    tokens = read_prompts(prompts, encode)
    progress(f"reading activations of {len(tokens)} prompts")
    mine = layer_geometry(layer_points(model, tokens, np.random.default_rng(seed)))
    progress("reading activations of the same model with random weights")
    null = layer_geometry(layer_points(random_weights(model, seed), tokens, np.random.default_rng(seed)))
    layers = len(mine["rankme"])
    gamma = [i / max(layers - 1, 1) for i in range(layers)]
    drawn = [k for k in mine if k != "massive_activations"]  # a count, 0 in most models
    curves = {k: {"mean": mine[k], "controls": {"random weights": null[k]}} for k in drawn}
    lines = [
        f"activations: {len(tokens)} prompts, layers 0 to {layers - 1}; null: the same model, random weights"
    ]
    for name, values in mine.items():
        lines.append(f"  {name:24} {_row(values)}")
        lines.append(f"  {'null':>24} {_row(null[name])}")
    return {"gamma": gamma, "curves": curves, "lines": lines}


def _row(values: list[float]) -> str:
    return " ".join("    none" if not np.isfinite(v) else f"{v:8.3g}" for v in values)
