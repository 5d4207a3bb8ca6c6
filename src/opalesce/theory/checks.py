"""Checks of arguments, shared by the theories."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

Array = NDArray[np.float64]


def positive(value: float, name: str, low: float = 0.0, high: float = math.inf) -> float:
    """`value` as a float, strictly between `low` and `high`.

    Raises
    ------
    InputError
        Not a finite number in that range.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and low < number < high):
        raise InputError(f"{name} is out of range", expected=f"{low:g} < {name} < {high:g}", got=repr(value))
    return number


def whole(value: int, name: str, low: int, high: int = 2**31 - 2) -> int:
    """`value` as an int between `low` and `high`; the default top is what an int32 index can hold.

    Raises
    ------
    InputError
        Not a whole number in that range.
    """
    try:
        exact = int(value) == value
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact or not low <= value <= high:
        raise InputError(
            f"{name} is out of range", expected=f"a whole number in [{low}, {high}]", got=repr(value)
        )
    return int(value)


def numbers(values: ArrayLike, name: str, low: float = -math.inf) -> Array:
    """`values` as a float64 array of finite numbers, each at least `low`; not empty.

    Raises
    ------
    InputError
        Empty, not numeric, not finite, or below `low`.
    """
    try:
        out = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not numeric", expected="finite numbers", got=repr(values)[:60]) from None
    if out.size == 0 or not np.isfinite(out).all() or (out < low).any():
        raise InputError(
            f"{name} holds a number that cannot be used",
            expected=f"at least one, all finite and >= {low:g}",
            got=f"{out.size} values" if out.size == 0 else f"from {np.min(out):g} to {np.max(out):g}",
        )
    return out
