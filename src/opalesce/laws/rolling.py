"""Laws told at rolling origins: what each would have said, had the data ended earlier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opalesce.laws.catalogue import form
from opalesce.laws.discrepancy import roughness, tell
from opalesce.laws.forms import Floats, Form

MIN_POINTS = 5
MOST = 80  # points; of more, neighbours in ln x are averaged

# A level with a drifting discrepancy, and laws with one. Chosen inside the fitted parts of 72 vision curves
# and on simulated curves: docs/decisions/0008.
CANDIDATES: tuple[Form | None, ...] = (None, form("M2"), form("M3"), form("M4"), form("broken", 1))


def needs(law: Form | None) -> int:
    """Points that a law needs before it may speak unasked: twice its parameters, and four times where they
    are more than three, which follow the noise of a short curve."""
    size = 0 if law is None else len(law.names)
    return size * (2 if size <= 3 else 4)


def label(law: Form | None) -> str:
    """Name of the law and its breaks."""
    return "local trend" if law is None else f"{law.key}{getattr(law, 'breaks', '')}"


@dataclass(frozen=True)
class Rolled:
    """Means and standard deviations (k, c, m) of candidate c at origin k, fitted to the first `cuts[k]`
    points, at all `u`: the data first, then the targets. NaN where a candidate had too few points.

    `evidence` (k, c) is the log evidence of each, `v` (n,) ln y of the data.
    """

    candidates: tuple[Form | None, ...]
    cuts: tuple[int, ...]
    mean: Floats
    sd: Floats
    evidence: Floats
    u: Floats
    v: Floats


def condense(u: Floats, v: Floats, most: int = MOST) -> tuple[Floats, Floats, Floats]:
    """Means of u and v in at most `most` equal intervals of u, and the points in each; as is when fewer."""
    if len(u) <= most:
        return u, v, np.ones(len(u))
    place = np.minimum((most * (u - u[0]) / (u[-1] - u[0])).astype(int), most - 1)
    counts = np.bincount(place, minlength=most)
    full = counts > 0
    sums = (np.bincount(place, w, minlength=most)[full] for w in (u, v))
    a, b = (s / counts[full] for s in sums)
    return a, b, counts[full].astype(float)


def origins(u: Floats, most: int = 4, first: float = 0.35) -> tuple[int, ...]:
    """Numbers of points to fit, equally spaced in ln x over the later part of the data; the last is all."""
    n = len(u)
    places = u.min() + np.ptp(u) * np.linspace(first, 1.0, most + 1)
    cuts = np.searchsorted(u, places, side="right")
    cuts[-1] = n
    return tuple(sorted({int(c) for c in cuts if c >= MIN_POINTS and (c == n or n - c >= 1)}))


def roll(
    u: Floats,
    v: Floats,
    target: Floats,
    candidates: tuple[Form | None, ...] = CANDIDATES,
    most: int = 4,
    asked: bool = False,
) -> Rolled:
    """Tell every candidate at every origin (u sorted) at all data and targets; `asked` for, a law speaks on
    as few points as it can be fitted to, else it `needs` more."""
    raw = u, v
    u, v, counts = condense(u, v)
    ends = np.cumsum(counts).astype(int)
    cuts = origins(u, most)
    every = np.concatenate([u, target])
    mean = np.full((len(cuts), len(candidates), len(every)), np.nan)
    sd, evidence = mean.copy(), np.full(mean.shape[:2], -np.inf)
    for k, m in enumerate(cuts):
        if np.ptp(u[:m]) == 0:
            continue
        noise = roughness(*(a[: ends[m - 1]] for a in raw))
        for c, law in enumerate(candidates):
            if not asked and m < needs(law):
                continue
            told = tell(law, u[:m], v[:m], every, noise, counts[:m])
            if told is not None and np.isfinite(told.mean).all():
                mean[k, c], sd[k, c], evidence[k, c] = told.mean, told.sd, told.evidence
    return Rolled(candidates, cuts, mean, sd, evidence, every, v)
