"""Slow twins of the scan: dense matrices, no contrasts whitened, nothing shared."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.linalg import null_space
from scipy.stats import multivariate_normal

from opalesce.transitions.scan import Design
from opalesce.transitions.smooth import logistic


def gls(x, y, sigma):
    """Coefficients, their unscaled covariance, and the weighted residual sum of squares."""
    inverse = np.linalg.inv(sigma)
    cov = np.linalg.inv(x.T @ inverse @ x)
    beta = cov @ x.T @ inverse @ y
    r = y - x @ beta
    return beta, cov, float(r @ inverse @ r)


def sigma_of(design, noise):
    """Covariance over s^2, entry by entry from the formulas in `noise`'s docstring."""
    n = len(design.u)
    t = design.clock if noise.raw else design.u
    delta = np.median(np.diff(t))
    r = np.array([[noise.phi ** (abs(a - b) / delta) if a != b else 1.0 for b in t] for a in t])
    if design.stderr is None:
        sd = np.array([noise.drift ** (i / (n - 1)) for i in range(n)])
    else:
        sd = design.stderr / np.sqrt(np.mean(design.stderr**2))
        if noise.lam is not None:
            return (1 - noise.lam) * np.diag(sd**2) + noise.lam * r
    sd = sd / np.sqrt(np.mean(sd**2))
    return np.diag(sd) @ r @ np.diag(sd)


def near(design, phi):
    """Index of the plain model (along u, of even size) with the correlation nearest to phi."""
    plain = [
        (abs(m.phi - phi), j)
        for j, m in enumerate(design.noises)
        if not m.raw and m.drift == 1 and m.lam == 1
    ]
    return min(plain)[1]


def contrast_density(y, null, sigma, shape=None):
    """log density of the error contrasts of y, scale at its maximum, mean h * shape at its maximum."""
    a = null_space(null.T)
    v, z = a.T @ sigma @ a, a.T @ y
    nu = len(z)
    mean = np.zeros(nu)
    if shape is not None:
        g = a.T @ shape
        beta, _, _ = gls(g[:, None], z, v)
        mean = beta[0] * g
    rest = z - mean
    scale = rest @ np.linalg.solve(v, rest) / nu
    return multivariate_normal(mean, scale * v).logpdf(z)


def constant(nu):
    """What the code leaves out of the log-likelihood: -nu/2 (1 + log(2 pi / nu))."""
    return -0.5 * nu * (1 + np.log(2 * np.pi / nu))


def statistics(design, y):
    """T of M2 over M1 and of M1 over M0 by brute force over noise and candidates."""
    ones = np.ones((len(y), 1))
    sharp1, sharp2, smooth0, smooth1 = [], [], [], []
    place, width = design.candidates
    for noise in design.noises:
        sigma = sigma_of(design, noise)
        sharp1.append(contrast_density(y, design.null, sigma))
        sharp2 += [
            contrast_density(y, design.null, sigma, logistic(design.u, c, w))
            for c, w in zip(place, width, strict=True)
        ]
        a = null_space(ones.T)
        v, z = a.T @ sigma @ a, a.T @ y
        nu, logdet = len(z), np.linalg.slogdet(v)[1]
        rss0 = z @ np.linalg.solve(v, z)
        rss1 = gls(design.null, y, sigma)[2]
        smooth0.append(-0.5 * logdet - 0.5 * nu * np.log(rss0))
        smooth1.append(-0.5 * logdet - 0.5 * nu * np.log(rss1))
    return 2 * (max(sharp2) - max(sharp1)), 2 * (max(smooth1) - max(smooth0))


def random_design(seed, n=None):
    """Unequal spacing; sometimes stated errors, an event, or a raw axis that is not u; few candidates."""
    r = np.random.default_rng(seed)
    n = n or int(r.integers(16, 30))
    u = np.cumsum(r.uniform(0.3, 2.0, n))
    clock = np.exp(u / 5) if r.random() < 0.5 else None
    stderr = r.uniform(0.5, 3.0, n) if r.random() < 0.5 else None
    extra = None
    if r.random() < 0.5:
        at = u[n // 2] + 0.01
        extra = np.column_stack([(u > at).astype(float), np.maximum(0, u - at)])
    places, widths = r.uniform(u[2], u[-3], 4), r.uniform(0.1, 4, 2)
    return Design(u, (u[-1] - u[0]) * r.uniform(0.25, 0.6), stderr, extra, places, widths, clock)


seeds = st.integers(0, 2**32 - 1)
