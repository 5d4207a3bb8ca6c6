"""Geometry of the residual stream, layer by layer: dimension, isotropy, massive activations, similarity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError, OpalesceError
from opalesce.measure.record import Reservoir, batches, record
from opalesce.observables.dimension import gride_dimension, two_nn_estimate
from opalesce.observables.isotropy import (
    alpha_req,
    anisotropy,
    anisotropy_centred,
    massive_activations,
    massive_ratio,
    rankme,
)
from opalesce.observables.similarity import DebiasedCKA

Array = NDArray[np.float64]
POINTS = 2000  # tokens kept per layer
NAMES = (
    "two_nn_dimension",
    "gride_dimension",
    "rankme",
    "alpha_req",
    "anisotropy",
    "anisotropy_centred",
    "massive_ratio",
)


def layer_points(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rng: np.random.Generator,
    points: int = POINTS,
    drop: int = 1,
    batch: int = 32,
) -> list[Array]:
    """The same uniform sample of at most `points` tokens at every layer 0..L, each (rows, d).

    The first `drop` positions of each prompt are left out: they carry massive activations that swamp the
    rest.

    Raises
    ------
    InputError
        No prompt is longer than `drop`; from `record`.
    """
    sizes = [len(p) - drop for p in prompts]
    if max(sizes, default=0) < 1:
        raise InputError("no token is left", expected=f"prompts longer than {drop}", got=str(len(prompts)))
    seed = int(rng.integers(2**32))
    kept: dict[int, Reservoir] = {}

    def take(layer: int, h: Array) -> None:
        rows = h[:, drop:].reshape(-1, h.shape[2])
        kept.setdefault(layer, Reservoir(points, np.random.default_rng(seed))).add(rows, [0] * len(rows))

    long_enough = [p for p, n in zip(prompts, sizes, strict=True) if n > 0]
    for numbers in batches(long_enough, batch):
        record(model, np.array([long_enough[i] for i in numbers]), take)
    return [kept[layer].points for layer in sorted(kept)]


def layer_geometry(points: Sequence[Array]) -> dict[str, list[float]]:
    """Each quantity of `NAMES` at each layer, debiased CKA with the layer before, and massive activations.

    NaN where a quantity is not defined (a layer of few distinct points).
    """
    functions = {
        "two_nn_dimension": lambda x: two_nn_estimate(x).value,
        "gride_dimension": gride_dimension,
        "rankme": rankme,
        "alpha_req": alpha_req,
        "anisotropy": anisotropy,
        "anisotropy_centred": anisotropy_centred,
        "massive_ratio": massive_ratio,
    }
    out: dict[str, list[float]] = {name: [_number(functions[name], x) for x in points] for name in NAMES}
    out["cka_with_layer_before"] = [float("nan")] + [_cka(a, b) for a, b in pairwise(points)]
    out["massive_activations"] = [float(len(massive_activations(x))) for x in points]
    return out


def _number(function: Any, x: Array) -> float:
    try:
        return float(function(x))
    except OpalesceError:
        return float("nan")


def _cka(a: Array, b: Array) -> float:
    sums = DebiasedCKA()
    sums.add(a, b)
    return sums.value()
