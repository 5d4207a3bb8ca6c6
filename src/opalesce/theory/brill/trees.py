r"""Exact random trees: a Bethe cluster of known size, by the cycle lemma.

Given its size s, the bonds of a rooted cluster are s-1 of the (z-1)s + 1 slots (z at the root, z-1
elsewhere), uniform among the choices that make one tree. So, with no rejection of trees:

1. root degree j: j-1 is hypergeometric, :math:`P(j) \propto j \binom{z}{j} \binom{(z-1)(s-1)}{s-1-j}`;
2. s-1-j bonds fall into the (z-1)(s-1) slots of the other sites;
3. exactly j of the s-1 rotations of that sequence are a forest of j trees in depth-first order
   (dwass1969total; vervaat1979relation for j = 1); one is taken at random.

The law does not depend on p. Sites are numbered depth first: every parent comes before its children
and the descendants of a site are the sites that follow it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.theory.checks import whole

Ints = NDArray[np.int32]


@njit(cache=True, nogil=True)
def _fill_slots(counts: NDArray[np.uint8], balls: int, slots: int, rng: np.random.Generator) -> None:
    """Put `balls` into slots, `slots` per site, no slot twice; counts per site.

    Which slots of a site are taken does not matter, so the taken ones are called 0 .. count-1.
    """
    total = float(counts.size) * slots
    while balls > 0:
        at = int(rng.random() * total)
        site = at // slots
        if at - site * slots >= counts[site]:
            counts[site] += 1
            balls -= 1


@njit(cache=True, nogil=True)
def rotation_start(counts: NDArray[np.uint8], trees: int, pick: int) -> int:
    """Start of the `pick`-th of the `trees` rotations that are forests in depth-first order.

    The walk of counts - 1 ends at -trees; valid rotations start just after it first reaches each of
    the levels lowest, lowest + 1, ..., lowest + trees - 1.
    """
    level, lowest = 0, 0
    for c in counts:
        level += c - 1
        lowest = min(lowest, level)
    wanted, level = lowest + pick, 0
    if wanted >= 0:
        return 0
    for i in range(counts.size):
        level += counts[i] - 1
        if level == wanted:
            return (i + 1) % counts.size
    return 0


@njit(cache=True, nogil=True)
def parents_depth_first(root: int, counts: NDArray[np.uint8], start: int) -> Ints:
    """Parent of each site from the numbers of children in depth-first order; -1 at the root."""
    n = counts.size
    parent = np.empty(n + 1, np.int32)
    parent[0] = -1
    stack = np.empty(n + 1, np.int32)  # sites that still wait for children
    waiting = np.empty(n + 1, np.int32)
    stack[0], waiting[0], height = 0, root, 1
    for i in range(1, n + 1):
        while waiting[height - 1] == 0:
            height -= 1
        parent[i] = stack[height - 1]
        waiting[height - 1] -= 1
        at = start + i - 1
        children = counts[at - n if at >= n else at]
        if children:
            if waiting[height - 1] == 0:
                height -= 1
            stack[height], waiting[height] = i, children
            height += 1
    return parent


def bethe_tree(size: int, degree: int, rng: np.random.Generator) -> Ints:
    """A rooted Bethe-lattice cluster of exactly `size` sites, exact in law; time and memory O(size).

    Parameters
    ----------
    size : int
    degree : int
        z: 3 to 256.
    rng : Generator

    Returns
    -------
    array of int32, shape (size,)
        Parent of each site, depth first; -1 at the root (site 0).

    Raises
    ------
    InputError
        Size outside [1, 2^31 - 2], or degree outside [3, 256].
    """
    size, degree = whole(size, "size", 1), whole(degree, "degree", 3, 256)
    if size == 1:
        return np.array([-1], np.int32)
    branch, others = degree - 1, size - 1
    # numpy's hypergeometric stops at 1e9; sites beyond the root take the slots of s-2 bonds evenly
    root = 1 + _hypergeometric(branch, branch * others, others - 1, rng)
    counts = np.zeros(others, np.uint8)
    _fill_slots(counts, others - root, branch, rng)
    start = int(rotation_start(counts, root, int(rng.integers(root))))
    return np.asarray(parents_depth_first(root, counts, start))


def _hypergeometric(good: int, bad: int, draws: int, rng: np.random.Generator) -> int:
    """Good ones among `draws`: one after the other over the few good ones, so any size will do."""
    taken, left, total = 0, draws, good + bad
    for u in rng.random(good):
        if u * total < left:
            taken, left = taken + 1, left - 1
        total -= 1
    return taken


def depths(parent: Ints) -> Ints:
    """Distance of each site from the root.

    Raises
    ------
    InputError
        `parent` is not a tree in which parents precede children.
    """
    check_tree(parent)
    return np.asarray(_depths(parent))


@njit(cache=True, nogil=True)
def _depths(parent: Ints) -> Ints:
    out = np.zeros(parent.size, np.int32)
    for i in range(1, parent.size):
        out[i] = out[parent[i]] + 1
    return out


def check_tree(parent: Ints) -> None:
    """Raise unless `parent` is one tree with site 0 as root and every parent before its children.

    Raises
    ------
    InputError
        As said.
    """
    a = np.asarray(parent)
    good = a.ndim == 1 and a.size > 0 and a.dtype == np.int32 and a[0] == -1
    if not good or bool((a[1:] < 0).any() or (a[1:] >= np.arange(1, a.size)).any()):
        raise InputError(
            "not a tree in which parents precede children",
            expected="int32 array: -1 first, then 0 <= parent[i] < i",
            got=f"shape {a.shape}, dtype {a.dtype}",
        )
