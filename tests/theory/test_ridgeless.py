"""Risk of least squares without a penalty: closed forms against each other and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.ridgeless import exact_risk, limit_risk, simulate


@pytest.mark.parametrize(("signal", "noise"), [(1.0, 0.25), (4.0, 1.0), (1.0, 0.0)])
def test_simulation_agrees_on_both_sides(signal, noise):
    p = np.array([5, 20, 30, 52, 80, 200])
    got = simulate(40, p, signal, noise, draws=400, seed=1)
    # six means within four standard errors; 1e-12 where the risk is zero
    assert (np.abs(got.mean - exact_risk(40, p, signal, noise)) < 4 * got.error + 1e-12).all()


def test_finite_sizes_tend_to_the_limit():
    gamma = np.array([0.1, 0.5, 0.9, 1.1, 2.0, 5.0])
    far = exact_risk(10**6, gamma * 10**6, 2.0, 0.5)
    np.testing.assert_allclose(far, limit_risk(gamma, 2.0, 0.5), rtol=1e-4)


def test_the_peak_is_at_as_many_features_as_rows():
    p = np.arange(1, 101)
    risk = exact_risk(50, p, 1.0, 0.1)
    np.testing.assert_array_equal(p[np.isinf(risk)], [49, 50, 51])
    assert np.isinf(limit_risk(1.0))
    # medians of single data sets are finite and peak there too
    near = simulate(50, [30, 50, 70], 1.0, 0.1, draws=60, seed=2).median
    assert near[1] > 5 * max(near[0], near[2])


def test_second_descent_ends_at_the_signal():
    risk = limit_risk([1.5, 3.0, 1e6], signal=1.0, noise=1.0)
    assert risk[0] > risk[1]
    assert risk[2] == pytest.approx(1.0, abs=1e-5)
    # without noise there is no peak: exact below, a share of the signal is lost above
    np.testing.assert_allclose(limit_risk([0.5, 1.0, 2.0], 3.0, 0.0), [0, 0, 1.5])
    np.testing.assert_allclose(exact_risk(10, [5, 10, 20], 3.0, 0.0), [0, 0, 1.5])


def test_bad_input():
    for call in (
        lambda: limit_risk(0.0),
        lambda: limit_risk(np.nan),
        lambda: limit_risk(0.5, noise=-1.0),
        lambda: exact_risk(10, 0),
        lambda: exact_risk(10, 2.5),
        lambda: simulate(10, 5, draws=1),
    ):
        with pytest.raises(InputError):
            call()
