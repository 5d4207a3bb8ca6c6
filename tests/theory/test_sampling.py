"""Draws until r passes, pass@k and task laws against exact sums, brute force and simulation."""

from __future__ import annotations

from itertools import combinations
from math import comb, log

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.sampling import any_fails, bias_of_ratio, pass_at_k, pass_until, task_law


@pytest.mark.parametrize(("r", "ratio"), [(1, 4.652), (2, 1.926), (5, 1.246)])
def test_bias_of_the_published_estimator(r, ratio):
    assert bias_of_ratio(r, 0.01) == pytest.approx(ratio, abs=1e-3)
    if r == 1:
        assert bias_of_ratio(1, 0.01) == pytest.approx(log(100) / 0.99, rel=1e-9)


def test_the_other_estimator_is_unbiased():
    rng = np.random.default_rng(0)
    for r in (2, 5):
        k = rng.negative_binomial(r, 0.01, size=200_000) + r
        mean = ((r - 1) / (k - 1)).mean() / 0.01
        # relative s.d. of one estimate 1.91 and 0.57: 0.43 % and 0.13 % here
        assert mean == pytest.approx(1.0, abs=0.015)
    assert pass_until(5, 401).value == pytest.approx(4 / 400)
    assert pass_until(5, 400, unbiased=False).value == pytest.approx(5 / 400)


def test_exact_interval_covers():
    rng = np.random.default_rng(1)
    k = rng.negative_binomial(3, 0.05, size=2000) + 3
    inside = np.mean([e.low <= 0.05 <= e.high for e in (pass_until(3, int(n)) for n in k)])
    assert 0.885 < inside < 0.93  # 90 %, s.e. 0.7 %; discrete, so never less in law


def test_the_cap_censors():
    e = pass_until(0, 1000, wanted=2, level=0.95)
    assert (e.value, e.low) == (0.0, 0.0)
    assert e.high == pytest.approx(1 - 0.025**1e-3, rel=1e-9)
    assert "right-censored" in e.status
    assert "two or more" in pass_until(1, 50).status


def test_pass_at_k_counts_subsets():
    n, c, k = 7, 3, 2
    outcomes = [1] * c + [0] * (n - c)
    draws = list(combinations(outcomes, k))
    assert pass_at_k(n, c, k) == pytest.approx(np.mean([any(d) for d in draws]), rel=1e-12)
    assert any_fails(n, c, k) == pytest.approx(np.mean([not all(d) for d in draws]), rel=1e-12)
    assert pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k), rel=1e-12)
    assert pass_at_k([10, 10], [10, 0], 5).tolist() == [1.0, 0.0]
    assert any_fails(10, 9, 5) == pytest.approx(0.5)


N = np.geomspace(1e7, 1e10, 8)


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda u: 2.0 - 0.25 * u, "linear"),
        (
            lambda u: np.logaddexp(0.5 - 0.45 * u, 0.4 - 0.02 * u) + 0.3,
            "convex",
        ),  # steps that must all succeed
        (lambda u: np.minimum(1.9 - 0.02 * u, 2.4 - 0.5 * (u - 1)), "concave"),  # the best of two circuits
    ],
)
def test_shape_of_a_task_law(f, shape):
    u = np.log(N / N[0])
    rate = np.exp(-np.exp(f(u)))
    r = np.full(len(N), 400)
    k = np.random.default_rng(0).negative_binomial(r, rate) + r
    got = task_law(N, r, k)
    assert got.shape == shape, got.curvature
    if shape == "linear":
        assert got.alpha.low < 0.25 < got.alpha.high
        assert got.c == pytest.approx(np.exp(2.0) * N[0] ** 0.25, rel=0.3)


def test_few_passes_tell_no_shape():
    u = np.log(N / N[0])
    r = np.full(len(N), 2)
    k = np.random.default_rng(0).negative_binomial(r, np.exp(-np.exp(2.0 - 0.25 * u))) + r
    assert task_law(N, r, k).shape == "cannot tell"


def test_curvature_of_a_line_has_its_error_rate():
    # 60 lines, level 0.9: 6 wrong calls expected, s.d. 2.3; a percentile bootstrap adds a little
    u = np.log(N / N[0])
    r = np.full(len(N), 100)
    rng = np.random.default_rng(2)
    wrong = sum(
        task_law(N, r, rng.negative_binomial(r, np.exp(-np.exp(1.5 - 0.25 * u))) + r, draws=200).shape
        in ("convex", "concave")
        for _ in range(60)
    )
    assert wrong <= 13  # three standard deviations


def test_bad_counts():
    for call in (
        lambda: pass_until(3, 2),
        lambda: pass_until(2, 5, level=1.0),
        lambda: bias_of_ratio(0, 0.5),
        lambda: pass_at_k(5, 6, 1),
        lambda: pass_at_k(5, 3, 6),
        lambda: task_law([1, 2, 3], [2, 2, 2], [9, 9, 9]),
        lambda: task_law([1, 2, 3, 4], [2, 2, 2, 1], [9, 9, 9, 9]),
    ):
        with pytest.raises(InputError):
            call()
