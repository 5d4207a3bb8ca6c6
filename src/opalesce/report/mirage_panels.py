"""The mirage court as exhibits: each task's score and its continuous metric, with both onsets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from opalesce.errors import InputError
from opalesce.report.exhibits import Exhibit, Mark, Plate, Series
from opalesce.report.words import counted
from opalesce.runs.run import Curve
from opalesce.theory.sampling import binomial_interval
from opalesce.transitions.mirage import TaskVerdict
from opalesce.transitions.onset import Change, Floats, noise_of

MOST = 12  # tasks of one page
RANK = {"real": 0, "metric artefact": 1, "cannot tell": 2}
APART = 1.6  # factor of x below which two labels would lie over each other


def chosen(rows: Sequence[TaskVerdict], most: int = MOST) -> list[TaskVerdict]:
    """Tasks that are drawn: judged ones first, then by how surely they moved; several runs in turn."""

    def key(row: TaskVerdict) -> tuple[int, float, float]:
        c = row.metrics.get(row.task)
        moved = (math.inf, 0.0) if c is None else (c.p_shift, c.start - c.end)
        return (RANK[row.verdict], *moved)

    turns: Counter[tuple[str, str]] = Counter()
    placed = []
    for row in sorted((r for r in rows if r.score is not None), key=key):
        placed.append((RANK[row.verdict], turns[row.verdict, row.run], row))
        turns[row.verdict, row.run] += 1
    return [row for *_, row in sorted(placed, key=lambda p: p[:2])[:most]]


def mirage_exhibits(rows: Sequence[TaskVerdict], most: int = MOST) -> list[Exhibit]:
    """One exhibit a task: the score with exact binomial intervals (a zero reaches up to its limit), chance
    and the length law; its continuous metric; both onsets with intervals.

    Raises
    ------
    InputError
        Verdicts without curves.
    """
    drawn = chosen(rows, most)
    if not drawn:
        raise InputError(
            "nothing to draw", expected="verdicts of the mirage court", got=counted(len(rows), "row")
        )
    several = len({r.run for r in rows}) > 1
    out = []
    for i, row in enumerate(drawn):
        assert row.score is not None
        name = f"{row.run}: {row.task}" if several else row.task
        plates = [_score(row, row.score)]
        if row.soft is not None:
            plates.append(_soft(row, row.soft))
        out.append(Exhibit(f"task-{i}", f"{row.verdict}: {name}", row.reason + ".", plates))
    return out


def _axis(x: Floats) -> tuple[Floats, str, bool]:
    """Drawn places: a log axis has no zero, which stands half a first step before the first."""
    positive = x[x > 0]
    log = bool(positive.size and positive.max() > 10 * positive.min())
    if not log or x.min() > 0:
        return x, "step", log
    first = float(positive.min()) / 2
    return np.where(x > 0, x, first), f"step (0 is drawn at {first:g})", True


def _score(row: TaskVerdict, curve: Curve) -> Plate:
    x, title, log = _axis(curve.x)
    if curve.n_trials:
        n = curve.n_trials
        hits = [round(v * n) if np.isfinite(v) else None for v in curve.y.tolist()]
        none = (math.nan, math.nan)
        ends = np.array([none if k is None else binomial_interval(k, n) for k in hits])
        low, high, label = ends[:, 0], ends[:, 1], "score, 95 %"
    else:
        low, high, label = *_bars(curve), "score, 95 %"
    series = [Series(label, "seen", _list(x), _list(curve.y), _list(low), _list(high))]
    if row.length is not None:
        keep = np.isfinite(curve.y)
        told = f"p^L, L = {row.length.length.value:.2g} (fit p = {row.length.p_fit:.2g})"
        series.insert(0, Series(told, "exact", _list(x[keep]), list(row.length.expected)))
    if not math.isnan(row.chance):
        series.insert(0, Series("chance", "theory", [float(x.min()), float(x.max())], [row.chance] * 2))
    name = curve.name.rsplit("/", 1)[-1]
    return Plate(name, title, "score", series, _marks(row, x, 0), log_x=log)


def _soft(row: TaskVerdict, curve: Curve) -> Plate:
    x, title, log = _axis(curve.x)
    low, high = _bars(curve)
    series = [Series("continuous metric, 95 %", "second", _list(x), _list(curve.y), _list(low), _list(high))]
    name = curve.name.rsplit("/", 1)[-1]
    unit = f"{name}, {curve.unit}" if curve.unit != "1" else name
    return Plate(name, title, unit, series, _marks(row, x, 1), log_x=log)


def _bars(curve: Curve) -> tuple[Floats, Floats]:
    error = noise_of(curve)
    wide = float(norm.ppf(0.975)) * (np.zeros(len(curve.y)) if error is None else error)
    return curve.y - wide, curve.y + wide


def _marks(row: TaskVerdict, x: Floats, own: int) -> list[Mark]:
    """Both onsets in both plates; where they lie close, only the plate's own has a label."""
    names = [row.task, row.soft.name if row.soft is not None else ""]
    found: list[tuple[int, Change]] = [(i, row.metrics[n]) for i, n in enumerate(names) if n in row.metrics]
    places = [c.onset.value for _, c in found if math.isfinite(c.onset.value)]
    close = len(places) == 2 and max(places) < APART * max(min(places), 1e-300)
    out = []
    for i, c in found:
        e = c.onset
        if not math.isfinite(e.value):
            continue
        label = ("score" if i == 0 else "continuous") if not close or i == own else ""
        low, high = (float(np.clip(v, x.min(), x.max())) for v in (e.low, e.high))
        out.append(Mark(e.value, label, low, high))
    return out


def _list(values: Floats) -> list[float]:
    return [float(v) for v in np.asarray(values, float)]
