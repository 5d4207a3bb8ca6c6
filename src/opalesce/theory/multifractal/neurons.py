r"""NeuroMFA: neuron-based multifractal analysis of weights, as published and free of scale.

A neuron is a coordinate of a hidden vector, a weight an edge of length :math:`d = 1/|w|`; only one-hop
lengths enter, as in the released code (Xiao et al. 2025). Two modes:

`paper` repeats the published numbers: lengths rounded to integers, :math:`1 < d \le 150`, every radius that
occurs, all radii with equal weight. Its alpha_0 and E depend on the size of the weights: a plain rescaling of
Gaussian noise gives the published E.

`scale_free` (ours) divides lengths by the matrix's root mean square, takes log-spaced radii without
rounding, and fits where the share of edges within the radius grows from 2 % to 50 %. Nothing in it changes
when a matrix is multiplied by a number. Gaussian weights have no scaling regime either: look at R^2, and at
the nulls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.multifractal.balls import add_moments, integer_counts, log_counts
from opalesce.theory.multifractal.exponents import MassExponents, Q, legendre, slopes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

LIMIT = 150  # largest length of the published analysis
LEAST = 10  # a neuron needs more edges than this
LOW, PER_OCTAVE, RADII = -6.0, 8.0, 161  # radii 2^-6 ... 2^14 times the root mean square
SHARE = (0.02, 0.5)  # window of the scale-free fit, in mean share of edges
GROUPS = 64  # of neurons, for the bootstrap


def paper_exponents(weights: Iterable[ArrayLike], limit: int = LIMIT, q: ArrayLike = Q) -> MassExponents:
    r"""tau(q) of the neurons of some weight matrices by the published rules.

    .. math::

        D_i = \{\mathrm{round}(1/|w_{ij}|) : 1 < 1/|w_{ij}| \le T\}, \; |D_i| > 10; \quad
        Z_q(r) = \sum_i \Big(\frac{N_i(r)}{N_i(L)}\Big)^q; \quad
        \tau(q) = \mathrm{slope\ of\ } \ln Z_q \mathrm{\ on\ } \ln(r/L),\; r \in \bigcup_i D_i

    N_i(r) = 1 + edges of length at most r, L the largest radius (Xiao et al. 2025, code of the release).

    Parameters
    ----------
    weights : iterable of arrays, each (sources, targets)
        All neurons with more than 10 usable edges enter one sum.
    limit : int
        T.
    q : array
        Moments in equal steps.

    Raises
    ------
    InputError
        Fewer than two radii: no neuron has enough edges in range; moments not in equal steps.
    """
    moments = _grid(q)
    z, seen, nodes = np.zeros((1, limit + 1, moments.size)), np.zeros(limit + 1, np.int64), 0
    for w in weights:
        counts = paper_counts(w, limit)
        kept = counts.sum(axis=1) > LEAST
        seen += counts[kept].sum(axis=0)
        nodes += _add(counts, moments, np.zeros(len(counts), np.int64), z)
    radii = np.flatnonzero(seen)
    if radii.size < 2:
        raise InputError(
            "no neuron has enough edges to analyse",
            expected=f"more than {LEAST} weights with 1 < 1/|w| <= {limit}",
            got=f"{nodes} such neurons, {radii.size} radii",
            fix='mode="scale_free"',
        )
    tau, r2 = slopes(np.log(z[0, radii]), np.log(radii / radii[-1]))
    return MassExponents(moments, tau, r2, (float(radii[0]), float(radii[-1])), nodes)


def paper_counts(weight: ArrayLike, limit: int = LIMIT) -> NDArray[np.int64]:
    """Edges per source and integer length, shape (sources, limit + 1); `weight` is (sources, targets)."""
    w, by_column = _layout(weight)
    out = np.zeros((w.shape[1] if by_column else w.shape[0], limit + 1), np.int64)
    integer_counts(w, by_column, limit, out)
    return out


def _layout(weight: ArrayLike) -> tuple[NDArray[np.floating], bool]:
    """The matrix in the order in which memory holds it, and whether its columns are the sources."""
    w = np.asarray(weight)
    w = w if w.dtype in (np.float32, np.float64) else w.astype(np.float64)
    return (w, False) if w.flags.c_contiguous or not w.T.flags.c_contiguous else (w.T, True)


def _grid(q: ArrayLike) -> Array:
    moments = np.asarray(q, float)
    if moments.ndim != 1 or moments.size < 3 or np.ptp(np.diff(moments)) > 1e-9 or moments[1] <= moments[0]:
        raise InputError("moments must ascend in equal steps", expected="3 or more", got=str(moments))
    return moments


def _add(counts: NDArray[np.int64], q: Array, group: NDArray[np.int64], z: Array) -> int:
    return int(add_moments(counts, float(q[0]), float(q[1] - q[0]), group, z))


def neuron_dimensions(weight: ArrayLike, limit: int = 200) -> Array:
    r"""Per-neuron dimension: slope of :math:`\ln N_i(r)` on :math:`\ln r` over the radii of that neuron.

    Lengths rounded to integers, :math:`0 < d \le 200`, more than 10 of them; N counts edges of length at most
    r; NaN where a neuron has too few edges or a single radius (the release writes 0 there, which would pull
    every mean down). Source: node_fractal_dimension of the release of Xiao et al. 2025.

    Parameters
    ----------
    weight : array, shape (sources, targets)

    Returns
    -------
    array, shape (sources,)
    """
    w = np.abs(np.asarray(weight, float))
    out = np.full(len(w), np.nan)
    for i, row in enumerate(w):
        d = 1.0 / row[row > 0]
        d = np.rint(d[d <= limit])
        r, count = np.unique(d, return_counts=True)
        total, positive = np.cumsum(count), r > 0
        if d.size > LEAST and positive.sum() > 1:
            out[i] = slopes(np.log(total[positive])[:, None], np.log(r[positive]))[0][0]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_of_squares(w: NDArray[np.floating], top: float) -> float:
    total = 0.0
    for x in w.ravel():
        y = np.float64(x) / top
        total += y * y
    return total


def root_mean_square(w: NDArray[np.floating]) -> float:
    """Root mean square in float64, safe against overflow; no copy is made of a contiguous array."""
    if not w.size:
        return 0.0
    top = max(float(w.max()), -float(w.min()))
    return top * float(np.sqrt(_sum_of_squares(w, top) / w.size)) if top > 0 else 0.0


@dataclass
class ScaleFree:
    """Scale-free sums over neurons: add matrices one by one, then ask for `exponents`.

    `z` has shape (groups, radii, moments); neurons are dealt to groups in turn, so that a bootstrap of groups
    is one of neurons. Memory does not grow with the network.
    """

    q: Array = field(default_factory=lambda: Q.copy())
    groups: int = GROUPS

    def __post_init__(self) -> None:
        self.q = _grid(self.q)
        self.z = np.zeros((self.groups, RADII + 1, self.q.size))
        self.edges = np.zeros(RADII + 1)
        self.nodes = 0
        self.dealt = 0

    @property
    def radii(self) -> Array:
        """In units of the root mean square of each matrix; the last class, of all edges, is infinite."""
        return np.append(2.0 ** (LOW + np.arange(RADII) / PER_OCTAVE), np.inf)

    def add(self, weight: ArrayLike) -> None:
        """Add the neurons of a finite matrix (sources, targets); a zero matrix adds none."""
        w, by_column = _layout(weight)
        rms = root_mean_square(w)
        if rms == 0.0:
            return
        counts = np.zeros((w.shape[1] if by_column else w.shape[0], RADII + 1), np.int64)
        log_counts(w, by_column, rms, LOW, PER_OCTAVE, counts)
        self.add_counts(counts)

    def add_columns(self, pieces: Iterable[NDArray[np.floating]], rms: float) -> None:
        """Add the columns of a matrix that comes in pieces of whole rows, its root mean square known."""
        counts: NDArray[np.int64] | None = None
        for piece in pieces:
            if counts is None:
                counts = np.zeros((piece.shape[1], RADII + 1), np.int64)
            log_counts(piece, True, rms, LOW, PER_OCTAVE, counts)
        if counts is not None:
            self.add_counts(counts)

    def add_counts(self, counts: NDArray[np.int64]) -> None:
        """Add neurons by their edges per radius class, shape (neurons, classes)."""
        group = (self.dealt + np.arange(len(counts))) % self.groups
        self.edges += counts[counts.sum(axis=1) > LEAST].sum(axis=0)
        self.nodes += _add(counts, self.q, group, self.z)
        self.dealt += len(counts)

    def window(self) -> NDArray[np.bool_]:
        """Radii within which lie 2 % to 50 % of all edges."""
        share = np.cumsum(self.edges) / max(self.edges.sum(), 1.0)
        inside = (share >= SHARE[0]) & (share <= SHARE[1])
        inside[-1] = False
        return np.asarray(inside)

    def _fit(self, z: Array, inside: NDArray[np.bool_]) -> MassExponents:
        r = self.radii[inside]
        tau, r2 = slopes(np.log(z[inside]), np.log(r))
        return MassExponents(self.q, tau, r2, (float(r[0]), float(r[-1])), self.nodes)

    def exponents(self) -> MassExponents:
        """tau(q) of all neurons added.

        Raises
        ------
        InputError
            No neuron with more than 10 edges, or fewer than 4 radii in the window (weights of few sizes).
        """
        inside = self.window()
        if inside.sum() < 4:
            raise InputError(
                "no neuron has a spread of weights to analyse",
                expected=f"neurons with more than {LEAST} weights of many sizes",
                got=f"{self.nodes} neurons, {int(inside.sum())} radii in the window",
            )
        return self._fit(self.z.sum(axis=0), inside)

    def bootstrap(self, draws: int, rng: np.random.Generator) -> Array:
        """(alpha_0, width) of resampled groups of neurons, shape (draws, 2); the window stays.

        Raises
        ------
        InputError
            As `exponents`.
        """
        self.exponents()
        inside, full = self.window(), self.z[:, :, :].sum(axis=(1, 2)) > 0
        groups = self.z[full]
        out = np.empty((draws, 2))
        for k in range(draws):
            weight = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups))).astype(float)
            s = legendre(self._fit(np.tensordot(weight, groups, 1), inside))
            out[k] = s.alpha0, s.width
        return out


def gaussian_alpha0(targets: int) -> float:
    r"""alpha_0 of the scale-free mode for neurons with `targets` independent normal weights.

    The slope of :math:`\langle \ln N(r) \rangle` over the window, N - 1 binomial with the chance
    :math:`\mathrm{erfc}(1/(r\sqrt 2))` of a normal weight to be larger than 1/r root mean squares. It is no
    exponent: the local slope falls steadily across the window.

    Raises
    ------
    InputError
        10 targets or fewer.
    """
    from scipy.special import erfc
    from scipy.stats import binom

    if targets <= LEAST:
        raise InputError("too few targets", expected=f"more than {LEAST}", got=str(targets))
    r = 2.0 ** (LOW + np.arange(RADII) / PER_OCTAVE)
    share = erfc(1 / (r * np.sqrt(2)))
    inside = (share >= SHARE[0]) & (share <= SHARE[1])
    number = np.arange(targets + 1)
    mean = np.array([binom.pmf(number, targets, p) @ np.log(1.0 + number) for p in share[inside]])
    return float(slopes(mean[:, None], np.log(r[inside]))[0][0])
