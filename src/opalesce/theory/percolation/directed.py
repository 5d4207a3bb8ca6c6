r"""Directed percolation in 1 + 1 dimensions: activity that can die out (an absorbing state).

Site i at time t + 1 is reached from i and i + 1 at time t on a tilted square lattice, each bond open with
probability p (bond), or every site open with probability p (site). Thresholds 0.644700185(5) (bond,
jensen1999low) and 0.70548522(4) (site). Mean field is a branching process with ratio 1. Feed-forward activity
belongs to this class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from opalesce.errors import InputError

BOND, SITE = 0.644700185, 0.70548522
THETA = 0.313686  # N(t) ~ t^theta at the threshold (jensen1999low; from memory, checked by simulation to 0.02)


@njit(cache=True, nogil=True)
def _spread(p: float, steps: int, bond: bool, active: Any, survived: Any, rng: Any) -> None:
    width = steps + 1
    now, after = np.zeros(width + 1, np.bool_), np.zeros(width + 1, np.bool_)
    now[0] = True
    low, high = 0, 0
    for t in range(steps):
        count, first, last = 0, -1, -1
        for i in range(low, high + 2):
            left, right = i > low and now[i - 1], i <= high and now[i]
            hit = False
            if bond:
                hit = (left and rng.random() < p) or (right and rng.random() < p)
            elif left or right:
                hit = rng.random() < p
            after[i] = hit
            if hit:
                count += 1
                if first < 0:
                    first = i
                last = i
        if count == 0:
            return
        low, high = first, last
        now, after = after, now
        active[t] += count
        survived[t] += 1


def spread(
    p: float, steps: int, runs: int, rng: np.random.Generator, kind: str = "bond"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spreading from one active site: survival probability P(t) and mean number active N(t), t = 1..steps.

    At the threshold P ~ t^-0.159464 and N ~ t^0.313686.

    Raises
    ------
    InputError
        p outside [0, 1], no steps, no runs, or an unknown kind.
    """
    if kind not in ("bond", "site") or not 0 <= p <= 1 or steps < 1 or runs < 1:
        raise InputError(
            "cannot spread so",
            expected="bond or site, 0 <= p <= 1, steps and runs >= 1",
            got=f"{kind}, {p}, {steps}",
        )
    active, survived = np.zeros(steps), np.zeros(steps)
    for _ in range(runs):
        _spread(p, steps, kind == "bond", active, survived, rng)
    return survived / runs, active / runs


def slope(p: float, steps: int, runs: int, rng: np.random.Generator, kind: str = "bond") -> float:
    """Local slope of log N against log t over the last factor of 4 in time: theta at the threshold.

    It bends up above the threshold and down below, which is how thresholds of this class are found.
    """
    n = spread(p, steps, runs, rng, kind)[1]
    a, b = steps // 4 - 1, steps - 1
    if n[b] <= 0 or n[a] <= 0:
        return float("-inf")
    return float(np.log(n[b] / n[a]) / np.log((b + 1) / (a + 1)))
