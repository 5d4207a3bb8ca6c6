"""What this test could have seen: power for a sharp step, and the smallest step it would see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opalesce.transitions.calibrate import NullTable
from opalesce.transitions.smooth import logistic

Array = NDArray[np.float64]
TRIALS = 300
GOAL = 0.8


def power(
    table: NullTable,
    noise: int,
    ratio: float,
    critical: float,
    rng: np.random.Generator,
    place: float | None = None,
    width: float | None = None,
) -> float:
    """Chance that a step of `ratio` marginal noise sd is found at the critical value of T.

    The place is uniform over the middle 80 % of the axis unless given; the width is a twentieth
    of a spacing unless given. Sampling error at most 0.03 (300 trials).
    """
    design = table.design
    return (
        float((_statistics(table, noise, np.array([ratio]), rng, place, width)[0] > critical).mean())
        if (design.nu)
        else 0.0
    )


def smallest_step(
    table: NullTable, noise: int, critical: float, rng: np.random.Generator, goal: float = GOAL
) -> float:
    """Height, in marginal noise sd, of the sharp step that is found with probability `goal`.

    Interpolated on a grid of heights with common random numbers; inf when 64 sd are not enough.
    """
    heights = np.array([2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 11.0, 16.0, 32.0, 64.0])
    found = (_statistics(table, noise, heights, rng, None, None) > critical).mean(1)
    found = np.maximum.accumulate(found)
    if found[-1] < goal:
        return float("inf")
    return float(np.exp(np.interp(goal, found, np.log(heights)))) if found[0] < goal else float(heights[0])


def _statistics(
    table: NullTable,
    noise: int,
    heights: Array,
    rng: np.random.Generator,
    place: float | None,
    width: float | None,
) -> Array:
    design = table.design
    u = design.u
    low, high = u[0] + 0.1 * (u[-1] - u[0]), u[-1] - 0.1 * (u[-1] - u[0])
    places = rng.uniform(low, high, TRIALS) if place is None else np.full(TRIALS, place)
    step = logistic(u[:, None], places, 0.05 * design.spacing if width is None else width)
    errors = design.models[noise].root @ rng.standard_normal((len(u), TRIALS))
    return np.array([design.statistics(h * step + errors)[0] for h in heights])
