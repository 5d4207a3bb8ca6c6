"""Partial rank correlation: nothing left of a common cause, a link kept, false alarms counted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from opalesce.errors import InputError
from opalesce.transitions.partial import partial_rank_correlation


def runs(n_runs: int, n: int) -> np.ndarray:
    return np.repeat(np.arange(n_runs), n)


def ar1(rng: np.random.Generator, n: int, phi: float = 0.5) -> np.ndarray:
    e = rng.standard_normal(n)
    for i in range(1, n):
        e[i] += phi * e[i - 1]
    return e


def test_plain_is_spearman_and_controls_take_the_common_cause():
    rng = np.random.default_rng(0)
    z = np.tile(np.arange(15.0), 4)
    x, y = z + rng.normal(0, 1, 60), z**3 + rng.normal(0, 200, 60)
    found = partial_rank_correlation(x, y, {"step": z}, runs(4, 15), rng, draws=200)
    assert found.plain == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert found.plain > 0.8
    assert abs(found.partial.value) < 0.35  # s.d. 0.13
    assert found.controls == ("step",)


def test_a_real_link_is_kept():
    rng = np.random.default_rng(1)
    z, own = np.tile(np.arange(15.0), 4), rng.standard_normal(60)
    x, y = z + 3 * own, z + 3 * own + rng.normal(0, 1, 60)
    found = partial_rank_correlation(x, y, {"step": z}, runs(4, 15), rng, draws=400)
    assert found.partial.low > 0.5
    assert found.p_value < 0.01
    assert found.null[0] < 0 < found.null[1]


def test_against_regression_by_hand():
    rng = np.random.default_rng(2)
    x, y, z, v = rng.standard_normal((4, 20))
    found = partial_rank_correlation(x, y, {"z": z, "v": v}, runs(1, 20), rng, draws=10)
    rank = {k: np.argsort(np.argsort(a)) + 1.0 for k, a in (("x", x), ("y", y), ("z", z), ("v", v))}
    precision = np.linalg.inv(np.corrcoef([rank["x"], rank["y"], rank["z"], rank["v"]]))
    by_hand = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert found.partial.value == pytest.approx(by_hand, abs=1e-9)


def test_false_alarms_on_independent_drifting_curves():
    """150 pairs of trends with AR(1) 0.5 noise: p < 0.05 in at most 12 % (binomial s.d. 1.8 % about 5 %)."""
    hits = 0
    for seed in range(150):
        rng = np.random.default_rng([3, seed])
        z = np.tile(np.arange(12.0), 3)
        x, y = (z + 2 * np.concatenate([ar1(rng, 12) for _ in range(3)]) for _ in range(2))
        hits += partial_rank_correlation(x, y, {"step": z}, runs(3, 12), rng, draws=99).p_value < 0.05
    assert hits / 150 <= 0.12


def test_points_that_are_not_finite_are_left_out_and_few_are_refused():
    rng = np.random.default_rng(4)
    x = np.arange(12.0)
    x[3] = np.nan
    found = partial_rank_correlation(x, np.arange(12.0), {}, runs(1, 12), rng, draws=20)
    assert found.partial.n == 11
    assert found.plain == pytest.approx(1.0)
    with pytest.raises(InputError, match="too few"):
        partial_rank_correlation(x[:7], x[:7], {}, runs(1, 7), rng)
    with pytest.raises(InputError, match="one run"):
        partial_rank_correlation(x, x, {}, runs(1, 7), rng)
