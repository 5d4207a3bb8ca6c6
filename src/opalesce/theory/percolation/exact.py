"""Closed forms and fixed points: the chain, the Bethe lattice, random graphs, layered graphs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, xlog1py, xlogy

from opalesce.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

# Clusters per site of bond percolation on the square lattice at p = 1/2 (Temperley and Lieb 1971; Ziff,
# Finch and Adamchik 1997), and what an L x L torus has beyond, in clusters (Kleban and Ziff 1998 [M])
SQUARE_BOND_CLUSTERS = (3 * math.sqrt(3) - 5) / 2
SQUARE_BOND_EXCESS = 0.8836


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise InputError("probability out of range", expected="0 <= p <= 1", got=f"{p:g}")
    return float(p)


def _degree(z: int) -> int:
    if isinstance(z, bool) or not isinstance(z, int | np.integer) or z < 2:
        raise InputError("no Bethe lattice of this degree", expected="a whole number >= 2", got=repr(z))
    return int(z)


def chain_clusters(p: float, sizes: ArrayLike) -> Array:
    """Clusters of s sites per site of an infinite chain: n_s = p^s (1 - p)^2 (Stauffer and Aharony 2.2)."""
    s = np.asarray(sizes, float)
    return np.asarray(_probability(p) ** s * (1 - p) ** 2)


def chain_mean_size(p: float) -> float:
    """Mean size of the cluster of an occupied site of a chain, (1 + p)/(1 - p); infinite at p = 1."""
    return math.inf if _probability(p) == 1 else (1 + p) / (1 - p)


def chain_correlation_length(p: float) -> float:
    """Distance over which the chance of being connected falls by e on a chain, -1/ln p."""
    p = _probability(p)
    return 0.0 if p == 0 else math.inf if p == 1 else -1 / math.log(p)


def bethe_threshold(z: int) -> float:
    """Threshold of the Bethe lattice of degree z, 1/(z - 1), for sites and bonds (Fisher, Essam 1961)."""
    return 1 / (_degree(z) - 1)


def bethe_giant(z: int, p: float, kind: str = "bond") -> float:
    r"""Probability that a given site of the Bethe lattice belongs to an infinite cluster.

    .. math::

        Q = 1 - p + p\, Q^{z-1}, \quad P_\infty = 1 - Q^z \;(\text{bonds}), \; p\,(1 - Q^z) \;(\text{sites})

    Q, the chance that a branch ends, is the smallest root in [0, 1]. A site that is not occupied belongs
    to no cluster (Stauffer and Aharony 1994, section 2.4).

    Raises
    ------
    InputError
        p outside [0, 1], z below 2, unknown kind.
    """
    z, p = _degree(z), _probability(p)
    if kind not in ("site", "bond"):
        raise InputError("unknown kind of percolation", expected="'site' or 'bond'", got=repr(kind))
    if p * (z - 1) <= 1 and not (z == 2 and p == 1):
        return 0.0
    # with q = 1 - Q: q = p (1 - (1 - q)^(z - 1)); expm1 and log1p keep small q exact
    giant = 1.0 if p == 1 else _largest_root(lambda q: -p * math.expm1((z - 1) * math.log1p(-q)))
    reached = 1.0 if giant == 1 else -math.expm1(z * math.log1p(-giant))
    return reached if kind == "bond" else p * reached


def _largest_root(f: Callable[[float], float]) -> float:
    """Positive root of q = f(q) for f concave, f(0) = 0, slope at 0 above 1 and f(1) < 1."""
    low = 0.5
    while f(low) <= low:
        low /= 2
        if low < 1e-300:
            return 0.0
    return float(brentq(lambda q: f(q) - q, low, 1 - 1e-16, xtol=1e-300, rtol=8.9e-16))


def bethe_mean_size(z: int, p: float) -> float:
    """Mean size of the cluster of an (occupied) site below the threshold, (1 + p)/(1 - (z - 1) p).

    Infinite at and above the threshold (Stauffer and Aharony 1994, section 2.4).
    """
    z, p = _degree(z), _probability(p)
    return math.inf if p * (z - 1) >= 1 else (1 + p) / (1 - (z - 1) * p)


def bethe_cluster_size(z: int, p: float, sizes: ArrayLike) -> Array:
    r"""Probability that the bond cluster of a given site of the Bethe lattice has s sites, exact.

    .. math::

        P(1) = (1-p)^z, \quad
        P(s) = \frac{z}{s-1} \binom{s(z-1)}{s-2}\, p^{s-1} (1-p)^{s(z-2)+2}, \quad s \ge 2

    (Fisher and Essam 1961; the law of the total progeny of a branching process, Dwass 1969.) Below and at
    the threshold it sums to 1, above to 1 - `bethe_giant`.

    Raises
    ------
    InputError
        A size below 1 or not whole, p outside [0, 1], z below 2.
    """
    z, p = _degree(z), _probability(p)
    s = _sizes(sizes)
    m = np.maximum(s, 2.0)
    logs = np.log(z / (m - 1)) + _log_choose(m * (z - 1), m - 2)
    logs += xlogy(m - 1, p) + xlog1py(m * (z - 2) + 2, -p)
    return np.asarray(np.where(s == 1, (1 - p) ** z, np.exp(logs)))


def _log_choose(n: Array, k: Array) -> Array:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _sizes(sizes: ArrayLike) -> Array:
    s = np.asarray(sizes, float)
    if not (np.isfinite(s).all() and (s >= 1).all() and (s == np.floor(s)).all()):
        raise InputError("cluster sizes are not whole numbers from 1 on", got=repr(sizes)[:60])
    return s


def bethe_size_tail(z: int, p: float, size: int) -> float:
    """P(S >= size) of `bethe_cluster_size`, an infinite cluster counted in.

    Brill's case, z = 200 at the threshold: P(S >= 300) = 0.0464478.
    """
    below = np.arange(1, int(_sizes(size)))
    return float(1 - bethe_cluster_size(z, p, below).sum())


def poisson_giant(c: float) -> float:
    r"""Share of nodes in the giant component of G(n, c/n): the largest root of :math:`S = 1 - e^{-cS}`.

    c is the mean degree; 0 up to c = 1 (Erdos and Renyi 1960; Newman 2010, eq. 12.15).

    Raises
    ------
    InputError
        c is negative or not finite.
    """
    if not 0 <= c < math.inf:
        raise InputError("mean degree out of range", expected="c >= 0", got=f"{c:g}")
    if c <= 1:
        return 0.0
    return 1.0 if c > 40 else _largest_root(lambda s: -math.expm1(-c * s))


def poisson_mean_size(c: float) -> float:
    """Mean size of the component of a node of G(n, c/n) below the threshold, 1/(1 - c); else infinite."""
    if not 0 <= c < math.inf:
        raise InputError("mean degree out of range", expected="c >= 0", got=f"{c:g}")
    return math.inf if c >= 1 else 1 / (1 - c)


def poisson_cluster_size(c: float, sizes: ArrayLike) -> Array:
    r"""Borel law: probability that the component of a node of G(n, c/n) has s nodes, n infinite.

    .. math:: P(s) = e^{-cs} (cs)^{s-1} / s!

    (Borel 1942; Newman 2010, eq. 12.49.) Raises InputError for c < 0 or sizes that are no whole numbers.
    """
    if not 0 <= c < math.inf:
        raise InputError("mean degree out of range", expected="c >= 0", got=f"{c:g}")
    s = _sizes(sizes)
    return np.asarray(np.exp(-c * s + xlogy(s - 1, c * s) - gammaln(s + 1)))


def layered_threshold(widths: ArrayLike) -> float:
    r"""Edge density at which a random layered graph percolates.

    .. math:: f_c = 1/\rho(T), \quad T_{l,l+1} = n_{l+1}, \; T_{l+1,l} = n_l

    rho is the spectral radius, T tridiagonal in the widths :math:`n_0 \dots n_L`. Mean-field argument [R],
    exact for independent edges and wide layers. Two layers: :math:`1/\sqrt{n_0 n_1}`; L + 1 layers of
    width n: :math:`1/(2 n \cos(\pi/(L+2)))`.

    Raises
    ------
    InputError
        Fewer than two layers, or a width below 1.
    """
    # similar to the symmetric matrix with sqrt(n_l n_{l+1}) beside the diagonal
    side = np.sqrt(_widths(widths)[1:] * _widths(widths)[:-1])
    return float(1 / np.linalg.eigvalsh(np.diag(side, 1) + np.diag(side, -1))[-1])


def layered_giant(widths: ArrayLike, density: float) -> Array:
    r"""Share of each layer in the giant component of a random layered graph.

    .. math:: S_l = 1 - \exp\big(-f\, (n_{l-1} S_{l-1} + n_{l+1} S_{l+1})\big)

    Two layers are the bipartite graph. Mean field for wide layers [R for more than two]; zero up to
    `layered_threshold`. Solved by Newton's method from S = 1, which falls monotonically on the largest root.

    Returns
    -------
    array, shape (layers,)

    Raises
    ------
    InputError
        As `layered_threshold`; density outside [0, 1].
    """
    n, f = _widths(widths), _probability(density)
    if f <= layered_threshold(n):
        return np.zeros(len(n))
    t = f * (np.diag(n[1:], 1) + np.diag(n[:-1], -1))
    s = np.ones(len(n))
    for _ in range(200):
        left = np.exp(-t @ s)
        step = np.linalg.solve(np.eye(len(n)) - left[:, None] * t, s - 1 + left)
        s = s - step
        if np.abs(step).max() < 1e-15:
            break
    return np.clip(s, 0.0, 1.0)


def _widths(widths: ArrayLike) -> Array:
    n = np.asarray(widths, float)
    if n.ndim != 1 or len(n) < 2 or not (np.isfinite(n).all() and (n >= 1).all()):
        raise InputError("no layered graph", expected="two or more widths, each at least 1", got=repr(widths))
    return n


def square_bond_clusters(size: int) -> float:
    r"""Clusters per site of bond percolation at p = 1/2 on an L x L torus.

    .. math:: n_c(L) = \frac{3\sqrt3 - 5}{2} + \frac{0.8836}{L^2}

    (Ziff, Finch and Adamchik 1997; further terms fall faster.) Raises InputError for L < 1.
    """
    if size < 1:
        raise InputError("no torus of this size", expected="size >= 1", got=str(size))
    return SQUARE_BOND_CLUSTERS + SQUARE_BOND_EXCESS / size**2
