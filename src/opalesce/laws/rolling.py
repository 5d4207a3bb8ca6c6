"""Candidates fitted at rolling origins: what each law would have said, had the data ended earlier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opalesce.laws.catalogue import form
from opalesce.laws.descent import search
from opalesce.laws.forms import Floats, Form

MIN_POINTS = 5
SPARE = 2  # points beyond its parameters that a law needs


@dataclass(frozen=True)
class Candidate:
    """A law fitted to the points within `recent` of the largest x, as a share of the range of ln x."""

    law: Form
    recent: float = 1.0

    @property
    def label(self) -> str:
        """Name of the law, its breaks, and the share of the range it sees."""
        name = f"{self.law.key}{getattr(self.law, 'breaks', '')}"
        return name if self.recent == 1.0 else f"{name}, last {self.recent:.0%}"


# Chosen by rolling origin inside the fitted parts of 72 vision curves (docs/decisions/0008): the later part
# of a curve alone foretells better than the whole, and a second break made extrapolation worse. The broken
# law and M3 of all points stay, for curves whose bend lies early.
CANDIDATES = (
    *(Candidate(form(name), recent) for recent in (0.7, 0.5, 0.3) for name in ("M2", "M3")),
    Candidate(form("M3")),
    Candidate(form("broken", 1)),
)
FALLBACK = (Candidate(form("M1")),)  # where no candidate has enough points


@dataclass(frozen=True)
class Rolled:
    """`paths[k, c]` are the log predictions of candidate c, fitted to the first `cuts[k]` points, at all
    `u`: the data first, then the targets. NaN where a candidate had too few points."""

    candidates: tuple[Candidate, ...]
    cuts: tuple[int, ...]
    paths: Floats
    u: Floats
    v: Floats
    noise: Floats  # residual standard deviation (k, c)


def origins(u: Floats, most: int = 4, first: float = 0.35) -> tuple[int, ...]:
    """Numbers of points to fit, equally spaced in ln x over the later part of the data; the last is all."""
    n = len(u)
    places = u.min() + np.ptp(u) * np.linspace(first, 1.0, most + 1)
    cuts = np.searchsorted(u, places, side="right")
    cuts[-1] = n
    return tuple(sorted({int(c) for c in cuts if c >= MIN_POINTS and (c == n or n - c >= 1)}))


def roll(
    u: Floats, v: Floats, target: Floats, candidates: tuple[Candidate, ...] = CANDIDATES, most: int = 4
) -> Rolled:
    """Fit every candidate at every origin (u sorted) and predict at all data and targets."""
    cuts = origins(u, most)
    everywhere = np.concatenate([u, target])
    paths = np.full((len(cuts), len(candidates), len(everywhere)), np.nan)
    noise = np.full(paths.shape[:2], np.nan)
    for k, m in enumerate(cuts):
        for c, candidate in enumerate(candidates):
            begin = u[m - 1] - candidate.recent * (u[m - 1] - u[0])
            keep = np.flatnonzero(u[:m] >= begin - 1e-12)
            size = len(candidate.law.names)
            if len(keep) < size + SPARE or np.ptp(v[keep]) == 0 or np.ptp(u[keep]) == 0:
                continue
            centre = u[keep].mean()
            best = search(candidate.law, (u[keep] - centre)[None], v[keep], keep=1)[0]
            paths[k, c] = candidate.law.log_value(best.theta[None], (everywhere - centre)[None])[0][0]
            noise[k, c] = np.sqrt(2 * best.objective / (len(keep) - size))
    return Rolled(candidates, cuts, paths, everywhere, v, noise)
