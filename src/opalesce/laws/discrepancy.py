r"""What one law says beyond its data, with three doubts: its parameters, the noise, and the law itself.

The data are taken as :math:`v = f(u;\theta) + g(u) + \epsilon` with v = ln y and u = ln x. The discrepancy g
(kennedy2001bayesian, eq. 4) is a curve whose slope is an Ornstein-Uhlenbeck process, of standard deviation
kappa and correlation length tau in ln x:

.. math:: \mathrm{cov}(g(s), g(t)) = \kappa^2\tau^2\left(2\min(s,t)/\tau - 1 + e^{-s/\tau} + e^{-t/\tau}
          - e^{-|s-t|/\tau}\right)

with s, t counted from the first point. A curve that a law follows exactly has no use for g and gets narrow
intervals; a curve that no law follows keeps it, and its interval opens with distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from opalesce.laws.descent import search
from opalesce.laws.forms import Floats, Form

TAU = 3.0  # correlation length of the discrepancy's slope, in ln x: 1.3 decades
KAPPA = (0.0, 0.02, 0.06, 0.2, 0.4)  # standard deviations of its slope that are tried
NOISE = (0.2, 0.5, 0.8, 1.0, 1.25, 2.0)  # noises that are tried, in units of `roughness`
LOOSE = 1.0  # largest prior standard deviation of an internal parameter (a log or an exponent)
LEVEL = 5.0  # prior standard deviation of the level of a curve without a law
MAD = 1.4826  # standard deviations of a normal law in a median absolute deviation
TINY = 1e-6  # noise of ln y below which no interval goes
SPARE = 2  # points beyond its parameters that a law needs


@dataclass(frozen=True)
class Told:
    """Mean and standard deviation (m,) of a new ln y, and the log evidence of the law."""

    mean: Floats
    sd: Floats
    evidence: float


def roughness(u: Floats, v: Floats) -> float:
    """Noise of ln y: how far points lie from the line between their neighbours, by the median, which a single
    steep drop does not move."""
    gap = u[2:] - u[:-2]
    share = np.divide(u[1:-1] - u[:-2], gap, out=np.full(len(gap), 0.5), where=gap > 0)
    off = v[1:-1] - (1 - share) * v[:-2] - share * v[2:]
    return float(MAD * np.median(np.abs(off) / np.sqrt(1 + share**2 + (1 - share) ** 2))) + TINY


def covariance(s: Floats, t: Floats) -> Floats:
    """Covariance of the discrepancy for kappa = 1 at distances s, t (broadcast) from the first point."""
    s, t = np.maximum(s, 0.0) / TAU, np.maximum(t, 0.0) / TAU
    return np.asarray(TAU**2 * (2 * np.minimum(s, t) - 1 + np.exp(-s) + np.exp(-t) - np.exp(-np.abs(s - t))))


def tell(law: Form | None, u: Floats, v: Floats, to: Floats, noise: float, counts: Floats) -> Told | None:
    r"""Forecast of ln y at `to` by a law fitted to (u, v), averaged over kappa and the noise.

    The law is linear in its parameters about the least-squares fit, with the unit-information prior
    :math:`\theta \sim N(\hat\theta, n s^2 (J^T J)^{-1})` (kass1995reference), so that everything is Gaussian
    and the evidence of each (kappa, noise) exact. `law=None` is a level with the discrepancy alone: a local
    trend that fades. `counts` are the observations that each point is the mean of. None with too few points.

    Reconstruction: the linearised combination of these parts, and the grids, are our own.
    """
    n = len(v)
    if law is None:
        here, there = np.full(n, v.mean()), np.full(len(to), v.mean())
        basis, basis_to = np.full((n, 1), LEVEL), np.full((len(to), 1), LEVEL)
    else:
        if n < len(law.names) + SPARE or np.ptp(v) == 0:
            return None
        centre = u.mean()
        data = (u - centre)[None]
        best = search(law, data, v, keep=1)[0]
        here, slopes = (a[0] for a in law.log_value(best.theta[None], data))
        there, slopes_to = (a[0] for a in law.log_value(best.theta[None], (to - centre)[None]))
        low, high = law.bounds(data, v)
        free = (best.theta > low + 1e-9) & (best.theta < high - 1e-9)
        half = _unit_information(slopes[:, free], float(np.sqrt(2 * best.objective / n)))
        basis, basis_to = slopes[:, free] @ half, slopes_to[:, free] @ half
    s, t = u - u[0], to - u[0]
    among, across, alone = covariance(s[:, None], s), covariance(s[:, None], t), covariance(t, t)
    off = v - here
    means, sds, logs = [], [], []
    for kappa, share in product(KAPPA[law is None :], NOISE):
        sigma = noise * share
        try:
            root = cholesky(basis @ basis.T + kappa**2 * among + np.diag(sigma**2 / counts), lower=True)
        except LinAlgError:
            continue
        z = solve_triangular(root, off, lower=True)
        b = solve_triangular(root, basis @ basis_to.T + kappa**2 * across, lower=True)
        spread = (basis_to**2).sum(axis=1) + kappa**2 * alone - (b**2).sum(axis=0)
        means.append(there + b.T @ z)
        sds.append(np.sqrt(np.maximum(spread, 0.0) + sigma**2))
        logs.append(-0.5 * float(z @ z) - float(np.log(np.diag(root)).sum()))
    if not logs:
        return None
    top = max(logs)
    weights = np.exp(np.array(logs) - top)
    total = float(weights.sum())
    weights /= total
    mean = weights @ np.array(means)
    sd = np.sqrt(weights @ (np.array(sds) ** 2 + (np.array(means) - mean) ** 2))
    return Told(mean, sd, top + float(np.log(total / len(logs))))


def _unit_information(slopes: Floats, rmse: float) -> Floats:
    """A root H of the prior covariance H H^T, as wide as one observation's information, no parameter looser
    than LOOSE: what the data do not bound must not make the law useless."""
    n, size = slopes.shape
    if not size:
        return np.zeros((0, 0))
    gram = slopes.T @ slopes
    values, axes = np.linalg.eigh(gram + 1e-8 * np.trace(gram) / size * np.eye(size))
    root = np.sqrt(n) * max(rmse, TINY) * axes / np.sqrt(values)
    wide = np.sqrt((root**2).sum(axis=1))
    return np.asarray(root * np.minimum(1.0, LOOSE / np.maximum(wide, 1e-300))[:, None])
