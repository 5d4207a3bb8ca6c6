"""The court: witnesses of one run in, verdicts out (COURT.md is the procedure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from opalesce.transitions.evidence import Evidence, Setting, excess, first_look, sharpen
from opalesce.transitions.joint import (
    difference_interval,
    equivalent,
    place_replicates,
    seed_difference_interval,
    westfall_young,
)
from opalesce.transitions.power import power
from opalesce.transitions.twin import twin_evidence
from opalesce.transitions.verdict import Verdict, alone, unsettled_width
from opalesce.transitions.witness import Witness

Array = NDArray[np.float64]
MAX_PRIMARY = 5


@dataclass(frozen=True)
class Card:
    """One witness with its verdict and the reason, in words."""

    evidence: Evidence
    verdict: Verdict
    reason: str
    agrees_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hearing:
    """What the court says of one run: a card per primary witness, a ranking of the others."""

    run: str
    setting: Setting
    cards: tuple[Card, ...]
    exploratory: tuple[tuple[Evidence, float], ...] = ()
    gaps: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def card(self, name: str) -> Card | None:
        """The card of one witness, by name."""
        return next((c for c in self.cards if c.evidence.witness.name == name), None)


def look(witnesses: Sequence[Witness], setting: Setting, rng: np.random.Generator) -> list[Evidence]:
    """Evidence on the primary witnesses of one run, p-values corrected for all of them."""
    looks = [first_look(w, setting) for w in witnesses]
    index = [i for i, e in enumerate(looks) if e.judged is not None]
    m = max(1, len(index))
    if index:
        p = np.array([looks[i].p_sharp for i in index])
        adjusted = westfall_young([looks[i].judged for i in index if looks[i].judged], p, rng)
        for i, a in zip(index, adjusted, strict=True):
            looks[i] = replace(looks[i], p_adjusted=float(a), p_smooth=min(1.0, m * looks[i].p_smooth))
    out = []
    for e in looks:
        e = sharpen(e, setting, m, rng)
        if min(e.p_adjusted, e.p_smooth) <= setting.alpha:
            e = replace(e, twin=twin_evidence(e, setting, m), p_unflagged=_unflagged(e, setting, m))
        out.append(replace(e, excess=excess(e.witness)))
    return out


def _unflagged(e: Evidence, setting: Setting, m: int) -> float | None:
    """Bonferroni p without the points that check flagged; None when it flagged none."""
    hit = e.witness.flagged & set(e.witness.x)
    if not hit:
        return None
    again = first_look(e.witness.without(frozenset(hit)), setting)
    return min(1.0, m * again.p_sharp)


def judge(
    run: str,
    witnesses: Sequence[Witness],
    setting: Setting,
    rng: np.random.Generator,
    seed_places: Mapping[str, Array] | None = None,
) -> Hearing:
    """Verdicts on one run.

    Parameters
    ----------
    run : str
        Its name.
    witnesses : sequence of Witness
        At most five primary; the others are ranked with false-discovery control.
    setting : Setting
        Axis, events, alpha, W*: declared before.
    seed_places : mapping, optional
        Fitted places (in u) of each witness over all seeds, shape (S,) each; with four or more,
        agreement is tested over seeds instead of joint replicates.
    """
    primary = [w for w in witnesses if w.primary][:MAX_PRIMARY]
    evidence = look(primary, setting, rng)
    by_name = {e.witness.name: e for e in evidence}
    found: list[tuple[Evidence, Verdict | None, str]] = []
    for e in evidence:
        pair = by_name.get(e.witness.pair or "")
        found.append((e, *alone(e, setting.alpha, pair, _pair_power(e, pair, setting, rng))))
    # A witness whose width is not settled may still agree on the place (docs/decisions/0003).
    placed = [e for e, verdict, _ in found if verdict is None or unsettled_width(e, verdict, setting.alpha)]
    gaps = agreement(placed, rng, seed_places)
    cards = [_agree(e, verdict, why, placed, gaps) for e, verdict, why in found]
    rest = [w for w in witnesses if w not in primary]
    return Hearing(run, setting, tuple(cards), rank(rest, setting), gaps)


def _pair_power(e: Evidence, pair: Evidence | None, setting: Setting, rng: np.random.Generator) -> float:
    """Power of the pair's test for a jump over the same share of its range, same place and width."""
    if pair is None or pair.judged is None or e.judged is None or e.p_adjusted > setting.alpha:
        return 0.0
    t, fit = pair.judged.table, pair.fit
    ratio = min(1.0, e.share) * pair.witness.spread() / fit.sigma
    return power(t, fit.noise, ratio, t.critical(setting.alpha / 2), rng, e.fit.place, e.fit.width)


def agreement(
    sharp: Sequence[Evidence], rng: np.random.Generator, seed_places: Mapping[str, Array] | None
) -> dict[tuple[str, str], tuple[float, float]]:
    """90 % interval of the difference of places, in u, for each pair of sharp witnesses."""
    if len(sharp) < 2:
        return {}
    draws = place_replicates([e.judged for e in sharp if e.judged], rng)
    gaps = {}
    for i, a in enumerate(sharp):
        for j, b in enumerate(sharp[:i]):
            names = a.witness.name, b.witness.name
            seeds = [None if seed_places is None else seed_places.get(name) for name in names]
            if seeds[0] is not None and seeds[1] is not None and len(seeds[0]) >= 4:
                gaps[names] = seed_difference_interval(seeds[0] - seeds[1])
            else:
                gaps[names] = difference_interval(a.fit.place, b.fit.place, draws[i], draws[j])
    return gaps


def _agree(
    e: Evidence,
    verdict: Verdict | None,
    why: str,
    sharp: Sequence[Evidence],
    gaps: Mapping[tuple[str, str], tuple[float, float]],
) -> Card:
    if verdict is not None:
        return Card(e, verdict, why)
    name = e.witness.name
    friends = []
    for other in sharp:
        gap = gaps.get((name, other.witness.name)) or gaps.get((other.witness.name, name))
        if gap is not None and equivalent(gap, max(e.margin, other.margin)):
            friends.append(other)
    group = [e, *friends]
    lineages = sorted({g.witness.lineage for g in group})
    names = tuple(g.witness.name for g in friends)
    if len(lineages) < 2:
        return Card(
            e,
            Verdict.CANNOT_TELL,
            f"sharp, but no witness of another lineage agrees on the place ({lineages[0]} only); "
            "bring weights, activations, loss or evaluations of the same run",
            names,
        )
    if not any(g.witness.continuous for g in group):
        return Card(e, Verdict.CANNOT_TELL, "sharp, but all agreeing witnesses are thresholded metrics", names)
    return Card(e, Verdict.TRANSITION, f"sharp, and agreed by {', '.join(names)} ({' and '.join(lineages)})", names)


def rank(witnesses: Sequence[Witness], setting: Setting) -> tuple[tuple[Evidence, float], ...]:
    """Exploratory witnesses by Benjamini-Hochberg q-value; no verdict is given on them."""
    looks = [first_look(w, setting) for w in witnesses]
    looks = [replace(e, excess=excess(e.witness)) for e in looks]
    judged = sorted((e for e in looks if e.judged is not None), key=lambda e: e.p_sharp)
    q, running = [], 1.0
    for k in range(len(judged), 0, -1):
        running = min(running, judged[k - 1].p_sharp * len(judged) / k)
        q.append(running)
    ranked = list(zip(judged, reversed(q), strict=True))
    return tuple(ranked + [(e, 1.0) for e in looks if e.judged is None])
