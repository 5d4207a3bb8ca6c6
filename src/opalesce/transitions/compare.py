r"""`opalesce.compare`: of two runs, or of pairs of them, which changed first, and by how much.

Of one pair each date has an interval of its own and the two are independent, so that the difference of dates
:math:`d = b - a` on the coordinate u has the interval of zou2008construction for independent estimates,

.. math:: d - \sqrt{(b - l_b)^2 + (u_a - a)^2} \;\le\; d \;\le\; d + \sqrt{(u_b - b)^2 + (a - l_a)^2}

and of several pairs (the same seed in two settings) :math:`d \pm t_{n-1} s / \sqrt n` over the pairs, which
needs no noise model. All m witnesses share the level: each interval is given at 1 - (1 - level) / m.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.runs.run import Axis
from opalesce.transitions.court import Card
from opalesce.transitions.evidence import LEVEL
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial
from opalesce.transitions.verdict import Verdict

SPAN = 2  # pairs that a t interval needs


@dataclass(frozen=True)
class Comparison:
    """One witness in both runs.

    `a` and `b` are the dates in axis units (means over pairs, taken on u), `kind` what they are: "place" of a
    sharp change, or "half-way" of the total change. `shift` is b - a on u; `factor` the ratio of the dates on
    a log axis (from u, so (1 + b/x1) / (1 + a/x1)), their difference in axis units on a linear one. `first`
    is "A", "B" or "cannot tell", with the reason in `why`.
    """

    witness: str
    kind: str
    a: Estimate
    b: Estimate
    shift: Estimate
    factor: Estimate
    first: str
    why: str
    verdicts: tuple[tuple[str, str], ...]


def compare(
    a: Any,
    b: Any,
    level: float = 0.9,
    observables: Sequence[str] | None = None,
    scale: str | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    say: Callable[[str], object] | None = None,
) -> list[Comparison]:
    """Which of two runs changed first, witness by witness, and by how much.

    Parameters
    ----------
    a, b : Run, path or DataFrame, or a sequence of them
        Sequences are paired in their order: the same seeds in two settings.
    level : float
        Of all the intervals of differences together.
    observables : sequence of str, optional
        Witnesses, as in `trial`.
    scale : {"log", "linear"}, optional
        Of the axis; by default that of the first run.
    seed, n_jobs, say
        As in `trial`.

    Returns
    -------
    list of Comparison
        One for each primary witness that both have.

    Raises
    ------
    InputError
        Unequal numbers of runs, runs along different axes, no witness that both have, or as `trial`.
    """
    if not 0 < level < 1:
        raise InputError("a confidence level", expected="between 0 and 1", got=str(level))
    sides = [list(s) if isinstance(s, list | tuple) else [s] for s in (a, b)]
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise InputError(
            "runs are compared in pairs", expected="as many on one side as on the other",
            got=f"{len(sides[0])} and {len(sides[1])}", fix="name the partner of each, in the same order",
        )  # fmt: skip
    held = [
        [trial(r, observables=observables, scale=scale, seed=seed, n_jobs=n_jobs, say=say) for r in side]
        for side in sides
    ]
    axis = held[0][0].setting.axis
    for other in (*held[0], *held[1]):
        if other.setting.axis.name != axis.name or other.setting.axis.scale != axis.scale:
            raise InputError(
                "the runs go along different axes", expected=f"{axis.name}, {axis.scale}",
                got=f"{other.setting.axis.name}, {other.setting.axis.scale} in {other.main.run.name}",
                fix="--scale log or linear makes the scales equal",
            )  # fmt: skip
    names = [c.evidence.witness.name for c in held[0][0].hearing.cards]
    shared = [n for n in names if all(h.hearing.card(n) is not None for side in held for h in side)]
    if not shared:
        raise InputError(
            "no witness stands in every run", expected="a column or an observable in common",
            got=", ".join(names) or "none", fix="name one with --observables",
        )  # fmt: skip
    each = 1 - (1 - level) / len(shared)
    return [_one(n, held, axis, each) for n in shared]


def _one(name: str, held: list[list[Trial]], axis: Axis, level: float) -> Comparison:
    cards = [[_card(h, name) for h in side] for side in held]
    verdicts = tuple((str(p.verdict), str(q.verdict)) for p, q in zip(*cards, strict=True))
    sharp = all(c.verdict is Verdict.TRANSITION for side in cards for c in side)
    kind = "place" if sharp else "half-way"
    still = [
        h.main.run.name
        for side, hs in zip(cards, held, strict=True)
        for c, h in zip(side, hs, strict=True)
        if min(c.evidence.p_adjusted, c.evidence.p_smooth) > h.setting.alpha
    ]
    dates = [[c.evidence.place if sharp else c.evidence.halfway for c in side] for side in cards]
    none = Estimate(math.nan, status="nothing to date")
    if still or not all(math.isfinite(d.value) for side in dates for d in side):
        why = (
            f"no change beyond noise in {', '.join(still)}" if still else "a change without a half-way point"
        )
        return Comparison(name, kind, none, none, none, none, "cannot tell", why, verdicts)
    a, b = (_mean(side, axis) for side in dates)
    shift = _paired(dates, axis, level) if len(dates[0]) >= SPAN else _single(dates, axis, level)
    ratio = _ratio(shift, axis)
    first = "A" if shift.low > 0 else "B" if shift.high < 0 else "cannot tell"
    why = "" if first != "cannot tell" else "the interval of the difference holds zero"
    return Comparison(name, kind, a, b, shift, ratio, first, why, verdicts)


def _card(h: Trial, name: str) -> Card:
    card = h.hearing.card(name)
    assert card is not None  # `compare` kept the names that every run has
    return card


def _u(x: float, axis: Axis) -> float:
    return float(axis.u(np.array([x]))[0])


def _mean(dates: list[Estimate], axis: Axis) -> Estimate:
    if len(dates) == 1:
        return dates[0]
    u = float(np.mean([_u(d.value, axis) for d in dates]))
    return Estimate(float(axis.x(u)), n=len(dates), status="interval: see the shift", method="mean on u")


def _single(dates: list[list[Estimate]], axis: Axis, level: float) -> Estimate:
    """Difference of two dates with intervals at `LEVEL`, widened to `level` as normal ones."""
    (a,), (b,) = dates
    stretch = float(norm.ppf((1 + level) / 2) / norm.ppf((1 + LEVEL) / 2))
    va, la, ha = (_u(v, axis) for v in (a.value, a.low, a.high))
    vb, lb, hb = (_u(v, axis) for v in (b.value, b.low, b.high))
    d = vb - va
    low = d - stretch * math.hypot(vb - lb, ha - va)
    high = d + stretch * math.hypot(hb - vb, va - la)
    return Estimate(d, low, high, 1, method="MOVER, one pair: seeds may differ more", level=level)


def _paired(dates: list[list[Estimate]], axis: Axis, level: float) -> Estimate:
    gaps = np.array([_u(q.value, axis) - _u(p.value, axis) for p, q in zip(*dates, strict=True)])
    n, mean = len(gaps), float(gaps.mean())
    half = float(t.ppf((1 + level) / 2, n - 1) * gaps.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n, method=f"t interval over {n} pairs", level=level)


def _ratio(shift: Estimate, axis: Axis) -> Estimate:
    low, value, high = ((10.0**s if axis.scale == "log" else s) for s in (shift.low, shift.value, shift.high))
    return Estimate(value, low, high, shift.n, method=shift.method, level=shift.level)
