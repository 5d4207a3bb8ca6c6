"""Growing bipartite families: exact cases, a slow twin, the infinite limit, bands that hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from opalesce.errors import InputError
from opalesce.theory.concepts import band, grow, onset
from opalesce.theory.percolation.exact import layered_giant


def rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key or 0)


def test_a_two_by_two_family_is_known_exactly():
    """Two edges never join an unseen pair; three of four always join the last."""
    grown = grow([(2, 2, 1)], [0, 1, 2, 3], 50, rng())
    assert grown.connected[:, 0].tolist() == [[0, 0, 0, 1]] * 50


def test_all_pairs_seen_leave_nothing_unseen():
    assert np.isnan(grow([(2, 3, 2)], [12], 3, rng()).connected).all()


def slow(n1: int, n2: int, m: int, generator: np.random.Generator) -> float:
    e, k = np.divmod(generator.permutation(n1 * n2)[:m], n2)
    graph = coo_matrix((np.ones(m), (e, n1 + k)), shape=(n1 + n2, n1 + n2))
    label = connected_components(graph, directed=False)[1]
    same = label[:n1, None] == label[None, n1:]
    return (same.sum() - m) / (n1 * n2 - m)


@pytest.mark.parametrize("m", [8, 16, 30])
def test_the_share_of_connected_pairs_agrees_with_a_slow_twin(m: int):
    n = 1500
    fast = grow([(6, 20, 1)], [m], n, rng(m)).connected[:, 0, 0]
    twin = np.array([slow(6, 20, m, rng(m, i)) for i in range(n)])
    error = np.sqrt((fast.var() + twin.var()) / n)
    assert abs(fast.mean() - twin.mean()) < 4 * error  # four standard errors of the difference
    assert fast.mean() > 0.001


def test_mirrors_share_the_pairs_at_random():
    """Two families together behave like the mean of two with hypergeometric counts: mean share is kept."""
    one = grow([(10, 10, 1)], [25], 3000, rng(1)).connected.mean()
    two = grow([(10, 10, 2)], [50], 3000, rng(2)).connected
    # counts now fluctuate (sd 3.1 pairs), which moves the mean by less than half the share's spread
    assert abs(two.mean() - one) < 0.5 * two.std()


def test_a_large_family_follows_the_infinite_limit():
    n1, n2, c = 400, 1600, 2.0
    p = c / np.sqrt(n1 * n2)
    s1, s2 = layered_giant([n1, n2], p)
    grown = grow([(n1, n2, 1)], [round(p * n1 * n2)], 40, rng(5)).connected[:, 0, 0]
    error = grown.std() / np.sqrt(len(grown))
    assert abs(grown.mean() - s1 * s2) < 4 * error + 0.005  # the last: corrections of order 1/n1
    assert error < 0.01


def test_the_finite_threshold_lies_above_and_tends_to_the_infinite_one():
    ratios = []
    for a, b in ((10, 40), (40, 160), (160, 640)):
        peak = grow([(a, b, 1)], [a * b // 2], 120, rng(a)).peak[:, 0] * np.sqrt(a * b)
        ratios.append(peak.mean())
        assert peak.mean() > 1 - 3 * peak.std() / np.sqrt(120)
    assert ratios[2] < ratios[1] + 0.03
    assert ratios[2] < 1.15


def test_a_band_holds_fresh_replicates_at_its_level():
    draw = rng(3).standard_normal((6000, 8)).cumsum(axis=1)
    low, high = band(draw[:3000], 0.9)
    inside = ((draw[3000:] >= low) & (draw[3000:] <= high)).all(axis=1).mean()
    assert 0.87 < inside < 0.93  # 0.9 within 4 s.e. of 3000 (0.022) and the band's own (0.008)


def test_a_band_refuses_what_too_few_replicates_cannot_give():
    with pytest.raises(InputError, match="too few"):
        band(rng(4).standard_normal((20, 5)), 0.99)


def test_onset_reads_between_the_rungs_in_log_density():
    assert onset([1, 10, 100], [0.5, 0.5, 0.7], 0.6) == pytest.approx(10**1.5)
    assert onset([1, 10], [0.5, 0.55], 0.6) == float("inf")
    assert onset([2, 10], [0.7, 0.8], 0.6) == 2
    dip = onset([1, 2, 4, 8], [0.5, 0.62, 0.5, 0.9], 0.6)  # a lone bump is averaged away
    assert dip > 4


@pytest.mark.parametrize(
    ("sizes", "rungs"), [([], [1]), ([(0, 3, 1)], [1]), ([(2, 2, 1)], [3, 2]), ([(2, 2, 2)], [9])]
)
def test_impossible_worlds_are_refused(sizes, rungs):
    with pytest.raises(InputError):
        grow(sizes, rungs, 2, rng())
