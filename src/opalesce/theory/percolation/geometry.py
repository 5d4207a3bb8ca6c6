"""What a sweep runs on, as flat arrays: a lattice or an edge list, by sites or by bonds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.union import check_size, pack, winding_bits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from opalesce.theory.percolation.lattices import Lattice

KINDS = ("site", "bond")
LATTICE_SITE, LATTICE_BOND, GRAPH_SITE, GRAPH_BOND = range(4)
INLET, OUTLET = 1, 2


class Geometry(NamedTuple):
    """Arrays for the compiled loops; made by `of_lattice` and `of_graph`.

    Lattice: row a of `box` is (cells along axis a, sites from one end of the axis to the other, packed
    unit of winding). Row k of `entries` is one step from a site, or one bond of the cell: (sublattice it
    starts on, what it adds to the site number, and the range of its rows in `moves`: (axis, cells)).
    Steps from sublattice a are the entries [first[a], first[a + 1]).
    Graph: by bonds, edge e joins u[e] and v[e]; by sites, neighbours of i are v[first[i]:first[i + 1]];
    `turn` is the packed winding beside v, empty where there is none.
    """

    mode: int
    n: int  # nodes
    m: int  # elements that are switched on one by one
    axes: int  # winding directions watched; 0 for none
    bits: int
    periodic: bool
    basis: int
    shape: NDArray[np.int64]
    box: NDArray[np.int64]
    entries: NDArray[np.int64]
    moves: NDArray[np.int64]
    first: NDArray[np.int64]
    u: NDArray[np.int32]
    v: NDArray[np.int32]
    turn: NDArray[np.int64]


_NO64 = np.zeros(1, np.int64)
_NO32 = np.zeros(1, np.int32)


def of_lattice(lat: Lattice, kind: str) -> Geometry:
    """Geometry of site or bond percolation on a lattice.

    Raises
    ------
    InputError
        `kind` is neither "site" nor "bond".
    """
    check_kind(kind)
    d, bits = lat.dimension, winding_bits(lat.dimension)
    strides = [math.prod(lat.shape[j + 1 :]) * lat.basis for j in range(d)]
    box = [(lat.shape[j], lat.shape[j] * strides[j], 1 << (bits * j)) for j in range(d)]
    hops = list(lat.bonds)
    if kind == "site":
        hops += [(b, a, tuple(-o for o in offset)) for a, b, offset in lat.bonds]
        hops.sort(key=lambda hop: hop[0])
    entries: list[tuple[int, ...]] = []
    moves: list[tuple[int, int]] = []
    for a, b, offset in hops:
        rows = [(j, o) for j, o in enumerate(offset) if o]
        leap = b - a + sum(o * s for o, s in zip(offset, strides, strict=True))
        entries.append((a, leap, len(moves), len(moves) + len(rows)))
        moves += rows
    return Geometry(
        mode=LATTICE_SITE if kind == "site" else LATTICE_BOND,
        n=lat.n_sites,
        m=math.prod(lat.shape) * (lat.basis if kind == "site" else len(lat.bonds)),
        axes=d if lat.periodic else 0,
        bits=bits,
        periodic=lat.periodic,
        basis=lat.basis,
        shape=np.array(lat.shape, np.int64),
        box=np.array(box, np.int64),
        entries=np.array(entries, np.int64),
        moves=np.array(moves or [(0, 0)], np.int64),
        first=np.searchsorted([a for a, *_ in hops], np.arange(lat.basis + 1)).astype(np.int64),
        u=_NO32,
        v=_NO32,
        turn=_NO64,
    )


def check_kind(kind: str) -> None:
    """Raise InputError unless `kind` is "site" or "bond"."""
    if kind not in KINDS:
        raise InputError("unknown kind of percolation", expected="'site' or 'bond'", got=repr(kind))


def of_graph(n: int, edges: ArrayLike, kind: str = "bond", winding: ArrayLike | None = None) -> Geometry:
    """Geometry of site or bond percolation on any edge list.

    Parameters
    ----------
    n : int
        Number of nodes; nodes without edges count.
    edges : array of whole numbers, shape (m, 2)
        Undirected. A self-loop is an element that joins nothing; of several edges between two nodes the
        first to come joins them.
    kind : {"bond", "site"}
        Whether edges or nodes are switched on.
    winding : array of whole numbers, shape (m, d), optional
        Crossings of the boundaries of a periodic box on the way from the first node to the second.

    Raises
    ------
    InputError
        n out of range; edges not an (m, 2) array of whole numbers in [0, n); winding of another shape.
    """
    check_kind(kind)
    check_size(n)
    pairs = _edge_array(n, edges)
    m = len(pairs)
    bits, axes, turn = 20, 0, _NO64
    if winding is not None:
        turns = np.asarray(winding)
        if turns.ndim != 2 or len(turns) != m or turns.dtype.kind not in "iu" or not 1 <= turns.shape[1] <= 7:
            raise InputError(
                "winding does not fit the edges",
                expected=f"whole numbers of shape ({m}, d), d from 1 to 7",
                got=f"{turns.dtype} of shape {turns.shape}",
            )
        axes, bits, turn = turns.shape[1], winding_bits(turns.shape[1]), pack(turns.astype(np.int64))
    u, v, first = pairs[:, 0], pairs[:, 1], _NO64
    if kind == "site":
        order = np.argsort(np.concatenate([u, v]), kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate([u, v]), minlength=n))])
        turn = np.concatenate([turn, -turn])[order] if axes else turn
        v = np.concatenate([v, u])[order]
    return Geometry(
        mode=GRAPH_SITE if kind == "site" else GRAPH_BOND,
        n=n,
        m=n if kind == "site" else m,
        axes=axes,
        bits=bits,
        periodic=True,
        basis=1,
        shape=_NO64,
        box=_NO64[:, None],
        entries=_NO64[:, None],
        moves=_NO64[:, None],
        first=np.ascontiguousarray(first, np.int64),
        u=np.ascontiguousarray(u, np.int32),
        v=np.ascontiguousarray(v, np.int32),
        turn=np.ascontiguousarray(turn, np.int64),
    )


def _edge_array(n: int, edges: ArrayLike) -> NDArray[Any]:
    pairs = np.asarray(edges)
    if pairs.size == 0:
        return np.zeros((0, 2), np.int32)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise InputError(
            "edges are not pairs of node numbers",
            expected="whole numbers of shape (m, 2)",
            got=f"{pairs.dtype} of shape {pairs.shape}",
            fix="number the nodes from 0; weights go to the order of the sweep, not into the edges",
        )
    check_size(len(pairs), "edges")
    if pairs.min() < 0 or pairs.max() >= n:
        raise InputError(
            "an edge names a node that is not there",
            expected=f"node numbers 0 to {n - 1}",
            got=f"{pairs.min()} to {pairs.max()}",
        )
    return pairs


@njit(cache=True, nogil=True, inline="always")
def locate(shape: Any, cell: int, x: Any) -> None:
    """Write the coordinates of a cell to x."""
    for j in range(len(shape) - 1, 0, -1):
        q = cell // shape[j]
        x[j] = cell - q * shape[j]
        cell = q
    x[0] = cell


@njit(cache=True, nogil=True, inline="always")
def hop(box: Any, entries: Any, moves: Any, i: int, k: int, x: Any) -> Any:
    """Site reached from site i (in cell x) by entry k, and the packed winding (not 0 outside the box)."""
    j = i + entries[k, 1]
    turn = np.int64(0)
    for e in range(entries[k, 2], entries[k, 3]):
        a = moves[e, 0]
        c = x[a] + moves[e, 1]
        if c >= box[a, 0]:
            j -= box[a, 1]
            turn += box[a, 2]
        elif c < 0:
            j += box[a, 1]
            turn -= box[a, 2]
    return j, turn
