"""Explosive percolation: the product rule of Achlioptas (achlioptas2009explosive).

Of two random candidate edges the one is added that joins clusters of the smaller product of sizes. The
transition looks like a jump and is continuous with a tiny exponent beta (dacosta2010explosive,
riordan2011explosive): a warning for everyone who infers order from one curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.union import check_size, find, unite


@dataclass(frozen=True)
class Growth:
    """S1 in nodes after each edge (from 0), its largest jump, and edges per node right after that."""

    n: int
    largest: np.ndarray[tuple[int], np.dtype[np.int32]]
    gap: int
    gap_at: float


@njit(cache=True, nogil=True)
def _grow(n: int, largest: Any, product: bool, rng: Any) -> tuple[int, int]:
    parent = np.full(n, -1, np.int32)
    s1, gap, at = 1, 0, 0
    largest[0] = 1
    for t in range(1, len(largest)):
        a = find(parent, int(rng.random() * n))
        b = find(parent, int(rng.random() * n))
        if product:
            c = find(parent, int(rng.random() * n))
            d = find(parent, int(rng.random() * n))
            if np.int64(parent[c]) * parent[d] < np.int64(parent[a]) * parent[b]:
                a, b = c, d
        if unite(parent, a, b):
            size = -parent[find(parent, a)]
            if size > s1:
                if size - s1 > gap:
                    gap, at = size - s1, t
                s1 = size
        largest[t] = s1
    return gap, at


def grow(n: int, edges: int, rng: np.random.Generator, rule: str = "product") -> Growth:
    """Add `edges` edges to n nodes by the product rule, or at random ("random": Erdos-Renyi).

    Raises
    ------
    InputError
        An unknown rule, fewer than two nodes or one edge.
    """
    if rule not in ("product", "random"):
        raise InputError("no such rule", expected="product or random", got=repr(rule))
    if check_size(n) < 2 or edges < 1:
        raise InputError("nothing to grow", expected="2 nodes, 1 edge or more", got=f"{n}, {edges}")
    largest = np.empty(edges + 1, np.int32)
    gap, at = _grow(n, largest, rule == "product", rng)
    return Growth(n, largest, int(gap), at / n)
