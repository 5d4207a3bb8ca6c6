"""The change scan against dense matrices, scipy's normal density, and a closed-form distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f as f_distribution
from scipy.stats import kstest

from opalesce.errors import InputError
from opalesce.transitions.scan import Design
from opalesce.transitions.smooth import logistic

from . import dense


def series(design, seed):
    return 10 * np.random.default_rng(seed).standard_normal(len(design.u))


@pytest.mark.parametrize("seed", range(8))
def test_log_likelihood_is_the_normal_density_of_the_error_contrasts(seed):
    """l2 of each candidate and noise model, with scale and height at their maximum: scipy's density."""
    design = dense.random_design(seed)
    y = series(design, seed + 100)
    place, width = design.candidates
    for noise, m in zip(design.noises[::3], design.models[::3], strict=True):
        sigma = dense.sigma_of(design, noise)
        found = design.loglik(m, y[:, None])[:, 0]
        wanted = [
            dense.contrast_density(y, design.null, sigma, logistic(design.u, c, w))
            for c, w in zip(place, width, strict=True)
        ]
        assert found + dense.constant(design.nu) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_contrasts_give_harvilles_restricted_likelihood(seed):
    """-1/2 log|R| - 1/2 log|X'R^-1 X| - nu/2 log r with orthonormal X (Harville 1974): no contrasts."""
    design = dense.random_design(seed)
    y = series(design, seed)
    x = design.null
    for noise, m in zip(design.noises, design.models, strict=True):
        sigma = dense.sigma_of(design, noise)
        r = dense.gls(x, y, sigma)[2]
        wanted = -0.5 * np.linalg.slogdet(sigma)[1]
        wanted += -0.5 * np.linalg.slogdet(x.T @ np.linalg.inv(sigma) @ x)[1]
        wanted += -0.5 * design.nu * np.log(r)
        z = m.contrast @ y
        assert -0.5 * m.logdet - 0.5 * design.nu * np.log(z @ z) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_both_statistics_equal_brute_force(seed):
    design = dense.random_design(seed)
    y = series(design, seed)
    sharp, smooth = design.statistics(y[:, None])
    assert (sharp[0], smooth[0]) == pytest.approx(dense.statistics(design, y), abs=1e-6)
    assert sharp[0] >= -1e-9
    assert smooth[0] >= -1e-9


@settings(max_examples=40, deadline=None)
@given(dense.seeds, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.booleans())
def test_no_smooth_curve_and_no_unit_changes_the_statistic(seed, size, scale, flip):
    """T(scale * (y + any member of S)) = T(y), whatever the noise; so for M1 over M0 with a constant."""
    design = dense.random_design(seed % 7)
    y = series(design, seed)
    member = design.null @ (size * np.random.default_rng(seed + 1).standard_normal(design.null.shape[1]))
    factor = -scale if flip else scale
    plain, moved = (design.statistics(v[:, None]) for v in (y, factor * (y + member)))
    assert moved[0] == pytest.approx(plain[0], abs=1e-5)
    level = design.statistics(factor * (y + size)[:, None])
    assert level[1] == pytest.approx(plain[1], abs=1e-5)


def test_the_statistic_does_change_with_a_sharp_step():
    design = Design(np.arange(40.0), 10.0)
    y = np.random.default_rng(0).standard_normal(40)
    step = (design.u > 20.2).astype(float)
    t = [design.statistics((y + h * step)[:, None])[0][0] for h in (0, 4, 8, 16)]
    assert t == sorted(t)
    assert t[-1] > t[0] + 20


@pytest.mark.parametrize(("phi", "seed"), [(0.0, 0), (0.7, 1)])
def test_one_candidate_in_known_noise_follows_the_f_distribution(phi, seed):
    """T = nu log(1 + F / (nu - 1)) with F ~ F(1, nu - 1) exactly, when noise and candidate are fixed.

    Kolmogorov-Smirnov over 4,000 series: 0.021 is the 5 % point of the distance; p >= 0.001 is asked.
    """
    full = Design(np.arange(30.0), 8.0)
    design = full.recandidate(np.array([14.3]), np.array([2.0]), [dense.near(full, phi)])
    root = np.linalg.cholesky(dense.sigma_of(design, design.noises[0]))
    y = root @ np.random.default_rng(seed).standard_normal((30, 4000))
    t = design.statistics(y)[0]
    f = (design.nu - 1) * np.expm1(t / design.nu)
    assert kstest(f, f_distribution(1, design.nu - 1).cdf).pvalue >= 0.001


def test_a_broken_correlation_would_be_seen():
    """The same comparison with correlated noise judged as white: the distance is far out."""
    full = Design(np.arange(30.0), 8.0)
    white = full.recandidate(np.array([14.3]), np.array([2.0]), [dense.near(full, 0.0)])
    root = np.linalg.cholesky(dense.sigma_of(full, full.noises[dense.near(full, 0.7)]))
    y = root @ np.random.default_rng(1).standard_normal((30, 4000))
    f = (white.nu - 1) * np.expm1(white.statistics(y)[0] / white.nu)
    assert kstest(f, f_distribution(1, white.nu - 1).cdf).pvalue < 1e-20


@pytest.mark.parametrize("seed", range(5))
def test_height_and_its_error_are_generalised_least_squares(seed):
    design = dense.random_design(seed)
    y = series(design, seed)
    place, width = design.candidates
    for j, noise in list(enumerate(design.noises))[::4]:
        sigma = dense.sigma_of(design, noise)
        for k in (0, len(place) - 1):
            x = np.column_stack([design.null, logistic(design.u, place[k], width[k])])
            beta, cov, rss = dense.gls(x, y, sigma)
            s = np.sqrt(rss / (len(y) - x.shape[1]))
            wanted = (beta[-1], s * np.sqrt(cov[-1, -1]), s)
            assert design.height(y, j, k) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_fit_is_the_best_of_all_and_its_curve_is_the_dense_fit(seed):
    design = dense.random_design(seed)
    y = series(design, seed)
    fit = design.fit(y)
    values = np.array([design.loglik(m, y[:, None])[:, 0] for m in design.models])
    place, width = design.candidates
    j, k = np.unravel_index(values.argmax(), values.shape)
    assert (fit.noise, fit.place, fit.width) == (j, place[k], width[k])
    assert fit.sharp == design.statistics(y[:, None])[0][0]
    sigma = dense.sigma_of(design, design.noises[fit.noise])
    shape = logistic(design.u, fit.place, fit.width)
    x = np.column_stack([design.null, shape])
    curve = x @ dense.gls(x, y, sigma)[0]
    assert design.curve(y, fit) == pytest.approx(curve, abs=1e-6)
    smooth = design.null @ dense.gls(design.null, y, sigma)[0]
    assert design.smooth_range(y, fit.noise) == pytest.approx(np.ptp(smooth), rel=1e-6)
    assert design.height_at(y, fit) == pytest.approx(fit.height, rel=1e-6)
    other = series(design, seed + 1)
    assert design.height_at(other, fit) == pytest.approx(dense.gls(x, other, sigma)[0][-1], rel=1e-6)
    white = np.linalg.solve(np.linalg.cholesky(sigma), y - curve)
    assert design.innovations(y, fit) == pytest.approx(white, abs=1e-6)


def test_best_and_profile_are_the_same_search():
    design = dense.random_design(3)
    y = np.random.default_rng(0).standard_normal((len(design.u), 5))
    top, where = design.best(y)
    for i in range(5):
        profile = design.profile(y[:, i])
        assert profile.shape == (len(design.places), len(design.widths))
        assert (profile.max(), profile.argmax()) == (pytest.approx(top[i]), where[i])
    rows = np.array([1, 4, 6])
    some, at = design.best(y, rows)
    assert np.allclose(some, [design.profile(c).ravel()[rows].max() for c in y.T])
    assert set(at) <= set(rows)


@pytest.mark.parametrize("stderr", [None, "stated"])
def test_a_planted_change_is_found_where_it_is(stderr):
    u = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 50))
    se = None if stderr is None else np.linspace(1, 2, 50)
    design = Design(u, (u[-1] - u[0]) / 4, se)
    place, width = design.places[40], design.widths[2]
    y = 5 + 0.2 * u + 7 * logistic(u, place, width)
    fit = design.fit(y + 1e-6 * np.random.default_rng(1).standard_normal(50))
    assert (fit.place, fit.width) == (place, width)
    assert fit.height == pytest.approx(7, abs=1e-4)
    down = design.fit(-y + 1e-6 * np.random.default_rng(1).standard_normal(50))
    assert down.height == pytest.approx(-7, abs=1e-4)


def test_default_candidates_cover_the_axis_and_stop_at_half_of_wstar():
    design = Design(np.arange(61.0), 15.0)
    assert design.places[0] == 1.5
    assert design.places[-1] == 58.5
    assert np.allclose(np.diff(design.places), 0.5)
    assert design.widths[0] == 0.05
    assert design.widths[-1] == 7.5
    assert np.all(np.diff(design.widths) > 0)


def test_bad_designs_are_refused_with_what_to_do():
    with pytest.raises(InputError, match="too few points for a verdict"):
        Design(np.arange(11.0), 3.0)
    with pytest.raises(InputError, match="strictly increasing"):
        Design(np.r_[np.arange(12.0), 11.0], 3.0)
    with pytest.raises(InputError, match="smooth class"):
        Design(np.arange(12.0), 1.0)
