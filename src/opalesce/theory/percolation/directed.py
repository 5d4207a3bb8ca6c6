r"""Directed percolation in 1 + 1 dimensions: activity that can only go forward, and may die for good.

A site is active when one of its two predecessors is and the bond to it is open (bonds), or when one is and
the site itself is open (sites). Thresholds 0.644700185 and 0.70548522; from a full row the activity at the
threshold falls as :math:`t^{-\delta}`, delta = 0.159464 (Jensen 1999). The class of feed-forward activity
with an absorbing state; its mean field is a branching process of ratio 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.geometry import check_kind
from opalesce.theory.percolation.union import check_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BOND_THRESHOLD = 0.644700185
SITE_THRESHOLD = 0.70548522
DELTA = 0.159464


def directed_activity(
    width: int,
    steps: int,
    p: float,
    kind: str = "bond",
    *,
    rng: np.random.Generator,
    start: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Share of active sites on a ring at times 0 to `steps`, one run.

    Site i at time t + 1 hears from sites i and i + 1 at time t.

    Parameters
    ----------
    width, steps : int
    p : float
        Chance that a bond (a site) is open.
    kind : {"bond", "site"}
    rng : numpy.random.Generator
    start : array of bool, shape (width,), optional
        Active sites at time 0; all by default.

    Raises
    ------
    InputError
        Bad numbers, p outside [0, 1], `start` of another shape.
    """
    check_kind(kind)
    check_size(width, "sites")
    if not 0 <= p <= 1 or steps < 0:
        raise InputError("out of range", expected="0 <= p <= 1, steps >= 0", got=f"{p:g}, {steps}")
    row = np.ones(width, bool) if start is None else np.array(start)
    if row.shape != (width,) or row.dtype != bool:
        raise InputError(
            "the start does not fit", expected=f"{width} booleans", got=f"{row.dtype}, {row.shape}"
        )
    out = np.zeros(steps + 1)
    out[0] = row.mean()
    _advance(row, out, p, kind == "bond", rng)
    return out


@njit(cache=True, nogil=True)
def _advance(row: Any, out: Any, p: float, bonds: bool, rng: Any) -> None:
    width = len(row)
    for t in range(1, len(out)):
        first, count = row[0], 0
        for i in range(width):
            right = row[i + 1] if i + 1 < width else first
            if bonds:
                on = (row[i] and rng.random() < p) or (right and rng.random() < p)
            else:
                on = (row[i] or right) and rng.random() < p
            row[i] = on
            count += on
        out[t] = count / width
        if count == 0:
            return
