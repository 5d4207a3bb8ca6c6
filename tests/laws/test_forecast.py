"""Forecasts of curves with a known continuation; the back-test sees no future."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.laws.forecast import forecast, foretold, past_scores, weigh, weighted_median
from opalesce.laws.rolling import origins


def curve(rng, n=40, noise=0.01):
    x = np.geomspace(1, 1e4, n)
    level = 0.2 + 2.0 * x**-0.4
    return x, level * np.exp(noise * rng.standard_normal(n))


def test_intervals_hold_on_curves_that_go_on():
    # 16 curves, one target each at twice the data: 90 % asked, 14.4 expected, standard deviation 1.2
    rng = np.random.default_rng(0)
    inside, error = 0, []
    for _ in range(16):
        x, y = curve(rng)
        truth = (0.2 + 2.0 * 2e4**-0.4) * np.exp(0.01 * rng.standard_normal())
        f = forecast(x, y, to=[2e4])
        inside += f.lower[0] <= truth <= f.upper[0]
        error.append(np.log(f.median[0] / truth))
    assert inside >= 11
    assert np.sqrt(np.mean(np.square(error))) < 0.03


def test_a_noiseless_law_is_followed():
    x = np.geomspace(1, 1e4, 50)
    y = 0.1 + 3 * x**-0.5
    f = forecast(x, y, to=[3e4])
    assert f.median[0] == pytest.approx(0.1 + 3 * 3e4**-0.5, rel=2e-3)


def test_far_targets_carry_no_bare_number():
    f = forecast(*curve(np.random.default_rng(1)), to=[2e4, 5e5])
    near, far = str(f).splitlines()[:2]
    assert f"{f.median[0]:.4g} [" in near
    assert f"{f.median[1]:.4g} [" not in far
    assert f.decades == pytest.approx(np.log10([2, 50]))
    assert any("sharp break" in w for w in f.warnings)
    assert any("one decade" in w for w in f.warnings)
    assert f.upper[1] / f.lower[1] > f.upper[0] / f.lower[0]


def test_the_backtest_uses_nothing_from_later():
    x, y = curve(np.random.default_rng(2))
    f = forecast(x, y, to=[2e4])
    r = f.rolled
    later = y.copy()
    later[r.cuts[1] :] *= 150.0
    other = forecast(x, later, to=[2e4]).rolled
    np.testing.assert_array_equal(r.paths[:2], other.paths[:2])  # fitted before the change
    assert weigh(r, 1) == weigh(other, 1)
    assert weigh(r, 2) != weigh(other, 2)
    for one, two in zip(past_scores(r, foretold(r), 1), past_scores(other, foretold(other), 1), strict=True):
        np.testing.assert_array_equal(one, two)
    assert forecast(x, later, to=[2e4]).coverage[0.95] < f.coverage[0.95]
    assert f.tested == sum(len(r.v) - c for c in r.cuts[:-1])
    assert set(f.coverage) == {0.5, 0.8, 0.95}
    assert f.coverage[0.5] <= f.coverage[0.8] <= f.coverage[0.95]


def test_origins_are_spaced_in_log_x():
    u = np.sort(np.random.default_rng(0).uniform(0, 10, 100))
    cuts = origins(u)
    assert cuts[-1] == 100
    assert np.diff([u[c - 1] for c in cuts]) == pytest.approx(np.full(len(cuts) - 1, 1.6), abs=0.5)


def test_weighted_median():
    assert weighted_median(np.array([[1.0], [2.0], [9.0]]), np.ones(3))[0] == 2.0
    assert weighted_median(np.array([[5.0], [1.0], [9.0]]), np.array([100.0, 1.0, 1.0]))[0] == pytest.approx(
        5.0
    )


@pytest.mark.parametrize(
    ("x", "y", "kind", "words"),
    [
        (range(1, 4), [3, 2, 1], {}, "too few"),
        (range(1, 9), [3, 2, np.nan, 1, 1, 1, 1, 2], {}, "row 2"),
        (range(1, 9), range(9, 1, -1), {"to": [-3.0]}, "positive"),
        (range(1, 9), range(9, 1, -1), {"law": "chinchilla"}, "one quantity"),
        (range(1, 9), range(9, 1, -1), {"law": "nonsense"}, "no law"),
        (range(1, 9), range(9, 1, -1), {"level": 0.0}, "between 0 and 1"),
    ],
)
def test_bad_input(x, y, kind, words):
    with pytest.raises(InputError, match=words):
        forecast(list(x), list(y), **{"to": [20.0], **kind})
