r"""Steady flow through a network of conductances: inlets at 1, outlets at 0, nothing lost in between.

.. math:: \sum_j g_{ij} (c_i - c_j) = 0 \;\; \text{(interior)}, \quad q_{ij} = g_{ij}(c_i - c_j), \quad
    G = \sum_{i \in \text{inlets}} \sum_j q_{ij}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from opalesce.errors import InputError
from opalesce.theory.percolation.conjugate import solve
from opalesce.theory.percolation.geometry import of_graph
from opalesce.theory.percolation.weighted import edge_weights, layer_widths, node_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

DIRECT = 100_000  # interior nodes up to which the matrix is factorised


@dataclass(frozen=True)
class Flow:
    """A steady flow.

    Attributes
    ----------
    potential : array, shape (n,)
        1 at inlets, 0 at outlets; NaN for nodes in pieces that hold neither.
    flux : array, shape (m,)
        From the first node of each edge to the second; conductance times potential.
    conductance : float
        Effective conductance G: what enters at the inlets. 0 where no path leads to the outlets.
    residual : float
        Largest net flux of an interior node over the largest flux through any: conservation, 0 but for
        rounding.
    """

    potential: Array
    flux: Array
    conductance: float
    residual: float

    @property
    def participation(self) -> float:
        r"""Share of edges that carry the flux, :math:`(\sum |q|)^2 / (m \sum q^2)`: 1 when all carry alike.

        Small: the flux runs through a backbone. NaN where nothing flows.
        """
        q = np.abs(self.flux)
        top = float(q.max(initial=0.0))
        return float((q / top).sum() ** 2 / (q.size * ((q / top) ** 2).sum())) if top > 0 else float("nan")


def steady_flow(
    n: int,
    edges: ArrayLike,
    conductance: ArrayLike,
    inlet: ArrayLike,
    outlet: ArrayLike,
    rtol: float = 1e-13,
) -> Flow:
    """Steady flow on any network.

    Up to 1e5 interior nodes a sparse factorisation, beyond conjugate gradients with a modified incomplete
    Cholesky preconditioner of the matrix' own pattern. Pieces without a terminal carry nothing.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
        Self-loops carry nothing; parallel edges add.
    conductance : array, shape (m,)
        Not negative; edges of 0 are not there.
    inlet, outlet : node numbers
        Apart from each other.
    rtol : float
        Of the iteration, relative to its right-hand side.

    Raises
    ------
    InputError
        Bad numbers, negative or not finite conductances, inlets that are outlets, an iteration that did
        not converge.
    """
    g = edge_weights(edges, conductance)
    if (np.asarray(conductance) < 0).any():
        raise InputError("a conductance is negative", expected="numbers from 0 on", fix="take abs(weights)")
    network = of_graph(n, edges, "bond")
    potential, free = _terminals(n, inlet, outlet)
    u, v = network.u, network.v
    real = (g > 0) & (u != v)
    a, b, live = u[real], v[real], g[real]
    free &= _reached(n, a, b, potential)
    number = np.cumsum(free) - 1
    laplacian, rhs = _system(n, a, b, live, potential, free, number)
    if laplacian.shape[0] > DIRECT:
        potential[free] = solve(laplacian, rhs, rtol)
    elif laplacian.shape[0]:
        lu = splu(csc_array(laplacian), "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True})
        x = lu.solve(rhs)
        potential[free] = x + lu.solve(rhs - laplacian @ x)  # one refinement
    drop = np.where(real, potential[u] - potential[v], 0.0)
    flux = g * np.where(np.isfinite(drop), drop, 0.0)
    net = np.bincount(u, flux, n) - np.bincount(v, flux, n)
    through = np.bincount(u, np.abs(flux), n) + np.bincount(v, np.abs(flux), n)
    top = float(through.max(initial=0.0))
    residual = float(np.abs(net[free]).max(initial=0.0) / top) if top > 0 else 0.0
    return Flow(potential, flux, float(net[node_numbers(n, inlet)].sum()), residual)


def _terminals(n: int, inlet: ArrayLike, outlet: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    """Potentials with NaN inside, and which nodes are interior."""
    a, b = node_numbers(n, inlet), node_numbers(n, outlet)
    if np.intersect1d(a, b).size:
        raise InputError("a node is inlet and outlet", expected="two sets apart")
    potential = np.full(n, np.nan)
    potential[a], potential[b] = 1.0, 0.0
    return potential, np.isnan(potential)


def _reached(n: int, a: Any, b: Any, potential: Array) -> NDArray[np.bool_]:
    """Nodes in pieces that hold a terminal."""
    k, label = connected_components(coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n)), False)
    held = np.zeros(k, bool)
    held[label[np.isfinite(potential)]] = True
    return np.asarray(held[label])


def _system(
    n: int, a: Any, b: Any, g: Array, potential: Array, free: NDArray[np.bool_], number: Any
) -> tuple[csr_array, Array]:
    """Laplacian of the interior and what the terminals send in."""
    m = int(free.sum())
    diagonal = (np.bincount(a, g, n) + np.bincount(b, g, n))[free]
    inside = free[a] & free[b]
    i, j, w = number[a[inside]], number[b[inside]], g[inside]
    at = np.arange(m)
    rows, columns = np.concatenate([i, j, at]), np.concatenate([j, i, at])
    laplacian = coo_array((np.concatenate([-w, -w, diagonal]), (rows, columns)), shape=(m, m)).tocsr()
    laplacian.sort_indices()
    known = np.nan_to_num(potential)
    sent = np.bincount(a, g * known[b] * free[a], n) + np.bincount(b, g * known[a] * free[b], n)
    return laplacian, np.asarray(sent[free])


def layered_flow(matrices: Sequence[ArrayLike]) -> Flow:
    r"""Flow through a chain of weight matrices, :math:`g = |w|`, from the first layer's units to the last's.

    The interior system is block tridiagonal with diagonal blocks: eliminated layer by layer with dense
    Cholesky factors, O(width^3) for each hidden layer. One matrix has no interior: G is the sum of |w|.

    Parameters
    ----------
    matrices : sequence of arrays, shapes (n_0, n_1), (n_1, n_2), ...

    Returns
    -------
    Flow
        Edges are the entries of the matrices one after the other, row by row.

    Raises
    ------
    InputError
        As `layer_widths`; a hidden unit without any weight, or hidden layers cut off from both ends.
    """
    widths = layer_widths(matrices)
    g = [np.abs(np.asarray(w, np.float64)) for w in matrices]
    c = _layer_potentials(g)
    flux = [w * (a[:, None] - b) for w, a, b in zip(g, c[:-1], c[1:], strict=True)]
    inside = range(1, len(widths) - 1)
    net = [flux[i - 1].sum(axis=0) - flux[i].sum(axis=1) for i in inside]
    through = [np.abs(flux[i - 1]).sum(axis=0) + np.abs(flux[i]).sum(axis=1) for i in inside]
    top = max((float(x.max()) for x in through), default=0.0)
    residual = max((float(np.abs(x).max()) for x in net), default=0.0)
    total = float(flux[0].sum())
    every = np.concatenate([q.ravel() for q in flux])
    return Flow(np.concatenate(c), every, total, residual / top if top > 0 else 0.0)


def _layer_potentials(g: list[Array]) -> list[Array]:
    """Forward elimination from the inlets, then back from the outlets at 0."""
    rhs, factors = g[0].sum(axis=0), []
    block = np.diag(rhs)  # what the layers before do to this one; the inlets at 1
    for i in range(1, len(g)):
        block = block + np.diag(g[i].sum(axis=1))
        try:
            factor = cho_factor(block)
        except np.linalg.LinAlgError as error:
            raise InputError(
                "a hidden unit is connected to nothing",
                expected="paths to inlets or outlets for all",
                got=f"none in layer {i}",
                fix="leave such units out",
            ) from error
        factors.append((factor, rhs))
        if i < len(g) - 1:
            rhs = g[i].T @ cho_solve(factor, rhs)
            block = np.diag(g[i].sum(axis=0)) - g[i].T @ cho_solve(factor, g[i])
    c = [np.zeros(g[-1].shape[1])]
    for i in range(len(g) - 1, 0, -1):
        factor, sent = factors[i - 1]
        c.insert(0, cho_solve(factor, sent + g[i] @ c[0]))
    return [np.ones(g[0].shape[0]), *c]
