"""Which of many tasks moved, which way, and against chance: with a correction for how many were looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest, chi2, norm, spearmanr, ttest_1samp

from opalesce.errors import InputError
from opalesce.laws.forms import Floats
from opalesce.runs.open import open as open_run
from opalesce.runs.run import Curve, Run
from opalesce.theory.multiple import corrected
from opalesce.transitions.mirage import CHANCE, known_chance
from opalesce.transitions.onset import noise_of

Test = Literal["end", "ends", "halves", "homogeneity", "trend"]
SAFE: tuple[Test, ...] = ("end", "ends")
LAST = 3  # checkpoints of an end


@dataclass(frozen=True)
class Shift:
    """One task of one run.

    `start` and `end` are the values compared; `p` is two-sided, `p_holm` and `q` are corrected over all rows
    of the table (family-wise; false discovery rate). `way` is "up" or "down". `against_chance` is "above",
    "below" or "not told from chance" (exact binomial test of the last score, at 0.05), "" where chance or
    the number of questions is not known.
    """

    run: str
    task: str
    start: float
    end: float
    p: float
    p_holm: float
    q: float
    way: str
    against_chance: str


@dataclass(frozen=True)
class PooledShift:
    """One task over models: mean shift with its t-test over models (two-sided), corrected over tasks."""

    task: str
    models: int
    shift: float
    p: float
    p_holm: float
    q: float


def shifts(
    runs: Run | Any | Sequence[Run | Any], *, tasks: str = "", test: Test = "end", chance: Any = None
) -> list[Shift]:
    r"""Per task of each run: did its score move between the checkpoints, which way, and is it above chance?

    Parameters
    ----------
    runs : Run, what `opalesce.open` takes, or several
    tasks : str
        Beginning of the names of the tasks to look at; by default all thresholded metrics.
    test : str
        - "end": last against first checkpoint, a z-test with both errors. **Valid**: checkpoints share their
          questions, so that errors are positively dependent, and the variance of a difference is at most the
          sum that is used. It is conservative.
        - "ends": means of the last and of the first three. **Valid** for the same reason: neighbours answer
          alike, so that the error of a mean of three is taken as that of one.
        - "halves": mean of the second against that of the first half, :math:`z = (\bar y_2 - \bar y_1) /
          \sqrt{\bar\sigma_1^2/m_1 + \bar\sigma_2^2/m_2}`. **Not valid** as a test of moving for good: it
          counts checkpoints as independent, and neighbours are near copies (steps 0 and 1 of a Pythia model
          are the same weights), so that p is far too small.
        - "homogeneity": chi-square of all scores against their mean. Sound where any two checkpoints depend
          equally (then conservative); **not valid** where neighbours depend more than others.
        - "trend": Spearman's rank correlation with the order. **Not valid**: the same, and any drift passes.
    chance : mapping, optional
        Score of a blind answer by task name or its beginning, added to the table of the mirage court.

    Returns
    -------
    list of Shift
        In the order of runs and tasks; tasks with fewer than six checkpoints or without errors are left out.

    Raises
    ------
    InputError
        No score to test, or an unknown test.

    Notes
    -----
    On the MMLU curves of seven Pythia models (399) "end" finds 71 at 0.05 (16 by q), "ends" 70 (17), "halves"
    228 (209), "homogeneity" 89 (72) and "trend" 279 (272): about one half comes only from tests that do not
    hold. Differences of neighbours there have 0 to 0.84 of the variance that independence would give.

    Source: benjamini1995controlling, sec. 3, for q. The tests are textbook ones; which of them hold under
    shared questions is our own argument.
    """
    if test not in _TESTS:
        raise InputError("no such test of a shift", expected=", ".join(_TESTS), got=repr(test))
    found: list[tuple[str, Curve, float, float, float]] = []
    several = runs if isinstance(runs, list | tuple) else [runs]
    for item in several:
        run = item if isinstance(item, Run) else open_run(item)
        for name in sorted(run.curves):
            curve = run.curves[name]
            if curve.continuous or curve.lineage != "evals" or not name.startswith(tasks):
                continue
            se = noise_of(curve)
            good = np.isfinite(curve.y)
            if se is not None and good.sum() >= 2 * LAST:
                found.append((run.name, curve, *_TESTS[test](curve.y[good], se[good])))
    if not found:
        raise InputError(
            "no score to test for a shift", expected="thresholded metrics over six checkpoints or more",
            got=f"none that begins with {tasks!r}" if tasks else "none",
        )  # fmt: skip
    table = {**CHANCE, **(chance or {})}
    ps = np.array([p for *_, p in found])
    holm, bh = corrected(ps, "holm"), corrected(ps, "bh")
    return [
        Shift(
            run, c.name, start, end, p, float(h), float(q), "up" if end > start else "down",
            _side(c, known_chance(c.name, table)),
        )
        for (run, c, start, end, p), h, q in zip(found, holm, bh, strict=True)
    ]  # fmt: skip


def pooled(rows: Sequence[Shift]) -> list[PooledShift]:
    """Each task over its models: is the mean of end - start zero? A t-test with models as the units.

    It speaks of models of this kind on these questions: what is common to all models through the questions
    is part of the shift, not of its error. Tasks with fewer than three models are left out.

    Raises
    ------
    InputError
        No task with three models.
    """
    by_task: dict[str, list[float]] = {}
    for r in rows:
        by_task.setdefault(r.task, []).append(r.end - r.start)
    many = {t: np.array(d) for t, d in by_task.items() if len(d) >= 3}
    if not many:
        raise InputError("shifts over models need models", expected="three or more of a task", got="fewer")
    ps = np.array([float(ttest_1samp(d, 0.0).pvalue) if np.ptp(d) > 0 else 1.0 for d in many.values()])
    holm, bh = corrected(ps, "holm"), corrected(ps, "bh")
    return [
        PooledShift(t, len(d), float(d.mean()), float(p), float(h), float(q))
        for (t, d), p, h, q in zip(many.items(), ps, holm, bh, strict=True)
    ]


def _side(curve: Curve, guess: float) -> str:
    n = curve.n_trials
    if not n or math.isnan(guess):
        return ""
    hits = round(float(curve.y[np.isfinite(curve.y)][-1]) * n)
    if binomtest(hits, n, guess).pvalue > 0.05:
        return "not told from chance"
    return "above" if hits > guess * n else "below"


def _z(start: float, end: float, error: float) -> tuple[float, float, float]:
    return start, end, float(2 * norm.sf(abs(end - start) / error))


def _end(y: Floats, se: Floats) -> tuple[float, float, float]:
    return _z(float(y[0]), float(y[-1]), math.hypot(se[0], se[-1]))


def _ends(y: Floats, se: Floats) -> tuple[float, float, float]:
    errors = (float(np.sqrt((part**2).mean())) for part in (se[:LAST], se[-LAST:]))
    return _z(float(y[:LAST].mean()), float(y[-LAST:].mean()), math.hypot(*errors))


def _halves(y: Floats, se: Floats) -> tuple[float, float, float]:
    cut = len(y) // 2
    errors = (float(np.sqrt((part**2).mean() / len(part))) for part in (se[:cut], se[cut:]))
    return _z(float(y[:cut].mean()), float(y[cut:].mean()), math.hypot(*errors))


def _homogeneity(y: Floats, se: Floats) -> tuple[float, float, float]:
    # one variance for all: under the null they are equal, and errors that follow the score would bias it
    ratio = float(((y - y.mean()) ** 2).sum() / (se**2).mean())
    return float(y[0]), float(y[-1]), float(chi2.sf(ratio, len(y) - 1))


def _trend(y: Floats, se: Floats) -> tuple[float, float, float]:
    flat = np.ptp(y) == 0
    return float(y[0]), float(y[-1]), 1.0 if flat else float(spearmanr(np.arange(len(y)), y).pvalue)


_TESTS = {"end": _end, "ends": _ends, "halves": _halves, "homogeneity": _homogeneity, "trend": _trend}
