"""Noise of a witness: closed forms of the Ornstein-Uhlenbeck process on an uneven axis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opalesce.transitions.noise import PHIS, Noise, covariance, grid, spacing

U = np.array([0.0, 1.0, 1.5, 3.5, 4.0, 5.0, 9.0, 9.5, 10.5])


@pytest.mark.parametrize("phi", [0.2, 0.7, 0.98])
def test_unequal_spacing_entry_by_entry(phi):
    """exp(-|u_i - u_j| / tau) with tau = -delta / log(phi), delta the median spacing."""
    delta = spacing(U)
    assert delta == 1.0
    tau = -delta / np.log(phi)
    found = covariance(U, Noise(phi))
    for i, a in enumerate(U):
        for j, b in enumerate(U):
            assert found[i, j] == pytest.approx(np.exp(-abs(a - b) / tau), rel=1e-12)


def test_equal_spacing_is_ar1():
    found = covariance(3.0 * np.arange(6), Noise(0.7))
    assert np.allclose(found[0], 0.7 ** np.arange(6))


def test_markov():
    """The inverse of an OU covariance is tridiagonal: the future knows the past by the present."""
    inverse = np.linalg.inv(covariance(U, Noise(0.7)))
    far = np.abs(np.subtract.outer(np.arange(len(U)), np.arange(len(U)))) > 1
    assert np.abs(inverse[far]).max() < 1e-9
    assert np.abs(inverse[~far]).min() > 1e-3


def test_exact_transition_simulates_the_same_covariance():
    """The slow twin: step through the SDE's exact transition, 40,000 paths; sampling error 1/200."""
    rng, b, phi = np.random.default_rng(0), 40_000, 0.6
    z = np.empty((len(U), b))
    z[0] = rng.standard_normal(b)
    for i in range(1, len(U)):
        a = phi ** ((U[i] - U[i - 1]) / spacing(U))
        z[i] = a * z[i - 1] + np.sqrt(1 - a * a) * rng.standard_normal(b)
    # an entry has standard error at most sqrt(2 / b) = 0.0071; the largest of 45 stays below 4.5
    assert np.abs(z @ z.T / b - covariance(U, Noise(phi))).max() < 4.5 * np.sqrt(2 / b)


def test_white_and_mixed():
    se = np.linspace(1, 3, len(U))
    shape = se**2 / np.mean(se**2)
    assert np.array_equal(covariance(U, Noise(0.0)), np.eye(len(U)))
    assert np.allclose(covariance(U, Noise(0.0, lam=0.0), se), np.diag(shape))
    mixed = covariance(U, Noise(0.7, lam=0.3), se)
    assert np.allclose(mixed, 0.7 * np.diag(shape) + 0.3 * covariance(U, Noise(0.7)))
    assert np.allclose(covariance(U, Noise(0.7, lam=0.3), 7 * se), mixed)  # only ratios matter
    scaled = covariance(U, Noise(0.7, lam=None), se)  # errors that scale correlated noise
    assert np.allclose(scaled, np.sqrt(np.outer(shape, shape)) * covariance(U, Noise(0.7)))


def test_drift_of_the_noise_is_geometric_from_start_to_end_with_mean_variance_one():
    found = covariance(U, Noise(0.0, drift=9.0))
    sd = np.sqrt(np.diag(found))
    assert np.allclose(sd[1:] / sd[:-1], 9 ** (1 / 8))
    assert sd[-1] / sd[0] == pytest.approx(9)
    assert np.trace(found) == pytest.approx(len(U))
    both = covariance(U, Noise(0.7, drift=1 / 3))
    assert np.allclose(both / np.sqrt(np.outer(np.diag(both), np.diag(both))), covariance(U, Noise(0.7)))


def test_correlation_along_the_raw_axis():
    """On a log axis noise as long as so many steps: the formula with x in the place of u."""
    x = 10.0**U
    assert np.allclose(covariance(U, Noise(0.7, raw=True), clock=x), covariance(x, Noise(0.7)))
    assert np.allclose(covariance(U, Noise(0.7), clock=x), covariance(U, Noise(0.7)))


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("clock", [False, True])
def test_grid_spans_white_to_random_walk_and_holds_no_model_twice(stated, clock):
    found = grid(stated, clock)
    assert len(set(found)) == len(found)
    assert {0.0} < {m.phi for m in found}
    assert max(m.phi for m in found) > 0.97
    assert any(m.raw for m in found) is clock
    if stated:  # without an OU part its correlation means nothing: one such model only
        assert sum(m.lam == 0 for m in found) == 1
    else:
        assert {m.phi for m in found if not m.raw} == set(PHIS)
        assert {m.drift for m in found} == {1 / m.drift for m in found}  # either end may be noisier


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.01, 5), min_size=11, max_size=40),
    st.floats(0, 0.995),
    st.floats(0, 1),
    st.integers(0, 999),
)
def test_every_covariance_factors(gaps, phi, lam, seed):
    u = np.cumsum(gaps)
    se = np.random.default_rng(seed).uniform(0.1, 10, len(u))
    sigma = covariance(u, Noise(phi, lam=lam), se)
    root = np.linalg.cholesky(sigma)
    assert np.allclose(root @ root.T, sigma, atol=1e-9)
    assert np.allclose(sigma, sigma.T)
