"""A cluster as a uniform random tree with the hierarchy of its making, put into space, with latent labels.

After the later generator of the author of brill2024neural (`aribrill/percolation-synthetic-data`), from
its description. What the description leaves open is ours [R] and said where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from opalesce.theory.brill.trees import Ints
from opalesce.theory.checks import Array, whole


@dataclass(frozen=True)
class Hierarchy:
    """A tree of s sites and the order in which it was merged.

    Attributes
    ----------
    edges : array of int32, shape (s-1, 2)
        Sites joined by each merge, in time order; the first lies in the block that chose.
    above : array of int32, shape (2s-1,)
        Binary hierarchy: nodes 0..s-1 are sites, s+t is merge t. The merge that took the node up; -1 at
        the top.
    """

    edges: Ints
    above: Ints


@njit(cache=True, nogil=True)
def _merge(size: int, order: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    edges = np.empty((size - 1, 2), np.int32)
    above = np.full(2 * size - 1, -1, np.int32)
    root = np.arange(size).astype(np.int32)  # places on the circle: union-find to the first place of a block
    length = np.ones(size, np.int32)
    node = order.copy()  # hierarchy node of each block, at its first place
    for t in range(size - 1):
        u = int(rng.random() * size)
        a = u
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        b = (a + length[a]) % size  # the next block starts where this one ends
        v = (b + int(rng.random() * length[b])) % size
        edges[t, 0], edges[t, 1] = order[u], order[v]
        above[node[a]], above[node[b]] = size + t, size + t
        root[b] = a
        length[a] += length[b]
        node[a] = size + t
    return edges, above


def cyclic_coalescent(size: int, rng: np.random.Generator) -> Hierarchy:
    """Uniform random labelled tree by merging neighbours on a circle, near-linear time.

    Sites stand on a circle in random order. A uniform site u chooses: its block merges with the next
    one round the circle, by an edge from u to a uniform site of that block. Two blocks of sizes x and y then
    merge at a rate proportional to x + y, whatever their places: the additive coalescent, whose tree is
    uniform among the s^(s-2) labelled trees (pitman1999coalescent, theorem 1 read backwards). Choosing a
    block regardless of its size would not give that: at s = 4 a star would have chance 2/9, not 1/4.

    Parameters
    ----------
    size : int
    rng : Generator

    Raises
    ------
    InputError
        Size below 1 or above 2^30.
    """
    size = whole(size, "size", 1, 2**30)
    edges, above = _merge(size, rng.permutation(size).astype(np.int32), rng)
    return Hierarchy(edges, above)


def latent_labels(hierarchy: Hierarchy, rng: np.random.Generator) -> tuple[Array, Array]:
    r"""Labels of the sites and the latent values they are made of.

    .. math:: y_i = \frac{1}{\sqrt{h_i + 1}} \sum_{a \in A_i} z_a, \quad z_a \sim N(0, 1)

    A_i is site i with the merges above it, h_i their number. Each y_i has variance 1.

    Returns
    -------
    labels : array, shape (s,)
    latent : array, shape (2s-1,)
    """
    above = hierarchy.above
    size = (above.size + 1) // 2
    latent = rng.standard_normal(above.size)
    total, count = latent.copy(), np.ones(above.size)
    _sum_down(above, total, count)
    return np.asarray(total[:size] / np.sqrt(count[:size])), latent


@njit(cache=True, nogil=True)
def _sum_down(above: Ints, total: Array, count: Array) -> None:
    """Add to each node what its ancestors hold; a merge lies above earlier ones only."""
    for i in range(above.size - 2, -1, -1):
        total[i] += total[above[i]]
        count[i] += count[above[i]]


def embed(
    hierarchy: Hierarchy, dimension: int, rng: np.random.Generator, power: float = 1 / 6, nearest: int = 4
) -> Array:
    r"""Positions of the sites in R^d: a branching walk whose steps avoid the directions of the merges above.

    Each merge has a unit direction, made orthogonal to those of the `nearest` merges above it; along the
    edge of that merge the walk makes one step of length :math:`s^{-p}`. The number of merges avoided is
    ours [R]. Positions are centred and scaled by sqrt(d).

    Parameters
    ----------
    hierarchy : Hierarchy
    dimension : int
        d; 100 or more keeps branches apart.
    rng : Generator
    power : float
        p: 1/6 among many clusters, 1/4 for one.
    nearest : int

    Returns
    -------
    array, shape (s, d)

    Raises
    ------
    InputError
        dimension not above `nearest`.
    """
    nearest = whole(nearest, "nearest", 0, 64)
    d = whole(dimension, "dimension", nearest + 1, 10**6)
    edges, above = hierarchy.edges, hierarchy.above
    size = (above.size + 1) // 2
    way = rng.standard_normal((size - 1, d))
    _orthogonal(above, way, nearest)
    x = _walk(edges, way, size) * (size**-power * np.sqrt(d))
    return np.asarray(x - x.mean(axis=0))


@njit(cache=True, nogil=True)
def _orthogonal(above: Ints, way: Array, nearest: int) -> None:
    """Unit directions of the merges, from the top: each loses its parts along the merges just above it.

    These are mutually orthogonal only in part, so the projection is repeated.
    """
    merges = way.shape[0]
    for t in range(merges - 1, -1, -1):
        for _ in range(3):
            node = above[merges + 1 + t]
            for _ in range(nearest):
                if node < 0:
                    break
                other = way[node - merges - 1]
                way[t] -= (way[t] * other).sum() * other
                node = above[node]
        way[t] /= np.sqrt((way[t] ** 2).sum())


@njit(cache=True, nogil=True)
def _walk(edges: Ints, way: Array, size: int) -> Array:
    """Positions from site 0 outward over the edges, one direction an edge."""
    degree = np.zeros(size + 1, np.int64)
    for t in range(size - 1):
        degree[edges[t, 0] + 1] += 1
        degree[edges[t, 1] + 1] += 1
    first = np.cumsum(degree)
    slot = first.copy()
    link = np.empty(2 * (size - 1), np.int32)
    for t in range(size - 1):
        for e in range(2):
            link[slot[edges[t, e]]] = t
            slot[edges[t, e]] += 1
    x = np.zeros((size, way.shape[1]))
    seen = np.zeros(size, np.bool_)
    queue = np.empty(size, np.int32)
    queue[0], head, tail, seen[0] = 0, 0, 1, True
    while head < tail:
        u = queue[head]
        head += 1
        for at in range(first[u], first[u + 1]):
            t = link[at]
            v = edges[t, 0] + edges[t, 1] - u
            if not seen[v]:
                x[v] = x[u] + way[t]
                seen[v] = True
                queue[tail] = v
                tail += 1
    return x
