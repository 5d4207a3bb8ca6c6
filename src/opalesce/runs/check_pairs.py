"""Check of two runs against each other: do they agree beyond chance?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from opalesce.runs.check import Finding
from opalesce.runs.look import Look
from opalesce.runs.run import Curve, Run

ALPHA = 1e-6  # divided by the number of tests made
# Two honest models answer the same items, so their counts of right answers are correlated; a
# correlation of 0.9 between items makes equal counts sqrt(1 / (1 - 0.9)) times as likely.
ITEMS = 1 / np.sqrt(1 - 0.9)
LEAST = 0.01  # chance that an honest continuous value repeats to the last digit
ENOUGH = 8
LONG = 12  # shared points of one curve that can be judged without others

# settings, not results: honest runs share them
_SETTING = re.compile(
    r"(?:^|[_/])(?:lr|learning_rate|weight_decay|momentum|beta\d?|batch_size|world_size|seed|time|flops|"
    r"total_flos|tokens?\w*|samples\w*|epoch|step|steps_per_sec|throughput|progress|temperature|warmup\w*)(?:$|[_/])",
    re.IGNORECASE,
)


Table = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Agreement:
    """Equality at one place (or along one curve): the data behind a finding.

    `equal` of `n` values that can tell, in `groups` tasks; `share` is that of all values.
    """

    x: float
    n: int
    groups: int
    equal: int
    chance: float
    p: float
    shift: float
    share: float
    total: int

    @property
    def rate(self) -> float:
        """Share of values equal to the last digit."""
        return self.equal / self.n


def check_pair(
    a: Run, b: Run, looks_a: Sequence[Look], looks_b: Sequence[Look], runs: int = 2
) -> list[Finding]:
    """Findings about runs `a` and `b`: shared checkpoints, and curves that agree beyond chance."""
    pairs = max(1, runs * (runs - 1) // 2)
    found = _checkpoints(a, b, looks_a, looks_b)
    shared = [
        n
        for n, c in a.curves.items()
        if n in b.curves and "log_ppl" not in n and not _SETTING.search(n) and c.x.size and b.curves[n].x.size
    ]
    tables = {n: _table(a.curves[n], b.curves[n]) for n in shared}
    places = sorted({float(v) for t in tables.values() for v in t[0]})
    alpha = ALPHA / pairs / max(1, len(places) + len(shared))
    at = [agreement_at(x, tables, a) for x in _crowded(tables)]
    found += _across(a, b, [g for g in at if g is not None], alpha)
    judged = np.array([g.x for g in at if g is not None])
    for name, (x, ya, yb, q) in tables.items():
        if 2 * np.isin(x, judged).sum() > x.size:
            continue  # judged with the other curves already
        one = agreement_along(x, ya, yb, q)
        if one is not None and one.p < alpha and one.rate > 2 * one.chance:
            found.append(_along(a, b, name, x[ya == yb], one, alpha))
    return found


def _crowded(tables: dict[str, Table]) -> list[float]:
    """Places at which enough curves are known."""
    if not tables:
        return []
    x, n = np.unique(np.concatenate([t[0] for t in tables.values()]), return_counts=True)
    return [float(v) for v in x[n >= ENOUGH]]


def _table(a: Curve, b: Curve) -> Table:
    """Shared places, both values, and the chance of equality at each."""
    x, i, j = np.intersect1d(a.x, b.x, return_indices=True)
    chance = np.maximum(chance_of(a)[i], chance_of(b)[j])
    return x, a.y[i], b.y[j], chance


def chance_of(c: Curve) -> NDArray[np.float64]:
    """Chance that an honest second run repeats each value of a curve to the last digit; shape (n,).

    For a mean of n zeros and ones, the chance that two independent counts coincide,
    sum_k Bin(k; n, p)^2 ~ 1 / (2 sqrt(pi n p (1 - p))), times `ITEMS`. For a continuous value
    logged to a grid d, d / (2 sqrt(pi) s) with s the noise between steps, and at least `LEAST`.
    Both are raised to the rate at which the very value recurs in the same curve. 1 where nothing
    can be told: in three or more equal values in a row, which is what constant answers and
    saturated metrics give in honest runs too.
    """
    y = c.y
    if not c.continuous and c.n_trials:
        var = c.n_trials * np.clip(y * (1 - y), 0, None)
        with np.errstate(divide="ignore"):
            q = np.where(var > 0.5, ITEMS / (2 * np.sqrt(np.pi * np.maximum(var, 1e-9))), 1.0)
    else:
        noise = np.diff(y, 2) if y.size > 4 else np.diff(y)
        s = float(np.median(np.abs(noise[np.isfinite(noise)]))) if noise.size else 0.0
        s = max(s / (0.6745 * np.sqrt(6.0)), 1e-300)
        q = np.full(y.size, max(LEAST, _grid(y) / (2 * np.sqrt(np.pi) * s)))
    _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    recur = (counts[inverse] - 1) / max(1, y.size - 1)
    q = np.where(np.isfinite(y), np.maximum(q, recur), 1.0)
    q = np.where(_standing(y), 1.0, q)
    return np.asarray(np.clip(q, 0.0, 1.0), float)


def _standing(y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for values in a row of at least three equal ones."""
    same = y[1:] == y[:-1]
    triple = np.concatenate([[False, False], same[1:] & same[:-1], [False, False]])
    return np.asarray(triple[:-2] | triple[1:-1] | triple[2:], bool) if y.size > 2 else np.zeros(y.size, bool)


def _grid(y: NDArray[np.float64]) -> float:
    """The decimal grid on which values were logged; 0 for values with all their digits."""
    y = y[np.isfinite(y)]
    for digits in range(10):
        if np.allclose(np.round(y, digits), y, rtol=0, atol=1e-13):
            return float(10.0**-digits)
    return 0.0


def agreement_at(
    x: float,
    tables: dict[
        str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    ],
    a: Run,
) -> Agreement | None:
    """Equality over all curves at one place, against its chance.

    Metrics of one task are counted as one observation: with m tasks, a share f of equal values and
    the mean chance q, p = P(Bin(m, q) >= floor(f m)). None where fewer than 8 values can tell.
    """
    equal, chance, tasks, shifts, every = [], [], set(), [], []
    for name, (at, ya, yb, q) in tables.items():
        k = np.flatnonzero(at == x)
        if k.size == 0:
            continue
        i = int(k[0])
        every.append(ya[i] == yb[i])
        if q[i] >= 0.9:
            continue
        equal.append(ya[i] == yb[i])
        chance.append(q[i])
        tasks.add(name.rsplit("/", 1)[0] if "/" in name else name)
        c = a.curves[name]
        if c.continuous and c.stderr is not None:
            se = float(c.stderr[np.searchsorted(c.x, x)])
            shifts.append(abs(ya[i] - yb[i]) / se if se > 0 else np.nan)
    n, m = len(equal), len(tasks)
    if n < ENOUGH or m < 3:
        return None
    rate, q_mean = float(np.mean(equal)), float(np.mean(chance))
    p = float(binom.sf(np.floor(rate * m) - 1, m, q_mean))
    shift = float(np.nanmedian(shifts)) if np.isfinite(shifts).any() else float("nan")
    return Agreement(x, n, m, int(np.sum(equal)), q_mean, p, shift, float(np.mean(every)), len(every))


def agreement_along(
    x: NDArray[np.float64], ya: NDArray[np.float64], yb: NDArray[np.float64], q: NDArray[np.float64]
) -> Agreement | None:
    """Equality along one curve; only places where both values had changed count."""
    moved = np.append(True, (np.diff(ya) != 0) & (np.diff(yb) != 0)) & (q < 0.9)
    n = int(moved.sum())
    if n < LONG:
        return None
    equal, chance = int((ya == yb)[moved].sum()), float(q[moved].mean())
    p, share = float(binom.sf(equal - 1, n, chance)), float(np.mean(ya == yb))
    return Agreement(float(x[0]), n, n, equal, chance, p, float("nan"), share, x.size)


def _across(a: Run, b: Run, at: list[Agreement], alpha: float) -> list[Finding]:
    """At most two findings: where all values are equal, and where too many are."""
    hits = [g for g in at if g.p < alpha and g.rate > 2 * g.chance and g.rate > g.chance + 0.2]
    found = []
    for whole in (True, False):
        group = [g for g in hits if (g.share == 1) is whole]
        if not group:
            continue
        x = tuple(g.x for g in group)
        low, high = min(g.share for g in group), max(g.share for g in group)
        span = f"steps {x[0]:g} to {x[-1]:g} ({len(x)} of {len(at)})"
        if whole:
            seen = f"all {group[0].total} values are equal to the last digit at {span}"
        else:
            seen = f"{100 * low:.0f}-{100 * high:.0f} % of {group[0].total} values are equal at {span}"
            shifts = [g.shift for g in group if np.isfinite(g.shift)]
            if shifts:
                far = float(np.median(shifts))
                seen += f"; continuous metrics differ by a median {far:.2g} of their standard error"
        found.append(_pair_finding(a, b, x, group, seen, alpha, whole))
    return found


def _pair_finding(
    a: Run, b: Run, x: tuple[float, ...], group: list[Agreement], seen: str, alpha: float, whole: bool
) -> Finding:
    chance, p = max(g.chance for g in group), max(g.p for g in group)
    source = ", ".join(str(r.path) for r in (a, b) if r.path)
    return Finding(
        "curves equal beyond chance" if whole else "curves too often equal",
        "fault",
        f"{a.name} and {b.name}",
        source,
        "",
        x[0],
        x,
        f"at most {100 * chance:.0f} % equal by chance, constant answers counted "
        f"(p at most {p:.1g} in {group[0].groups} tasks, limit {alpha:.1g})",
        seen,
        f"these are one run's results under two names: leave steps {x[0]:g} to {x[-1]:g} of one of them out",
        "two runs that agree too well, then part: a split, and a replicated transition, that never was",
    )


def _along(a: Run, b: Run, name: str, x: NDArray[np.float64], g: Agreement, alpha: float) -> Finding:
    seen = f"{g.equal} of {g.n} values of {name} are equal to the last digit"
    f = _pair_finding(a, b, tuple(x.tolist()), [g], seen, alpha, g.equal == g.n)
    return Finding(**{**f.__dict__, "expected": f.expected.replace("tasks", "steps")})


def _checkpoints(a: Run, b: Run, looks_a: Sequence[Look], looks_b: Sequence[Look]) -> list[Finding]:
    """Checkpoints of equal content; at the first step that is a shared initialisation."""
    index = {k.identity: k for k in looks_a if k.tensors}
    same = [(index[k.identity], k) for k in looks_b if k.tensors and k.identity in index]
    first_a = min((k.step for k in looks_a), default=0.0)
    first = [p for p in same if p[0].step <= max(1.0, first_a)]
    later = [p for p in same if p not in first]
    found = []
    names = f"{a.name} and {b.name}"
    if first:
        k = first[0]
        found.append(
            Finding("same initialisation", "note", names, k[1].file, "", k[1].step, (k[1].step,),
                    "different seeds, unless meant", "equal weights at the first step",
                    "none needed if these are twins; two such runs are not two seeds")
        )  # fmt: skip
    if later:
        x = tuple(k.step for _, k in later)
        found.append(
            Finding("checkpoints in two runs", "fault", names, later[0][1].file, "", x[0], x,
                    "no checkpoint shared (equal weights by chance: p = 0)",
                    f"{len(later)} checkpoints have equal content, first at step {x[0]:g}",
                    "one of the runs holds the other's files: fetch them again",
                    "a replicated transition that is one and the same run")
        )  # fmt: skip
    return found
