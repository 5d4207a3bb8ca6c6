"""Graphs from files: edge lists in CSV or TSV, SciPy sparse matrices. No pickle is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import FormatError, InputError
from opalesce.theory.percolation.union import LIMIT

EXPECTED = "two columns (node, node) or three (node, node, weight), separated by commas or tabs"


@dataclass(frozen=True)
class Graph:
    """A graph as read.

    Attributes
    ----------
    n : int
        Nodes that an edge names (sparse matrices: all).
    edges : array, shape (m, 2)
    weights : array, shape (m,), or None
    notes : tuple of str
        What is odd about it: self-loops, repeated edges, pieces.
    """

    n: int
    edges: NDArray[np.integer]
    weights: NDArray[np.float64] | None
    notes: tuple[str, ...]


def load_graph(path: Path) -> Graph:
    """The graph in an edge list (.csv, .tsv) or a SciPy sparse matrix (.npz).

    Nodes of an edge list may be numbers or names; only those that are named exist. A square sparse matrix
    is an adjacency: of a symmetric one the upper half is read, else every entry is an edge. Any other is
    bipartite, rows first.

    Raises
    ------
    InputError
        No such file, an unknown ending, no edges, weights that are not finite, too many nodes.
    FormatError
        The file is not what its name says.
    """
    if not path.is_file():
        raise InputError("no such file", expected="FILE.csv, .tsv, .npz", got=str(path))
    try:
        n, edges, weights = _sparse(path) if path.suffix == ".npz" else _list(path)
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(f"{path.name} is not a graph", expected=EXPECTED, got=str(error)[:200]) from error
    if not len(edges):
        raise InputError(f"{path.name} has no edges", expected="at least one")
    if n > LIMIT or len(edges) > LIMIT:
        raise InputError("too large", expected=f"at most {LIMIT} nodes and edges", got=f"{n}, {len(edges)}")
    if weights is not None and not np.isfinite(weights).all():
        bad = int((~np.isfinite(weights)).sum())
        raise InputError("weights hold NaN or infinite values", expected="finite numbers", got=f"{bad}")
    return Graph(n, edges, weights, _notes(n, edges))


def _list(path: Path) -> tuple[int, NDArray[Any], NDArray[np.float64] | None]:
    import pandas as pd

    sep = "\t" if path.suffix == ".tsv" else ","
    table = pd.read_csv(path, sep=sep, header=None, comment="#", skipinitialspace=True)
    if table.shape[1] not in (2, 3):
        raise ValueError(f"{table.shape[1]} columns")
    if _has_header(table):
        table = table.iloc[1:]
    if table.iloc[:, :2].isna().any(axis=None):
        raise ValueError("an edge lacks a node")
    weights = table.iloc[:, 2].to_numpy(float) if table.shape[1] == 3 else None
    codes, names = pd.factorize(table.iloc[:, :2].astype(str).to_numpy().ravel())
    return len(names), codes.reshape(-1, 2), weights


def _has_header(table: Any) -> bool:
    """The last column holds numbers, and its first entry is another word."""
    import pandas as pd

    words = table.iloc[:, -1].astype(str).str.strip()
    number = pd.to_numeric(words, errors="coerce").notna() | words.str.lower().isin(["nan", "inf", "-inf"])
    return len(number) > 1 and not number.iloc[0] and bool(number.iloc[1:].all())


def _sparse(path: Path) -> tuple[int, NDArray[Any], NDArray[np.float64] | None]:
    from scipy.sparse import coo_array, load_npz, triu

    matrix = coo_array(load_npz(path))
    rows, columns = matrix.shape
    if rows != columns:
        edges = np.stack([matrix.row, matrix.col.astype(np.int64) + rows], axis=1)
        return rows + columns, edges, matrix.data.astype(float)
    if abs(matrix - matrix.T).max() == 0:
        matrix = coo_array(triu(matrix))
    return rows, np.stack([matrix.row, matrix.col], axis=1), matrix.data.astype(float)


def _notes(n: int, edges: NDArray[Any]) -> tuple[str, ...]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    u, v = edges.min(axis=1).astype(np.int64), edges.max(axis=1).astype(np.int64)
    loops = int((u == v).sum())
    repeated = len(u) - np.unique(u * n + v).size
    pieces, label = connected_components(coo_array((np.ones(len(u), np.int8), (u, v)), shape=(n, n)), False)
    out = []
    if loops:
        out.append(f"{loops} self-loops: elements that join nothing")
    if repeated:
        out.append(f"{repeated} repeated edges: the first to come joins")
    if pieces > 1:
        out.append(f"{pieces} pieces, the largest of {int(np.bincount(label).max())} nodes")
    return tuple(out)
