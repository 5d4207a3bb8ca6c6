"""Null tables: p-values are uniform or conservative, and a wrong null would be noticed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from opalesce.transitions.calibrate import NullTable, table
from opalesce.transitions.scan import Design

from . import dense

N, SERIES = 27, 1000
LEVELS = (0.01, 0.05, 0.2, 0.5)


@pytest.fixture(scope="module")
def regular():
    return NullTable(Design(np.arange(float(N)), 6.5), first=1999)


def ar1(phi, b, seed, n=N):
    """By scipy's filter, not by the code's own factor."""
    e = np.random.default_rng(seed).standard_normal((n, b))
    e[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], e, axis=0)


def most(alpha, b=SERIES):
    """Rejections that a test of level alpha stays below but for one time in ten thousand.

    The table itself is simulated: its quantile has a level of standard error sqrt(alpha (1 - alpha) / 1999),
    added here three times.
    """
    return binom.ppf(0.9999, b, min(1.0, alpha + 3 * np.sqrt(alpha * (1 - alpha) / 1999)))


@pytest.mark.parametrize("phi", [0.0, 0.63, 0.7, 0.97])
def test_p_values_are_uniform_or_conservative(regular, phi):
    """White, a correlation between two of the grid, one of it, and nearly a random walk."""
    t, _ = regular.design.statistics(ar1(phi, SERIES, 1) + np.linspace(0, 40, N)[:, None] ** 2)
    p = regular.p_values(t)
    for alpha in LEVELS:
        assert (p <= alpha).sum() <= most(alpha)


@pytest.mark.parametrize("phi", [0.0, 0.7])
def test_any_change_at_all_is_calibrated_too(regular, phi):
    _, s = regular.design.statistics(ar1(phi, SERIES, 2))
    p = regular.p_values(s, which=1)
    for alpha in LEVELS:
        assert (p <= alpha).sum() <= most(alpha)


def test_the_worst_noise_is_not_wasted(regular):
    """Conservative, but only so far: in its own worst noise the test rejects at its level."""
    design, critical = regular.design, regular.critical(0.05)
    tails = [regular.tail(critical, j) for j in range(len(design.models))]
    worst = int(np.argmax(tails))
    assert tails[worst] == pytest.approx(0.05, abs=0.002)
    y = design.models[worst].root @ np.random.default_rng(3).standard_normal((N, SERIES))
    rejected = (regular.p_values(design.statistics(y)[0]) <= 0.05).sum()
    assert binom.ppf(0.0001, SERIES, 0.05 - 3 * np.sqrt(0.05 * 0.95 / 1999)) <= rejected <= most(0.05)


def test_stated_errors_and_uneven_places(regular):
    r = np.random.default_rng(4)
    u = np.cumsum(r.uniform(0.3, 2, N))
    se = np.linspace(1, 4, N)
    uneven = NullTable(Design(u, (u[-1] - u[0]) / 4, se), first=1999)
    for y in (
        se[:, None] * r.standard_normal((N, SERIES)),
        np.linalg.cholesky(dense.sigma_of(uneven.design, uneven.design.noises[-1]))
        @ r.standard_normal((N, SERIES)),
    ):
        p = uneven.p_values(uneven.design.statistics(y)[0])
        for alpha in LEVELS:
            assert (p <= alpha).sum() <= most(alpha)


@pytest.mark.parametrize("drift", [3.0, 0.2])
@pytest.mark.parametrize("phi", [0.0, 0.7])
def test_noise_that_grows_or_dies_away(regular, drift, phi):
    """Unstated, between two drifts of the grid and at its end, white and correlated."""
    sd = drift ** np.linspace(0, 1, N)
    p = regular.p_values(regular.design.statistics(sd[:, None] * ar1(phi, SERIES, 6))[0])
    for alpha in LEVELS:
        assert (p <= alpha).sum() <= most(alpha)


def test_a_null_without_correlation_would_be_noticed(regular):
    """The same test with the correlation left out of model and table convicts AR(1) 0.7 far too often."""
    d = regular.design
    white = NullTable(d.recandidate(d.places, d.widths, [dense.near(d, 0.0)]), first=1999)
    p = white.p_values(white.design.statistics(ar1(0.7, SERIES, 5))[0])
    assert (p <= 0.05).sum() > 2 * most(0.05)


def test_one_p_value_is_that_of_the_vector_and_never_zero(regular):
    d = regular.design
    some = d.recandidate(d.places, d.widths, [0, dense.near(d, 0.0), dense.near(d, 0.9)])
    values = np.array([-1.0, 0.5, 5.0, 12.0, 1e6])
    many = NullTable(some).p_values(values)
    one = [NullTable(some).p_value(float(v)) for v in values]
    assert many[0] == 1.0
    assert one[:4] == pytest.approx(many[:4], abs=0.005)
    assert 0 < one[4] <= 0.001
    assert many[4] > 0
    assert np.all(np.diff(many) <= 0)


def test_a_small_p_value_is_simulated_until_it_is_resolved():
    """Besag & Clifford (1991): it goes on until ten exceedances or the resolution that was asked."""
    few = NullTable(Design(np.arange(14.0), 6.5).recandidate(np.array([6.5]), np.array([0.5]), [0]), first=99)
    q = few.critical(0.0005)
    coarse, fine = few.p_value(1e6, resolve=0.1), few.p_value(1e6, resolve=0.001)
    assert coarse == 1 / 101
    assert fine == 1 / 10_001
    assert few.p_value(q, resolve=0.001) < 0.02


def test_equal_designs_share_one_table_and_other_designs_do_not():
    u = np.arange(20.0)
    a = table(u, 5.0)
    assert table(u.copy(), 5.0) is a
    assert table(u, 6.0) is not a
    again, far = NullTable(Design(u, 5.0)), NullTable(Design(u + 100, 5.0))
    moved = NullTable(Design(2 * u, 10.0))
    values = np.array([3.0, 8.0])
    assert np.array_equal(again.p_values(values), a.p_values(values))
    # neither the origin nor the unit of the axis matters: the same random numbers are drawn
    assert far.p_values(values) == pytest.approx(a.p_values(values), abs=0.002)
    assert moved.p_values(values) == pytest.approx(a.p_values(values), abs=0.002)
