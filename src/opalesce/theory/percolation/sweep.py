r"""Newman-Ziff sweeps of lattices and graphs, averaged as they go.

Elements (sites or bonds) are switched on one by one in random order; after each the clusters are known
(Newman and Ziff 2000; 2001, section II). What comes out is *microcanonical*: a function of the number of
elements. Averages at occupation probability p need `canonical`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.percolation import kernel
from opalesce.theory.percolation.geometry import INLET, OUTLET, Geometry, of_graph, of_lattice
from opalesce.theory.percolation.kernel import QUANTITIES
from opalesce.theory.percolation.lattices import Lattice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Graph = tuple[int, ArrayLike]

MAX_ROWS = 2**17  # counts recorded by default, at most


@dataclass(frozen=True)
class Sweeps:
    """Averages over sweeps.

    Attributes
    ----------
    n, m : int
        Nodes; elements (sites or bonds) that are switched on.
    counts : array, shape (K,)
        Element counts at which sizes were recorded.
    sums : array, shape (batches, 6, K)
        Sums over the sweeps of a batch of S1, S1^2, S1^4, S2, M2 (the sum of squared sizes over all
        clusters) and the number of clusters, in nodes.
    per_batch : array, shape (batches,)
        Sweeps in each batch.
    wrapped : array, shape (sweeps, axes)
        Element count at which a cluster first went round each axis of the torus; for an open box or a
        graph with inlet and outlet, one column: the count at which a cluster first joined the two.
        m + 1 where that did not happen before the sweep stopped. No columns: nothing was watched.
    stop : int
        Elements switched on in each sweep: averages hold below.
    gap, gap_at : array, shape (sweeps,)
        Largest jump of S1 by one element, in nodes, and the element count right after it.
    """

    n: int
    m: int
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    per_batch: NDArray[np.int64]
    wrapped: NDArray[np.int64]
    stop: int
    gap: NDArray[np.int64]
    gap_at: NDArray[np.int64]

    @property
    def sweeps(self) -> int:
        """Number of sweeps."""
        return len(self.gap)

    def microcanonical(self, name: str) -> NDArray[np.float64]:
        """Mean of a quantity over all sweeps at each of `counts`.

        Raises
        ------
        InputError
            The quantity is unknown or was not recorded.
        """
        return np.asarray(self.batch_sums(name).sum(axis=0) / self.per_batch.sum())

    def batch_sums(self, name: str) -> NDArray[np.float64]:
        """Sums of a quantity for each batch, shape (batches, K); raises InputError as `microcanonical`."""
        if name not in QUANTITIES:
            raise InputError("unknown quantity", expected=", ".join(QUANTITIES), got=repr(name))
        if not len(self.counts):
            raise InputError(f"{name} was not recorded", fix="sweep with sizes=True")
        return self.sums[:, QUANTITIES.index(name)]


def sweep(
    system: Lattice | Graph,
    kind: str = "site",
    sweeps: int = 100,
    *,
    rng: np.random.Generator,
    sizes: bool = True,
    wrapping: bool = True,
    window: tuple[float, float] = (0.0, 1.0),
    every: int | None = None,
    batches: int = 32,
    winding: ArrayLike | None = None,
    ends: tuple[ArrayLike, ArrayLike] | None = None,
) -> Sweeps:
    """Sweep a lattice or a graph many times in random order.

    Parameters
    ----------
    system : Lattice or (n, edges)
        `lattice("square", 64)`, or the number of nodes and an edge array of shape (m, 2). Self-loops
        join nothing, further edges between two nodes neither; both count among the elements.
    kind : {"site", "bond"}
    sweeps : int
    rng : numpy.random.Generator
    sizes : bool
        Record S1, S2, M2 and the number of clusters. Without it a sweep stops once all has wrapped.
    wrapping : bool
        Watch wrapping (torus, or graph with `winding`) or spanning along axis 0 (open lattice, `ends`).
    window : (low, high)
        Occupation probabilities for which averages are wanted: only counts within 8 standard deviations
        of M p are swept and recorded.
    every : int, optional
        Record each so many elements; canonical averages interpolate linearly between. Default: such that
        at most 2^17 counts are kept.
    batches : int
        Batches of sweeps, the units of standard errors of sizes.
    winding : array, shape (m, d), optional
        For a graph drawn on a torus, see `of_graph`.
    ends : (inlet, outlet), optional
        For a graph: node numbers of both ends.

    Returns
    -------
    Sweeps

    Raises
    ------
    InputError
        Bad numbers, edges, or more than 2^31 - 1 nodes or edges.
    """
    g = geometry_of(system, kind, winding)
    if sweeps < 1 or batches < 1 or (every is not None and every < 1):
        raise InputError("sweeps, batches and every are at least 1", got=f"{sweeps}, {batches}, {every}")
    low, high = _counts_within(g.m, window)
    if every is None:
        every = (high - low) // MAX_ROWS + 1
    counts = np.arange(low, high + 1, every) if sizes else np.zeros(0, np.int64)
    touch = touch_of(system, g, ends) if wrapping else np.zeros(0, np.int8)
    track, span = wrapping and g.axes > 0, len(touch) > 0
    want = kernel.Wanted(track, span, sizes, True, low, every)
    batches = min(batches, sweeps)
    sums = np.zeros((batches, len(QUANTITIES), len(counts)))
    wrapped = np.zeros((sweeps, g.axes if track else int(span)), np.int64)
    gaps = np.zeros((sweeps, 2), np.int64)
    order, rows = np.arange(g.m, dtype=np.int32), np.zeros((len(counts), 4), np.int64)
    stops = np.full(sweeps, high)
    state = new_state(g, want)
    kernel.sweeps(g, state, want, touch, order, stops, rows, rng, sums, wrapped, gaps, np.zeros(1, np.int64))
    per_batch = np.bincount(np.arange(sweeps) * batches // sweeps, minlength=batches)
    return Sweeps(g.n, g.m, counts, sums, per_batch, wrapped, high, gaps[:, 0], gaps[:, 1])


def geometry_of(system: Lattice | Graph, kind: str, winding: ArrayLike | None = None) -> Geometry:
    """Geometry of a lattice or of (n, edges); raises InputError as `of_lattice` and `of_graph`."""
    if isinstance(system, Lattice):
        return of_lattice(system, kind)
    n, edges = system
    return of_graph(n, edges, kind, winding)


def new_state(g: Geometry, want: kernel.Wanted) -> kernel.State:
    """Arrays for sweeps of a geometry, as small as `want` allows."""
    columns = g.axes if want.track else int(want.span)
    return kernel.State(
        parent=np.zeros(g.n, np.int32),
        shift=np.zeros(g.n if want.track else 1, np.int64),
        touch=np.zeros(g.n if want.span else 1, np.int8),
        sizes=np.zeros(g.n + 1 if want.measure else 1, np.int32),
        tally=np.zeros(4, np.int64),
        wrapped=np.zeros(columns, np.int64),
        gap=np.zeros(2, np.int64),
        x=np.zeros(len(g.shape), np.int64),
    )


def _counts_within(m: int, window: tuple[float, float]) -> tuple[int, int]:
    """First and last element count of a window of probabilities, with 8 standard deviations beyond."""
    a, b = window
    if not 0 <= a <= b <= 1:
        raise InputError("window out of range", expected="0 <= low <= high <= 1", got=f"{a:g}, {b:g}")
    low = int(m * a - 8 * np.sqrt(m * a * (1 - a))) - 2
    high = int(m * b + 8 * np.sqrt(m * b * (1 - b))) + 2
    return max(low, 0), min(high, m)


def touch_of(
    system: Lattice | Graph, g: Geometry, ends: tuple[ArrayLike, ArrayLike] | None
) -> NDArray[np.int8]:
    """INLET and OUTLET bits of the nodes, empty where nothing spans; InputError for nodes not there."""
    if isinstance(system, Lattice):
        if system.periodic:
            return np.zeros(0, np.int8)
        layer = np.arange(g.n) // (g.n // system.shape[0])
        bits = (layer == 0) * INLET + (layer == system.shape[0] - 1) * OUTLET
        return np.asarray(bits, np.int8)
    if ends is None:
        return np.zeros(0, np.int8)
    touch = np.zeros(g.n, np.int8)
    for bit, nodes in zip((INLET, OUTLET), ends, strict=True):
        at = np.asarray(nodes)
        if at.size == 0 or at.dtype.kind not in "iu" or at.min() < 0 or at.max() >= g.n:
            raise InputError("an end of the graph is not a list of its nodes", expected=f"0 to {g.n - 1}")
        touch[at] |= bit
    return touch
