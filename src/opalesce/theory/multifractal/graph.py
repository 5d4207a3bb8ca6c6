r"""Multifractal analysis of any weighted graph, by balls around nodes.

Distances are shortest paths, so weights are lengths: pass 1/|w| where strength means closeness. Hop
distances on a small world span few radii; look at `r2` before an exponent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from opalesce.errors import InputError
from opalesce.theory.multifractal.exponents import MassExponents, Q, slopes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def lengths(nodes: int, edges: ArrayLike, length: ArrayLike | None = None) -> csr_array:
    """An undirected graph as the sparse matrix of its edge lengths (1 where none are given).

    Raises
    ------
    InputError
        No edges, ends outside 0..nodes-1, lengths that are not positive and finite.
    """
    e = np.asarray(edges)
    if e.ndim != 2 or e.shape[1] != 2 or not len(e) or e.min() < 0 or e.max() >= nodes:
        raise InputError(
            "edges have the wrong form", expected=f"(E, 2), ends in 0..{nodes - 1}", got=str(e.shape)
        )
    d = np.ones(len(e)) if length is None else np.asarray(length, float)
    if d.shape != (len(e),) or not (np.isfinite(d) & (d > 0)).all():
        raise InputError(
            "lengths must be positive and finite, one an edge", got=f"{d.shape}, least {d.min()}"
        )
    both = np.concatenate([e, e[:, ::-1]])
    return csr_array((np.concatenate([d, d]), (both[:, 0], both[:, 1])), shape=(nodes, nodes))


def masses(
    graph: csr_array,
    radii: ArrayLike,
    centres: ArrayLike | None = None,
    block: int = 256,
    mass: ArrayLike | None = None,
) -> Array:
    """Mass within each radius of each centre, itself included: shape (centres, radii).

    `mass` gives each node its own (1 by default). Shortest paths are taken in blocks of centres and cut at
    the largest radius, so the square distance matrix is never held.

    Raises
    ------
    InputError
        Radii that do not ascend; masses that are negative or of the wrong number.
    """
    r = np.asarray(radii, float)
    n = graph.shape[0]
    if r.ndim != 1 or not r.size or (np.diff(r) <= 0).any() or r[0] < 0:
        raise InputError("radii must ascend", expected="1 or more, ascending, none negative", got=str(r))
    weight = np.ones(n) if mass is None else np.asarray(mass, float)
    if weight.shape != (n,) or not (weight >= 0).all():
        raise InputError(
            "masses must be given for every node", expected=f"{n} numbers >= 0", got=str(weight.shape)
        )
    at = np.arange(n) if centres is None else np.asarray(centres)
    out = np.empty((len(at), r.size))
    for start in range(0, len(at), block):
        d = dijkstra(graph, indices=at[start : start + block], limit=float(r[-1]))
        place = np.searchsorted(r, d)  # first radius that reaches the node; r.size for those beyond
        for i, row in enumerate(place):
            seen = row < r.size
            out[start + i] = np.cumsum(np.bincount(row[seen], weight[seen], r.size))
    return out


def node_exponents(mass: ArrayLike, radii: ArrayLike, q: ArrayLike = Q) -> MassExponents:
    r"""Node-based exponents: slope of :math:`\ln \sum_i (M_i(r)/M_i(L))^q` on :math:`\ln r`.

    M_i(L) is the mass at the largest radius. :math:`\tau_{node}(q) = \tau_{box}(q+1)` where both exist
    (Xiao, Chen and Bogdan 2021; Xiao et al. 2025, partition function). On a vertex-transitive graph all M_i
    are equal, tau is linear and the width exactly 0.

    Parameters
    ----------
    mass : array, shape (centres, radii)
        From `masses`; positive.
    radii : array, shape (radii,)

    Raises
    ------
    InputError
        Shapes that do not agree, masses that are not positive.
    """
    m, r = _checked(mass, radii)
    x = np.log(m / m[:, -1:])
    return _fit(x, r, np.asarray(q, float), shift=0.0)


def sandbox_exponents(mass: ArrayLike, radii: ArrayLike, total: float, q: ArrayLike = Q) -> MassExponents:
    r"""Sandbox exponents, in the box convention.

    .. math:: \langle (M(r)/M_0)^{q-1} \rangle_{centres} \sim r^{\tau(q)}

    M_0 = `total`, the mass of the whole graph (Tel et al. 1989; Liu, Yu and Anh 2015). Centres are nodes
    drawn with equal chance.

    Raises
    ------
    InputError
        As `node_exponents`; a total that is not positive.
    """
    m, r = _checked(mass, radii)
    if not total > 0:
        raise InputError("the total mass must be positive", got=f"{total:g}")
    return _fit(np.log(m / total), r, np.asarray(q, float), shift=1.0)


def _checked(mass: ArrayLike, radii: ArrayLike) -> tuple[Array, Array]:
    m, r = np.asarray(mass, float), np.asarray(radii, float)
    if m.ndim != 2 or r.shape != m.shape[1:] or not m.size or not (m > 0).all() or not (r > 0).all():
        raise InputError(
            "masses have the wrong form",
            expected="(centres, radii), all positive, one positive radius a column",
            got=f"{m.shape}, {r.shape}",
        )
    return m, r


def _fit(x: Array, r: Array, q: Array, shift: float) -> MassExponents:
    log_z = np.array([np.logaddexp.reduce((m - shift) * x, axis=0) for m in q]).T
    tau, r2 = slopes(log_z, np.log(r))
    return MassExponents(q, tau, r2, (float(r[0]), float(r[-1])), len(x))


def min_plus(first: ArrayLike, second: ArrayLike, block: int = 64) -> Array:
    r"""Two-hop distances: :math:`(A \otimes B)_{ij} = \min_k (A_{ik} + B_{kj})`.

    Missing edges are infinite. Memory is `block` x K x M at a time.

    Parameters
    ----------
    first : array, shape (N, K)
    second : array, shape (K, M)

    Raises
    ------
    InputError
        Shapes that do not chain, negative or NaN lengths.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise InputError(
            "these lengths do not chain", expected="(N, K) and (K, M)", got=f"{a.shape}, {b.shape}"
        )
    if not ((a >= 0).all() and (b >= 0).all()):
        raise InputError("lengths must be 0 or more, infinite where there is no edge")
    out = np.empty((a.shape[0], b.shape[1]))
    for start in range(0, len(a), block):
        rows = a[start : start + block]
        best = np.full((len(rows), b.shape[1]), np.inf)
        for k in range(a.shape[1]):  # one rank-one sum at a time keeps memory at one block
            np.minimum(best, rows[:, k : k + 1] + b[k], out=best)
        out[start : start + block] = best
    return out


def watts_strogatz(nodes: int, neighbours: int, p: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Edges of a ring where each node knows `neighbours` on either side, each edge rewired with chance p.

    Raises
    ------
    InputError
        Unless 1 <= neighbours < nodes / 2 and 0 <= p <= 1.
    """
    if not (1 <= neighbours < nodes / 2 and 0 <= p <= 1):
        raise InputError(
            "no such ring", expected="1 <= neighbours < nodes/2, 0 <= p <= 1", got=f"{neighbours}, {p}"
        )
    pairs = {(i, (i + k) % nodes) for k in range(1, neighbours + 1) for i in range(nodes)}
    seen = {frozenset(e) for e in pairs}
    for k in range(1, neighbours + 1):
        for i in range(nodes):
            if rng.random() >= p:
                continue
            j = int(rng.integers(nodes))
            if j != i and frozenset((i, j)) not in seen:
                seen.discard(frozenset((i, (i + k) % nodes)))
                seen.add(frozenset((i, j)))
    return np.array([sorted(e) for e in sorted(seen, key=sorted)], np.int64)
