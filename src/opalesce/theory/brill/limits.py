"""Table 1 as solvable models: each limit law from a model that has nothing else in it.

Hutter and the quanta (zipf features), Sharma-Kaplan and Bahri (a manifold), Maloney, Roberts and Sully
(random features). Small; exact where that is possible, simulated otherwise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import LinearNDInterpolator
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.special import zeta

from opalesce.errors import InputError
from opalesce.theory.checks import Array, numbers, positive, whole


def zipf(alpha: float, features: int) -> Array:
    r"""Chances :math:`q_k = k^{-(\alpha+1)} / \zeta(\alpha+1)`, k = 1..features; sum a little under 1.

    Raises
    ------
    InputError
        Argument out of range.
    """
    alpha = positive(alpha, "alpha")
    k = np.arange(1.0, whole(features, "features", 1) + 1)
    return np.asarray(k ** -(alpha + 1) / zeta(alpha + 1))


def hutter_error(data: ArrayLike, alpha: float, seen: int = 1, features: int = 10**6) -> Array:
    r"""Chance that the next feature has been seen fewer than `seen` times in n draws.

    .. math:: E(n) = \sum_k q_k (1 - q_k)^n \sim n^{-\alpha/(1+\alpha)} \quad (\text{seen} = 1)

    Hutter's learner by heart (hutter2021learning, section 3); with `seen` > 1 the data scaling of
    quanta that take several examples each (michaud2023quantization, section 2). Counts are Poisson for
    seen > 1. Features past the last one count as not seen.

    Raises
    ------
    InputError
        Argument out of range.
    """
    n, q = numbers(data, "data", 0.0), zipf(alpha, features)
    rest = float(zeta(alpha + 1, features + 1) / zeta(alpha + 1))
    out = np.empty(n.size)
    for i, v in enumerate(n.ravel()):
        if seen == 1:
            miss = np.exp(v * np.log1p(-q))
        else:
            term = np.exp(-v * q)
            miss = term.copy()
            for j in range(1, whole(seen, "seen", 1, 1000)):
                term *= v * q / j
                miss += term
        out[i] = q @ miss + rest
    return out.reshape(n.shape)


def quanta_loss(quanta: ArrayLike, alpha: float) -> Array:
    r"""Loss when the N most frequent quanta are known (michaud2023quantization, section 2).

    .. math:: L(N) = \sum_{k>N} q_k \sim N^{-\alpha}

    Raises
    ------
    InputError
        Argument out of range.
    """
    alpha = positive(alpha, "alpha")
    return np.asarray(zeta(alpha + 1, numbers(quanta, "quanta", 0.0) + 1) / zeta(alpha + 1))


def manifold_error(
    points: int,
    dimension: int,
    order: Literal["constant", "linear"],
    rng: np.random.Generator,
    validation: int = 4000,
) -> float:
    r"""Mean squared error of a smooth function learned from random points of a D-manifold.

    .. math:: L \sim n^{-c/D}, \quad c = 2 \;(\text{nearest neighbour}), \; c = 4 \;(\text{linear})

    (sharma2022scaling, section 2; bahri2024explaining: the resolution-limited regime). Also the law of
    data above the threshold, D = d (table 1). The function is a sum of sines of period 1; training
    points fill the unit cube and a margin, so that no validation point lies at an edge.

    Parameters
    ----------
    points : int
        Training points in the unit cube, on average.
    dimension : int
        D, 1 to 4 (triangulation above takes too long).
    order : {"constant", "linear"}
    rng : Generator
    validation : int

    Raises
    ------
    InputError
        Argument out of range.
    """
    points, dim = whole(points, "points", 16), whole(dimension, "dimension", 1, 4)
    if order not in ("constant", "linear"):
        raise InputError("unknown order", expected="'constant' or 'linear'", got=repr(order))
    margin = min(0.5, 6.0 * points ** (-1 / dim))
    count = int(points * (1 + 2 * margin) ** dim)
    train = rng.uniform(-margin, 1 + margin, (count, dim))
    test = rng.uniform(0, 1, (validation, dim))

    def target(x: Array) -> Array:
        return np.asarray(np.sin(2 * np.pi * x + np.arange(dim)).sum(axis=1))

    if order == "constant":
        guess = target(train)[cKDTree(train).query(test)[1]]
    elif dim == 1:
        at = np.argsort(train[:, 0])
        guess = np.interp(test[:, 0], train[at, 0], target(train)[at])
    else:
        guess = LinearNDInterpolator(train, target(train))(test)
    return float(np.nanmean((guess - target(test)) ** 2))


def feature_loss(features: int, alpha: float, latent: int, rng: np.random.Generator) -> float:
    r"""Loss of the best linear fit on N of M latent features, :math:`\lambda_i = i^{-(1+\alpha)}`.

    .. math:: L = \mathrm{tr}\big[\Lambda - \Lambda F^T (F \Lambda F^T)^{-1} F \Lambda\big] \sim N^{-\alpha}

    F is N x M Gaussian, data are unlimited (maloney2022solvable, the limit T >> N; T and N may be
    exchanged). Unit: variance per latent direction.

    Raises
    ------
    InputError
        Argument out of range, or N >= M.
    """
    m = whole(latent, "latent", 2, 20_000)
    n, alpha = whole(features, "features", 1, m - 1), positive(alpha, "alpha")
    spread = np.arange(1.0, m + 1) ** (-(1 + alpha) / 2)
    q, _ = np.linalg.qr((rng.standard_normal((n, m)) * spread).T)
    return float(((1 - (q**2).sum(axis=1)) * spread**2).sum())


def feature_loss_theory(features: int, alpha: float, latent: int) -> float:
    r"""`feature_loss` for large N and M (maloney2022solvable, section 3).

    .. math:: L = N \kappa, \qquad \sum_i \frac{\lambda_i}{\lambda_i + \kappa} = N

    Raises
    ------
    InputError
        Argument out of range, or N >= M.
    """
    m = whole(latent, "latent", 2)
    n, alpha = whole(features, "features", 1, m - 1), positive(alpha, "alpha")
    lam = np.arange(1.0, m + 1) ** -(1 + alpha)
    low, high = np.log(lam[-1]) - np.log(m) - 5, np.log(lam.sum()) + 1
    kappa = np.exp(brentq(lambda t: float((lam / (lam + np.exp(t))).sum() - n), low, high, xtol=1e-14))
    return float(n * kappa)
