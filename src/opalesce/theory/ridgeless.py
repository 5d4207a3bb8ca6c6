r"""Double descent that is exactly known: least squares without a penalty, on isotropic Gaussian features.

:math:`y = x^\top\beta + \sigma\varepsilon`, x of P independent standard normal entries, n rows, and the
solution of smallest norm. The excess risk :math:`E\,(x^\top(\hat\beta - \beta))^2` has a peak at P = n and
falls again beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

Floats = NDArray[np.float64]


def limit_risk(gamma: ArrayLike, signal: float = 1.0, noise: float = 1.0) -> Floats:
    r"""Excess risk as n and P grow at a fixed ratio :math:`\gamma = P/n`.

    .. math:: R = \sigma^2\frac{\gamma}{1 - \gamma}\ (\gamma < 1),\qquad
              R = r^2\Big(1 - \frac1\gamma\Big) + \frac{\sigma^2}{\gamma - 1}\ (\gamma > 1)

    Infinite at gamma = 1 with noise. `signal` is :math:`r^2 = |\beta|^2`, `noise` :math:`\sigma^2`.

    Raises
    ------
    InputError
        A ratio that is not positive and finite, or a negative variance.

    Source: hastie2022surprises, theorem 1 (isotropic features).
    """
    g = np.asarray(gamma, float)
    _check((g > 0) & np.isfinite(g), "a ratio of features to rows", gamma)
    _variances(signal, noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = noise * g / (1 - g), signal * (1 - 1 / g) + noise / (g - 1)
    at = np.inf if noise > 0 else 0.0
    return np.asarray(np.where(g < 1, below, np.where(g > 1, above, at)))


def exact_risk(n: ArrayLike, p: ArrayLike, signal: float = 1.0, noise: float = 1.0) -> Floats:
    r"""Mean excess risk at finite n and P, over features, noise and nothing else.

    .. math:: R = \frac{\sigma^2 P}{n - P - 1}\ (P \le n - 2),\qquad
              R = r^2\Big(1 - \frac nP\Big) + \frac{\sigma^2 n}{P - n - 1}\ (P \ge n + 2)

    by the mean of an inverse Wishart matrix, of order P below and of order n above; the null space of n rows
    holds a share 1 - n/P of any beta. Infinite at P = n - 1, n and n + 1, where that mean does not exist.
    Without noise the risk is 0 up to P = n.

    Raises
    ------
    InputError
        Counts below 1 or not whole, or a negative variance.

    Source: the finite-size counterpart of hastie2022surprises, theorem 1; belkin2020two, theorem 1, has it
    with features left out at random.
    """
    rows, features = np.broadcast_arrays(np.asarray(n, float), np.asarray(p, float))
    for name, v in (("rows", rows), ("features", features)):
        _check((v >= 1) & (v == np.floor(v)) & np.isfinite(v), f"a number of {name}", v)
    _variances(signal, noise)
    gap = np.abs(rows - features) - 1.0
    bias = signal * np.maximum(0.0, 1 - rows / features)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(gap > 0, noise * np.minimum(rows, features) / gap, np.inf if noise > 0 else 0.0)
    return np.asarray(bias + variance)


@dataclass(frozen=True)
class Simulated:
    """Excess risk at each n and P: mean over draws, its standard error, and the median (which stays finite
    at the peak)."""

    mean: Floats
    error: Floats
    median: Floats


def simulate(
    n: ArrayLike, p: ArrayLike, signal: float = 1.0, noise: float = 1.0, *, draws: int = 100, seed: int = 0
) -> Simulated:
    r"""Excess risk :math:`|\hat\beta - \beta|^2` of least squares of smallest norm on drawn data.

    Parameters
    ----------
    n, p : array_like
        Rows and features, broadcast to (m,).
    signal, noise : float
        :math:`|\beta|^2` (its direction is drawn anew each time) and :math:`\sigma^2`.
    draws, seed : int
        Data sets of each pair, 2 or more, and their seed.

    Raises
    ------
    InputError
        As `exact_risk`, or fewer than two draws.
    """
    exact_risk(n, p, signal, noise)
    if draws < 2:
        raise InputError("too few draws for an error", expected="2 or more", got=str(draws))
    pairs = np.broadcast_arrays(np.atleast_1d(np.asarray(n, int)), np.asarray(p, int))
    rng = np.random.default_rng(seed)
    risks = np.array(
        [[_one(a, b, signal, noise, rng) for _ in range(draws)] for a, b in zip(*pairs, strict=True)]
    )
    return Simulated(risks.mean(axis=1), risks.std(axis=1, ddof=1) / np.sqrt(draws), np.median(risks, axis=1))


def _one(n: int, p: int, signal: float, noise: float, rng: np.random.Generator) -> float:
    beta = rng.standard_normal(p)
    beta *= np.sqrt(signal) / np.linalg.norm(beta)
    x = rng.standard_normal((n, p))
    y = x @ beta + np.sqrt(noise) * rng.standard_normal(n)
    found = np.linalg.lstsq(x, y, rcond=None)[0]
    return float(np.square(found - beta).sum())


def _check(good: NDArray[np.bool_], what: str, got: ArrayLike) -> None:
    if not good.all():
        raise InputError(what, expected="positive and finite (counts: whole)", got=str(got)[:80])


def _variances(signal: float, noise: float) -> None:
    if not (0 <= signal < np.inf and 0 <= noise < np.inf):
        raise InputError("variances", expected="finite, 0 or more", got=f"signal {signal}, noise {noise}")
