"""Union-find against SciPy, and the packed winding."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from opalesce.theory.percolation.kernel import note
from opalesce.theory.percolation.union import find, find_shift, pack, unite, winding_bits


def test_clusters_are_scipys():
    n, rng = 500, np.random.default_rng(1)
    edges = rng.integers(0, n, (400, 2))
    parent = np.full(n, -1, np.int32)
    joined = sum(unite(parent, u, v) for u, v in edges)
    number, labels = connected_components(coo_array((np.ones(400), edges.T), shape=(n, n)), directed=False)
    roots = np.array([find(parent, i) for i in range(n)])
    assert n - joined == number == len(set(roots))
    assert all(len(set(roots[labels == k])) == 1 for k in range(number))
    assert (-parent[roots] == np.bincount(labels)[labels]).all()  # a root holds minus the size


def test_shift_survives_halving():
    # a chain 0 -> 1 -> ... -> 9 whose links carry 1, 2, 3, ...: the sum to the root stays the same
    parent, shift = np.arange(1, 11, dtype=np.int32), np.arange(1, 11, dtype=np.int64)
    parent[9] = -10
    for i in (0, 3, 0, 5, 1, 0):
        assert find_shift(parent, shift, i) == (9, sum(range(i + 1, 10)))


@pytest.mark.parametrize("d", range(1, 8))
def test_packed_winding_adds_and_names_its_axes(d):
    rng = np.random.default_rng(d)
    top = 2 ** (winding_bits(d) - 1) - 1
    for _ in range(50):
        a, b = rng.integers(-(top // 2), top // 2 + 1, (2, d)) * rng.integers(0, 2, d)
        assert pack(a) + pack(b) == pack(a + b)
        wrapped = np.full(d, 9)
        note(wrapped, winding_bits(d), np.int64(pack(a + b)), 4)
        assert (wrapped == np.where(a + b != 0, 4, 9)).all()
