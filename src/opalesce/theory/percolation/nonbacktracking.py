r"""Threshold of a given graph from walks that never turn back.

.. math:: p_c = 1 / \lambda, \quad \lambda = \rho(B) = \rho \begin{pmatrix} A & 1 - D \\ 1 & 0 \end{pmatrix}

where the messages of `message_passing` become unstable (Karrer, Newman and Zdeborova 2014). A lower bound
on graphs with loops. **Localisation**: where a dense core is small, its own eigenvalue leads, and 1/lambda
is the threshold of the core and not of the graph (Pastor-Satorras and Castellano 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import block_array, coo_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from opalesce.theory.percolation.cores import core_numbers
from opalesce.theory.percolation.geometry import of_graph
from opalesce.theory.percolation.message_passing import simple_edges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

DENSE = 60  # nodes up to which all eigenvalues are taken


@dataclass(frozen=True)
class Walks:
    """Leading eigenvalues of the non-backtracking matrix.

    Attributes
    ----------
    eigenvalues : array, shape (k,)
        Real ones above 0, the largest first.
    participation : array, shape (k,)
        Nodes that each eigenvector lives on, 1 / sum x^4 for sum x^2 = 1.
    n : int
        Nodes of the graph.
    """

    eigenvalues: NDArray[np.float64]
    participation: NDArray[np.float64]
    n: int

    @property
    def threshold(self) -> float:
        """1 / lambda of the leading eigenvalue; infinite for a forest, which never percolates."""
        return 1 / float(self.eigenvalues[0]) if self.eigenvalues.size else float("inf")

    @property
    def delocalised(self) -> float:
        """1 / lambda of the largest eigenvalue that lives on more than sqrt(n) nodes [R]; NaN for none."""
        wide = self.eigenvalues[self.participation > np.sqrt(self.n)]
        return 1 / float(wide[0]) if wide.size else float("nan")

    @property
    def warning(self) -> str:
        """A sentence where the leading eigenvector is localised, else empty."""
        if not self.eigenvalues.size or self.participation[0] > np.sqrt(self.n):
            return ""
        return (
            f"localised: the leading eigenvector lives on {self.participation[0]:.0f} of {self.n} nodes; "
            f"{self.threshold:.4g} is the threshold of that core, {self.delocalised:.4g} the next candidate"
        )


def walks(n: int, edges: ArrayLike, k: int = 6) -> Walks:
    """Leading real eigenvalues of the non-backtracking matrix of a simple graph.

    Trees that hang from the graph are cut off first (they change no eigenvalue but 0), so a forest has none.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
    k : int
        Eigenvalues asked for where the first is localised, else one; complex ones are left out.

    Raises
    ------
    InputError
        Bad edges, self-loops or repeats.
    """
    g = of_graph(n, edges, "bond")
    u, v = simple_edges(n, g.u, g.v)
    nothing = np.zeros(0)
    if not len(u):
        return Walks(nothing, nothing, n)
    inside = core_numbers(n, np.stack([u, v], axis=1)) >= 2
    keep = inside[u] & inside[v]
    if not keep.any():
        return Walks(nothing, nothing, n)
    number = np.cumsum(inside) - 1
    i, j, size = number[u[keep]], number[v[keep]], int(inside.sum())
    ones = np.ones(2 * len(i))
    a = coo_array((ones, (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(size, size)).tocsr()
    one = eye_array(size)
    upper: list[Any] = [a, one - diags_array(a.sum(axis=1))]
    big = csr_array(block_array([upper, [one, None]]))
    first = _leading(big, size, n, 1)
    return _leading(big, size, n, k) if first.warning and k > 1 else first


def _leading(big: csr_array, size: int, n: int, k: int) -> Walks:
    values: Any
    vectors: Any
    if size <= DENSE:
        values, vectors = np.linalg.eig(big.toarray())
    else:
        try:
            values, vectors = eigs(big, k=k, which="LR", v0=np.ones(2 * size), maxiter=20 * size)
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
    real = (np.abs(values.imag) < 1e-8 * np.abs(values)) & (values.real > 1e-8)
    values, x = values.real[real], np.abs(vectors[:size, real])
    order = np.argsort(-values)
    x = x[:, order] / np.sqrt((x[:, order] ** 2).sum(axis=0))
    return Walks(values[order], 1 / (x**4).sum(axis=0), n)
