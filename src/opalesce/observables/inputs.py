"""One gate for all observables: an empty or non-finite input is refused, never averaged over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError


def finite(x: ArrayLike, what: str, ndim: int | None = None) -> NDArray[np.floating]:
    """`x` as a floating array (integers become float64), all entries finite.

    Raises
    ------
    InputError
        When `x` is empty, holds NaN or infinity, is not real, or has not `ndim` dimensions.
    """
    a = np.asarray(x)
    if a.dtype.kind in "iub":
        a = a.astype(np.float64)
    if a.dtype.kind != "f":
        raise InputError(f"{what} is not a real array", expected="floating numbers", got=str(a.dtype))
    if a.size == 0:
        raise InputError(f"{what} is empty", expected="at least one entry", got=f"shape {a.shape}")
    if ndim is not None and a.ndim != ndim:
        raise InputError(f"{what} has the wrong shape", expected=f"{ndim} dimensions", got=f"shape {a.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        sound = np.isfinite(a.sum(dtype=np.float64))  # in no memory of its own; counted only where it fails
    bad = 0 if sound else a.size - int(np.isfinite(a).sum())
    if bad:
        raise InputError(
            f"{what} holds NaN or infinite entries",
            expected="finite numbers",
            got=f"{bad} of {a.size} entries are not",
            fix="opalesce check RUN --full names the tensor and the step",
        )
    return a


PIECE = 1 << 20  # entries of a piece: float64 copies of a large tensor are made piece by piece only


def pieces(*arrays: NDArray[np.floating]) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Arrays of one shape, flat, in float64, piece by piece and side by side."""
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, PIECE):
        yield tuple(f[start : start + PIECE].astype(np.float64) for f in flat)


def largest(a: NDArray[np.floating]) -> float:
    """Largest magnitude, without a copy."""
    return max(float(a.max()), -float(a.min()), 0.0)


def row_blocks(w: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Rows of a matrix and their magnitudes in float64, some at a time."""
    step = max(1, 4 * PIECE // max(1, w.shape[1]))
    for start in range(0, w.shape[0], step):
        at = slice(start, min(start + step, w.shape[0]))
        yield at, np.abs(w[at].astype(np.float64))
