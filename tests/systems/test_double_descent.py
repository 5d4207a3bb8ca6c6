"""A curve with a peak at P = n, trained and exact, and the places of the broken law's breaks on it."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.systems.double_descent import place_breaks, train
from opalesce.theory.ridgeless import exact_risk

N, NOISE = 100, 0.25
GRID = np.unique(np.geomspace(12, 600, 20).round().astype(int))


@pytest.mark.torch
@pytest.mark.parametrize("over", ["widths", "rows"])
def test_the_trained_curve_peaks_at_as_many_widths_as_rows(over):
    pytest.importorskip("torch")
    curve = train(N, GRID, noise=NOISE, steps=1000) if over == "widths" else train(GRID, N, steps=1000)
    top = GRID[curve.test.argmax()]
    assert 0.75 < top / N < 1.35  # one point of the grid, a factor of 1.23, to either side
    # labels are fitted where the width allows it, and only there
    ratio = curve.widths / curve.rows
    assert (curve.training[ratio > 2] < 1e-3).all()
    assert (curve.training[ratio < 0.5] > 0.05).all()
    # the second descent ends below the peak by many standard errors
    assert curve.test.max() - curve.test[-1] > 5 * curve.error.max()
    found = place_breaks(GRID, curve.test, N)
    assert [f.breaks for f in found] == [0, 1, 2, 3]
    best = min(found, key=lambda f: f.bic)
    assert best.breaks >= 2
    assert abs(best.off) < 0.15
    assert best.top == pytest.approx(N, rel=0.15)


@pytest.mark.torch
def test_descent_has_converged_away_from_the_peak():
    pytest.importorskip("torch")
    # more steps change nothing, and fewer do
    few, some, many = (train(40, [10, 200], steps=s, seeds=2).test for s in (3, 1000, 2000))
    np.testing.assert_allclose(some, many, rtol=1e-4)
    assert (np.abs(few - many) > 1e-3).all()


@pytest.mark.torch
def test_one_seed_gives_one_curve():
    pytest.importorskip("torch")
    a, b, c = (train(20, [5, 30], steps=50, seeds=2, seed=s).test for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()


@pytest.mark.parametrize("over", ["widths", "rows"])
def test_breaks_on_the_exact_curve(over):
    away = GRID[np.abs(GRID - N) > 1]  # the risk is infinite within one of the peak
    risk = exact_risk(N, away, 1, NOISE) if over == "widths" else exact_risk(away, N, 1, NOISE)
    found = place_breaks(away, risk + NOISE, N)
    errors = [f.rmse for f in found]
    assert errors == sorted(errors, reverse=True)
    assert abs(found[3].off) < 0.05
    assert abs(found[3].off) < abs(found[1].off)
    # a power law can only be largest at an end
    assert np.isnan(found[0].off)
    assert found[0].top in (pytest.approx(away[0]), pytest.approx(away[-1]))


def test_laws_with_more_parameters_than_points_are_left_out():
    x = np.geomspace(1, 100, 8)
    assert [f.breaks for f in place_breaks(x, 1 / x + 0.1 + x / 300, 10.0)] == [0, 1]


def test_bad_input():
    for wrong in ({"peak": 0.0}, {"peak": 10.0, "most": 4}):
        with pytest.raises(InputError):
            place_breaks(GRID, 1 / GRID, **wrong)


@pytest.mark.torch
@pytest.mark.parametrize("wrong", [{"seeds": 1}, {"noise": -1.0}, {"steps": 0}, {"widths": 0}])
def test_bad_settings(wrong):
    pytest.importorskip("torch")
    with pytest.raises(InputError):
        train(10, **({"widths": 5} | wrong))
