r"""Stochastic retention: each edge of a weighted graph kept with a probability of its own.

Not threshold percolation (`weighted`), where the weight alone decides, and not invasion, where only the
order along the rim does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.percolation.weighted import edge_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def retention_order(weights: ArrayLike, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array]:
    r"""Order of edges, and the lambda at which each appears, under stochastic retention.

    Edge e is there with probability :math:`1 - e^{-\lambda |w_e| / \langle |w| \rangle}`, independently:
    the minimum of lambda is exponential with rate :math:`|w_e| / \langle|w|\rangle`, so one draw of all
    minima, sorted, is a realisation of the model at every lambda. Edges of weight 0 come last, at infinity.

    Raises
    ------
    InputError
        Weights not finite, or all zero.
    """
    w = np.asarray(weights, float)
    w = edge_weights(w, w)
    if not w.any():
        raise InputError("no edge has a weight", expected="at least one that is not zero")
    with np.errstate(divide="ignore"):
        at = np.where(w > 0, rng.exponential(size=w.size) * w.mean() / w, np.inf)
    order = np.argsort(at, kind="stable")
    return order, at[order]
