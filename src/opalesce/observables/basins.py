r"""Basins of representation space: clusters that hold their points (reconstruction).

"Concept basins" after Alpay and Kilictas (2026), of whom only the abstract
could be read; all here is a reconstruction. A basin at layer l is a cluster whose spread contracts from l
to l + 1 and to which points return after a kick of relative size eps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.observables.inputs import finite

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Clusters:
    """Unit directions `centre` (k, d), who belongs to which (`label`, (n,)), mean cosine `cohesion`."""

    centre: Array
    label: Labels
    cohesion: float


def _directions(points: ArrayLike) -> Array:
    x = np.asarray(finite(points, "the activations", ndim=2), np.float64)
    x = x / (float(np.abs(x).max()) or 1.0)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    if (norm == 0).any():
        raise InputError(
            "a point has no direction", expected="no rows of zeros", got=f"{int((norm == 0).sum())}"
        )
    return np.asarray(x / norm)


def spherical_kmeans(
    points: ArrayLike, k: int, rng: np.random.Generator, restarts: int = 8, steps: int = 100
) -> Clusters:
    r"""Clusters of directions.

    .. math:: \max \frac1n \sum_i \cos(x_i, c_{z(i)}), \quad c_k \propto \sum_{z(i) = k} x_i/|x_i|

    (Dhillon and Modha 2001, section 3.) Started from points drawn far apart (as k-means++), best of
    `restarts`; an empty cluster takes the point that fits worst.

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
        Clusters.

    Raises
    ------
    InputError
        Not finite, a row of zeros, k outside 1..n.
    """
    u = _directions(points)
    if not 1 <= k <= len(u):
        raise InputError("too many clusters", expected=f"1 to {len(u)}", got=str(k))
    best: Clusters | None = None
    for _ in range(restarts):
        found = _lloyd(u, _seeds(u, k, rng), steps)
        if best is None or found.cohesion > best.cohesion:
            best = found
    assert best is not None
    return best


def _seeds(u: Array, k: int, rng: np.random.Generator) -> Array:
    chosen = [int(rng.integers(len(u)))]
    far = 1 - u @ u[chosen[0]]
    for _ in range(k - 1):
        odds = np.clip(far, 0, None)
        total = float(odds.sum())
        chosen.append(int(rng.choice(len(u), p=odds / total if total > 0 else None)))
        far = np.minimum(far, 1 - u @ u[chosen[-1]])
    return u[chosen]


def _lloyd(u: Array, centre: Array, steps: int) -> Clusters:
    label = np.full(len(u), -1)
    for _ in range(steps):
        cosine = u @ centre.T
        new = cosine.argmax(axis=1)
        if (new == label).all():
            break
        label = new
        total = np.zeros_like(centre)
        np.add.at(total, label, u)
        norm = np.linalg.norm(total, axis=1)
        for empty in np.flatnonzero(norm < 1e-12):
            total[empty] = u[int(cosine.max(axis=1).argmin())]
            norm[empty] = 1.0
        centre = total / norm[:, None]
    cosine = u @ centre.T
    label = cosine.argmax(axis=1)
    return Clusters(centre, label.astype(np.intp), float(cosine.max(axis=1).mean()))


def return_probability(
    points: ArrayLike, clusters: Clusters, rng: np.random.Generator, size: float = 0.1, kicks: int = 16
) -> Array:
    r"""Probability that a point kicked by :math:`\epsilon \|h\|` in a random direction stays in its cluster.

    A cluster is called stable at 0.9 or more (reconstruction). Null: clusters of k-means on an isotropic
    cloud have borders everywhere, and lose points at any kick.

    Returns
    -------
    array, shape (k,)
        By cluster; NaN for an empty one.

    Raises
    ------
    InputError
        Not finite, a row of zeros, another number of points than was clustered.
    """
    u = _directions(points)
    if len(u) != len(clusters.label):
        raise InputError("other points were clustered", expected=str(len(clusters.label)), got=str(len(u)))
    stay = np.zeros(len(u))
    for _ in range(kicks):
        noise = rng.standard_normal(u.shape)
        moved = u + size * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        stay += (moved @ clusters.centre.T).argmax(axis=1) == clusters.label
    return _by_cluster(stay / kicks, clusters)


def _by_cluster(values: Array, clusters: Clusters) -> Array:
    k = len(clusters.centre)
    count = np.bincount(clusters.label, minlength=k)
    total = np.bincount(clusters.label, values, minlength=k)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def contraction_within(before: ArrayLike, after: ArrayLike, label: ArrayLike) -> Array:
    r"""Change of the spread within each cluster over a layer, relative to that of the whole cloud.

    .. math:: \frac{V_k(l+1)/V_k(l)}{V(l+1)/V(l)}, \quad V = \langle |h - \bar h|^2 \rangle

    Below 1 a cluster contracts more than its surroundings. Null: 1 where a layer scales and turns alone. NaN
    for clusters below two points or without spread.

    Parameters
    ----------
    before, after : arrays, shape (n, d) and (n, d')
        The same points at two layers.
    label : array of int, shape (n,)

    Raises
    ------
    InputError
        Not finite, or lengths that differ.
    """
    a, b = (np.asarray(finite(x, "the activations", ndim=2), np.float64) for x in (before, after))
    z = np.asarray(label)
    if len(a) != len(b) or z.shape != (len(a),):
        raise InputError("points of two layers must match", expected=str(len(a)), got=f"{len(b)}, {z.shape}")

    def spread(x: Array) -> float:
        return float(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean()) if len(x) > 1 else 0.0

    whole = spread(b) / spread(a) if spread(a) > 0 else float("nan")
    out = []
    for k in range(int(z.max()) + 1):
        mine = spread(a[z == k])
        out.append(spread(b[z == k]) / mine / whole if mine > 0 and whole > 0 else float("nan"))
    return np.array(out)


@dataclass(frozen=True)
class Basins:
    """Clusters of one layer, judged.

    Attributes
    ----------
    clusters : Clusters
    returns, contraction : array, shape (k,)
        Return probability, and contraction to the next layer.
    stay : Estimate
        Share of points that keep their cluster into the next layer, clusters matched by their points, minus
        what chance gives (adjusted for cluster sizes); 0 for chance, 1 for all.
    basin : array of bool, shape (k,)
        Return probability 0.9 or more and contraction below 1.
    """

    clusters: Clusters
    returns: Array
    contraction: Array
    stay: Estimate
    basin: NDArray[np.bool_]


def basins(
    before: ArrayLike, after: ArrayLike, k: int, rng: np.random.Generator, size: float = 0.1
) -> Basins:
    """Which clusters of a layer are basins (reconstruction).

    Raises
    ------
    InputError
        From `spherical_kmeans` and `contraction_within`.
    """
    here, there = spherical_kmeans(before, k, rng), spherical_kmeans(after, k, rng)
    back = return_probability(before, here, rng, size)
    shrink = contraction_within(before, after, here.label)
    return Basins(here, back, shrink, kept(here.label, there.label), (back >= 0.9) & (shrink < 1))


def kept(a: ArrayLike, b: ArrayLike) -> Estimate:
    r"""Agreement of two clusterings beyond chance: adjusted Rand index (Hubert and Arabie 1985).

    .. math:: \frac{\sum_{ij} \binom{n_{ij}}{2} - E}{\frac12 (A + B) - E}, \quad E = A B / \binom n2

    with A, B the numbers of pairs within clusters of either. Interval: 90 %, by leaving out tenths. Null: 0.

    Raises
    ------
    InputError
        Lengths that differ, or fewer than two points.
    """
    x, y = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (a, b))
    if x.shape != y.shape or len(x) < 2:
        raise InputError("clusterings must match", expected="2 or more points", got=f"{x.shape}, {y.shape}")
    value, parts = _rand(x, y), min(10, len(x) // 2)
    if parts < 2:
        return Estimate(value, n=len(x), method="adjusted Rand index")
    fold = np.arange(len(x)) % parts
    without = np.array([_rand(x[fold != i], y[fold != i]) for i in range(parts)])
    error = float(np.sqrt((parts - 1) / parts * ((without - without.mean()) ** 2).sum()))
    half = 1.645 * error
    return Estimate(value, value - half, value + half, len(x), "", "adjusted Rand index, jackknife")


def _rand(x: Labels, y: Labels) -> float:
    table = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(table, (x, y), 1)

    def pairs(n: Array) -> float:
        return float((n * (n - 1) / 2).sum())

    a, b, n = pairs(table.sum(axis=1)), pairs(table.sum(axis=0)), len(x)
    chance = a * b / (n * (n - 1) / 2)
    top = 0.5 * (a + b) - chance
    return (pairs(table) - chance) / top if top != 0 else 1.0
