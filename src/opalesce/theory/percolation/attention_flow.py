r"""Attention as a flow of probability: stationary current, entropy production, absorption.

A row-stochastic P moves a walker from query to key. At its stationary distribution pi,

.. math::

    J_{ij} = \pi_i P_{ij} - \pi_j P_{ji}, \quad
    \dot S = \sum_{i<j} J_{ij} \ln \frac{\pi_i P_{ij}}{\pi_j P_{ji}} \ge 0

and the entropy production vanishes exactly where P is reversible, that is, a network of conductances
(Schnakenberg 1976). **Causal** attention only looks back: every walk ends at the first key and stays, nothing
circulates, and the entropy production is 0 whatever was learned. There the question is where a walk is
absorbed: :math:`F = (1 - P_{tt})^{-1} P_{ta}` (attention rollout with stopping) [R].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse.csgraph import connected_components

from opalesce.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

ROW_SUM = 1e-5  # largest error of a row sum in single precision


def stochastic(p: ArrayLike) -> Array:
    """P as float64 with rows that sum to 1 exactly.

    Raises
    ------
    InputError
        Not square, negative or not finite entries, or a row sum off by more than 1e-5.
    """
    a = np.asarray(p, np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.size == 0:
        raise InputError("not a matrix of transitions", expected="a square matrix", got=f"shape {a.shape}")
    if not np.isfinite(a).all() or (a < 0).any():
        raise InputError("transitions are no probabilities", expected="finite numbers from 0 on")
    sums = a.sum(axis=1)
    if np.abs(sums - 1).max() > ROW_SUM:
        raise InputError(
            "rows do not sum to 1", expected=f"1 within {ROW_SUM:g}", got=f"{sums.min():g} to {sums.max():g}"
        )
    return np.asarray(a / sums[:, None])


def stationary(p: ArrayLike) -> Array:
    """Stationary distribution of P, shape (n,).

    Raises
    ------
    InputError
        As `stochastic`; more than one closed class of states, so that it is not unique.
    """
    a = stochastic(p)
    classes, label = connected_components(a > 0, directed=True, connection="strong")
    leaves = np.zeros(classes, bool)
    i, j = np.nonzero(a)
    leaves[label[i[label[i] != label[j]]]] = True
    if (~leaves).sum() != 1:
        raise InputError(
            "the stationary distribution is not unique",
            expected="one closed class of states",
            got=f"{int((~leaves).sum())}",
        )
    n = len(a)
    system = np.vstack([a.T - np.eye(n), np.ones(n)])
    pi = np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)[0]
    pi = np.maximum(pi, 0.0)
    pi[leaves[label]] = 0.0  # transient states
    return np.asarray(pi / pi.sum())


def currents(p: ArrayLike) -> Array:
    """Stationary probability currents J, antisymmetric, shape (n, n); raises InputError as `stationary`."""
    flow = stationary(p)[:, None] * stochastic(p)
    return np.asarray(flow - flow.T)


def entropy_production(p: ArrayLike) -> float:
    """Entropy production in nats a step: 0 for a reversible P, infinite where a used step has no way back.

    Raises
    ------
    InputError
        As `stationary`.
    """
    flow = stationary(p)[:, None] * stochastic(p)
    i, j = np.nonzero(np.triu((flow > 0) | (flow.T > 0), 1))
    there, back = flow[i, j], flow[j, i]
    if ((there > 0) != (back > 0)).any():
        return float("inf")
    return float(((there - back) * np.log(there / back)).sum())


def absorption(p: ArrayLike, targets: int = 1) -> Array:
    """Where walks of causal attention end: chance of each query to end at each of the first keys.

    Parameters
    ----------
    p : array, shape (T, T)
        Lower triangular, rows summing to 1.
    targets : int
        The first so many keys absorb.

    Returns
    -------
    array, shape (T - targets, targets)
        F = (1 - P_tt)^-1 P_ta; rows sum to 1 where every query can leave itself.

    Raises
    ------
    InputError
        As `stochastic`; entries above the diagonal; no or all keys absorbing; a query that looks only at
        itself and never leaves.
    """
    a = stochastic(p)
    if np.triu(a, 1).any():
        raise InputError("the attention is not causal", expected="no key after its query")
    if not 1 <= targets < len(a):
        raise InputError("no such targets", expected=f"1 to {len(a) - 1}", got=str(targets))
    stay = np.eye(len(a) - targets) - a[targets:, targets:]
    if (np.diag(stay) <= 0).any():
        raise InputError("a query looks only at itself", expected="a way to the absorbing keys")
    return np.asarray(solve_triangular(stay, a[targets:, :targets], lower=True))


def depth(p: ArrayLike) -> Array:
    """Mean number of steps from each query of causal attention to the first key, shape (T,).

    Raises
    ------
    InputError
        As `absorption`.
    """
    a = stochastic(p)
    if np.triu(a, 1).any():
        raise InputError("the attention is not causal", expected="no key after its query")
    stay = np.eye(len(a) - 1) - a[1:, 1:]
    if (np.diag(stay) <= 0).any():
        raise InputError("a query looks only at itself", expected="a way to the first key")
    return np.concatenate([[0.0], solve_triangular(stay, np.ones(len(a) - 1), lower=True)])
