"""A weight matrix as a network: how its entries connect rows and columns, the largest first.

Nodes are the N rows and M columns, edges the entries that are not zero. Only the order of the magnitudes
matters, so shuffled and Gaussian weights are one null: a uniform order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable

if TYPE_CHECKING:
    from opalesce.theory.percolation.weighted import WeightCurve

ORDER = frozenset({"scale", "permutation", "sign", "transpose"})


@dataclass(frozen=True)
class WeightGraph:
    """View `graph`: a matrix as a bipartite graph of rows and columns.

    Attributes
    ----------
    weight : array, shape (N, M)
        Finite; the edge between row i and column j has weight `|weight[i, j]|`, none where it is 0.
    """

    weight: NDArray[np.floating]

    def __post_init__(self) -> None:
        finite(self.weight, "the weight", ndim=2)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, M)."""
        return int(self.weight.shape[0]), int(self.weight.shape[1])

    @cached_property
    def curve(self) -> WeightCurve | None:
        """Threshold percolation of the entries; None for a single row or column, which is a star."""
        from opalesce.theory.percolation.weighted import weight_curve

        return weight_curve([self.weight]) if min(self.shape) > 1 else None


@lru_cache(maxsize=256)
def _null(shape: tuple[int, int], edges: int) -> tuple[float, float]:
    """Mean and standard deviation of the measured threshold over uniform orders."""
    from opalesce.theory.percolation.uniform import null_peaks

    peaks = null_peaks(shape, 100, edges)
    return float(np.nanmean(peaks)), float(np.nanstd(peaks, ddof=1))


def _null_of(graph: WeightGraph) -> tuple[float, float]:
    """`_null` of a graph: a matrix and its transpose meet the same draws."""
    short, long = sorted(graph.shape)
    return _null((short, long), int(np.count_nonzero(graph.weight)))


def null_ratio(graph: WeightGraph) -> float:
    """Mean `percolation_ratio` of 100 uniform orders of this shape; NaN where that is not defined."""
    if graph.curve is None or not np.isfinite(graph.curve.peak):
        return float("nan")
    return _null_of(graph)[0] * float(np.sqrt(graph.weight.size))


@lru_cache(maxsize=256)
def _median(shape: tuple[int, int]) -> float:
    from opalesce.theory.percolation.uniform import null_median

    return null_median(shape)


@observable(
    on="graph",
    unit="1",
    symmetries=ORDER,
    null="uniform_order",
    source="newman2001random, section II",
)
def percolation_ratio(graph: WeightGraph) -> float:
    r"""Share of entries at which a giant cluster forms, over that of a random order.

    .. math:: f_c \sqrt{N M}, \quad f_c = \arg\max_f S_2(f)

    f is the share of entries kept, the largest first, and S_2 the second largest cluster. The exact
    threshold of a uniform order is :math:`1/\sqrt{NM}` [R]; the peak of a finite matrix lies above it, by
    8 % for 1000 x 4000. Below the null: large entries crowd in few rows or columns, and such hubs find
    each other early (Molloy and Reed: uneven degrees lower the threshold) while the other units join
    late, see `median_breakthrough`. Above: they are spread over units or blocks more evenly than chance.
    NaN for one row or column, and where S_2 never grows (all entries equal).

    Raises
    ------
    InputError
        From `WeightGraph`.
    """
    if graph.curve is None:
        return float("nan")
    return float(graph.curve.peak * np.sqrt(graph.weight.size))


@observable(
    on="graph",
    unit="sd",
    symmetries=ORDER,
    null="shuffle",
    source="newman2001random, section II",
)
def percolation_z(graph: WeightGraph) -> float:
    r"""Measured threshold against 100 shuffled copies, in their standard deviations.

    .. math:: z = (f_c - \langle f_c \rangle_0) / \mathrm{sd}_0(f_c)

    A shuffle only fixes the order of entries, so the null depends on the shape (and on the number of
    zeros) and is drawn once, from a seed made of the shape. The peak's law is skewed: read |z| below 3 as
    nothing. NaN as `percolation_ratio`, and where the null does not vary.

    Raises
    ------
    InputError
        From `WeightGraph`.
    """
    if graph.curve is None or not np.isfinite(graph.curve.peak):
        return float("nan")
    mean, sd = _null_of(graph)
    return (graph.curve.peak - mean) / sd if sd > 0 else float("nan")


@observable(
    on="graph",
    unit="1",
    symmetries=ORDER,
    null="uniform_order",
    source="newman2001random, section II",
)
def giant_share(graph: WeightGraph) -> float:
    r"""Share of rows and columns in the largest cluster at twice the threshold of a random order.

    .. math:: S_1(2/\sqrt{NM}) / (N + M)

    Null: :math:`(N s + M t)/(N + M)` with :math:`s = 1 - e^{-2 t \sqrt{M/N}}`,
    :math:`t = 1 - e^{-2 s \sqrt{N/M}}` (0.797 for a square matrix, 0.659 for 1000 x 4000). NaN for one row
    or column, and where equal entries leave open which are kept.

    Raises
    ------
    InputError
        From `WeightGraph`.
    """
    curve, kept = graph.curve, round(2 * np.sqrt(graph.weight.size))
    if curve is None:
        return float("nan")
    at = int(np.searchsorted(curve.counts, kept))
    if at < len(curve.counts) and curve.counts[at] == kept:
        return float(curve.S1[at] / curve.n)
    ended = at == len(curve.counts) and curve.whole  # fewer entries than that are not zero
    return float(curve.S1[-1] / curve.n) if ended else float("nan")


@observable(
    on="graph",
    unit="1",
    symmetries=ORDER,
    null="uniform_order",
    source="pollack1960maximum",
)
def median_breakthrough(graph: WeightGraph) -> float:
    r"""Share of entries at which half of all row-column pairs are connected, over that of a random order.

    .. math:: f_{1/2} / f^0_{1/2}, \quad f^0_{1/2}: \; s\,t = 1/2

    The entry pressure of a pair is the bottleneck of its best path (minimax; drainage from that row breaks
    through at that column), so this is the median breakthrough pressure on the scale of ranks, which no
    rescaling of weights changes. s, t as in `giant_share` at density f [R]. NaN for one row or column, and
    where half the pairs never connect.

    Raises
    ------
    InputError
        From `WeightGraph`.
    """
    if graph.curve is None:
        return float("nan")
    return graph.curve.connects(0.5) / _median(graph.shape)
