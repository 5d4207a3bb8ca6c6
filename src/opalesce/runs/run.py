"""Run and Axis: states of one system, in order along one control axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError

if TYPE_CHECKING:
    from opalesce.runs.check import Finding

Lineage = Literal["loss", "activations", "weights", "evals", "other"]
Completeness = Literal["complete", "sampled", "unknown"]


@dataclass(frozen=True)
class Axis:
    """The control axis.

    `scale` "log" means the coordinate u = log10(1 + x / x1), with x1 the first positive value
    (COURT 2); "linear" means u = x.
    """

    name: str = "step"
    unit: str = "optimizer steps"
    scale: Literal["log", "linear"] = "log"
    x1: float = 1.0

    def u(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinate in which the court works."""
        x = np.asarray(x, float)
        return np.log10(1.0 + x / self.x1) if self.scale == "log" else x

    def x(self, u: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Inverse of `u`."""
        a = np.asarray(u, float)
        return self.x1 * (10.0**a - 1.0) if self.scale == "log" else a

    @classmethod
    def of(cls, x: NDArray[np.float64], name: str = "step", unit: str = "optimizer steps") -> Axis:
        """Log axis when the positive values span more than a decade, else linear."""
        pos = np.asarray(x, float)
        pos = pos[pos > 0]
        if pos.size and pos.max() / pos.min() > 10:
            return cls(name, unit, "log", float(pos.min()))
        return cls(name, unit, "linear", float(pos.min()) if pos.size else 1.0)


@dataclass(frozen=True)
class Event:
    """Something known to have happened on the axis; a change there is its effect."""

    x: float
    kind: str
    label: str = ""


@dataclass(frozen=True)
class Curve:
    """One logged or evaluated quantity along the control axis.

    `x`, `y`, `stderr` have shape (n,); `stderr` is None where the source states none.
    `continuous` is False for thresholded metrics (accuracy, exact match), whose
    continuous pair, if any, is named in `pair`.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    stderr: NDArray[np.float64] | None = None
    complete: Completeness = "unknown"
    lineage: Lineage = "other"
    continuous: bool = True
    unit: str = "1"
    source: str = ""
    pair: str | None = None
    n_trials: int | None = None


@dataclass(frozen=True)
class TensorInfo:
    """Header entry of one tensor: nothing was read yet."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    file: Path


class Checkpoint(Protocol):
    """One saved state; tensors are read one at a time."""

    @property
    def step(self) -> float:
        """Place on the control axis."""
        ...

    @property
    def paths(self) -> Sequence[Path]:
        """Files that hold it."""
        ...

    def tensors(self) -> Mapping[str, TensorInfo]:
        """Headers only."""
        ...

    def read(self, name: str, index: int | None = None) -> NDArray[np.generic]:
        """One tensor, or its entry `index` along the first side; F16 and BF16 as float32, exactly."""
        ...

    def fingerprint(self) -> str:
        """Identity of the content: size, time, header and sampled blocks (hex)."""
        ...


@dataclass(frozen=True)
class Left:
    """A file that the scan did not take, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Fault:
    """Something a reader met and survived (a malformed line, a repeated step); `check` reports it."""

    kind: str
    file: str
    seen: str
    expected: str = ""
    fix: str = ""
    x: tuple[float, ...] = ()
    severity: Literal["fault", "warning", "note"] = "warning"


@dataclass(frozen=True)
class Scan:
    """What the scan of a folder took, what it left, and what its readers stumbled over."""

    took: tuple[tuple[str, str], ...] = ()
    left: tuple[Left, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Run:
    """States of one system in order along one control axis. Lazy: nothing heavy is read.

    Attributes
    ----------
    name : str
        Shown to people; comes from the folder, file or caller.
    checkpoints : tuple of Checkpoint
        Sorted by step.
    curves : mapping of str to Curve
        Logged and evaluated quantities.
    events : tuple of Event
        Known events, from the trainer's config or `--events`.
    address : str
        Where `opalesce.open` finds it again, if that is not `path`.
    """

    name: str
    path: Path | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    scan: Scan = field(default_factory=Scan)
    axis: Axis = field(default_factory=Axis)
    address: str = ""

    def steps(self) -> NDArray[np.float64]:
        """All places on the control axis at which something was observed, sorted."""
        parts = [np.array([c.step for c in self.checkpoints], float)]
        parts += [c.x for c in self.curves.values()]
        return np.unique(np.concatenate(parts)) if parts else np.empty(0)

    def checkpoint(self, step: float) -> Checkpoint:
        """The checkpoint at `step`.

        Raises
        ------
        InputError
            When there is none at that step.
        """
        for c in self.checkpoints:
            if c.step == step:
                return c
        near = sorted((c.step for c in self.checkpoints), key=lambda s: abs(s - step))[:3]
        raise InputError(
            f"run {self.name!r} has no checkpoint at step {step:g}",
            expected=f"one of {len(self.checkpoints)} steps, nearest {near}",
            got=f"{step:g}",
            fix="list them with [c.step for c in run.checkpoints]",
        )

    def check(self, *others: Run, full: bool = False) -> list[Finding]:
        """Findings of the series doctor; see `opalesce.runs.check.check`."""
        from opalesce.runs.check import check

        return check(self, *others, full=full)

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self.checkpoints)
