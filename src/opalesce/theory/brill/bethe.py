r"""Cluster sizes of bond percolation on the Bethe lattice of degree z, seen from a random site.

.. math::

    P(S = 1) = (1-p)^z, \qquad
    P(S = s) = \frac{z}{s-1} \binom{s(z-1)}{s-2} p^{s-1} (1-p)^{s(z-2)+2}, \quad s \ge 2

(total progeny of a branching process, harris1963theory; at p_c = 1/(z-1) the tail is
:math:`\frac{z}{z-1} \sqrt{2 / (\pi (1-p) s)}`). A random site lies in a large cluster more often than
a random cluster is large: these are size-biased probabilities, :math:`P(s) \sim s^{1-\tau}` with
tau = 5/2.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from opalesce.errors import InputError
from opalesce.theory.checks import Array, numbers, positive, whole

SMALL = 64  # sizes below use the gamma function; above it would cancel, and Stirling's series is exact
EXACT = 4096  # sizes below are summed one by one; above, the sum is an integral to 1e-11


def threshold(degree: int) -> float:
    """p_c = 1 / (z - 1).

    Raises
    ------
    InputError
        Degree below 3.
    """
    return 1.0 / (whole(degree, "degree", 3) - 1)


def log_size_probability(size: ArrayLike, degree: int, p: float) -> Array:
    """ln P(S = s) of the module docstring, for sizes s >= 1 (real s is interpolated by the gamma function).

    Raises
    ------
    InputError
        Size below 1, degree below 3, p outside (0, 1).
    """
    s, z = numbers(size, "size", 1), whole(degree, "degree", 3)
    p = positive(p, "p", 0, 1)
    shape = s.shape
    s = s.ravel()
    out = np.full(s.size, z * math.log1p(-p))
    out[s > 1] = math.log(z * p) - np.log(s[s > 1] - 1)
    mid, top = (s > 1) & (s < SMALL), s >= SMALL
    bonds, slots = s[mid] - 2, s[mid] * (z - 1)
    ways = gammaln(slots + 1) - gammaln(bonds + 1) - gammaln(slots - bonds + 1)
    out[mid] += ways + xlogy(bonds, p) + xlog1py(slots - bonds, -p)
    out[top] += _log_binomial(s[top], z, p)
    return out.reshape(shape)


def _log_binomial(s: Array, z: int, p: float) -> Array:
    """ln Binomial(s-2; s(z-1), p) for large s (loader2000fast): nothing large cancels."""
    bonds, slots, off = s - 2, s * (z - 1), p - 1 / (z - 1)
    free = slots - bonds
    taken = np.log1p(-2 / s) - math.log1p(off * (z - 1))
    open_ = np.log1p(2 / (s * (z - 2))) - math.log1p(-off * (z - 1) / (z - 2))
    deviance = bonds * taken + free * open_
    return np.asarray(
        _stirling(slots)
        - _stirling(bonds)
        - _stirling(free)
        - deviance
        + 0.5 * np.log(slots / (2 * np.pi * bonds * free))
    )


def _stirling(n: Array) -> Array:
    """ln n! minus its Stirling formula; to 1e-16 for n >= 48."""
    return np.asarray((1 / 12 - (1 / 360 - 1 / (1260 * n**2)) / n**2) / n)


def cutoff_size(degree: int, p: float) -> float:
    r"""Size beyond which clusters are cut off exponentially, :math:`P(s) \sim s^{-3/2} e^{-s/s_\xi}`.

    .. math:: 1/s_\xi = \ln\frac{p_c (1-p_c)^{z-2}}{p (1-p)^{z-2}}

    Exact: the ratio of P(s) at p to P(s) at p_c is a constant times this exponential. It is
    infinite at p_c and scales as :math:`|p - p_c|^{-1/\sigma}`, sigma = 1/2.

    Raises
    ------
    InputError
        Degree below 3, p outside (0, 1).
    """
    pc, p = threshold(degree), positive(p, "p", 0, 1)
    rate = -math.log1p((p - pc) / pc) - (degree - 2) * math.log1p((pc - p) / (1 - pc))
    return 1.0 / rate if rate > 1e-15 else math.inf


def finite_probability(degree: int, p: float) -> float:
    """Chance that the cluster of a site is finite: Q^z with Q = 1 - p + p Q^(z-1), the smaller root.

    Raises
    ------
    InputError
        Degree below 3, p outside (0, 1).
    """
    z, p = whole(degree, "degree", 3), positive(p, "p", 0, 1)
    if p <= threshold(z):
        return 1.0
    q = 0.0  # rises to the smaller root; Newton from the left never passes it
    for _ in range(200):
        step = (1 - p + p * q ** (z - 1) - q) / (1 - p * (z - 1) * q ** (z - 2))
        q += step
        if abs(step) < 1e-16:
            break
    return float(q**z)


def tail_probability(size: int, degree: int, p: float) -> float:
    """P(size <= S < infinity), to about 1e-11.

    Sizes up to 4096 are summed; the rest is the integral of the smooth formula from a half below,
    with its first correction (midpoint rule), in the variable s^(-1/2).

    Raises
    ------
    InputError
        Size below 1, degree below 3, p outside (0, 1).
    """
    size = whole(size, "size", 1)
    if size < EXACT:
        head = np.exp(log_size_probability(np.arange(size, EXACT), degree, p)).sum()
        return float(head) + tail_probability(EXACT, degree, p)
    start = size - 0.5
    node, weight = _nodes()
    top = start**-0.5  # s = x^-2 makes the critical integrand constant
    reach = cutoff_size(degree, p)
    low = 0.0 if math.isinf(reach) else (start + 50 * reach) ** -0.5
    x = low + (top - low) * (node + 1) / 2
    smooth = np.exp(log_size_probability(x**-2.0, degree, p) - 3 * np.log(x))
    around = np.exp(log_size_probability([start - 0.5, start + 0.5], degree, p))
    return float((top - low) * (smooth @ weight) + (around[1] - around[0]) / 24)


@lru_cache(maxsize=1)
def _nodes() -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights; they cost more than the integral."""
    return np.polynomial.legendre.leggauss(200)


def draw_sizes(
    count: int,
    degree: int,
    rng: np.random.Generator,
    smallest: int = 300,
    largest: int = 30_000_000,
    p: float | None = None,
) -> NDArray[np.int64]:
    """Cluster sizes of random sites, kept where smallest <= S <= largest; exact, no table.

    A size is proposed from the density x^(-3/2) and accepted with the exact ratio, so memory does
    not depend on `largest`. Growing clusters and discarding gives the same law.

    Parameters
    ----------
    count : int
    degree : int
        z of the Bethe lattice.
    rng : Generator
    smallest, largest : int
    p : float, optional
        Bond probability, by default p_c.

    Returns
    -------
    array, shape (count,)
        In the order drawn.

    Raises
    ------
    InputError
        Any argument out of range, or smallest > largest.
    """
    count = whole(count, "count", 1)
    smallest, largest = whole(smallest, "smallest", 2), whole(largest, "largest", 2)
    if smallest > largest:
        raise InputError("no size is allowed", expected="smallest <= largest", got=f"{smallest} > {largest}")
    p = threshold(degree) if p is None else positive(p, "p", 0, 1)
    reach = cutoff_size(degree, p)
    top = (
        largest if math.isinf(reach) else min(largest, smallest + int(45 * reach) + 1)
    )  # e^-45 is below 1e-19
    left, right = (smallest - 0.5) ** -0.5, (top + 0.5) ** -0.5

    def ratio(s: Array) -> Array:
        cell = np.log((s - 0.5) ** -0.5 - (s + 0.5) ** -0.5)
        return log_size_probability(s, degree, p) - cell

    # P(s) s^(3/2) moves by O(1/s) at p_c and falls exponentially away from it; its largest value lies at an
    # end of the range or where the two effects balance, so the bound is taken over a grid with a margin
    bound = ratio(np.unique(np.geomspace(smallest, top, 400).round())).max() + 1e-3
    kept: list[NDArray[np.int64]] = []
    missing = count
    while missing > 0:
        x = (left + (right - left) * rng.random(2 * missing + 16)) ** -2.0
        s = np.clip(np.rint(x), smallest, top)
        kept.append(s[np.log(rng.random(s.size)) < ratio(s) - bound].astype(np.int64))
        missing -= kept[-1].size
    return np.concatenate(kept)[:count]


def draw_discarded(
    count: int,
    degree: int,
    rng: np.random.Generator,
    smallest: int = 300,
    largest: int = 30_000_000,
    p: float | None = None,
) -> tuple[int, int]:
    """How many clusters too small and too large are met until `count` are kept.

    Negative binomial, then binomial. Above p_c the infinite clusters count as too large.

    Raises
    ------
    InputError
        Any argument out of range.
    """
    count, p = whole(count, "count", 1), threshold(degree) if p is None else positive(p, "p", 0, 1)
    above = tail_probability(largest + 1, degree, p)
    large = above + 1 - finite_probability(degree, p)
    keep = tail_probability(smallest, degree, p) - above
    discarded = int(rng.negative_binomial(count, keep))
    n_large = int(rng.binomial(discarded, min(large / (1 - keep), 1.0)))
    return discarded - n_large, n_large
