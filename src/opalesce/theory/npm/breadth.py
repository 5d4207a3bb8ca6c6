r"""Breadth of data by participation ratio: the published estimator, its bias, and one without it.

.. math:: PR = \frac{(\sum_i\lambda_i)^2}{\sum_i\lambda_i^2}, \qquad \sigma = \frac{\ln(PR + 1)}{\ln(r + 1)}

lambda_i eigenvalues of the covariance of centred data X (n samples, d features), r how many exceed 1e-10
(ding2026percolation, eq. sigma). For isotropic Gaussian data the plain estimate tends to d n/(d + n), not
to d: with
few samples it saturates, and so does sigma. The unbiased one replaces both traces by

.. math::

    \widehat{\mathrm{tr}\,\Sigma^2} = \frac{\nu^2}{(\nu-1)(\nu+2)}\Big(\mathrm{tr}\,S^2 -
    \frac{(\mathrm{tr}\,S)^2}{\nu}\Big),
    \quad
    \widehat{(\mathrm{tr}\,\Sigma)^2} = \frac{\nu}{(\nu-1)(\nu+2)}\big((\nu+1)(\mathrm{tr}\,S)^2 -
    2\,\mathrm{tr}\,S^2\big)

with nu = n - 1 and S the unbiased covariance (exact for Gaussian data; a reconstruction here [R]).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-10


@dataclass(frozen=True)
class Breadth:
    """Participation ratio as published (`plain`), without bias (`unbiased`), and the published breadth."""

    plain: float
    unbiased: Estimate
    sigma: float
    rank: int


def _data(x: ArrayLike) -> Floats:
    a = np.asarray(x)
    if a.ndim != 2 or a.dtype.kind not in "fiu" or a.shape[0] < 4 or a.shape[1] < 1:
        raise InputError(
            "no data matrix",
            expected="numbers (samples, features), 4 samples or more",
            got=f"{a.dtype} {a.shape}",
        )
    a = a.astype(np.float64)
    if not np.isfinite(a).all():
        raise InputError("the data hold NaN or infinite values", expected="finite numbers", got="others")
    a = a - a.mean(axis=0)
    if not a.any():
        raise InputError("all samples are equal", expected="data that vary", got="a constant")
    return np.asarray(a)


def traces(x: Floats) -> tuple[float, float]:
    """tr S and tr S^2 of centred data, by the smaller of the two Gram matrices; no SVD, no rank cap."""
    nu = x.shape[0] - 1
    g = x.T @ x if x.shape[1] <= x.shape[0] else x @ x.T
    return float(np.trace(g)) / nu, float((g**2).sum()) / nu**2


def unbiased_ratio(tr: float, tr2: float, nu: int) -> float:
    """(tr Sigma)^2 / tr Sigma^2 with the unbiased traces; NaN when noise makes the denominator negative."""
    squares = nu**2 * (tr2 - tr**2 / nu)
    total = nu * ((nu + 1) * tr**2 - 2 * tr2)
    return total / squares if squares > 0 else float("nan")


def breadth(x: ArrayLike, groups: int = 20) -> Breadth:
    """Breadth of a data matrix (samples, features).

    Parameters
    ----------
    x : array, shape (n, d)
    groups : int
        Groups of samples left out in turn for the jackknife error of the unbiased ratio.

    Raises
    ------
    InputError
        Not a matrix of finite numbers, fewer than four samples, or all samples equal.
    """
    a = _data(x)
    n = len(a)
    eigenvalues = np.linalg.eigvalsh(a.T @ a / n if a.shape[1] <= n else a @ a.T / n)
    kept = eigenvalues[eigenvalues > NEGLIGIBLE]
    plain = float(kept.sum() ** 2 / (kept**2).sum())
    value = unbiased_ratio(*traces(a), n - 1)
    return Breadth(
        plain,
        _jackknife(a, value, min(groups, n // 2)),
        float(np.log(plain + 1) / np.log(len(kept) + 1)),
        len(kept),
    )


def _jackknife(a: Floats, value: float, groups: int) -> Estimate:
    if not np.isfinite(value):
        return Estimate(
            value, n=len(a), status="too few samples for this many features: the ratio is all noise"
        )
    parts = np.array_split(np.arange(len(a)), groups)
    left = []
    for p in parts:
        rest = np.delete(a, p, axis=0)
        left.append(unbiased_ratio(*traces(rest - rest.mean(axis=0)), len(rest) - 1))
    v = np.array(left)
    if not np.isfinite(v).all():
        return Estimate(value, n=len(a), status="too few samples for an error")
    half = 1.645 * float(np.sqrt((groups - 1) / groups * ((v - v.mean()) ** 2).sum()))
    return Estimate(
        value, value - half, value + half, len(a), method=f"jackknife over {groups} groups", level=0.9
    )


def plain_limit(dimension: float, samples: float) -> float:
    """Where the plain ratio of isotropic Gaussian data tends to: d n / (d + n)."""
    return dimension * samples / (dimension + samples)


def streamed(
    chunks: list[ArrayLike] | NDArray[np.float64], features: int, rng: np.random.Generator, probes: int = 64
) -> float:
    r"""Unbiased ratio of data that come in chunks, with tr S^2 by Hutchinson's estimate: one pass, O(d
    probes) memory.

    Each probe z of random signs gives :math:`|S z|^2`, of mean tr S^2. The mean of all rows is taken out
    at the end.

    Raises
    ------
    InputError
        Chunks that are not matrices of `features` finite columns, or fewer than four rows in all.
    """
    z = rng.choice([-1.0, 1.0], size=(features, probes))
    mean, product, square, n = np.zeros(features), np.zeros((features, probes)), 0.0, 0
    for chunk in chunks:
        a = np.asarray(chunk, float)
        if a.ndim != 2 or a.shape[1] != features or not np.isfinite(a).all():
            raise InputError("a chunk does not fit", expected=f"(rows, {features}) finite", got=str(a.shape))
        mean, n = mean + a.sum(axis=0), n + len(a)
        product += a.T @ (a @ z)
        square += float((a**2).sum())
    if n < 4:
        raise InputError("too few rows", expected="4 or more", got=str(n))
    mean /= n
    nu = n - 1
    sz = (product - n * np.outer(mean, mean @ z)) / nu
    tr = (square - n * float(mean @ mean)) / nu
    return unbiased_ratio(tr, float((sz**2).sum(axis=0).mean()), nu)
