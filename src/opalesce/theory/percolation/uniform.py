"""The null of weights as a network: the same layers, entries in uniform random order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from opalesce.theory.percolation.exact import layered_giant, layered_threshold
from opalesce.theory.percolation.weighted import WeightCurve, layered_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def uniform_curve(widths: Sequence[int], rng: np.random.Generator, edges: int | None = None) -> WeightCurve:
    """One draw of the null: the same layers, cells in uniform random order.

    Stops at 4 + ln n times the threshold, where S2 has long fallen, or at `edges` (the entries that are
    not zero, when some are).

    Raises
    ------
    InputError
        As `layered_threshold`.
    """
    sizes = np.array([a * b for a, b in pairwise(widths)], np.int64)
    cells = int(sizes.sum())
    take = int((4 + np.log(sum(widths))) * layered_threshold(widths) * cells) + 64
    take = min(take, cells if edges is None else edges)
    chosen = rng.choice(cells, take, replace=False)
    weight = np.arange(take, 0, -1, dtype=float)
    return layered_curve(tuple(widths), chosen, weight, cells, take == (cells if edges is None else edges))


def null_peaks(widths: Sequence[int], draws: int = 100, edges: int | None = None) -> Array:
    """Measured thresholds (`WeightCurve.peak`) of `draws` uniform orders, seeded by the widths alone.

    So the same layers always meet the same null, and a z-score against it is a function of the weights.
    """
    rng = np.random.default_rng([*(int(n) for n in widths), draws])
    return np.array([uniform_curve(widths, rng, edges).peak for _ in range(draws)])


def null_median(widths: Sequence[int]) -> float:
    """Share of cells at which half the inlet-outlet pairs of a random layered graph are connected.

    Where S_0 S_L = 1/2 with the shares of `exact.layered_giant`; 1 for layers too narrow to get there.
    """
    low, high = layered_threshold(widths), 1.0

    def excess(f: float) -> float:
        giant = layered_giant(widths, f)
        return float(giant[0] * giant[-1]) - 0.5

    return high if excess(high) <= 0 else float(brentq(excess, low, high, rtol=1e-12))
