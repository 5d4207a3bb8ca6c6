"""A weight matrix as a conductor: rows and columns are junctions, entries |w| conductances."""

from __future__ import annotations

import numpy as np

from opalesce.observables.percolation import ORDER, WeightGraph
from opalesce.observables.registry import observable


@observable(
    on="graph",
    unit="1",
    symmetries=ORDER,
    null="uniform_order",
    source="klein1993resistance, section 3 (resistance distance)",
)
def resistance_excess(graph: WeightGraph) -> float:
    r"""Mean resistance between units beyond that of a network without structure, over the null's excess.

    .. math:: \frac{1}{c_v^2} \sum_{k \ge 2} \frac{\sigma_k^2}{1 - \sigma_k^2}

    :math:`\sigma_k` are the singular values of :math:`D_r^{-1/2} |W| D_c^{-1/2}` (row and column strengths
    on the diagonals; the first is 1), :math:`c_v` the coefficient of variation of the magnitudes. Kemeny's
    constant of the walk on the graph is :math:`K = \frac12 + \sum_{k\ge2} 2/(1-\sigma_k^2)` for a square
    matrix, and the effective resistance between two units drawn by strength is on average 2K over twice
    the total conductance; :math:`|W| = r c^T` has the least K of all with these strengths. The sum is
    half of what is beyond that, and about :math:`c_v^2` for independent entries: null 1 [R]. Large values:
    bottlenecks, blocks that hardly exchange current. 0 for :math:`|W| = r c^T`; NaN where all magnitudes
    are equal, for a single row or column, and for a graph in pieces. All-zero rows and columns are left out.

    A single matrix held between its rows and its columns has no junction in between: its conductance is
    the sum of the entries and its flux says no more than `abs_cv`. Chains: `theory.percolation.flow`.

    Raises
    ------
    InputError
        From `WeightGraph`.
    """
    g = np.abs(np.asarray(graph.weight, np.float64))
    g = g[g.any(axis=1)][:, g.any(axis=0)]
    if min(g.shape) < 2:
        return float("nan")
    g = g / g.max()
    variation = float(g.std() / g.mean())
    if variation < 1e-12:
        return float("nan")
    g = g if g.shape[0] <= g.shape[1] else g.T
    rows, columns = g.sum(axis=1), g.sum(axis=0)
    a = g / np.sqrt(np.outer(rows, columns))
    shares = np.clip(np.linalg.eigvalsh(a @ a.T)[:-1], 0.0, 1.0)
    if shares[-1] > 1 - 1e-12:
        return float("nan")
    return float((shares / (1 - shares)).sum() / variation**2)
