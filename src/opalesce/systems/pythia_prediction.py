r"""Prediction P1: when do capabilities of Pythia appear? The published constants against the evaluations.

By ding2026percolation a capability f is absent below its connectivity number and there above it: with the
published constants, tokens = step x 2^21 and breadth 0.70 (its value for the Pile), it appears at step

.. math:: t_f = 10^9\,C_{n,f}\,k\sigma^{\delta} e^{\alpha\sigma} / 2^{21}

for every size. Since beta = 0.068, a fifth of the rise of the capability is reached within 1e-8 of the
threshold: the place of the fifth is that of the threshold, if scores are affine in capability. What is ours
[R]: the tasks that stand for a capability; that a place may miss by half the (geometric) distance to the
neighbouring thresholds; the margins of "no size".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import norm

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.runs.run import Curve, Run
from opalesce.theory.npm.blayer import identity
from opalesce.theory.npm.field import CAPABILITIES, onset_tokens
from opalesce.theory.prediction import (
    Judgement,
    Prediction,
    judge_bound,
    judge_order,
    judge_place,
)

Floats = NDArray[np.float64]
TOKENS_PER_STEP = 2**21  # 1024 sequences of 2048 tokens (biderman2023pythia)
BREADTH = 0.70
LAST_SILENT = 13_000  # the last evaluated step below every threshold: connectivity number 0.72
SIZES: Mapping[str, float] = {
    "pythia-70m": 70e6,
    "pythia-160m": 160e6,
    "pythia-410m": 410e6,
    "pythia-1b-deduped": 1e9,
    "pythia-1.4b": 1.4e9,
    "pythia-2.8b": 2.8e9,
}
TASKS: Mapping[str, tuple[str, ...]] = {
    "factual retrieval": ("sciq/acc", "lambada_openai/acc"),
    "complex reasoning": ("arc_easy/acc", "arc_challenge/acc", "piqa/acc", "winogrande/acc", "logiqa/acc"),
}
START, SHARE = 64, 0.2  # evaluations up to this step are the floor; the share of the rise that is timed
_THEORY, _SOURCE = "neural percolation model, published constants", "ding2026percolation, threshold table"


def published_steps() -> dict[str, float]:
    """Step at which each capability appears, by the published constants."""
    return {name: tokens / TOKENS_PER_STEP for name, tokens in onset_tokens(BREADTH).items()}


def predictions() -> list[Prediction]:
    """What the model says about these evaluations: places, silence before them, order, no effect of size."""
    inputs = {"breadth": BREADTH, "tokens_per_step": TOKENS_PER_STEP, **identity()}
    at = published_steps()
    names, t = list(at), np.array(list(at.values()))
    half = np.sqrt(t[1:] / t[:-1])
    low, high = t / np.r_[half[0], half], t * np.r_[half, half[-1]]
    out = [
        Prediction(
            f"{name}, {size}", "place", _THEORY, _SOURCE, inputs, f"step {t[i]:.0f}", (low[i],), (high[i],)
        )
        for i, name in enumerate(names)
        for size in SIZES
    ]
    cells = len(SIZES) * sum(map(len, TASKS.values()))
    out.append(
        Prediction(
            f"nothing above the start at step {LAST_SILENT}",
            "bound",
            _THEORY,
            _SOURCE,
            {**inputs, "cells": cells},
            "the score of step 0",
            high=(0.0,) * cells,
            at=(float(LAST_SILENT),) * cells,
        )
    )
    out.append(Prediction("order", "order", _THEORY, _SOURCE, inputs, " < ".join(names), order=tuple(names)))
    decades = math.log10(max(SIZES.values()) / min(SIZES.values()))
    drift = math.log10(float(half[0])) / decades
    for name in TASKS:
        for what, margin in (("decades of step", drift), ("score", 0.02)):
            out.append(
                Prediction(
                    f"{name}: {what} per decade of parameters",
                    "place",
                    _THEORY,
                    "ding2026percolation, eq. density",
                    inputs,
                    "0",
                    (-margin,),
                    (margin,),
                )
            )
    return out


@dataclass(frozen=True)
class Onset:
    """Where a fifth of the rise is reached: the estimate in steps, and draws of log(1 + step), maybe none."""

    estimate: Estimate
    draws: Floats


def onset(curve: Curve, rng: np.random.Generator, draws: int = 500) -> Onset:
    """Step at which an evaluation has made a fifth of its rise, with a 90 % interval.

    The floor is the mean up to step 64, the top the mean of the last three. Each draw adds noise of the
    stated standard error to every point, makes the curve monotone, and finds the two steps between which the
    fifth is crossed; the interval runs from the 5 % quantile of the earlier to the 95 % quantile of the
    later. The place itself is drawn evenly in log step between the two, since nothing was measured there.
    Questions are the same at all steps, so that differences between steps are surer than independent errors
    say: the interval is wide, not narrow.

    Raises
    ------
    InputError
        No standard errors, or fewer than eight points.
    """
    if curve.stderr is None or len(curve.x) < 8:
        raise InputError("a curve with standard errors", expected="8 points or more", got=curve.name)
    t, y, error = curve.x, curve.y, curve.stderr
    known = np.isfinite(y) & np.isfinite(error)
    t, y, error = t[known], y[known], error[known]
    method = f"fifth of the rise of {curve.name}, {draws} draws"
    rise, noise = y[-3:].mean() - y[t <= START].mean(), math.hypot(error[-1], error[0])
    if SHARE * rise < 2 * noise / math.sqrt(2):
        text = f"a fifth of the rise of {curve.name} ({SHARE * rise:.3f}) is below two standard errors"
        return Onset(Estimate(math.nan, n=len(t), status=text, method=method), np.empty(0))
    sides = np.array([_between(t, y + error * rng.standard_normal(len(t))) for _ in range(draws)])
    before, after = _between(t, y)
    u = np.log1p(sides)
    at = u[:, 0] + (u[:, 1] - u[:, 0]) * rng.random(draws)
    low, high = float(np.quantile(sides[:, 0], 0.05)), float(np.quantile(sides[:, 1], 0.95))
    value = float(np.expm1((math.log1p(before) + math.log1p(after)) / 2))
    return Onset(Estimate(value, min(low, before), max(high, after), len(t), method=method), at)


def _between(t: Floats, y: Floats) -> tuple[float, float]:
    """The two measured steps between which the monotone curve crosses a fifth of its rise."""
    floor, top = y[t <= START].mean(), y[-3:].mean()
    smooth = isotonic_regression(y).x
    over = smooth >= floor + SHARE * (top - floor)
    i = int(over.argmax()) if over.any() else len(t) - 1
    return float(t[max(i - 1, 0)]), float(t[i])


def onsets(runs: Mapping[str, Run], rng: np.random.Generator) -> dict[str, dict[str, Onset]]:
    """Onset by task and size."""
    every = [task for tasks in TASKS.values() for task in tasks]
    return {task: {size: onset(run.curves[task], rng) for size, run in runs.items()} for task in every}


def judge(
    told: Sequence[Prediction], runs: Mapping[str, Run], found: Mapping[str, Mapping[str, Onset]]
) -> list[Judgement]:
    """Each prediction against the evaluations, in the order told."""
    out = []
    for p in told:
        if p.kind == "bound":
            out.append(_silence(p, runs))
        elif p.kind == "order":
            out.append(judge_order(p, _places(found)))
        elif ": " in p.name:
            capability, what = p.name.split(": ")
            trend = _onset_trend if what.startswith("decades") else _score_trend
            out.append(judge_place(p, trend(capability, runs, found)))
        else:
            capability, size = p.name.split(", ")
            out.append(judge_place(p, _hull(capability, size, found)))
    return out


def _hull(capability: str, size: str, found: Mapping[str, Mapping[str, Onset]]) -> Estimate:
    """The span of the onsets of a capability's tasks: a miss is a miss of every task."""
    if capability not in TASKS:
        return Estimate(math.nan, status=f"no task here stands for {capability}")
    seen = [found[task][size].estimate for task in TASKS[capability]]
    seen = [e for e in seen if e.ok]
    if not seen:
        return Estimate(math.nan, status="no task of it rises enough to be timed")
    value = float(np.exp(np.mean([math.log(e.value) for e in seen])))
    return Estimate(value, min(e.low for e in seen), max(e.high for e in seen), len(seen))


def _places(found: Mapping[str, Mapping[str, Onset]]) -> dict[str, list[float]]:
    """Geometric mean over tasks of the onset, per capability, for the sizes at which each has one."""
    spans = {c: [_hull(c, s, found).value for s in SIZES] for c in TASKS}
    both = np.isfinite(np.array(list(spans.values()))).all(axis=0)
    return {c: [v for v, ok in zip(row, both, strict=True) if ok] for c, row in spans.items()}


def _silence(p: Prediction, runs: Mapping[str, Run]) -> Judgement:
    excess, error = [], []
    for task in (t for tasks in TASKS.values() for t in tasks):
        for run in runs.values():
            c = run.curves[task]
            i = int(np.flatnonzero(c.x == LAST_SILENT)[0])
            stderr = np.zeros(len(c.x)) if c.stderr is None else c.stderr
            excess.append(float(c.y[i] - c.y[c.x <= START].mean()))
            error.append(math.hypot(stderr[i], stderr[0]))
    critical = float(norm.ppf(1 - 0.05 / len(excess)))
    return judge_bound(p, excess, error, critical, 0.1)


def _weights(sizes: Sequence[str]) -> Floats:
    """Least-squares weights whose product with values is their slope per decade of parameters."""
    x = np.log10([SIZES[s] for s in sizes])
    x -= x.mean()
    return np.asarray(x / (x @ x))


def _onset_trend(
    capability: str, runs: Mapping[str, Run], found: Mapping[str, Mapping[str, Onset]]
) -> Estimate:
    """Mean over tasks of the slope of log10 onset on log10 parameters, for tasks timed at every size."""
    timed = [t for t in TASKS[capability] if all(found[t][s].estimate.ok for s in runs)]
    if not timed:
        return Estimate(math.nan, status="no task of it is timed at every size")
    w = _weights(list(runs))
    drawn = np.mean([w @ np.array([found[t][s].draws for s in runs]) for t in timed], axis=0) / math.log(10)
    low, high = np.quantile(drawn, (0.05, 0.95))
    return Estimate(float(np.median(drawn)), float(low), float(high), len(runs))


def _score_trend(
    capability: str, runs: Mapping[str, Run], found: Mapping[str, Mapping[str, Onset]]
) -> Estimate:
    """Mean over tasks of the slope of the last score on log10 parameters, errors propagated."""
    w, tasks = _weights(list(runs)), TASKS[capability]
    slopes, variances = [], []
    for task in tasks:
        curves = [run.curves[task] for run in runs.values()]
        slopes.append(float(w @ [c.y[-3:].mean() for c in curves]))
        variances.append(float(w**2 @ [0.0 if c.stderr is None else c.stderr[-1] ** 2 for c in curves]))
    value, half = float(np.mean(slopes)), 1.645 * math.sqrt(sum(variances)) / len(tasks)
    return Estimate(value, value - half, value + half, len(runs))


def thresholds() -> dict[str, float]:
    """Connectivity number of each capability, as published."""
    return {c.name: c.connectivity for c in CAPABILITIES}
