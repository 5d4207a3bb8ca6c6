"""One gate for all observables: an empty or non-finite input is refused, never averaged over."""

from __future__ import annotations

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
    bad = a.size - int(np.isfinite(a).sum())
    if bad:
        raise InputError(
            f"{what} holds NaN or infinite entries",
            expected="finite numbers",
            got=f"{bad} of {a.size} entries are not",
            fix="opalesce check RUN --full names the tensor and the step",
        )
    return a
