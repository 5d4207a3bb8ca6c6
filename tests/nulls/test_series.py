"""Surrogate series against closed forms; every tolerance is a stated number of standard errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from opalesce.errors import InputError
from opalesce.nulls.series import (
    ar1,
    ar1_fit,
    block_bootstrap,
    block_length,
    independent,
    mean_variance,
    smooth_trend,
)

rng = np.random.default_rng


def autoregression(phi, n, b, seed):
    """Unit-variance stationary AR(1) by scipy's filter: the outside generator. Shape (n, b)."""
    e = rng(seed).standard_normal((n, b))
    e[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], e, axis=0)


def close(values, expected, errors=4.0):
    """Mean of independent values within `errors` of its own standard errors."""
    se = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) < errors * se, (np.mean(values), expected, se)


def test_independent_noise_has_the_stated_errors_and_no_correlation():
    curve, se, b = np.linspace(-1, 3, 20), np.linspace(0.1, 2, 20), 20_000
    z = (independent(curve, se, rng(0), b) - curve[:, None]) / se[:, None]
    assert z.shape == (20, b)
    # normal: mean +- 1/sqrt(b), variance +- sqrt(2/b), correlation +- 1/sqrt(b); 4.5 se for 190 pairs
    assert np.abs(z.mean(1)).max() < 4.5 / np.sqrt(b)
    assert np.abs(z.var(1) - 1).max() < 4.5 * np.sqrt(2 / b)
    assert np.abs(np.corrcoef(z) - np.eye(20)).max() < 4.5 / np.sqrt(b)
    assert np.array_equal(independent(curve, 0.0, rng(0), 3), np.repeat(curve[:, None], 3, 1))


@pytest.mark.parametrize("phi", [0.0, 0.7, -0.4])
def test_fit_is_corrected_for_bias(phi):
    """At n = 61 least squares is low by (1 + 3 phi)/n (Kendall 1954): 0.051 at phi = 0.7."""
    n, b = 61, 4000
    y = autoregression(phi, n, b, 1)
    fits = np.array([ar1_fit(column) for column in y.T])
    # second-order bias and the bound 1 - 1/n remain: below 0.005 + 4 se (se of the mean is 0.0017)
    assert abs(fits[:, 0].mean() - phi) < 0.005 + 4 * fits[:, 0].std() / np.sqrt(b)
    # the plain variance is low by mean_variance: 0.089 at phi = 0.7; 0.02 is left to second order
    close(fits[:, 1] ** 2, 1.0, errors=4 + 0.02 / (np.std(fits[:, 1] ** 2) / np.sqrt(b)))
    if phi >= 0:
        plain = np.array([_least_squares(column) for column in y.T])
        assert plain.mean() == pytest.approx(phi - (1 + 3 * phi) / n, abs=0.006)


def _least_squares(y):
    x = np.column_stack([np.ones(len(y) - 1), y[:-1]])
    return np.linalg.lstsq(x, y[1:], rcond=None)[0][1]


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_variance_of_the_mean_in_closed_form(phi):
    n = 40
    r = phi ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))  # the slow twin: 1' R 1 / n^2
    assert mean_variance(phi, n) == pytest.approx(r.sum() / n**2, rel=1e-12)


def test_ar1_surrogates_have_the_moments_of_the_fitted_process():
    """Mean, variance, covariance at lags 1 and 5, at the start and at the end: stationary throughout."""
    y = 3 + 2 * autoregression(0.8, 300, 1, 2)[:, 0]
    phi, sd = ar1_fit(y)
    s = ar1(y, rng(3), 20_000) - y.mean()
    for t in (0, 150, 299):
        close(s[t], 0.0)
        close(s[t] ** 2, sd**2)
    for lag in (1, 5):
        close(s[0] * s[lag], sd**2 * phi**lag)
        close(s[-1 - lag] * s[-1], sd**2 * phi**lag)
    close(s.mean(0) ** 2, sd**2 * mean_variance(phi, 300))


def test_ar1_surrogates_of_surrogates_keep_variance_and_correlation():
    """Fitting surrogates again gives the parameters back: neither shrinks from one to the next."""
    y = autoregression(0.6, 200, 1, 4)[:, 0]
    phi, sd = ar1_fit(y)
    again = np.array([ar1_fit(c) for c in ar1(y, rng(5), 3000).T])
    assert again[:, 0].mean() == pytest.approx(phi, abs=0.002 + 4 * again[:, 0].std() / np.sqrt(3000))
    variance = again[:, 1] ** 2
    assert variance.mean() == pytest.approx(
        sd**2, rel=0.01 + 4 * variance.std() / variance.mean() / np.sqrt(3000)
    )


def test_ar1_stays_stationary_on_a_trend():
    phi, sd = ar1_fit(np.arange(50.0))
    assert phi == 1 - 1 / 50
    assert np.isfinite(sd)


@pytest.mark.parametrize("length", [1.0, 4.0, 12.0])
def test_bootstrap_variance_of_the_mean_is_exact(length):
    """n Var*(mean) = R(0) + 2 sum b(k) R(k), b(k) = (1-k/n)(1-p)^k + (k/n)(1-p)^(n-k), p = 1/length.

    Politis & Romano (1994), lemma 1, with R(k) the sample autocovariance of divisor n.
    """
    y = autoregression(0.7, 60, 1, 6)[:, 0]
    n, p, d = 60, 1 / length, y - y.mean()
    lags = np.arange(1, n)
    cov = np.array([d[: n - k] @ d[k:] for k in range(n)]) / n
    weight = (1 - lags / n) * (1 - p) ** lags + (lags / n) * (1 - p) ** (n - lags)
    s = block_bootstrap(y, rng(7), 20_000, length)
    close(n * (s.mean(0) - y.mean()) ** 2, cov[0] + 2 * (weight * cov[1:]).sum())
    assert set(s.ravel()) <= {*(y.mean() + d)}


def test_bootstrap_finds_the_long_run_variance_of_an_autoregression():
    """n Var(mean) -> (1 + phi) / (1 - phi) = 3 at phi = 0.5 (sum of the autocovariances)."""
    n = 2000
    found = []
    for seed in range(20):
        y = autoregression(0.5, n, 1, [8, seed])[:, 0]
        found.append(n * block_bootstrap(y, rng(seed), 400).mean(0).var())
    # sd of one estimate about 0.35; the blocks' ends cost (1/length) 2 phi/(1-phi)^2 = 0.26 of 3
    length = block_length(autoregression(0.5, n, 1, [8, 0])[:, 0])
    assert np.mean(found) == pytest.approx(3 - 4 / length, abs=4 * np.std(found) / np.sqrt(20))
    assert np.mean(found) > 2.5  # drawing points one by one would say 1


def test_default_block_length():
    """[(2 phi/(1 - phi^2))^2 n]^(1/3); 1 for white noise; grows with the cube root of n."""
    y = autoregression(0.7, 5000, 1, 9)[:, 0]
    phi, _ = ar1_fit(y)
    assert block_length(y) == pytest.approx(((2 * phi / (1 - phi**2)) ** 2 * 5000) ** (1 / 3))
    assert block_length(np.zeros(20)) == 1.0
    assert block_length(np.arange(30.0)) == 10.0


def test_bootstrap_around_a_fitted_curve():
    curve = np.linspace(0, 100, 40)
    y = curve + rng(10).standard_normal(40)
    s = block_bootstrap(y, rng(11), 50, length=3, fitted=curve)
    assert set(np.round(s - curve[:, None], 9).ravel()) <= set(np.round(y - curve, 9))


def test_smooth_trend_is_the_fit_plus_noise_of_the_residuals():
    x = np.linspace(-1, 1, 61)
    basis = np.vander(x, 5)
    y = 10 * x**3 + autoregression(0.5, 61, 1, 12)[:, 0]
    fit = np.polyval(np.polyfit(x, y, 4), x)
    phi, sd = ar1_fit(y - fit)
    s = smooth_trend(basis, y, rng(13), 20_000) - fit[:, None]
    for t in (0, 30, 60):
        close(s[t], 0.0)
        close(s[t] ** 2, sd**2 * 61 / 56)
    close(s[0] * s[1], phi * sd**2 * 61 / 56)


def test_smooth_trend_with_stated_errors_weighs_the_fit():
    x, se = np.linspace(-1, 1, 30), np.linspace(0.01, 1, 30)
    y = 2 + 3 * x + se * rng(14).standard_normal(30)
    fit = np.polyval(np.polyfit(x, y, 1, w=1 / se), x)
    s = smooth_trend(np.vander(x, 2), y, rng(15), 20_000, se)
    z = (s - fit[:, None]) / se[:, None]
    assert np.abs(z.mean(1)).max() < 4.5 / np.sqrt(20_000)
    assert np.abs(z.var(1) - 1).max() < 4.5 * np.sqrt(2 / 20_000)


@pytest.mark.parametrize(
    "draw",
    [
        lambda y, r: ar1(y, r, 4),
        lambda y, r: block_bootstrap(y, r, 4),
        lambda y, r: independent(y, 1.0, r, 4),
        lambda y, r: smooth_trend(np.vander(np.arange(len(y)) / len(y), 3), y, r, 4),
    ],
)
def test_same_generator_same_surrogates_and_bad_input_refused(draw):
    y = autoregression(0.5, 20, 1, 16)[:, 0]
    assert np.array_equal(draw(y, rng(1)), draw(y, rng(1)))
    assert not np.array_equal(draw(y, rng(1)), draw(y, rng(2)))
    with pytest.raises(InputError, match="NaN"):
        draw(np.append(y, np.nan), rng(0))
    with pytest.raises(InputError, match="empty"):
        draw(np.empty(0), rng(0))


def test_each_misuse_says_what_was_expected():
    y = np.arange(20.0) % 3
    with pytest.raises(InputError, match="constant"):
        ar1(np.ones(20), rng(0), 2)
    with pytest.raises(InputError, match="block length"):
        block_bootstrap(y, rng(0), 2, length=0.5)
    with pytest.raises(InputError, match="another length"):
        block_bootstrap(y, rng(0), 2, fitted=y[:-1])
    with pytest.raises(InputError, match="stated errors"):
        independent(y, -1.0, rng(0), 2)
    with pytest.raises(InputError, match="b of 1"):
        independent(y, 1.0, rng(0), 0)
    with pytest.raises(InputError, match="fits every curve"):
        smooth_trend(np.eye(20), y, rng(0), 2)
    with pytest.raises(InputError, match="does not fit"):
        smooth_trend(np.eye(19), y, rng(0), 2)
    with pytest.raises(InputError, match="zero somewhere"):
        smooth_trend(np.ones((20, 1)), y, rng(0), 2, np.zeros(20))
