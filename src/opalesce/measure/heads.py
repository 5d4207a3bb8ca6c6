"""Thermodynamics of every attention head of a model that shows its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opalesce.errors import InputError
from opalesce.measure.record import batches
from opalesce.theory.attention_energy import thermodynamics

NAMES = {n: n for n in ("free_energy", "energy", "entropy", "heat_capacity")} | {"effective_keys": "keys"}


def attention_energy(model: Any, prompts: Sequence[Sequence[int]], size: int = 8) -> Any:
    """Mean free energy, energy, entropy, heat capacity and effective keys of each head, by prompt.

    Means are over queries with two keys or more: the first query sees itself alone.

    Parameters
    ----------
    model : torch.nn.Module
        With a method `attention_scores(tokens)` that gives scaled scores of every layer, (n, heads, t, t),
        -inf for masked keys, as `measure.decoder.Decoder` does. Attention probabilities alone fix the
        entropy, not the energy.

    Returns
    -------
    xarray.Dataset
        Dims prompt, layer, head; entropy also as share of ln(keys seen), `entropy_share`.

    Raises
    ------
    InputError
        The model does not show its scores, a prompt is shorter than two tokens, a score is NaN.
    """
    import torch
    import xarray as xr

    if not hasattr(model, "attention_scores"):
        raise InputError(
            "this model does not show its attention scores",
            expected="a method attention_scores(tokens) -> list of (n, heads, t, t)",
            got=type(model).__name__,
            fix="a LLaMA checkpoint read by opalesce.measure.decoder.load has it",
        )
    if not prompts or min(map(len, prompts)) < 2:
        raise InputError("prompts are too short", expected="one or more, of 2 or more tokens")
    found: dict[str, np.ndarray] = {}
    for which in batches(prompts, size):
        tokens = torch.as_tensor(np.array([prompts[i] for i in which]))
        with torch.no_grad():
            scores = [s.double().cpu().numpy() for s in model.attention_scores(tokens)]
        for layer, s in enumerate(scores):
            t = thermodynamics(s[:, :, 1:])
            seen = np.isfinite(s[:, :, 1:]).sum(axis=-1)
            values = {name: getattr(t, attribute) for name, attribute in NAMES.items()}
            values["entropy_share"] = t.entropy / np.log(np.maximum(seen, 2))
            for name, v in values.items():
                shape = (len(prompts), len(scores), s.shape[1])
                found.setdefault(name, np.full(shape, np.nan))[which, layer] = v.mean(axis=-1)
    return xr.Dataset({k: (("prompt", "layer", "head"), v) for k, v in found.items()})
