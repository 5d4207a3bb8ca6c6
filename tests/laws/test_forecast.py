"""Forecasts of curves with a known continuation; the back-test sees no future."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.laws.catalogue import form
from opalesce.laws.discrepancy import covariance, roughness, tell
from opalesce.laws.forecast import forecast
from opalesce.laws.mixture import Mixture, foretold, stretch, weigh
from opalesce.laws.rolling import condense, needs, origins


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
    np.testing.assert_array_equal(r.mean[:2], other.mean[:2])  # fitted before the change
    assert weigh(r, 1).tolist() == weigh(other, 1).tolist()
    assert weigh(r, 2).tolist() != weigh(other, 2).tolist()
    assert stretch(r, foretold(r), 1, 0.9) == stretch(other, foretold(other), 1, 0.9)
    assert stretch(r, foretold(r), 3, 0.9) < stretch(other, foretold(other), 3, 0.9)
    assert forecast(x, later, to=[2e4]).coverage[0.95] < f.coverage[0.95]
    assert f.tested == sum(len(r.v) - c for c in r.cuts[:-1])
    assert set(f.coverage) == {0.5, 0.8, 0.95}
    assert f.coverage[0.5] <= f.coverage[0.8] <= f.coverage[0.95]


def test_origins_are_spaced_in_log_x():
    u = np.sort(np.random.default_rng(0).uniform(0, 10, 100))
    cuts = origins(u)
    assert cuts[-1] == 100
    assert np.diff([u[c - 1] for c in cuts]) == pytest.approx(np.full(len(cuts) - 1, 1.6), abs=0.5)


def test_quantiles_of_a_mixture():
    # two normal laws far apart: the quartiles are their medians, the median lies between
    m = Mixture(np.array([[0.0], [100.0]]), np.ones((2, 1)), np.array([0.5, 0.5]))
    low, high = m.quantile(0.25, slice(None))[0], m.quantile(0.75, slice(None))[0]
    assert (low, high) == pytest.approx((0.0, 100.0), abs=1e-6)
    one = Mixture(np.array([[3.0]]), np.array([[2.0]]), np.ones(1))
    assert [b[0] for b in one.band(0.9, slice(None))] == pytest.approx(
        [3.0, 3 - 3.2897, 3 + 3.2897], abs=1e-3
    )


def test_the_discrepancy_is_an_integrated_slope():
    # its increments have the variance of a slope times a short step, and its covariance is a covariance
    s = np.linspace(0.0, 8.0, 60)
    k = covariance(s[:, None], s)
    step = k[1:, 1:].diagonal() + k[:-1, :-1].diagonal() - 2 * k[1:, :-1].diagonal()
    assert np.sqrt(step) / np.diff(s) == pytest.approx(np.ones(59), rel=0.03)
    assert np.linalg.eigvalsh(k).min() > -1e-9


def test_a_law_that_holds_is_surer_than_one_that_does_not():
    rng = np.random.default_rng(3)
    x, y = curve(rng, noise=0.003)
    u, v, to = np.log(x), np.log(y), np.log([2e4])
    noise = roughness(u, v)
    assert noise == pytest.approx(0.003, rel=0.4)
    ones = np.ones(len(u))
    good, bad = (tell(form(k), u, v, to, noise, ones) for k in ("M2", "M1"))
    assert good.sd[0] < bad.sd[0] / 2
    assert good.evidence > bad.evidence + 10
    assert abs(good.mean[0] - np.log(0.2 + 2.0 * 2e4**-0.4)) < 3 * good.sd[0]


def test_a_local_trend_goes_on_from_the_last_point_and_fades():
    u = np.linspace(0, 6, 40)
    v = 1.0 - 0.3 * u
    told = tell(None, u, v, np.array([6.05, 9.0, 40.0]), 1e-3, np.ones(40))
    assert told.mean[0] == pytest.approx(v[-1] - 0.3 * 0.05, abs=2e-3)
    # the slope fades as exp(-h / 3): the mean ends 3 x 0.3 lower, and its doubt grows without end
    assert told.mean[2] == pytest.approx(v[-1] - 0.9, abs=0.1)
    assert told.sd[0] < told.sd[1] < told.sd[2]


def test_many_points_are_averaged_and_few_are_not():
    u = np.sort(np.random.default_rng(4).uniform(0, 9, 5000))
    a, b, counts = condense(u, 2 * u)
    assert len(a) <= 80
    assert counts.sum() == 5000
    np.testing.assert_allclose(b, 2 * a)
    assert condense(u[:50], u[:50])[2].tolist() == [1.0] * 50


def test_laws_of_many_parameters_wait_for_points():
    assert [needs(form(k)) for k in ("M2", "M3", "M4", "broken")] == [6, 6, 20, 24]
    few = forecast(*curve(np.random.default_rng(5), n=12), to=[2e4]).weights
    assert few["M4"] == few["broken1"] == 0.0
    assert forecast(*curve(np.random.default_rng(5), n=12), to=[2e4], law="M4").weights["M4"] == 1.0


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
