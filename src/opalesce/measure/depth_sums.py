"""Sums along depth: what one pass over the prompts leaves of every layer, in each version of the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.record import Shards, batches, normed, record
from opalesce.observables import order
from opalesce.observables.dimension import gride_dimension
from opalesce.observables.moments import Moments, integrity_of

Array = NDArray[np.float64]
Index = NDArray[np.intp]
# (numbers of the prompts, function that hands every layer's (n, t, d) to `take`)
Batch = tuple[Index, Callable[[Callable[[int, Array], Any]], list[Any]]]

STREAMS = ("raw", "normed", "dropped", "masked", "rotated")
CURVES: dict[str, Callable[[Moments], float]] = {
    "integrity_susceptibility": order.integrity_susceptibility,
    "integrity_binder": order.integrity_binder,
    "residual_effective_rank": order.residual_effective_rank,
    "residual_participation_ratio": order.residual_participation_ratio,
    "residual_stable_rank": order.residual_stable_rank,
    "tail_fraction": order.tail_fraction,
    "spectral_gap": order.spectral_gap,
    "residual_outliers": order.residual_outliers,
    "mean_share": order.mean_share,
}
OF_INTEGRITY = ("integrity_susceptibility", "integrity_binder")


@dataclass(frozen=True)
class Plan:
    """What is fixed before the pass.

    `group` numbers the jackknife group of each prompt; `massive` the coordinates that the masked stream
    drops; `turn` rotates (None: no rotated stream); `sketch` projects before covariances (None: full);
    `centre` says that the model's norms subtract the mean.
    """

    group: Index
    drop: tuple[int, ...] = (0,)
    massive: Index = field(default_factory=lambda: np.empty(0, np.intp))
    turn: Array | None = None
    sketch: Array | None = None
    centre: bool = False
    streams: tuple[str, ...] = STREAMS


def views(h: Array, plan: Plan) -> Iterator[tuple[str, Array]]:
    """Each version of the stream (n, t, d) in turn."""
    for name in plan.streams:
        if name == "raw":
            yield name, h
        elif name == "normed":
            yield name, normed(h, plan.centre)
        elif name == "dropped":
            keep = np.setdiff1d(np.arange(h.shape[1]), [d % h.shape[1] for d in plan.drop if d < h.shape[1]])
            if keep.size:
                yield name, h[:, keep]
        elif name == "masked":
            yield name, np.delete(h, plan.massive, axis=2)
        elif name == "rotated" and plan.turn is not None:
            yield name, h @ plan.turn


def moments(x: Array, full: Array) -> Moments:
    """Moments of x, with the integrity of the full stream beside them."""
    out = Moments.of(x)
    return out if x is full else replace(out, integrity=Moments.of_integrity(full))


@dataclass
class Sums:
    """One pass: integrity of every prompt, and moments of every group, by stream and layer.

    Attributes
    ----------
    integrity : dict
        stream -> array (prompts, layers), NaN where a prompt was left out.
    groups : dict
        (stream, layer, group) -> Moments.
    points : dict
        layer -> [(group, row), ...], the last token of each prompt, for the intrinsic dimension.
    left : list of str
        What was left out, and why.
    """

    plan: Plan
    layers: int = 0
    width: int = 0
    tokens: int = 0
    integrity: dict[str, Array] = field(default_factory=dict)
    groups: dict[tuple[str, int, int], Moments] = field(default_factory=dict)
    points: dict[int, list[tuple[int, Array]]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Add a batch whole, or leave it out whole and say why."""
        which, run = batch
        try:
            made = run(lambda layer, h: self._layer(which, h))
        except InputError as error:
            if "NaN" not in error.what and "infinite" not in error.what:
                raise
            some = ", ".join(str(i) for i in which[:5])
            self.left.append(f"prompts {some}{' ...' if len(which) > 5 else ''} left out: {error.what}")
            return
        self.layers = len(made)
        for layer, (width, n, omega, sums, last) in enumerate(made):
            self.width, self.tokens = width, self.tokens + (n if layer == 0 else 0)
            for stream, values in omega.items():
                into = self.integrity.setdefault(stream, np.full((len(self.plan.group), self.layers), np.nan))
                into[which, layer] = values
            for (stream, group), m in sums.items():
                key = (stream, layer, group)
                self.groups[key] = self.groups[key].merge(m) if key in self.groups else m
            self.points.setdefault(layer, []).extend(zip(self.plan.group[which], last, strict=True))

    def _layer(self, which: Index, h: Array) -> tuple[int, int, dict[str, Array], dict[Any, Moments], Array]:
        omega: dict[str, Array] = {}
        sums: dict[tuple[str, int], Moments] = {}
        n, t, d = h.shape
        for stream, x in views(h, self.plan):
            flat = integrity_of(x.reshape(-1, x.shape[2])).reshape(x.shape[:2])
            count = np.isfinite(flat).sum(axis=1)
            omega[stream] = np.where(count > 0, np.nansum(flat, axis=1) / np.maximum(count, 1), np.nan)
            if stream == "rotated":
                continue  # covariance spectra do not turn
            for g in np.unique(self.plan.group[which]):
                rows = x[self.plan.group[which] == g].reshape(-1, x.shape[2])
                small = rows
                if self.plan.sketch is not None:
                    matrix = self.plan.sketch
                    if stream == "masked":
                        matrix = np.delete(matrix, self.plan.massive, axis=0)
                    small = rows @ matrix
                sums[stream, int(g)] = moments(small, rows)
        # the last token: it has read the whole prompt
        small = h[:, -1] if self.plan.sketch is None else h[:, -1] @ self.plan.sketch
        return d, n * t, omega, sums, small

    def curve(self, name: str, stream: str) -> tuple[Array, Array]:
        """An order parameter along depth, and its values by group, (groups, layers).

        Values by group are jackknife pseudo-values about the pooled value: theta + (G - 1)(mean of the
        delete-one values - the group's own), so that their mean is the pooled value and their standard error
        the jackknife's.
        """
        found = sorted({g for s, _, g in self.groups if s == stream})
        pooled, by = np.full(self.layers, np.nan), np.full((len(found), self.layers), np.nan)
        for layer in range(self.layers):
            parts = [self.groups[stream, layer, g] for g in found if (stream, layer, g) in self.groups]
            pooled[layer] = self._value(name, parts)
            if len(parts) == len(found) > 1:
                without = [self._value(name, parts[:i] + parts[i + 1 :]) for i in range(len(parts))]
                by[:, layer] = pooled[layer] + (len(parts) - 1) * (np.mean(without) - np.array(without))
        return pooled, by

    def _value(self, name: str, parts: list[Moments]) -> float:
        if not parts:
            return float("nan")
        m = reduce(Moments.merge, parts)
        value = CURVES[name](m)
        if name == "integrity_susceptibility":  # its d is that of the stream, not of a sketch
            value *= self.width / m.width
        return value

    def dimension(self) -> tuple[Array, Array]:
        """Intrinsic dimension (GRIDE) of the last tokens, and pseudo-values by group, as `curve`."""
        found = sorted({g for rows in self.points.values() for g, _ in rows})
        pooled, by = np.full(self.layers, np.nan), np.full((len(found), self.layers), np.nan)
        for layer, rows in self.points.items():
            label, x = np.array([g for g, _ in rows]), np.array([row for _, row in rows])
            keep = np.unique(x, axis=0, return_index=True)[1]  # equal prompts have distance 0
            label, x = label[keep], x[keep]
            if len(x) < 64:
                continue
            pooled[layer] = gride_dimension(x)
            without = np.array([gride_dimension(x[label != g]) for g in found])
            by[:, layer] = pooled[layer] + (len(found) - 1) * (without.mean() - without)
        return pooled, by


def from_model(model: Any, prompts: Sequence[Sequence[int]], size: int) -> Iterator[Batch]:
    """Batches of prompts of one length, run through a model when asked."""
    for which in batches(prompts, size):
        tokens = np.array([prompts[i] for i in which])

        def run(take: Callable[[int, Array], Any], tokens: Any = tokens) -> list[Any]:
            return record(model, tokens, take)

        yield which, run


def from_shards(shards: Shards, size: int, groups: int) -> Iterator[Batch]:
    """Batches of what somebody else recorded; tokens without prompts are cut into `groups` runs of tokens."""
    count = shards.shape[0] if len(shards.shape) == 3 else groups
    edges = np.linspace(0, shards.shape[0], count + 1).astype(int)
    step = size if len(shards.shape) == 3 else 1
    for start in range(0, count, step):
        which = np.arange(start, min(start + step, count))
        rows = slice(int(edges[which[0]]), int(edges[which[-1] + 1]))

        def run(take: Callable[[int, Array], Any], rows: slice = rows) -> list[Any]:
            held = (shards.read(layer, rows) for layer in shards.layers)
            return [take(i, h if h.ndim == 3 else h[None]) for i, h in enumerate(held)]

        yield which, run


def massive_coordinates(runs: Iterator[Batch], pilot: int, ratio: float) -> Index:
    """Coordinates above `ratio` medians of |h| in any layer of the first `pilot` prompts.

    None when that would be half of them or more: then the word means nothing.
    """
    found: set[int] = set()
    width = seen = 0

    def look(_: int, h: Array) -> None:
        nonlocal width
        width, size = h.shape[2], np.abs(h)
        above = size > ratio * float(np.median(size))
        found.update(np.flatnonzero(above.any(axis=(0, 1))).tolist())

    for which, run in runs:
        try:
            run(look)
        except InputError as error:
            if "NaN" not in error.what:
                raise
        seen += len(which)
        if seen >= pilot:
            break
    out = np.array(sorted(found), np.intp)
    return out if 2 * out.size < width else np.empty(0, np.intp)
