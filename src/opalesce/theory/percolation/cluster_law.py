r"""The exponent of a cluster-size distribution, with its goodness of fit.

Discrete power law :math:`P(s) = s^{-\tau}/\zeta(\tau, s_{min})`, s >= s_min; maximum likelihood, s_min by
the smallest Kolmogorov-Smirnov distance, p-value by simulation with everything refitted
(clauset2009powerlaw, sections 3 and 4). At the threshold :math:`n_s \propto s^{-\tau}`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import zeta

from opalesce.errors import InputError
from opalesce.estimate import Estimate

MIN_CLUSTERS = 50  # in the tail: fewer carry no exponent
CANDIDATES = 25


@dataclass(frozen=True)
class ClusterLaw:
    """Exponent with its 90 % interval, smallest size of the tail, KS distance, and its p-value.

    p below 0.1 speaks against a power law; above it says only that these data do not.
    """

    exponent: Estimate
    smallest: int
    distance: float
    p_value: float
    n_tail: int


def exponent(sizes: NDArray[np.int64], smallest: int) -> float:
    """Maximum-likelihood tau of the sizes from `smallest` on."""
    mean_log = float(np.log(sizes[sizes >= smallest]).mean())
    found = minimize_scalar(
        lambda t: t * mean_log + np.log(zeta(t, smallest)), bounds=(1.01, 8.0), method="bounded"
    )
    return float(found.x)


def distance(sizes: NDArray[np.int64], smallest: int, tau: float) -> float:
    """Largest distance between the distribution of the tail and the law."""
    tail = np.sort(sizes[sizes >= smallest])
    values, count = np.unique(tail, return_counts=True)
    upto = np.cumsum(count) / len(tail)
    law = 1 - zeta(tau, values + 1.0) / zeta(tau, smallest)
    return float(np.abs(upto - law).max())


def _best(sizes: NDArray[np.int64]) -> tuple[int, float, float]:
    values = np.unique(sizes)
    enough = [int(v) for v in values if (sizes >= v).sum() >= MIN_CLUSTERS]
    if len(enough) > CANDIDATES:
        enough = [enough[i] for i in np.unique(np.geomspace(1, len(enough), CANDIDATES).astype(int) - 1)]
    tried = [(s, t := exponent(sizes, s), distance(sizes, s, t)) for s in enough]
    return min(tried, key=lambda item: item[2])


def draw(n: int, tau: float, smallest: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """n sizes from the law, by inversion of its exact tail: bracketing by doubling, then bisection."""
    u = rng.random(n) * zeta(tau, smallest)
    high = np.full(n, 2 * smallest, np.int64)
    for _ in range(60):
        more = zeta(tau, high.astype(float)) > u
        if not more.any():
            break
        high[more] *= 2
    low = np.full(n, smallest, np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        above = zeta(tau, middle.astype(float)) > u
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def fit_sizes(sizes: ArrayLike, rng: np.random.Generator, simulations: int = 100) -> ClusterLaw:
    """Fit the tail of a list of cluster sizes (one entry per cluster).

    Raises
    ------
    InputError
        Sizes that are not whole numbers of 1 or more, or fewer than 50 clusters.
    """
    s = np.asarray(sizes)
    if s.ndim != 1 or s.dtype.kind not in "iu" or (s.size and s.min() < 1):
        raise InputError("cluster sizes are whole numbers", expected="1 or more", got=f"{s.dtype} {s.shape}")
    if s.size < MIN_CLUSTERS or (s >= 2).sum() < 2:
        raise InputError(
            "too few clusters for an exponent", expected=f"{MIN_CLUSTERS} or more", got=str(s.size)
        )
    s = s.astype(np.int64)
    smallest, tau, d = _best(s)
    tail, body = s[s >= smallest], s[s < smallest]
    worse, taus = 0, []
    for _ in range(simulations):
        k = int(rng.binomial(len(s), len(tail) / len(s)))
        fake = draw(k, tau, smallest, rng)
        if len(body):
            fake = np.concatenate([fake, rng.choice(body, len(s) - k)])
        worse += _best(fake)[2] >= d
        taus.append(exponent(draw(len(tail), tau, smallest, rng), smallest))
    spread = np.quantile(taus, [0.05, 0.95]) - np.mean(taus)
    known = Estimate(
        tau, float(tau - spread[1]), float(tau - spread[0]), len(tail), method="maximum likelihood", level=0.9
    )
    return ClusterLaw(known, smallest, d, (1 + worse) / (1 + simulations), len(tail))
