"""p-values corrected for their number."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from opalesce.errors import InputError


def corrected(p: ArrayLike, how: Literal["holm", "bh"] = "holm") -> NDArray[np.float64]:
    """p-values (n,) corrected for n looks: "holm" (family-wise) or "bh" (false discovery rate).

    Raises
    ------
    InputError
        Another correction.

    Source: benjamini1995controlling, sec. 3, for "bh"; "holm" is Holm's step-down (1979).
    """
    values = np.asarray(p, float)
    if how == "bh":
        return np.asarray(false_discovery_control(values)) if len(values) else values
    if how != "holm":
        raise InputError("no such correction", expected="holm or bh", got=repr(how))
    order, n = np.argsort(values, kind="stable"), len(values)
    out = np.empty(n)
    out[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(n, 0, -1)), 1.0)
    return out
