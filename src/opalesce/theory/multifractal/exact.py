r"""Measures and networks whose mass exponents are known in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from opalesce.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def binomial_tau(q: ArrayLike, p: float) -> Array:
    r"""Box exponents of the binomial cascade: :math:`\tau(q) = -\log_2(p^q + (1-p)^q)`.

    Raises
    ------
    InputError
        Unless 0 < p < 1.
    """
    _share(p)
    x = np.asarray(q, float)
    return np.asarray(-np.log2(p**x + (1 - p) ** x))


def binomial_alpha(q: ArrayLike, p: float) -> Array:
    r"""Slope of `binomial_tau`: :math:`-[p^q \log_2 p + (1-p)^q \log_2(1-p)]/[p^q + (1-p)^q]`.

    Raises
    ------
    InputError
        Unless 0 < p < 1.
    """
    _share(p)
    x = np.asarray(q, float)
    a, b = p**x, (1 - p) ** x
    return np.asarray(-(a * np.log2(p) + b * np.log2(1 - p)) / (a + b))


def _share(p: float) -> None:
    if not 0 < p < 1:
        raise InputError("a share lies between 0 and 1", expected="0 < p < 1", got=f"{p:g}")


def binomial_cascade(p: float, levels: int) -> Array:
    """Masses of the 2^levels cells of the binomial measure; the left half takes the share p.

    Raises
    ------
    InputError
        Unless 0 < p < 1 and 1 <= levels <= 26.
    """
    _share(p)
    if not 1 <= levels <= 26:
        raise InputError("no such depth", expected="1 to 26 levels", got=str(levels))
    mass = np.ones(1)
    for _ in range(levels):
        mass = np.column_stack([mass * p, mass * (1 - p)]).ravel()
    return mass


def ifs_tau(q: ArrayLike, shares: ArrayLike, ratios: ArrayLike) -> Array:
    r"""Box exponents of a self-similar measure: the root of :math:`\sum_i p_i^q r_i^{-\tau} = 1`.

    Cantor sets are `shares` (1/2, 1/2) and `ratios` (1/3, 1/3).

    Raises
    ------
    InputError
        Shares that are not positive or do not sum to 1, ratios outside (0, 1).
    """
    p, r = np.asarray(shares, float), np.asarray(ratios, float)
    ok = p.shape == r.shape and p.size > 0 and (p > 0).all() and abs(p.sum() - 1) < 1e-12
    if not ok or not ((r > 0) & (r < 1)).all():
        raise InputError(
            "this is no self-similar measure",
            expected="positive shares of sum 1, ratios in (0, 1)",
            got=f"{p}, {r}",
        )

    def root(moment: float) -> float:
        def excess(tau: float) -> float:  # in logarithms, or large |q| overflows
            return float(np.logaddexp.reduce(moment * np.log(p) - tau * np.log(r)))

        reach = 1.0
        while excess(-reach) > 0 or excess(reach) < 0:
            reach *= 2
        return float(brentq(excess, -reach, reach, xtol=1e-13, rtol=1e-14))

    return np.array([root(float(m)) for m in np.atleast_1d(np.asarray(q, float))])


def bifractal_tau(q: ArrayLike, mass: float, reach: float, hubs: float) -> Array:
    r"""Box exponents of a bifractal network: a kink at :math:`q_c = \ln m / \ln h`.

    .. math::

        \tau(q) = (q - 1) \ln m / \ln x \; (q \le q_c), \quad q \ln(m/h) / \ln x \; (q \ge q_c)

    One generation multiplies nodes by m (`mass`), lengths by x (`reach`), degrees by h (`hubs`). For the
    (u, v)-flower m = u + v, x = u, h = 2; for Song, Havlin and Makse's fractal tree m = 2k + 1, x = 3, h = k
    (Furuya and Yakubo 2011, derived again). The kink is a first-order transition of the free energy tau.

    Raises
    ------
    InputError
        Unless m > h > 1 and x > 1.
    """
    if not (mass > hubs > 1 and reach > 1):
        raise InputError(
            "this is no bifractal network",
            expected="mass > hubs > 1, reach > 1",
            got=f"{mass}, {hubs}, {reach}",
        )
    x = np.asarray(q, float)
    at = np.log(mass) / np.log(hubs)
    low, high = (x - 1) * np.log(mass), x * np.log(mass / hubs)
    return np.asarray(np.where(x <= at, low, high) / np.log(reach))


def flower_degrees(u: int, v: int, generation: int) -> tuple[Array, Array]:
    """Degrees of the (u, v)-flower and how many nodes have each.

    Raises
    ------
    InputError
        Unless 1 <= u <= v, u + v >= 3 and generation >= 1.
    """
    _flower(u, v, generation)
    w = u + v
    degrees = np.asarray(2.0 ** np.arange(1, generation + 1), np.float64)
    numbers = (w - 2.0) * w ** np.arange(generation - 1, -1, -1.0)
    numbers[-1] = w  # the nodes of the first cycle
    return degrees, np.asarray(numbers, np.float64)


def _flower(u: int, v: int, generation: int) -> None:
    if not (1 <= u <= v and u + v >= 3 and generation >= 1):
        raise InputError(
            "no such flower",
            expected="1 <= u <= v, u + v >= 3, generation >= 1",
            got=f"{u}, {v}, {generation}",
        )


def flower(u: int, v: int, generation: int) -> tuple[int, NDArray[np.int64]]:
    """Nodes and edges (E, 2) of the (u, v)-flower: every edge becomes two paths of u and v edges.

    Generation 1 is a cycle of u + v nodes; generation n has (u + v)^n edges.

    Raises
    ------
    InputError
        As `flower_degrees`.
    """
    _flower(u, v, generation)
    w = u + v
    ring = np.arange(w)
    edges, nodes = np.column_stack([ring, (ring + 1) % w]), w
    for _ in range(generation - 1):
        parts = []
        for length in (u, v):
            inner = nodes + np.arange(len(edges) * (length - 1)).reshape(len(edges), length - 1)
            nodes += inner.size
            path = np.column_stack([edges[:, :1], inner, edges[:, 1:]])
            parts += [path[:, i : i + 2] for i in range(length)]
        edges = np.concatenate(parts)
    return nodes, edges


def weighted_fractal(copies: int, factor: float, generation: int) -> tuple[int, NDArray[np.int64], Array]:
    r"""Weighted fractal network: nodes, edges (E, 2) and lengths (E,).

    A new node is joined by edges of length 1 to the roots of `copies` networks of the generation before,
    whose lengths are scaled by `factor`; it is the new root. Dimension :math:`\ln s / \ln(1/f)` for s
    copies and factor f (Carletti and Righi 2010; Song et al. 2015).

    Raises
    ------
    InputError
        Unless copies >= 2, 0 < factor < 1 and generation >= 1.
    """
    if not (copies >= 2 and 0 < factor < 1 and generation >= 1):
        raise InputError(
            "no such network",
            expected="copies >= 2, 0 < factor < 1, generation >= 1",
            got=f"{copies}, {factor}, {generation}",
        )
    nodes, edges, length = 1, np.empty((0, 2), np.int64), np.empty(0)
    for _ in range(generation):  # node 0 is the root
        starts = 1 + nodes * np.arange(copies)
        spokes = np.column_stack([np.zeros(copies, np.int64), starts])
        edges = np.concatenate([spokes, *(edges + s for s in starts)])
        length = np.concatenate([np.ones(copies), *([length * factor] * copies)])
        nodes = 1 + copies * nodes
    return nodes, edges, length
