r"""Message passing and the non-backtracking matrix: thresholds of one given network.

Bond retention p (karrer2014percolation): the probability that j does not lead i to the giant cluster,

.. math:: H_{i \leftarrow j} = 1 - p + p \prod_{k \in N(j) \setminus i} H_{j \leftarrow k}, \qquad
          S = 1 - \frac1n \sum_i \prod_{j \in N(i)} H_{i \leftarrow j}

exact on trees, a bound with loops. Its linear stability gives :math:`p_c = 1/\lambda_{max}(B)` with B the
non-backtracking matrix, whose largest eigenvalue is that of the 2n x 2n matrix [[A, I - D], [I, 0]]. When
the leading eigenvector sits on a few nodes (a dense core), that eigenvalue tells of the core, not of a giant
cluster: the inverse participation ratio is reported with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy.sparse import bmat, csr_matrix, diags, identity
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.percolation.networks import adjacency

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LOCALISED = 10.0  # fewer nodes than this many carry the leading eigenvector: not a giant cluster's


@dataclass(frozen=True)
class Giant:
    """Share S of nodes in the giant cluster, that of each node, iterations, and whether they settled."""

    share: float
    nodes: NDArray[np.float64]
    iterations: int
    status: str = ""


@njit(cache=True)
def _back(start: Any, link: Any) -> Any:
    """For each directed edge v -> link[j] the place of the edge back."""
    out = np.empty(len(link), np.int64)
    n = len(start) - 1
    at = start[:-1].copy()
    for v in range(n):  # neighbours are sorted: edges back come in order of v
        for j in range(start[v], start[v + 1]):
            u = link[j]
            out[j] = at[u]
            at[u] += 1
    return out


@njit(cache=True)
def _iterate(start: Any, link: Any, back: Any, p: float, h: Any, most: int, tolerance: float) -> int:
    """h[j], j an edge from i to link[j]: probability that link[j] does not lead i to the giant."""
    n = len(start) - 1
    for turn in range(1, most + 1):
        change = 0.0
        for v in range(n):
            a, b = start[v], start[v + 1]
            zeros, product = 0, 1.0
            for j in range(a, b):
                if h[j] == 0.0:
                    zeros += 1
                else:
                    product *= h[j]
            for j in range(a, b):
                if zeros == 0:
                    rest = product / h[j]
                elif zeros == 1 and h[j] == 0.0:
                    rest = product
                else:
                    rest = 0.0
                new = 1 - p + p * rest
                old = h[back[j]]
                change = max(change, abs(new - old))
                h[back[j]] = new
        if change < tolerance:
            return turn
    return most + 1


def giant(n: int, edges: ArrayLike, p: float, most: int = 2000, tolerance: float = 1e-10) -> Giant:
    """Giant cluster of a network under random retention of edges, O(m) an iteration.

    Raises
    ------
    InputError
        Bad edges, or p outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise InputError("retention out of range", expected="0 <= p <= 1", got=f"{p:g}")
    start, link = adjacency(n, edges)
    h = np.full(len(link), 0.5)
    turns = _iterate(start, link, _back(start, link), p, h, most, tolerance) if len(link) else 0
    logs = np.zeros(n)
    owner = np.repeat(np.arange(n), np.diff(start))
    with np.errstate(divide="ignore"):
        np.add.at(logs, owner, np.log(h))
    nodes = 1 - np.exp(logs)
    status = "" if turns <= most else f"not settled after {most} iterations: p is close to the threshold"
    return Giant(float(nodes.mean()), nodes, min(turns, most), status)


def threshold(n: int, edges: ArrayLike) -> tuple[Estimate, float]:
    """p_c = 1 / lambda_max of the non-backtracking matrix, and how many nodes carry its eigenvector.

    That number is the inverse participation ratio, (sum x^2)^2 / sum x^4, of the node part. A status warns
    when it is below 10 and below a tenth of the nodes: the threshold is then that of a small core.

    Raises
    ------
    InputError
        Bad edges, or a graph without cycles (a tree has no threshold below 1).
    """
    start, link = adjacency(n, edges)
    degree = np.diff(start)
    a = csr_matrix((np.ones(len(link)), link, start), shape=(n, n))
    eye = identity(n, format="csr")
    whole: Any = bmat([[a, eye - diags(degree.astype(float))], [eye, None]], format="csr")
    if n < 200:
        values, vectors = np.linalg.eig(whole.toarray())
        i = int(np.argmax(values.real))
        value, vector = float(values[i].real), np.abs(vectors[:n, i])
    else:
        try:
            got, vectors = eigs(whole, k=1, which="LR", v0=np.ones(2 * n))
        except ArpackNoConvergence:
            return Estimate(float("nan"), n=n, status="the leading eigenvalue did not converge"), float("nan")
        value, vector = float(got[0].real), np.abs(vectors[:n, 0])
    if value <= 1 + 1e-9:
        raise InputError(
            "no cycles, so no threshold below 1", expected="a graph with more than one cycle", got="none"
        )
    carried = float((vector**2).sum() ** 2 / (vector**4).sum())
    status = ""
    if carried < LOCALISED and carried < n / 10:
        status = f"localised on about {carried:.0f} nodes: the threshold of a small core, not of the network"
    return Estimate(1 / value, n=n, status=status, method="non-backtracking matrix"), carried
