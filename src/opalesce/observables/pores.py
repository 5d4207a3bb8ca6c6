"""Pores of a weight matrix: how thick the strongly connected parts are, whatever the order of units."""

from __future__ import annotations

import numpy as np

from opalesce.observables.inputs import pieces, row_blocks
from opalesce.observables.percolation import ORDER, WeightGraph
from opalesce.observables.registry import observable


@observable(
    on="graph",
    unit="edge",
    symmetries=ORDER,
    null="shuffle",
    source="hildebrand1997thickness, section 2",
)
def graph_thickness(graph: WeightGraph, degree: float = 4.0, closed: float = 0.1) -> float:
    r"""Mean local thickness of the graph of the largest entries, in edges.

    .. math:: \mathrm{LT}(j) = \max_{i:\, d(i,j) \le R(i)} R(i), \quad R(i) = d(i, \text{closed})

    Kept are the :math:`z\sqrt{NM}` largest entries (z = `degree` times the threshold of a random order);
    closed are the rows and the columns whose mean magnitude is in the lowest `closed` of their side; d
    counts kept edges. Mean over open units connected to a closed one. The inscribed spheres of pore
    analysis in a form that no permutation of units changes [R]. NaN for one row or column, and where equal
    entries leave open which are kept or no open unit is reached.

    Raises
    ------
    InputError
        From `WeightGraph`.
    """
    from opalesce.theory.percolation.strongest import strongest
    from opalesce.theory.percolation.thickness import graph_thickness as thickness

    curve, (rows, columns) = graph.curve, graph.shape
    keep = min(round(degree * np.sqrt(graph.weight.size)), graph.weight.size)
    if curve is None:
        return float("nan")
    w = graph.weight
    at, sizes = strongest([w], keep)
    if len(sizes) and sum(int((np.abs(x) >= sizes[-1]).sum()) for (x,) in pieces(w)) > keep:
        return float("nan")
    i, j = np.divmod(at, columns)
    shut = []
    by_row, by_column = np.empty(rows), np.zeros(columns)
    for part, x in row_blocks(w):
        by_row[part] = x.sum(axis=1)
        by_column += x.sum(axis=0)
    for strength in (by_row, by_column):
        order = np.sort(strength)
        shut.append(strength <= order[int(closed * (len(order) - 1))])
    edges = np.stack([i, rows + j], axis=1)
    _, found = thickness(rows + columns, edges, np.concatenate(shut))
    open_units = found[found > 0]
    return float(open_units.mean()) if open_units.size else float("nan")
