"""Seeds as the independent units: partial conjunction and prediction, against brute force and scipy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student

from opalesce.transitions.seeds import partial_conjunction, prediction_interval


def brute(p, r):
    """The largest Bonferroni p over all choices of S - r + 1 seeds (Benjamini & Heller 2008, sec. 2)."""
    k = len(p) - r + 1
    return max(min(1.0, k * min(chosen)) for chosen in combinations(p, k))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.data())
def test_partial_conjunction_is_the_worst_intersection(p, data):
    r = data.draw(st.integers(1, len(p)))
    assert partial_conjunction(np.array(p), r) == pytest.approx(brute(p, r), abs=1e-12)


@pytest.mark.parametrize(
    ("p", "r", "wanted"),
    [
        ([0.03], None, 0.03),  # one seed: its own p
        ([0.01, 0.2], 1, 0.02),  # at least one: Bonferroni
        ([0.01, 0.2], 2, 0.2),  # all: the largest
        ([0.01, 0.02, 0.9], None, 0.04),  # at least two of three
        ([0.01, 0.02, 0.9, 0.9], None, 0.06),  # at least two of four
        ([0.6, 0.7, 0.8], None, 1.0),  # never above one
        ([0.9, 0.02, 0.01], None, 0.04),  # in any order
    ],
)
def test_edge_cases(p, r, wanted):
    assert partial_conjunction(np.array(p), r) == pytest.approx(wanted)


def test_half_of_the_seeds_is_not_claimed_when_fewer_change():
    """Five seeds of which two change for sure: "at least three" is rejected at most 5 % of the time.

    2,000 repetitions; a rate of 0.05 stays below this count but for one time in a thousand.
    """
    p = np.random.default_rng(0).uniform(size=(2000, 5))
    p[:, :2] = 1e-9
    rejected = sum(partial_conjunction(row) <= 0.05 for row in p)
    assert rejected <= binom.ppf(0.999, 2000, 0.05)
    assert rejected > 0.02 * 2000  # and it is not powerless: 1 - (1 - 0.05/3)^3 = 0.049


@pytest.mark.parametrize("s", [2, 3, 10])
def test_prediction_interval_is_scipys(s):
    x = np.random.default_rng(s).normal(2, 0.3, s)
    found = prediction_interval(x, 0.9)
    wanted = student.interval(0.9, s - 1, loc=x.mean(), scale=x.std(ddof=1) * np.sqrt(1 + 1 / s))
    assert (found.low, found.high) == pytest.approx(wanted)
    assert (found.value, found.n, found.ok) == (pytest.approx(x.mean()), s, True)


def test_prediction_interval_covers_the_next_seed():
    """Exact for normal places: 0.90 over 4,000 draws of 3 + 1 seeds, four standard errors of 0.0047."""
    x = np.random.default_rng(1).standard_normal((4000, 4))
    found = [prediction_interval(row[:3]) for row in x]
    share = np.mean([e.low <= new <= e.high for e, new in zip(found, x[:, 3], strict=True)])
    assert share == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 4000))


def test_one_seed_predicts_nothing_and_says_so():
    one, none = prediction_interval(np.array([1.5])), prediction_interval(np.empty(0))
    assert (one.value, one.ok) == (1.5, False)
    assert "one seed" in one.status
    assert np.isnan([one.low, one.high, none.value]).all()
