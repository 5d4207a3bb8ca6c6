"""Flow: a weight matrix as a conductor (entries |w| are conductances), attention as a walk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.observables.attention import Attention
from opalesce.observables.inputs import largest, row_blocks
from opalesce.observables.percolation import ORDER, WeightGraph
from opalesce.observables.registry import observable


@observable(
    on="graph",
    unit="1",
    symmetries=ORDER,
    null="uniform_order",
    source="klein1993resistance, section 3 (resistance distance)",
    version=2,
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
    g = graph.weight if graph.shape[0] >= graph.shape[1] else graph.weight.T
    top = largest(g) or 1.0
    rows, columns = np.zeros(g.shape[0]), np.zeros(g.shape[1])
    for at, x in row_blocks(g):
        x /= top
        rows[at] = x.sum(axis=1)
        columns += x.sum(axis=0)
    kept, wide = rows > 0, columns > 0
    cells = int(kept.sum()) * int(wide.sum())
    if min(kept.sum(), wide.sum()) < 2:
        return float("nan")
    mean = float(rows.sum()) / cells
    squares, gram = 0.0, np.zeros((int(wide.sum()),) * 2)
    for at, x in row_blocks(g):
        part = x[kept[at]][:, wide] / top
        squares += float(((part - mean) ** 2).sum())
        part /= np.sqrt(np.outer(rows[at][kept[at]], columns[wide]))
        gram += part.T @ part
    variation = float(np.sqrt(squares / cells)) / mean
    if variation < 1e-12:
        return float("nan")
    shares = np.clip(np.linalg.eigvalsh(gram)[:-1], 0.0, 1.0)
    if shares[-1] > 1 - 1e-12:
        return float("nan")
    return float((shares / (1 - shares)).sum() / variation**2)


@observable(
    on="attention",
    unit="step",
    symmetries={"head_permutation", "batch_permutation"},
    null="twin",
    source="abnar2020quantifying, section 3 (attention rollout)",
    lineage="activations",
)
def attention_depth(attention: Attention) -> float:
    r"""Mean number of steps a walk along the attention takes to the first token, of the deepest head.

    .. math:: \max_h \langle d_T \rangle, \quad d_t = \frac{1 + \sum_{s<t} A_{ts} d_s}{1 - A_{tt}}, \; d_1 = 0

    A walker starts at the last query and moves to a key drawn from its row. Causal attention has no
    stationary current, every walk ends at the first token; how long that takes says how local a head is:
    1 for a head that looks at the first token, :math:`H_{T-1} + 1` with the harmonic number for an even
    one (about ln T + 1.6), T - 1 for one that looks at the token before. Being a maximum over heads it is
    biased upwards; its twin carries the same bias [R]. NaN where a query looks only at itself.

    Raises
    ------
    InputError
        From `Attention`; a key after its query.
    """
    return float(np.max(depth_of_heads(attention)))


def depth_of_heads(attention: Attention) -> NDArray[np.float64]:
    """Mean of `attention_depth` over sequences for each head, shape (heads,), NaN where undefined.

    Raises
    ------
    InputError
        A key after its query.
    """
    a = np.asarray(attention.patterns, np.float64)
    if np.triu(a, 1).any():
        raise InputError("the attention is not causal", expected="no key after its query")
    length = a.shape[2]
    d = np.zeros(a.shape[:3])
    for t in range(1, length):
        away = a[:, :, t, :t].sum(axis=2)
        ahead = (a[:, :, t, :t] * d[:, :, :t]).sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            d[:, :, t] = np.where(away > 0, (1.0 + ahead) / away, np.nan)
    return np.asarray(d[:, :, -1].mean(axis=0))
