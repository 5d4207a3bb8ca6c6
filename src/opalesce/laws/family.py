r"""Forecast of one run from others of its family that went on: what did they do after this point?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from opalesce.errors import InputError
from opalesce.laws.forms import Floats
from opalesce.laws.mixture import BACKTEST

LEAST = 3  # members that a family needs
POOLED = 2.0  # members that the mean variance over all targets counts for
PRIOR = 2.0  # members that the model's own width counts for, against those that were left out
TWIN = 3  # values in common that make two curves one


@dataclass(frozen=True)
class FromFamily:
    """ln y at the targets: middle and interval (m,); coverage of members left out, on `tested` values; notes
    in words."""

    middle: Floats
    low: Floats
    high: Floats
    coverage: Mapping[float, float]
    tested: int
    notes: tuple[str, ...]


def from_family(
    u: Floats, v: Floats, members: Mapping[str, tuple[Floats, Floats]], targets: Floats, level: float
) -> FromFamily:
    r"""Regress what members did after the last u on where they stood there.

    With :math:`D_j(t) = v_j(t) - v_j(u_n)` and the standardised level :math:`z_j` of :math:`v_j(u_n)`,

    .. math:: D_j(t) = a(t) + b(t) z_j + \epsilon_j(t)

    has, under the unit-information prior :math:`a, b \sim N(0, \sigma^2)` and a variance shrunk towards its
    mean over targets, a Student t as its forecast. Its interval is widened by how far members miss that are
    left out in turn (geometric mean, never narrowed). Members are read between their points by lines in
    ln x; curves that share three values with another are one run, and count once.

    Parameters
    ----------
    u, v : ndarray (n,)
        ln x and ln y of the run, in order of u.
    members : mapping of name to (u, v)
        The other runs; they have to reach the targets.
    targets : ndarray (m,)
        ln x beyond the run's last.
    level : float
        Confidence level.

    Raises
    ------
    InputError
        Fewer than three members that reach the targets, or a target that is not beyond the data.

    Reconstruction: an ordinary conjugate regression; the choice of the level as the only predictor is ours.
    """
    if targets.min() <= u[-1]:
        raise InputError(
            "a family tells what comes after the data", expected="targets beyond the largest x",
            got=f"{np.exp(targets.min()):g}",
        )  # fmt: skip
    used, notes = _distinct(u, v, members, float(targets.max()))
    if len(used) < LEAST:
        raise InputError(
            "too few members of the family", expected=f"{LEAST} or more that reach {np.exp(targets.max()):g}",
            got=", ".join(used) or "none", fix="nearer targets, or a forecast without a family",
        )  # fmt: skip
    place = np.array([np.interp(u[-1], a, b) for a, b in used.values()])
    after = np.array([np.interp(targets, a, b) for a, b in used.values()]) - place[:, None]
    middle, half = _widened(place, after, v[-1], level)
    coverage = {k: float(np.mean(_left_out(place, after, k))) for k in BACKTEST}
    notes += _doubts(place, after, v[-1], list(used))
    return FromFamily(
        v[-1] + middle, v[-1] + middle - half, v[-1] + middle + half, coverage, after.size, tuple(notes)
    )


def _distinct(
    u: Floats, v: Floats, members: Mapping[str, tuple[Floats, Floats]], last: float
) -> tuple[dict[str, tuple[Floats, Floats]], list[str]]:
    """Members that reach the last target, less those that repeat the run or an earlier member."""
    used: dict[str, tuple[Floats, Floats]] = {}
    notes = []
    for name, (a, b) in members.items():
        if a[0] > u[-1] or a[-1] < last:
            notes.append(f"{name} does not reach from the last point to the targets: left out")
            continue
        twin = next((k for k, w in {"the run itself": v, **{k: w for k, (_, w) in used.items()}}.items()
                     if len(np.intersect1d(b, w)) >= TWIN), None)  # fmt: skip
        if twin is not None:
            notes.append(f"{name} shares values with {twin}: counted as one run")
            continue
        used[name] = (a, b)
    return used, notes


def regress(place: Floats, after: Floats, at: float, level: float) -> tuple[Floats, Floats]:
    """Middle and half-width (m,) of what comes after a level `at`, from members (j,) and (j, m)."""
    n = len(place)
    scale = float(place.std()) or 1.0
    design = np.stack([np.ones(n), (place - place.mean()) / scale], axis=1)
    new = np.array([1.0, (at - place.mean()) / scale])
    inverse = np.linalg.inv(design.T @ design + np.eye(2))
    beta = inverse @ design.T @ after
    left = ((after - design @ beta) ** 2).sum(axis=0) + (beta**2).sum(axis=0)
    freedom = POOLED + n
    variance = (POOLED * left.mean() / n + left) / freedom
    half = student.ppf((1 + level) / 2, freedom) * np.sqrt(variance * (1 + new @ inverse @ new))
    return new @ beta, np.asarray(half)


def _widened(place: Floats, after: Floats, at: float, level: float) -> tuple[Floats, Floats]:
    """`regress`, with its half-width stretched by what members that are left out would have needed."""
    middle, half = regress(place, after, at, level)
    if len(place) <= LEAST:
        return middle, half
    logs = []
    for i, keep in _others(len(place)):
        told, wide = regress(place[keep], after[keep], place[i], level)
        missed = np.quantile(np.abs(after[i] - told) / np.maximum(wide, 1e-12), level)
        logs.append(max(0.0, float(np.log(max(missed, 1e-12)))))
    return middle, half * float(np.exp(sum(logs) / (PRIOR + len(logs))))


def _left_out(place: Floats, after: Floats, level: float) -> list[bool]:
    """Whether each value of each member lies in the interval that the others give."""
    held: list[bool] = []
    for i, keep in _others(len(place)):
        middle, half = _widened(place[keep], after[keep], place[i], level)
        held += (np.abs(after[i] - middle) <= half).tolist()
    return held


def _others(n: int) -> list[tuple[int, Floats]]:
    return [(i, np.arange(n) != i) for i in range(n)]


def _doubts(place: Floats, after: Floats, at: float, names: list[str]) -> list[str]:
    """What the family cannot know about this run."""
    out = []
    up = int((after[:, -1] > 0).sum())
    if min(up, len(names) - up) >= 1:
        out.append(
            f"{up} of {len(names)} members rise after this point and {len(names) - up} fall: the family does "
            "not settle the direction"
        )
    if not place.min() <= at <= place.max():
        side = "above" if at > place.max() else "below"
        out.append(
            f"the run stands {side} every member at its last point: an extrapolation across the family too"
        )
    return out
