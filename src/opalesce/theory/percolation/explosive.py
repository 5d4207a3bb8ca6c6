"""Explosive percolation: of two random edges the one is kept that joins the smaller clusters.

With the product rule (Achlioptas, D'Souza and Spencer 2009) the giant cluster of a random graph is held
back until 0.88845 edges a node and then comes almost at once; the transition is continuous all the same,
with beta about 0.06 (da Costa et al. 2010; Riordan and Warnke 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.union import check_size, find, unite

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Explosion:
    """One run.

    Attributes
    ----------
    S1 : array, shape (edges + 1,)
        Largest cluster after each edge, in nodes.
    gap : float
        Largest jump of S1 by one edge, as a share of the nodes.
    gap_at : float
        Edges per node right after it: the threshold as one run shows it.
    """

    S1: NDArray[np.int32]
    gap: float
    gap_at: float


def product_rule(n: int, rng: np.random.Generator, edges: int | None = None, choices: int = 2) -> Explosion:
    """Grow a random graph by the product rule.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    edges : int, optional
        Edges to add; n by default, which is past the threshold.
    choices : int
        Candidates at each step, both ends drawn evenly; the least product of cluster sizes wins, the first
        in a tie. 1 is the ordinary random graph.

    Raises
    ------
    InputError
        n out of range, edges negative, choices below 1.
    """
    check_size(n)
    m = n if edges is None else edges
    if m < 0 or choices < 1:
        raise InputError(
            "edges or choices out of range", expected="edges >= 0, choices >= 1", got=f"{m}, {choices}"
        )
    largest = np.ones(m + 1, np.int32)
    _grow(np.full(n, -1, np.int32), largest, choices, rng)
    jumps = np.diff(largest)
    at = int(jumps.argmax()) if m else 0
    return Explosion(largest, float(jumps[at]) / n if m else 0.0, (at + 1) / n)


@njit(cache=True, nogil=True)
def _grow(parent: Any, largest: Any, choices: int, rng: Any) -> None:
    n = len(parent)
    for e in range(1, len(largest)):
        best, u, v = np.int64(-1), 0, 0
        for _ in range(choices):
            a, b = find(parent, int(rng.random() * n)), find(parent, int(rng.random() * n))
            product = np.int64(parent[a]) * np.int64(parent[b])
            if best < 0 or product < best:
                best, u, v = product, a, b
        unite(parent, u, v)
        largest[e] = max(largest[e - 1], -parent[find(parent, u)])
