"""Ladders that were trained, against what was predicted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.runs.run import Run
from opalesce.systems.concepts.predict import LEVEL, slope
from opalesce.systems.concepts.world import Capability
from opalesce.theory.concepts import onset
from opalesce.theory.prediction import (
    Judgement,
    Prediction,
    judge_bound,
    judge_curve,
    judge_order,
    judge_place,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ladders:
    """Curves of several seeds: arrays (seed, capability, rung) over the same rungs."""

    capabilities: tuple[Capability, ...]
    density: Floats
    auc: Floats
    naive: Floats
    oracle: Floats
    giant: Floats
    twin: Floats

    @classmethod
    def of(cls, runs: Sequence[Run], twins: Sequence[Run], capabilities: tuple[Capability, ...]) -> Ladders:
        """Gather runs that `train` wrote.

        Raises
        ------
        InputError
            No run, or runs with different rungs.
        """
        if not runs or not twins:
            raise InputError("no ladder to judge", expected="at least one run and one twin")
        rungs = {tuple(r.curves[f"auc/{c.name}"].x) for r in (*runs, *twins) for c in capabilities}
        if len(rungs) != 1:
            raise InputError("the ladders have different rungs", expected="one list of pairs seen")
        valid = sum(c.pairs for c in capabilities)

        def read(what: str, of: Sequence[Run]) -> Floats:
            return np.array([[r.curves[f"{what}/{c.name}"].y for c in capabilities] for r in of])

        density = np.array(next(iter(rungs))) / valid
        auc, naive, oracle, giant = (read(what, runs) for what in ("auc", "naive", "oracle", "giant"))
        return cls(capabilities, density, auc, naive, oracle, giant, read("auc", twins))

    @property
    def noise(self) -> Floats:
        """Standard deviation of a twin's AUC around chance, per capability: the error of one seed."""
        return np.asarray(np.sqrt(((self.twin - 0.5) ** 2).mean(axis=(0, 2))))

    def onsets(self, auc: Floats | None = None) -> Floats:
        """Onset (seed, capability); infinity where it was not reached."""
        a = self.auc if auc is None else auc
        return np.array([[onset(self.density, y, LEVEL) for y in seed] for seed in a])


def estimate(values: Floats, level: float = 0.95, end: float | None = None) -> Estimate:
    """Geometric mean over seeds with its t-interval; values beyond `end` are known to be later only."""
    n = len(values)
    late = ~np.isfinite(values)
    if n < 3 or (late.any() and end is None):
        return Estimate(float("nan"), n=n, status=f"{n} seeds, three needed for an interval")
    x = np.log(np.where(late, end or float("nan"), values))
    half = float(student.ppf((1 + level) / 2, n - 1)) * float(x.std(ddof=1)) / sqrt(n)
    high = float("inf") if late.any() else float(np.exp(x.mean() + half))
    value = float("inf") if late.mean() > 0.5 else float(np.exp(x.mean()))
    return Estimate(
        value, float(np.exp(x.mean() - half)), high, n, method="mean of logs over seeds", level=level
    )


def judge(predictions: Sequence[Prediction], seen: Ladders) -> list[Judgement]:
    """Judge the predictions of `predict` and `chance` on ladders, each by its kind."""
    out = []
    for p in predictions:
        if p.name == "twins stay at chance":
            out.append(judge_curve(p, seen.twin.mean(axis=0).ravel()))
        elif p.kind == "curve":
            out.append(judge_curve(p, seen.oracle[:, _which(p, seen)].mean(axis=0)))
        elif p.kind == "bound":
            out.append(_bound(p, seen))
        elif p.kind == "order":
            names = [c.name for c in seen.capabilities]
            out.append(judge_order(p, dict(zip(names, seen.onsets().T, strict=True))))
        elif "slope" in p.expected:
            out.append(judge_place(p, _slope(seen)))
        else:
            onsets = seen.onsets()[:, _which(p, seen)]
            out.append(judge_place(p, estimate(onsets, p.level, float(seen.density[-1]))))
    return out


def _which(p: Prediction, seen: Ladders) -> int:
    return [c.name for c in seen.capabilities].index(p.name.split(":")[0])


def _bound(p: Prediction, seen: Ladders) -> Judgement:
    """Excess of learned over oracle, mean over seeds; its error from the twins, or the seeds if larger."""
    excess = seen.auc - seen.oracle
    n = len(excess)
    spread = excess.std(axis=0, ddof=1) if n > 1 else np.zeros(excess.shape[1:])
    error = np.maximum(np.broadcast_to(seen.noise[:, None], spread.shape), spread) / sqrt(n)
    # the error is estimated from so many values of the twins: few twins need a wider critical value
    freedom = seen.twin.shape[0] * seen.twin.shape[2]
    critical = float(student.ppf(1 - (1 - p.level) / excess[0].size, freedom))
    return judge_bound(p, excess.mean(axis=0).ravel(), error.ravel(), critical, tolerance=0.1)


def _slope(seen: Ladders) -> Estimate:
    onsets = seen.onsets()
    whole = np.isfinite(onsets).all(axis=1)
    n = int(whole.sum())
    if n < 3:
        return Estimate(float("nan"), n=n, status="fewer than three seeds reached every onset")
    s = slope(np.array([log(c.threshold) for c in seen.capabilities]), np.log(onsets[whole]))
    half = float(student.ppf(0.975, n - 1)) * float(s.std(ddof=1)) / sqrt(n)
    m = float(s.mean())
    return Estimate(m, m - half, m + half, n, method="mean over seeds", level=0.95)
