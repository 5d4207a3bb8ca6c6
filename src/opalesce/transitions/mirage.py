"""The mirage court: is a jump of a task's score real, an artefact of its metric, or can nobody tell?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.stats import binom

from opalesce.errors import InputError
from opalesce.runs.open import open_all
from opalesce.runs.run import Curve, Run
from opalesce.theory.sampling import binomial_interval
from opalesce.transitions.mirage_tests import AnswerLength, answer_length
from opalesce.transitions.onset import Change, change

Word = Literal["real", "metric artefact", "cannot tell"]
WSTAR = 0.8  # decades; a change is sharp when its 10-90 % width is at most half of it (COURT 3)
# chance of a blind answer: one over the number of choices of the task; 0 where the answer is free text
CHANCE = {
    "hendrycksTest": 0.25,
    "mmlu": 0.25,
    "arc_": 0.25,
    "sciq": 0.25,
    "logiqa": 0.25,
    "hellaswag": 0.25,
    "piqa": 0.5,
    "winogrande": 0.5,
    "wsc": 0.5,
    "boolq": 0.5,
    "lambada": 0.0,
    "num_reasoning_arithmetic": 0.0,
}


@dataclass(frozen=True)
class TaskVerdict:
    """One row of the mirage court.

    Attributes
    ----------
    task : str
    verdict : "real", "metric artefact" or "cannot tell"
    reason : str
        One sentence with the numbers that decided.
    metrics : dict of str to Change
        Onset, width and shift of each metric.
    chance : float
        Score of a blind answer; NaN where it is not known.
    p_above_chance : float
        One-sided exact p-value of the last score against chance; NaN without trials or chance.
    zero_below : float
        Where the score starts at exactly zero: the upper 95 % limit of what that zero can hide; else NaN.
    trials : int or None
        Questions of the task, where they are known.
    length : AnswerLength or None
        Whether the jump is what p^L predicts (`transitions.mirage_tests.answer_length`), where the score has
        questions and its continuous metric is a log-perplexity in nats.
    run : str
        Name of the run.
    score, soft : Curve or None
        The metric judged and its continuous one, for figures.
    """

    task: str
    verdict: Word
    reason: str
    metrics: Mapping[str, Change]
    chance: float = math.nan
    p_above_chance: float = math.nan
    zero_below: float = math.nan
    trials: int | None = None
    length: AnswerLength | None = None
    run: str = ""
    score: Curve | None = field(default=None, repr=False, compare=False)
    soft: Curve | None = field(default=None, repr=False, compare=False)


def known_chance(task: str, known: Mapping[str, float]) -> float:
    """Score of a blind answer by the longest beginning of the task's name; NaN where none is known."""
    hits = [k for k in known if task.startswith(k)]
    return known[max(hits, key=len)] if hits else math.nan


def mirage(
    run: Run | Any,
    *,
    chance: Mapping[str, float] | None = None,
    wstar: float = WSTAR,
    level: float = 0.9,
    seed: int = 0,
) -> list[TaskVerdict]:
    r"""Judge each task of a run that has a thresholded metric (accuracy, exact match).

    A jump is a **metric artefact** when the task's continuous metric (log-perplexity, bits per byte) left its
    start earlier, with intervals that do not overlap (an onset lies after its lower end), and changes over
    more than W*/2: the model improved smoothly, and the threshold let it be seen late
    (schaeffer2023mirage). It is **real** when the continuous metric itself changes within W*/2, at an onset
    whose interval overlaps the score's. Everything else is **cannot tell**, and the reason says what is
    missing: no continuous metric, no movement, a score that ends at chance.

    Parameters
    ----------
    run : Run or what `opalesce.open` takes
        All models of a long table of scores (`runs.long_scores`) are judged, one after the other.
    chance : mapping, optional
        Score of a blind answer by task name (or its beginning); added to the built-in table.
    wstar : float
        Resolution of sharp, in decades of the axis (a quarter of the axis when it is linear).
    level, seed
        Of the intervals; they come from the stated errors, and from exact binomial ones for scores.

    Raises
    ------
    InputError
        No thresholded metric in the run, or settings out of range.

    Notes
    -----
    The rates of wrong verdicts are those of the tests of this module on simulated runs; the court of
    `opalesce.transitions` is the stricter one, with its own false-alarm rate.

    Errors of one task's checkpoints share their questions; taking them as independent makes onsets late and
    p-values large, never the reverse.
    """
    if not (0 < level < 1 and wstar > 0):
        raise InputError(
            "settings of the mirage court", expected="0 < level < 1, W* > 0", got=f"{level}, {wstar}"
        )
    runs = [run] if isinstance(run, Run) else open_all(run)
    return [row for r in runs for row in _court(r, {**CHANCE, **(chance or {})}, wstar, level, seed)]


def _court(run: Run, known: Mapping[str, float], wstar: float, level: float, seed: int) -> list[TaskVerdict]:
    curves = {n: c for n, c in run.curves.items() if not c.continuous and c.lineage == "evals"}
    if not curves:
        raise InputError(
            "no thresholded metric to judge",
            expected="accuracies or exact matches of an evaluation",
            got=", ".join(list(run.curves)[:6]) or "no curves",
            fix="open the folder of result files of lm-evaluation-harness",
        )
    sharp = wstar / 2 if run.axis.scale == "log" else float(np.ptp(run.axis.u(run.steps()))) / 8
    rows = []
    for i, name in enumerate(sorted(curves)):
        curve = curves[name]
        soft = run.curves.get(curve.pair) if curve.pair else None
        rows.append(_judge(run, name, curve, soft, known, sharp, level, np.random.default_rng([seed, i])))
    return rows


def _judge(
    run: Run, name: str, curve: Curve, soft: Curve | None, known: Mapping[str, float], sharp: float,
    level: float, rng: np.random.Generator,
) -> TaskVerdict:  # fmt: skip
    task = name.rsplit("/", 1)[0]
    guess = known_chance(task, known)
    hard = change(curve, run.axis.u(curve.x), rng, level)
    if hard is None:
        why = "fewer than four checkpoints, or no standard error and no number of questions is stated"
        return TaskVerdict(name, "cannot tell", why, {}, guess, run=run.name, score=curve, soft=soft)
    moved = {name: hard}
    other = change(soft, run.axis.u(soft.x), rng, level) if soft is not None else None
    if soft is not None and other is not None:
        moved[soft.name] = other
    n = curve.n_trials
    p_chance = zero = math.nan
    if n and not math.isnan(guess):
        p_chance = float(binom.sf(round(curve.y[-1] * n) - 1, n, guess))
    if n and curve.y[0] == 0:
        zero = binomial_interval(0, n)[1]
    verdict, reason = _decide(hard, other, soft.name if soft else "", guess, p_chance, sharp)
    law = _length(curve, soft, guess, level, int(rng.integers(2**31)))
    if law is not None:
        reason += f"; {_predicted(law, curve)}"
    return TaskVerdict(name, verdict, reason, moved, guess, p_chance, zero, n, law, run.name, curve, soft)


def _length(curve: Curve, soft: Curve | None, guess: float, level: float, seed: int) -> AnswerLength | None:
    """The length law on the checkpoints that both metrics have; None where it says nothing."""
    if soft is None or soft.unit != "nats" or not curve.n_trials or math.isnan(guess):
        return None
    at = {x: i for i, x in enumerate(soft.x.tolist()) if np.isfinite(soft.y[i]) and soft.y[i] >= 0}
    keep = [i for i, x in enumerate(curve.x.tolist()) if x in at and np.isfinite(curve.y[i])]
    other = [at[curve.x[i]] for i in keep]
    score, n = curve.y[keep], curve.n_trials
    if len(keep) < 4 or not (np.round(score * n) > guess * n).any() or len(keep) < np.isfinite(curve.y).sum():
        return None
    errors = None if soft.stderr is None else soft.stderr[other]
    return answer_length(score, n, soft.y[other], stderr=errors, chance=guess, level=level, seed=seed)


def _predicted(law: AnswerLength, curve: Curve) -> str:
    if law.p_fit >= 0.05:
        fits = f"p^L with L = {law.length} passes through all scores (p = {law.p_fit:.2g})"
        return f"{fits}: the jump is what it predicts"
    i = law.worst
    x, y = (v[np.isfinite(curve.y)][i] for v in (curve.x, curve.y))
    return (
        f"p^L with one L does not predict it (p = {law.p_fit:.2g}): at {x:.6g} L = {law.length.value:.3g} "
        f"expects {law.expected[i]:.2g}, seen {y:.2g}"
    )


def _decide(
    hard: Change, soft: Change | None, soft_name: str, guess: float, p_chance: float, sharp: float
) -> tuple[Word, str]:
    at_chance = not math.isnan(p_chance) and p_chance > 0.05
    if math.isnan(hard.onset.value):
        moved = f"it shifts from {hard.start:.3g} to {hard.end:.3g} (p = {hard.p_shift:.2g})"
        if hard.p_shift < 0.05 and at_chance:
            way = "up" if hard.end > hard.start else "down"
            return (
                "cannot tell",
                f"{moved}, {way}, and ends at chance {guess:g}: a bias moved, not an ability",
            )
        return "cannot tell", f"{moved}; it does not leave its start for good at this resolution"
    if hard.end < hard.start:
        return "cannot tell", f"it falls from {hard.start:.3g} to {hard.end:.3g}: not the onset of an ability"
    if at_chance:
        return "cannot tell", f"it ends at {hard.end:.3g}, not above chance {guess:g} (p = {p_chance:.2g})"
    seen = f"the score leaves its start at {_span(hard)}"
    if math.isinf(hard.onset.high):
        return "cannot tell", f"{seen}: with its errors it may not have left it at all"
    if soft is None:
        return "cannot tell", (
            f"{seen}; no continuous metric of this task is in the files: a smooth change beneath it can "
            "neither be shown nor excluded"
        )
    if math.isnan(soft.onset.value):
        return "cannot tell", f"{seen}; {soft_name} does not leave its start for good"
    both = f"{seen}, {soft_name} at {_span(soft)}; its width is {soft.width} (sharp: up to {sharp:.2g})"
    if hard.onset.high <= soft.onset.low:
        return "cannot tell", f"{both}: the score moved before its continuous metric"
    if soft.onset.high <= hard.onset.low:
        if soft.width.low > sharp:
            return "metric artefact", f"{both}: the smooth change came first"
        return "cannot tell", f"{both}: the smooth metric moved first, but may itself be sharp"
    if soft.width.high <= sharp:
        return "real", f"{both}: the continuous metric is sharp there too"
    return "cannot tell", f"{both}: neither is the smooth change earlier, nor is it sharp"


def _span(c: Change) -> str:
    return f"{c.onset.value:.6g} [{c.onset.low:.6g}, {c.onset.high:.6g}]"
