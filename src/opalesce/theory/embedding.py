r"""Why counting parameters without embeddings changes the compute-optimal exponent (pearce2024reconciling).

With :math:`N_T = N_E + \gamma N_E^{1/3}` (total from non-embedding parameters) a Chinchilla law in N_T,
read in non-embedding units at small sizes, looks like Kaplan's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

Floats = NDArray[np.float64]
GAMMA = 47491.0  # a vocabulary of 32,000, fitted to hoffmann2022training, table A9
SIZES = np.logspace(2.9, 9.2, 20)  # the sizes that the source simulates (Kaplan's range)
BUDGETS = np.logspace(12.95, 20.7, 100)  # its budgets in non-embedding units, and its counts of tokens
TOKENS = np.logspace(6, 25, 1000)


def total(non_embedding: ArrayLike, gamma: float = GAMMA) -> Floats:
    r"""Total parameters of a transformer, :math:`N_T = N_E + \gamma N_E^{1/3}`.

    Source: pearce2024reconciling, eq. 4.
    """
    n = np.asarray(non_embedding, float)
    if not ((n > 0) & np.isfinite(n)).all():
        raise InputError("a number of parameters", expected="positive finite numbers", got="others")
    return np.asarray(n + gamma * np.cbrt(n))


def optimal_compute(
    non_embedding: ArrayLike, a: float, b: float, alpha: float, beta: float, gamma: float = GAMMA
) -> Floats:
    r"""Compute C_E = 6 N_E D in non-embedding units at which N_E is optimal.

    .. math:: C_E = 6 N_E \left(N_E + \tfrac{\gamma}{3} N_E^{1/3}\right)^{-1/\beta}
              \left(N_E + \gamma N_E^{1/3}\right)^{(1+\alpha)/\beta}
              \left(\frac{\beta B}{\alpha A}\right)^{1/\beta}

    Source: pearce2024reconciling, sec. 3.
    """
    n = np.asarray(non_embedding, float)
    whole = total(n, gamma)
    part = n + gamma / 3 * np.cbrt(n)
    log_c = (
        np.log(6 * n)
        - np.log(part) / beta
        + (1 + alpha) / beta * np.log(whole)
        + np.log(beta * b / (alpha * a)) / beta
    )
    return np.asarray(np.exp(log_c))


def local_exponent(non_embedding: ArrayLike, alpha: float, beta: float, gamma: float = GAMMA) -> Floats:
    r"""d ln N_E* / d ln C_E at a size.

    .. math:: \frac1g = 1 - \frac1\beta \frac{N^{2/3} + \gamma/9}{N^{2/3} + \gamma/3}
              + \frac{1+\alpha}{\beta}\frac{N^{2/3} + \gamma/3}{N^{2/3} + \gamma}

    It runs from :math:`\beta/(\alpha/3 + \beta)` at small sizes to :math:`\beta/(\alpha + \beta)` at
    large ones.

    Source: pearce2024reconciling, sec. 3.
    """
    s = np.cbrt(np.asarray(non_embedding, float)) ** 2
    inverse = (
        1 - (s + gamma / 9) / (s + gamma / 3) / beta + (1 + alpha) / beta * (s + gamma / 3) / (s + gamma)
    )
    return np.asarray(1.0 / inverse)


@dataclass(frozen=True)
class Reading:
    """Exponents of lines through a range of sizes, in non-embedding units: N* ~ C^size, L ~ C^loss."""

    size: float
    loss: float


def reading(
    e: float, a: float, b: float, alpha: float, beta: float, sizes: ArrayLike = SIZES, gamma: float = GAMMA
) -> Reading:
    """What somebody who counts no embeddings would read off a Chinchilla law over `sizes`.

    The compute optimum is exact at each size. The source's own figures come from `simulated_reading`: a size
    exponent of 0.7805 (Epoch's constants) and 0.7388 (Chinchilla's) where this gives 0.785 and 0.748. The
    loss exponents, -0.069 and -0.066, agree.

    Source: pearce2024reconciling, sec. 4.
    """
    n = np.asarray(sizes, float)
    c = optimal_compute(n, a, b, alpha, beta, gamma)
    loss = e + a * total(n, gamma) ** -alpha + b * (c / (6 * n)) ** -beta
    return Reading(
        float(np.polyfit(np.log(c), np.log(n), 1)[0]), float(np.polyfit(np.log(c), np.log(loss), 1)[0])
    )


def simulated_reading(
    e: float, a: float, b: float, alpha: float, beta: float, sizes: ArrayLike = SIZES,
    budgets: ArrayLike = BUDGETS, tokens: ArrayLike = TOKENS, gamma: float = GAMMA,
) -> Reading:  # fmt: skip
    """The same reading from the lower envelope of simulated curves, as the source does it.

    Each size has a loss at each count of `tokens`. At a budget C_E a size stands where 6 N_E D is nearest to
    C_E, the size with the smallest loss is the optimum, and lines go through all budgets. Two things set it
    off from `reading`: the budgets begin where sizes below about 10^3.5 are no longer optimal (the exact
    optimum at these budgets has exponents 0.775 and 0.740), and N* takes only the twenty simulated values.

    Raises
    ------
    InputError
        Sizes, budgets or tokens that are not positive and finite, or fewer than two budgets.

    Source: pearce2024reconciling, sec. 4 and its script (grids: 20 sizes 10^2.9 to 10^9.2, 100 budgets
    10^12.95 to 10^20.7, 1000 counts of tokens 10^6 to 10^25). The script takes N_T from a fixed ratio of
    width to depth, which this replaces by eq. 4: the exponents move by less than 1e-5.
    """
    n, c, d = (np.atleast_1d(np.asarray(v, float)) for v in (sizes, budgets, tokens))
    if len(c) < 2 or not all(((v > 0) & np.isfinite(v)).all() for v in (n, c, d)):
        raise InputError(
            "grids of a simulation", expected="positive finite numbers, two budgets or more", got="others"
        )
    whole = total(n, gamma)
    envelope, best = np.full(len(c), np.inf), np.empty(len(c))
    for size, all_of_it in zip(n, whole, strict=True):
        nearest = np.abs(6 * size * d - c[:, None]).argmin(axis=1)
        loss = e + a * all_of_it**-alpha + b * d[nearest] ** -beta
        best[loss < envelope] = size
        envelope = np.minimum(envelope, loss)
    return Reading(
        float(np.polyfit(np.log(c), np.log(best), 1)[0]), float(np.polyfit(np.log(c), np.log(envelope), 1)[0])
    )
