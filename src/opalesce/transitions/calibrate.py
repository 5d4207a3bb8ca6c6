"""p-values by simulation from the fitted null, everything refitted in each replicate.

T is invariant under the smooth class and under scale, so for one design its null distribution
depends on the noise correlation alone. It is tabulated for every correlation of the grid, and the
p-value is the largest of them: valid whatever the correlation is, without a first-stage estimate.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from opalesce.transitions.scan import Design

Array = NDArray[np.float64]
FIRST = 999
LAST = 40_000


class NullTable:
    """Simulated null distributions of the two statistics of one design, grown on demand."""

    def __init__(self, design: Design, first: int = FIRST) -> None:
        self.design, self.first = design, first
        self._streams = [
            np.random.default_rng(s) for s in np.random.SeedSequence(_key(design)).spawn(len(design.models))
        ]
        empty = np.empty(0)
        self._samples: list[tuple[Array, Array]] = [(empty, empty)] * len(design.models)

    def grow(self, noise: int, total: int) -> None:
        """Simulate until `total` replicates are there for one noise model."""
        sharp, smooth = self._samples[noise]
        root = self.design.models[noise].root
        while len(sharp) < total:
            b = min(total - len(sharp), 2000)
            y = root @ self._streams[noise].standard_normal((len(root), b))
            t, s = self.design.statistics(y)
            sharp, smooth = np.concatenate([sharp, t]), np.concatenate([smooth, s])
        self._samples[noise] = (np.sort(sharp), np.sort(smooth))

    def p_values(self, values: Array, which: int = 0) -> Array:
        """p of each statistic (`which` 0: M2 over M1, 1: M1 over M0), largest over the noise grid."""
        worst = np.zeros(len(values))
        for j in range(len(self.design.models)):
            self.grow(j, self.first)
            sample = self._samples[j][which]
            above = len(sample) - np.searchsorted(sample, values, side="left")
            worst = np.maximum(worst, (1 + above) / (1 + len(sample)))
        return worst

    def worst(self, value: float) -> int:
        """The least favourable noise: the one whose null exceeds `value` most often."""
        return int(np.argmax([self.tail(value, j) for j in range(len(self.design.models))]))

    def p_value(self, value: float, which: int = 0, resolve: float = 0.01) -> float:
        """One p-value (`which` as in `p_values`), resolved down to a tenth of `resolve`.

        Besag & Clifford (1991): stop at ten exceedances, here of the worst noise model.
        """
        goal = min(LAST, int(10 / resolve))
        total = self.first
        while True:
            counts = []
            for j in range(len(self.design.models)):
                self.grow(j, total)
                sample = self._samples[j][which]
                counts.append((len(sample) - int(np.searchsorted(sample, value, side="left")), len(sample)))
            worst = max((1 + a) / (1 + b) for a, b in counts)
            if max(a for a, _ in counts) >= 10 or total >= goal:
                return worst
            total = min(goal, total * 4)

    def fresh_tail(self, value: float, noise: int, rng: np.random.Generator, b: int = 2000) -> float:
        """`tail` on replicates that did not set the critical value."""
        root = self.design.models[noise].root
        sharp, _ = self.design.statistics(root @ rng.standard_normal((len(root), b)))
        return float((sharp >= value).mean())

    def critical(self, alpha: float, noise: int | None = None) -> float:
        """Value of T exceeded with probability alpha: in one noise model, or the largest of all."""
        chosen = range(len(self.design.models)) if noise is None else [noise]
        for j in chosen:
            self.grow(j, self.first)
        return max(float(np.quantile(self._samples[j][0], 1 - alpha)) for j in chosen)

    def tail(self, value: float, noise: int) -> float:
        """Share of null replicates of one noise model at or above a value of T."""
        self.grow(noise, self.first)
        return float((self._samples[noise][0] >= value).mean())


def _key(design: Design) -> list[int]:
    """Seed words from the content of the design, so that equal designs give equal tables."""
    h = hashlib.blake2b(digest_size=16)
    for part in (
        design.u - design.u[0],
        design.places - design.u[0],
        design.widths,
        np.array([design.wstar]),
    ):
        h.update(np.round(part / design.spacing, 9).tobytes())
    if design.stderr is not None:
        h.update(np.round(design.stderr / design.stderr.mean(), 9).tobytes())
    if design.clock is not None:
        h.update(np.round(design.clock / design.clock[-1], 9).tobytes())
    h.update(str(design.null.shape).encode())
    return [int.from_bytes(h.digest()[i : i + 4], "little") for i in range(0, 16, 4)]


@lru_cache(maxsize=64)
def _cached(
    u: bytes, wstar: float, stderr: bytes | None, extra: bytes | None, clock: bytes | None
) -> NullTable:
    points = np.frombuffer(u)
    columns = None if extra is None else np.frombuffer(extra).reshape(len(points), -1)
    errors = None if stderr is None else np.frombuffer(stderr)
    raw = None if clock is None else np.frombuffer(clock)
    return NullTable(Design(points, wstar, errors, columns, clock=raw))


def table(
    u: Array,
    wstar: float,
    stderr: Array | None = None,
    extra: Array | None = None,
    clock: Array | None = None,
) -> NullTable:
    """The (shared) null table of a design; witnesses on one axis use the same."""
    return _cached(
        np.ascontiguousarray(u, float).tobytes(),
        float(wstar),
        None if stderr is None else np.ascontiguousarray(stderr, float).tobytes(),
        None if extra is None or not extra.shape[1] else np.ascontiguousarray(extra, float).tobytes(),
        None if clock is None else np.ascontiguousarray(clock, float).tobytes(),
    )
