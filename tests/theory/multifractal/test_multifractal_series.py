"""Multifractal analysis of series: the binomial cascade is the known answer."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.multifractal.exact import binomial_alpha, binomial_cascade, binomial_tau
from opalesce.theory.multifractal.exponents import legendre
from opalesce.theory.multifractal.series import MOMENTS, box_hurst, mfdfa, p_leaders


def exact(q: np.ndarray, p: float) -> np.ndarray:
    safe = np.where(q == 0, 1.0, q)
    return np.where(q == 0, binomial_alpha(0.0, p), (binomial_tau(q, p) + 1) / safe)


@pytest.mark.parametrize(("estimate", "tolerance"), [(box_hurst, 1e-9), (mfdfa, 0.03), (p_leaders, 0.03)])
def test_cascade(estimate, tolerance):
    """Within 0.03 for |q| <= 3 at 2^16 points, where the peers miss by 0.06 to 0.08."""
    found = estimate(binomial_cascade(0.3, 16), MOMENTS, draws=0)
    assert np.abs(found.h - exact(MOMENTS, 0.3)).max() < tolerance
    assert found.r2.min() > 0.99


def test_a_cascade_off_the_grid_is_harder():
    """Rolled by 12,345 cells, windows straddle the cells: the box sums stay within 0.03, the others 0.07."""
    rolled = np.roll(binomial_cascade(0.3, 16), 12345)
    miss = {
        f.__name__: np.abs(f(rolled, draws=0).h - exact(MOMENTS, 0.3)).max()
        for f in (box_hurst, mfdfa, p_leaders)
    }
    assert miss["box_hurst"] < 0.031
    assert miss["p_leaders"] < 0.04
    assert 0.03 < miss["mfdfa"] < 0.07


@pytest.mark.parametrize("estimate", [mfdfa, p_leaders])
def test_white_noise_is_a_half_and_flat(estimate):
    """Mean over 20 series of 2^13: h = 0.5 within 4 standard errors and 0.03 of bias; intervals cover."""
    found = [estimate(np.random.default_rng(s).standard_normal(2**13), draws=100) for s in range(20)]
    h = np.array([f.h for f in found])
    error = h.std(axis=0, ddof=1) / np.sqrt(20)
    assert (np.abs(h.mean(axis=0) - 0.5) < 0.03 + 4 * error).all()
    two = int(np.flatnonzero(MOMENTS == 2)[0])
    covered = np.mean([f.low[two] <= 0.5 <= f.high[two] for f in found])
    assert covered >= 0.6  # nominal 0.9 less bias; binomial error 0.07


def test_random_walk_increments_and_legendre():
    found = mfdfa(binomial_cascade(0.3, 14), draws=0)
    s = legendre(found.exponents())
    assert s.alpha0 == pytest.approx(1.12577, abs=0.06)
    assert s.width == pytest.approx(1.044, abs=0.12)


def test_mfdfa_against_a_plain_loop():
    x = np.random.default_rng(1).standard_normal(700)
    scales, q = [10, 25, 60], np.array([-2.0, 0.0, 2.0])
    profile = np.cumsum(x - x.mean())
    f2 = []
    for s in scales:
        t = np.arange(s)
        pieces = [profile[i : i + s] for i in range(0, 700 // s * s, s)]
        f2.append(np.array([np.mean((p - np.polyval(np.polyfit(t, p, 2), t)) ** 2) for p in pieces]))
    logs = [[np.log(np.mean(v ** (m / 2))) / m if m else np.mean(np.log(v)) / 2 for v in f2] for m in q]
    by_hand = [np.polyfit(np.log(scales), y, 1)[0] for y in logs]
    assert mfdfa(x, q, scales, order=2, draws=0).h == pytest.approx(by_hand, abs=1e-9)


def test_bad_series():
    for x in (np.ones(100), np.append(np.ones(999), np.nan), np.ones((20, 20))):
        with pytest.raises(InputError, match="cannot be analysed"):
            mfdfa(x)
    with pytest.raises(InputError, match="shows nothing"):
        mfdfa(np.ones(1000))
    with pytest.raises(InputError, match="negative mass"):
        box_hurst(np.linspace(-1, 1, 1000))
    with pytest.raises(InputError, match="scales"):
        mfdfa(np.arange(1000.0), scales=[10, 20])
    with pytest.raises(InputError, match="powers of 2"):
        p_leaders(np.arange(1000.0), scales=[4, 8, 12])
