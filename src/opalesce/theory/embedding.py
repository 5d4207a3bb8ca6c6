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

    The compute optimum is exact at each size. The source takes the lower envelope of twenty simulated curves
    instead and prints 0.7805 (Epoch's constants) and 0.7388 (Chinchilla's) where this gives 0.785 and 0.748;
    its loss exponents, -0.069 and -0.066, agree.

    Source: pearce2024reconciling, sec. 4.
    """
    n = np.asarray(sizes, float)
    c = optimal_compute(n, a, b, alpha, beta, gamma)
    loss = e + a * total(n, gamma) ** -alpha + b * (c / (6 * n)) ** -beta
    return Reading(
        float(np.polyfit(np.log(c), np.log(n), 1)[0]), float(np.polyfit(np.log(c), np.log(loss), 1)[0])
    )
