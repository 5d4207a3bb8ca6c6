"""Targets of a cluster: a random walk along its branches (brill2024neural, section on experiments)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from opalesce.theory.brill.trees import Ints, check_tree

Floats = NDArray[np.float32]


@njit(cache=True, nogil=True)
def _walk(parent: Ints, rng: np.random.Generator) -> Floats:
    y = np.zeros(parent.size, np.float32)
    total, squares = 0.0, 0.0
    for i in range(1, parent.size):
        y[i] = y[parent[i]] + rng.standard_normal()
        total += y[i]
        squares += y[i] * y[i]
    mean = total / parent.size
    variance = squares / parent.size - mean * mean
    scale = 1.0 / np.sqrt(variance) if variance > 0 else 0.0
    for i in range(parent.size):
        y[i] = (y[i] - mean) * scale
    return y


def random_walk_targets(parent: Ints, rng: np.random.Generator) -> Floats:
    r"""Branching random walk, standardised over the cluster.

    .. math:: y_0 = 0, \quad y_i = y_{parent(i)} + \xi_i, \quad \xi_i \sim N(0, 1)

    then mean 0 and variance 1 over the sites. A cluster of one site has y = 0.

    Parameters
    ----------
    parent : array of int32, shape (s,)
        From `bethe_tree`.
    rng : Generator

    Returns
    -------
    array of float32, shape (s,)

    Raises
    ------
    InputError
        `parent` is not a tree in which parents precede children.
    """
    check_tree(parent)
    return np.asarray(_walk(parent, rng))
