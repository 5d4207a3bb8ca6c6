r"""Sizes of activations in one pass: their median, and the few that are massive.

Kept of a stream of tokens: a histogram of log2|h| with 8 bins an octave (any quantile to 9 %) and the largest
|h| with their places. Enough for the definition of massive activations (Sun et al. 2024, section 2) without
keeping a token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable

Array = NDArray[np.float64]
PER_OCTAVE, OCTAVES, LOWEST = 8, 192, -96  # 2^-96 to 2^96; beyond counts in the end bins
TOP = 10


@dataclass(frozen=True)
class Magnitudes:
    """Make it with `of`, join with `add` and `merge`.

    Attributes
    ----------
    tokens, width : int
    zeros : int
        Entries that are exactly 0.
    histogram : array of int, shape (1536,)
        Entries by log2|h|.
    size : array, shape (k,)
        The largest |h|, largest first.
    place : array of int, shape (k, 2)
        Their (token, channel); tokens are counted from the first batch on.
    value : array, shape (k,)
        With their signs.
    """

    tokens: int
    width: int
    zeros: int
    histogram: NDArray[np.int64]
    size: Array
    place: NDArray[np.int64]
    value: Array

    @classmethod
    def of(cls, h: ArrayLike, top: int = TOP) -> Magnitudes:
        """Of a batch (tokens, d).

        Raises
        ------
        InputError
            Not (n, d), empty or not finite.
        """
        x = np.asarray(finite(h, "the activations", ndim=2), np.float64)
        size = np.abs(x).ravel()
        some = size[size > 0]
        bins = np.floor((np.log2(some) - LOWEST) * PER_OCTAVE).astype(np.int64)
        histogram = np.bincount(np.clip(bins, 0, PER_OCTAVE * OCTAVES - 1), minlength=PER_OCTAVE * OCTAVES)
        k = min(top, size.size)
        best = np.argpartition(size, size.size - k)[size.size - k :]
        best = best[np.argsort(-size[best], kind="stable")]
        place = np.column_stack(np.unravel_index(best, x.shape)).astype(np.int64)
        return cls(len(x), x.shape[1], size.size - some.size, histogram, size[best], place, x.ravel()[best])

    def merge(self, other: Magnitudes) -> Magnitudes:
        """Both together; the tokens of `other` come after.

        Raises
        ------
        InputError
            Layers of different width.
        """
        if self.width != other.width:
            raise InputError("layers of different width", expected=str(self.width), got=str(other.width))
        size = np.concatenate([self.size, other.size])
        best = np.argsort(-size, kind="stable")[: max(len(self.size), len(other.size))]
        later = other.place + np.array([self.tokens, 0])
        return Magnitudes(
            self.tokens + other.tokens,
            self.width,
            self.zeros + other.zeros,
            self.histogram + other.histogram,
            size[best],
            np.concatenate([self.place, later])[best],
            np.concatenate([self.value, other.value])[best],
        )

    def add(self, h: ArrayLike) -> Magnitudes:
        """With one more batch (tokens, d).

        Raises
        ------
        InputError
            From `of` and `merge`: a bad batch is refused whole.
        """
        return self.merge(Magnitudes.of(h, len(self.size)))

    def quantile(self, q: float) -> float:
        """Quantile of |h|, the geometric middle of its bin: within 4.5 % either way.

        Raises
        ------
        InputError
            Unless 0 <= q <= 1.
        """
        if not 0 <= q <= 1:
            raise InputError("no such quantile", expected="0 to 1", got=f"{q:g}")
        rank = q * (self.zeros + int(self.histogram.sum()))
        if rank < self.zeros:
            return 0.0
        at = int(np.searchsorted(self.zeros + np.cumsum(self.histogram), rank))
        return float(2.0 ** ((min(at, len(self.histogram) - 1) + 0.5) / PER_OCTAVE + LOWEST))

    def massive(self, above: float = 100.0, ratio: float = 1000.0) -> list[tuple[int, int, float, float]]:
        """(token, channel, value, ratio to the median) of those above both, among the largest that are kept.

        `above` is in the units of the stream: pass 0 to judge by the ratio alone. In channels by which a
        model is steered the same few come back at every token of a kind (Sun et al. 2024).
        """
        median = self.quantile(0.5)
        rows = zip(self.size, self.place, self.value, strict=True)
        return [
            (int(p[0]), int(p[1]), float(v), float(s / median) if median > 0 else float("inf"))
            for s, p, v in rows
            if s > above and s > ratio * median
        ]


@observable(
    on="activations",
    unit="1",
    symmetries={"token_permutation", "channel_permutation"},
    null="isotropic_normal",
    source="sun2024massive, section 2 (spread of sizes defined here)",
    lineage="activations",
)
def magnitude_spread(points: ArrayLike) -> float:
    r"""Octaves between the upper percentile and the median of magnitudes, from a histogram in one pass.

    .. math:: \log_2 (q_{0.99}(|h|) / q_{0.5}(|h|))

    Null: :math:`\log_2(2.576/0.6745)` = 1.93 for normal entries, to a bin (0.125). Unlike the largest ratio
    it does not hang on one entry. NaN where the median is 0, or below 100 entries.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    m = Magnitudes.of(points)
    median = m.quantile(0.5)
    if median == 0.0 or m.tokens * m.width < 100:
        return float("nan")
    return float(np.log2(m.quantile(0.99) / median))
