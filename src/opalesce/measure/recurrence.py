r"""Is a block's output near a fixed point of the block? (reconstruction)

"Concept basins as fixed points of the forward pass" (Alpay and Kilictas 2026, abstract) read literally: apply
one block again and again to the state that enters it, and see whether it settles, where, and whether the next
blocks do the same thing. Blocks share one space, so this is well defined; nothing says that a trained model
should care.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.jacobian import FIX, Map

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recurrence:
    """One block iterated from its own input h.

    Attributes
    ----------
    step : array, shape (iterations,)
        |f(x_t) - x_t| / |x_t| along the iteration, rows of the state averaged as norms.
    settled : bool
        The last step is below the tolerance.
    rate : float
        Ratio of the last two steps (their geometric mean over the last quarter): below 1 it contracts.
    distance : float
        |x* - f(h)| / |f(h)|: how far the end lies from what the block made of h once.
    """

    step: Array
    settled: bool
    rate: float
    distance: float


def recurrence(f: Map, h: Any, iterations: int = 64, tolerance: float = 1e-4) -> Recurrence:
    r"""Iterate x <- f(x) from h.

    .. math:: x_0 = h, \quad x_{t+1} = f(x_t), \quad s_t = \|x_{t+1} - x_t\| / \|x_t\|

    Null: for x <- A x + b with |A| = kappa < 1, steps fall as kappa^t; a residual block with an output that
    does not shrink drifts, with s about 1/t, and has no fixed point: `settled` needs
    a rate below 1 as well as a small step.

    Raises
    ------
    InputError
        The map changes the shape or gives NaN; fewer than 8 iterations.
    """
    import torch

    if iterations < 8:
        raise InputError("too few iterations", expected="8 or more", got=str(iterations))
    steps, x, first = [], h, None
    with torch.no_grad():
        for _ in range(iterations):
            y = f(x)
            if y.shape != x.shape:
                raise InputError(
                    "the map changes the shape", expected=str(tuple(x.shape)), got=str(tuple(y.shape))
                )
            size, gap = float(x.norm()), float((y - x).norm())
            if not np.isfinite(gap):
                raise InputError(
                    "the map gives NaN or grows without bound", expected="finite numbers", fix=FIX
                )
            steps.append(gap / size if size > 0 else 0.0)
            first = y if first is None else first
            x = y
    step = np.array(steps)
    tail = step[-max(iterations // 4, 2) :]
    rate = float((tail[-1] / tail[0]) ** (1 / (len(tail) - 1))) if tail[0] > 0 else 0.0
    assert first is not None
    settled = bool(step[-1] <= tolerance and rate < 0.99)
    return Recurrence(step, settled, rate, float((x - first).norm() / first.norm()))


def alike(blocks: Sequence[Map], states: Sequence[Any]) -> Array:
    r"""How alike the updates of any two blocks are on the same states.

    .. math:: A_{ij} = \langle \cos(f_i(h_i) - h_i, \; f_j(h_i) - h_i) \rangle

    at the state h_i that enters block i. 1 on the diagonal; near 1 beside it where depth repeats itself.
    Null: 0 +- 1/sqrt(d) for unrelated updates.

    Returns
    -------
    array, shape (L, L)

    Raises
    ------
    InputError
        Not one state a block.
    """
    import torch

    if len(blocks) != len(states) or not blocks:
        raise InputError("one state a block", expected=str(len(blocks)), got=str(len(states)))
    out = np.empty((len(blocks), len(blocks)))
    with torch.no_grad():
        for i, h in enumerate(states):
            own = blocks[i](h) - h
            for j, f in enumerate(blocks):
                out[i, j] = float(torch.nn.functional.cosine_similarity(own, f(h) - h, dim=-1).mean())
    return out
