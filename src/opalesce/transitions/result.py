"""What a trial says: transitions with place, interval, width, verdict and reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from opalesce.estimate import Estimate
from opalesce.runs.check import Finding
from opalesce.runs.run import Event
from opalesce.transitions.court import Card, Hearing
from opalesce.transitions.evidence import Setting
from opalesce.transitions.panel import Pick
from opalesce.transitions.seeds import partial_conjunction, prediction_interval
from opalesce.transitions.summon import Measured
from opalesce.transitions.verdict import Verdict
from opalesce.transitions.witness import Witness


@dataclass(frozen=True)
class Seeds:
    """How many seeds show it, the partial-conjunction p of "at least half do", and the next one."""

    n: int
    agree: int
    p: float
    next: Estimate

    def __str__(self) -> str:
        return "one seed" if self.n == 1 else f"{self.agree} of {self.n} seeds"


@dataclass(frozen=True)
class Transition:
    """A place on the control axis and what the court says of it.

    `place` and `interval` are in axis units; `width` (10-90 %) is in u: decades on a log axis.
    `p_value` is corrected for all primary witnesses; for a TRANSITION it is the largest among
    its witnesses. `unseen` says what could not have been seen.
    """

    verdict: Verdict
    place: Estimate
    width: Estimate
    direction: str
    reason: str
    p_value: float
    witnesses: tuple[str, ...]
    seeds: Seeds
    unseen: str
    event: Event | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the place."""
        return self.place.low, self.place.high


@dataclass(frozen=True)
class Trial:
    """All that was declared, measured and said; `opalesce.report` draws it."""

    main: Measured
    setting: Setting
    picks: tuple[Pick, ...]
    hearing: Hearing
    seeds: tuple[tuple[Measured, Hearing], ...]
    twins: tuple[tuple[Measured, Hearing], ...]
    findings: tuple[Finding, ...]
    witnesses: Mapping[str, Sequence[Witness]]
    notes: tuple[str, ...] = ()
    seed: int = 0

    @property
    def transitions(self) -> list[Transition]:
        """One entry per transition, then one per other primary witness."""
        return [self._joined(g) for g in groups(self.hearing)] + [
            self._single(c) for c in self.hearing.cards if c.verdict is not Verdict.TRANSITION
        ]

    def _joined(self, cards: Sequence[Card]) -> Transition:
        axis = self.setting.axis
        names = tuple(c.evidence.witness.name for c in cards)
        places = [c.evidence.fit.place for c in cards]
        u = float(np.median(places))
        lows, highs = [c.evidence.place.low for c in cards], [c.evidence.place.high for c in cards]
        widths = [c.evidence.width for c in cards]
        place = Estimate(
            float(axis.x(u)),
            min(lows),
            max(highs),
            len(cards),
            method="median of the witnesses, hull of intervals",
        )
        width = Estimate(
            float(np.median([w.value for w in widths])),
            min(w.low for w in widths),
            max(w.high for w in widths),
            len(cards),
        )
        first = cards[0].evidence
        return Transition(
            Verdict.TRANSITION,
            place,
            width,
            "up" if first.height.value > 0 else "down",
            next((c.reason for c in cards if c.reason.startswith("sharp")), cards[0].reason),
            max(c.evidence.p_adjusted for c in cards),
            names,
            self._seeds(names),
            unseen(cards, self.setting),
        )

    def _single(self, c: Card) -> Transition:
        e = c.evidence
        return Transition(
            c.verdict,
            self._date(c),
            e.width,
            "up" if e.height.value > 0 else "down",
            c.reason,
            e.p_smooth if c.verdict is Verdict.CROSSOVER else e.p_adjusted,
            (e.witness.name,),
            self._seeds((e.witness.name,), c.verdict),
            unseen([c], self.setting),
            e.event,
        )

    def _date(self, c: Card) -> Estimate:
        """Half-way point of a crossover (not a small sharp part of it), place of a sharp change."""
        e, alpha = c.evidence, self.setting.alpha
        if min(e.p_adjusted, e.p_smooth) > alpha:
            return Estimate(math.nan, status="nothing to place: no change beyond noise")
        return e.halfway if c.verdict is Verdict.CROSSOVER or e.p_adjusted > alpha else e.place

    def _seeds(self, names: Sequence[str], verdict: Verdict = Verdict.TRANSITION) -> Seeds:
        """Over this run and its seeds: who gives the same verdict on these witnesses, and where."""
        hearings = [self.hearing, *(h for _, h in self.seeds)]
        ps, places, agree = [], [], 0
        for h in hearings:
            cards = [c for c in h.cards if c.evidence.witness.name in names]
            same = [c for c in cards if c.verdict is verdict]
            agree += len(same) >= min(2, len(names))
            ps.append(max((c.evidence.p_adjusted for c in cards), default=1.0))
            fitted = [c.evidence.fit.place for c in same if c.evidence.judged is not None]
            if fitted:
                places.append(float(np.median(fitted)))
        u = prediction_interval(np.array(places))
        axis = self.setting.axis
        ahead = Estimate(
            float(axis.x(u.value)),
            max(float(axis.x(u.low)), float(self.main.run.steps()[0])),
            float(axis.x(u.high)),
            u.n,
            u.status,
            u.method,
            u.level,
        )
        return Seeds(len(hearings), agree, partial_conjunction(np.array(ps)), ahead)


def groups(hearing: Hearing) -> list[list[Card]]:
    """TRANSITION cards that agree with one another, each group in the order of the panel."""
    left = [c for c in hearing.cards if c.verdict is Verdict.TRANSITION]
    out = []
    while left:
        names, size = {left[0].evidence.witness.name}, 0
        while len(names) > size:
            size = len(names)
            names |= {n for c in left if c.evidence.witness.name in names for n in c.agrees_with}
        out.append([c for c in left if c.evidence.witness.name in names])
        left = [c for c in left if c.evidence.witness.name not in names]
    return out


def unseen(cards: Sequence[Card], setting: Setting) -> str:
    """What could not have been seen here, in words, with the test's own error rates."""
    judged = [c.evidence for c in cards if c.evidence.judged is not None]
    if not judged:
        return "nothing could be judged"
    steps = []
    for e in judged:
        unit = "" if e.witness.unit == "1" else f" {e.witness.unit}"
        size = f"{e.smallest:.2g}{unit}" if np.isfinite(e.smallest) else "any size"
        steps.append(f"{size} ({e.witness.label or e.witness.name})")
    x, at = judged[0].witness.x, judged[0].place.value
    k = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    level = setting.alpha / max(1, judged[0].shared)
    return (
        f"sharp steps below {', '.join(steps)}, at power 0.8; details finer than {x[k] - x[k - 1]:,g} "
        f"{setting.axis.unit} near {at:,.4g}. Power for a sharp quarter of the range: "
        f"{', '.join(f'{e.power:.2f}' for e in judged)}; false alarms of each test at this n and noise: "
        f"{', '.join(f'{e.false_alarm:.3f}' for e in judged)} (nominal {level:.3g})"
    )
