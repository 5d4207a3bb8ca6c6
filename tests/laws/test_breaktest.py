"""The bootstrap test of a break: its rate of false alarms, its power, its fits against `fit`."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.laws.breaktest import break_test
from opalesce.laws.fit import fit

X = np.geomspace(1, 1e4, 16)


def noisy(y, sd, seed):
    return y * np.exp(sd * np.random.default_rng([31, seed]).standard_normal(len(y)))


def broken(x):
    # slope -0.1 before x = 100 and -0.6 after it, 10-90 % over a factor of 2.4
    return x**-0.1 * (1 + (x / 100) ** 5) ** (-0.5 / 5)


def test_false_alarms_keep_their_level():
    p = np.array(
        [break_test(X, noisy(X**-0.3, 0.05, i), offset=False, draws=39, seed=i).p for i in range(200)]
    )
    # binomial errors of 200 at 0.05, 0.2 and 0.5: 0.0154, 0.0283, 0.0354; three of them
    for level, error in ((0.05, 0.0154), (0.2, 0.0283), (0.5, 0.0354)):
        assert abs((p <= level).mean() - level) < 3 * error


@pytest.mark.validate
def test_false_alarms_with_a_limit_and_unequal_errors():
    sd = np.linspace(0.02, 0.1, len(X))
    curves = [noisy(0.1 + X**-0.3, sd, i) for i in range(200)]
    p = np.array([break_test(X, y, errors=sd, draws=39, seed=i).p for i, y in enumerate(curves)])
    for level, error in ((0.05, 0.0154), (0.2, 0.0283), (0.5, 0.0354)):
        assert abs((p <= level).mean() - level) < 3 * error


def test_a_planted_break_is_found_and_placed():
    tests = [break_test(X, noisy(broken(X), 0.05, i), offset=False, draws=39, seed=i) for i in range(20)]
    assert np.mean([t.p <= 0.05 for t in tests]) >= 0.9  # 20 of 20 expected: the ratio is far outside
    assert np.median([t.params["d1"] for t in tests]) == pytest.approx(100, rel=0.3)
    assert np.median([t.params["c1"] for t in tests]) == pytest.approx(0.5, rel=0.3)


def test_the_second_break():
    y = broken(X) * (1 + (X / 2000) ** 5) ** (0.6 / 5)
    assert break_test(X, noisy(y, 0.005, 0), breaks=2, offset=False, draws=39).p <= 0.05
    once = np.array(
        [break_test(X, noisy(broken(X), 0.02, i), breaks=2, offset=False, draws=19).p for i in range(20)]
    )
    # 20 curves with one break: P(6 or more of p <= 0.1) is 0.01
    assert (once <= 0.1).sum() < 6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_its_fits_are_those_of_fit(seed):
    y = noisy(0.02 + broken(X), 0.03, seed)
    got = break_test(X, y, draws=19)
    costs = [fit("broken", X, y, n_breaks=n, draws=0).diagnostics["objective"] for n in (0, 1)]
    assert got.ratio == pytest.approx(len(X) * np.log(costs[0] / costs[1]), rel=1e-3)


def test_only_the_shape_of_the_errors_counts_and_order_does_not():
    y, sd = noisy(broken(X), 0.05, 0), np.linspace(0.02, 0.1, len(X))
    one = break_test(X, y, errors=sd, draws=19, offset=False)
    two = break_test(X[::-1], y[::-1], errors=7 * sd[::-1], draws=19, offset=False)
    assert one.ratio == pytest.approx(two.ratio, rel=1e-6)
    assert one.ratio != pytest.approx(break_test(X, y, draws=19, offset=False).ratio, rel=1e-3)
    matrix = break_test(X, y, errors=np.diag(sd**2), draws=19, offset=False)
    assert (matrix.ratio, matrix.p) == pytest.approx((one.ratio, one.p), rel=1e-6)
    with_p = (1 + (one.null >= one.ratio).sum()) / 20
    assert one.p == pytest.approx(with_p)


@pytest.mark.parametrize(
    "wrong",
    [
        {"breaks": 0},
        {"breaks": 4},
        {"draws": 5},
        {"errors": [1.0]},
        {"errors": -np.eye(16)},
        {"errors": np.ones(16) * np.nan},
        {"breaks": 3, "x": X[:11]},
    ],
)
def test_bad_input(wrong):
    x = wrong.pop("x", X)
    with pytest.raises(InputError):
        break_test(x, broken(x), **wrong)
