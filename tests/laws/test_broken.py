"""The broken law is recovered where it is planted."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.laws.broken import BrokenLaw, break_place, fit_broken

TRUE = BrokenLaw(0.5, 0.0, 1.5, 0.02, 0.3, 0.0)
X = np.geomspace(0.001, 0.5, 16)


def test_limits_are_power_laws():
    far = np.array([1e-9, 1e-8])
    assert TRUE(far) == pytest.approx([0.5, 0.5])
    y = TRUE(np.array([1e4, 1e5]))
    assert np.log10(y[1] / y[0]) == pytest.approx(-1.5, abs=1e-6)


def test_a_planted_law_is_found_without_noise():
    got = fit_broken(X, TRUE(X))
    assert got.d1 == pytest.approx(0.02, rel=1e-3)
    assert got.c1 == pytest.approx(1.5, rel=1e-3)
    assert got.rms < 1e-6


def test_the_interval_of_the_break_holds_it():
    """25 repeats, nominal 95 % over 8 seeds; the bootstrap of 8 is known to be short, 80 % is demanded."""
    held = 0
    for i in range(25):
        rng = np.random.default_rng(i)
        seeds = TRUE(X) * np.exp(0.05 * rng.standard_normal((8, len(X))))
        e = break_place(X, seeds, rng, draws=30)
        held += e.low <= 0.02 <= e.high
    assert held >= 25 * 0.80 - 3 * np.sqrt(25 * 0.8 * 0.2)


@pytest.mark.parametrize("y", [np.ones(3), -np.ones(16), np.full(16, np.nan)])
def test_bad_input(y):
    with pytest.raises(InputError):
        fit_broken(X[: len(y)], y)
    with pytest.raises(InputError):
        break_place(X, y, np.random.default_rng(0))
