"""A witness: one observable's curve, brought before the court with its twins."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.runs.run import Lineage

Array = NDArray[np.float64]

MAX_POINTS = 160


@dataclass(frozen=True)
class Witness:
    """One curve of one run.

    Attributes
    ----------
    x, y : array, shape (n,)
        Place on the control axis (strictly increasing) and value.
    stderr : array, shape (n,), optional
        Stated standard errors.
    twins : array, shape (K, n), optional
        The same observable in K null runs, at the same places.
    lineage : str
        Where the numbers come from; two lineages are needed to agree on a transition.
    continuous : bool
        False for thresholded metrics such as accuracy.
    pair : str, optional
        Name of the continuous witness made from the same outputs.
    control : bool
        Called to be shown beside the others, known to move for other reasons: it neither carries nor
        supports a transition.
    primary : bool
        Judged with a verdict; else exploratory: ranked with false-discovery control.
    """

    name: str
    x: Array
    y: Array
    stderr: Array | None = None
    twins: Array | None = None
    lineage: Lineage = "other"
    continuous: bool = True
    pair: str | None = None
    primary: bool = True
    unit: str = "1"
    label: str = ""
    control: bool = False
    flagged: frozenset[float] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if not (self.x.shape == self.y.shape and self.x.ndim == 1):
            raise InputError(
                f"witness {self.name!r}: x and y differ in shape",
                expected=f"{self.x.shape}",
                got=f"{self.y.shape}",
            )
        if self.twins is not None and (self.twins.ndim != 2 or self.twins.shape[1] != len(self.x)):
            raise InputError(
                f"witness {self.name!r}: twins are not at its places",
                expected=f"shape (K, {len(self.x)})",
                got=f"{self.twins.shape}",
            )

    @property
    def n_twins(self) -> int:
        """How many null runs stand beside it."""
        return 0 if self.twins is None else len(self.twins)

    def series(self) -> Array:
        """What is judged: y minus the mean of its twins (COURT 5)."""
        return self.y if self.twins is None else self.y - self.twins.mean(0)

    def spread(self) -> float:
        """Range of the witness: the larger of its own and its range above the twins."""
        return float(max(np.ptp(self.y), np.ptp(self.series())))

    def errors(self) -> Array | None:
        """Stated standard errors, or None where any is missing, zero or not finite."""
        s = self.stderr
        if s is None or not np.all(np.isfinite(s)) or np.any(s <= 0):
            return None
        return s

    def without(self, places: frozenset[float]) -> Witness:
        """The same witness with some places removed."""
        keep = ~np.isin(self.x, list(places))
        return replace(
            self,
            x=self.x[keep],
            y=self.y[keep],
            stderr=None if self.stderr is None else self.stderr[keep],
            twins=None if self.twins is None else self.twins[:, keep],
            flagged=frozenset(),
        )

    def coarse(self, u: Array, limit: int = MAX_POINTS) -> Witness:
        """At most `limit` points: means over equal bins of u, shape (n,), for long logs.

        The court works at the resolution W*, which is many bins wide. A mean of k values has
        1/sqrt(k) of their error (white part), so the bins carry standard errors of that shape:
        stated ones where they are, else sqrt(1/k).
        """
        if len(u) <= limit:
            return self
        edges = np.linspace(u[0], u[-1], limit + 1)
        _, cell, count = np.unique(np.digitize(u, edges[1:-1]), return_inverse=True, return_counts=True)

        def mean(values: Array) -> Array:
            return np.asarray(np.bincount(cell, values) / count, float)

        errors, x = self.errors(), mean(self.x)
        bad = np.unique(cell[np.isin(self.x, list(self.flagged))])  # a bin with a flagged point is flagged
        return replace(
            self,
            x=x,
            y=mean(self.y),
            stderr=np.sqrt((1.0 if errors is None else mean(errors**2)) / count),
            twins=None if self.twins is None else np.array([mean(t) for t in self.twins]),
            flagged=frozenset(float(v) for v in x[bad]),
        )

    def leave_one_out(self, k: int) -> Witness | None:
        """Twin k as if it were the run, against the other twins; None when it is the only one."""
        if self.twins is None or len(self.twins) < 2:
            return None
        others = np.delete(self.twins, k, axis=0)
        return replace(self, y=self.twins[k], twins=others, stderr=None, flagged=frozenset())
