r"""Does one curve say of another what their common causes do not? Partial rank correlation, with a null.

Two quantities that both grow during training correlate, whatever they are. The question is what is left once
step, weight norm, compute and the like are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from opalesce.errors import InputError
from opalesce.estimate import Estimate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PartialCorrelation:
    """A partial rank correlation.

    Attributes
    ----------
    plain : float
        Spearman's rank correlation, nothing known.
    partial : Estimate
        Given the controls, with a 90 % block-bootstrap interval.
    null : (float, float)
        5 % and 95 % points under circular shifts of x within each run.
    p_value : float
        Two-sided, among the shifts.
    controls : tuple of str
    """

    plain: float
    partial: Estimate
    null: tuple[float, float]
    p_value: float
    controls: tuple[str, ...]


def _residuals(target: Array, known: Array) -> Array:
    """What is left of ranks after least squares on the ranks of what is known (and a constant)."""
    design = np.column_stack([np.ones(len(target)), known])
    return np.asarray(target - design @ np.linalg.lstsq(design, target, rcond=None)[0])


def _ranks(a: Array) -> Array:
    return np.asarray(rankdata(a, axis=0), float)


def _correlation(x: Array, y: Array, known: Array) -> float:
    rx, ry = _residuals(_ranks(x), _ranks(known)), _residuals(_ranks(y), _ranks(known))
    below = float(np.sqrt((rx @ rx) * (ry @ ry)))
    return float(rx @ ry) / below if below > 1e-9 * len(x) else float("nan")


def partial_rank_correlation(
    x: ArrayLike,
    y: ArrayLike,
    controls: dict[str, ArrayLike],
    run: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1000,
    block: int = 3,
) -> PartialCorrelation:
    r"""Spearman correlation of x and y with controls taken out.

    .. math:: \rho = \mathrm{corr}(R_x - \hat R_x(R_z),\; R_y - \hat R_y(R_z))

    R are ranks over all points, hats are least-squares fits on the ranks of the controls z (Conover 1999,
    section 5.4). Points of one run, in order, are not independent: the interval resamples blocks of `block`
    neighbours within runs, and the null turns x round within each run by a random shift, which keeps how
    smooth it is. A shift of a rising curve makes a jump that the curve does not have, so the null is wide
    rather than narrow; with a few runs of a dozen points it has little power. Measured on pairs of trends
    with AR(1) 0.5 noise (3 runs of 12): p < 0.05 in 5.7 % of 300.

    Parameters
    ----------
    x, y : arrays, shape (n,)
        Points where any of x, y and the controls is not finite are left out.
    controls : dict of name to array, shape (n,)
    run : array, shape (n,)
        Label of the run of each point; points of a run in their order.
    rng : numpy.random.Generator
    draws, block : int

    Raises
    ------
    InputError
        Arrays of different lengths; fewer than 8 points, or than controls + 4.
    """
    names = tuple(controls)
    table = np.column_stack([np.asarray(v, float) for v in (x, y, *controls.values())])
    label = np.asarray(run)
    if label.shape != (len(table),):
        raise InputError("one run a point", expected=f"({len(table)},)", got=str(label.shape))
    good = np.isfinite(table).all(axis=1)
    table, label = table[good], label[good]
    if len(table) < max(8, len(names) + 4):
        raise InputError("too few points", expected=str(max(8, len(names) + 4)), got=str(len(table)))
    a, b, known = table[:, 0], table[:, 1], table[:, 2:]
    rho = _correlation(a, b, known)
    groups = [np.flatnonzero(label == g) for g in dict.fromkeys(label.tolist())]
    again = [_correlation(a[i], b[i], known[i]) for i in (_blocks(groups, block, rng) for _ in range(draws))]
    shifted = np.array([_correlation(a[_turned(groups, rng)], b, known) for _ in range(draws)])
    shifted = shifted[np.isfinite(shifted)]
    low, high = np.nanquantile(again, [0.05, 0.95])
    beyond = int((np.abs(shifted) >= abs(rho)).sum())
    return PartialCorrelation(
        _correlation(a, b, np.empty((len(a), 0))),
        Estimate(rho, float(low), float(high), len(a), "", "partial rank correlation, block bootstrap"),
        (float(np.quantile(shifted, 0.05)), float(np.quantile(shifted, 0.95))),
        (1 + beyond) / (1 + len(shifted)),
        names,
    )


def _blocks(groups: Sequence[NDArray[np.intp]], block: int, rng: np.random.Generator) -> NDArray[np.intp]:
    out = []
    for g in groups:
        size = min(block, len(g))
        starts = rng.integers(0, len(g) - size + 1, -(-len(g) // size))
        out.append(g[(starts[:, None] + np.arange(size)).ravel()[: len(g)]])
    return np.concatenate(out)


def _turned(groups: Sequence[NDArray[np.intp]], rng: np.random.Generator) -> NDArray[np.intp]:
    """Index that turns each group round by a random shift, not zero where it can be."""
    n = sum(map(len, groups))
    index = np.arange(n)
    for g in groups:
        index[g] = np.roll(g, int(rng.integers(1, len(g))) if len(g) > 1 else 0)
    return index
