"""The court: witnesses of one run in, verdicts out (COURT.md is the procedure)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from opalesce.theory.multiple import corrected
from opalesce.transitions.evidence import Evidence, Setting, dated, excess, first_look, sharpen
from opalesce.transitions.joint import (
    difference_interval,
    equivalent,
    place_replicates,
    seed_difference_interval,
    westfall_young,
)
from opalesce.transitions.power import power
from opalesce.transitions.twin import twin_evidence
from opalesce.transitions.verdict import Ruling, Verdict, alone, as_control
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


def look(
    witnesses: Sequence[Witness],
    setting: Setting,
    rng: np.random.Generator,
    peers: Mapping[str, Array] | None = None,
) -> list[Evidence]:
    """Evidence on the primary witnesses of one run, p-values corrected for all of them."""
    looks = [first_look(w, setting, len(witnesses)) for w in witnesses]
    index = [i for i, e in enumerate(looks) if e.judged is not None]
    m = max(1, len(index))
    if index:
        p = np.array([looks[i].p_sharp for i in index])
        adjusted = westfall_young([j for e in looks if (j := e.judged) is not None], p, rng)
        for i, a in zip(index, adjusted, strict=True):
            looks[i] = replace(looks[i], p_adjusted=float(a), p_smooth=min(1.0, m * looks[i].p_smooth))
    out = []
    for e in looks:
        e = sharpen(e, setting, m, rng)
        if min(e.p_adjusted, e.p_smooth) <= setting.alpha:
            e = replace(e, twin=twin_evidence(e, setting, m), p_unflagged=_unflagged(e, setting, m))
        out.append(replace(e, excess=excess(e.witness, (peers or {}).get(e.witness.name))))
    return out


def _unflagged(e: Evidence, setting: Setting, m: int) -> float | None:
    """Bonferroni p without the points that check flagged; None when it flagged none.

    NaN when too little is left to judge.
    """
    hit = e.witness.flagged & set(e.witness.x)
    if not hit:
        return None
    again = first_look(e.witness.without(frozenset(hit)), setting, m)
    return min(1.0, m * again.p_sharp) if again.judged is not None else math.nan


def judge(
    run: str,
    witnesses: Sequence[Witness],
    setting: Setting,
    rng: np.random.Generator,
    seed_places: Mapping[str, Array] | None = None,
    peers: Mapping[str, Array] | None = None,
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
    peers : mapping, optional
        Level of each witness at the end of the other seeds, shape (S,): they widen what is known of
        the spread between runs.
    """
    witnesses = [w.coarse(setting.axis.u(w.x)) for w in witnesses]
    primary = [w for w in witnesses if w.primary][:MAX_PRIMARY]
    evidence = look(primary, setting, rng, peers)
    by_name = {e.witness.name: e for e in evidence}
    found = []
    for e in evidence:
        pair = by_name.get(e.witness.pair or "")
        ruling = alone(e, setting.alpha, pair, _pair_power(e, pair, setting, rng))
        found.append((e, as_control(e, ruling) if e.witness.control else ruling))
    gaps = agreement([e for e, r in found if r.placed], rng, seed_places)
    cards = [_agree(e, ruling, found, gaps) for e, ruling in found]
    rest = [w for w in witnesses if not any(w is p for p in primary)]
    return Hearing(run, setting, tuple(cards), rank(rest, setting, rng), gaps)


def _pair_power(e: Evidence, pair: Evidence | None, setting: Setting, rng: np.random.Generator) -> float:
    """Power of the pair's test for a jump over the same share of its range, same place and width."""
    if pair is None or pair.judged is None or e.judged is None or e.p_adjusted > setting.alpha:
        return 0.0
    t, fit = pair.judged.table, pair.fit
    ratio = min(1.0, e.share) * pair.witness.spread() / fit.sigma
    return power(t, fit.noise, ratio, t.critical(setting.alpha / pair.shared), rng, e.fit.place, e.fit.width)


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


def _carriers(
    e: Evidence, found: Sequence[tuple[Evidence, Ruling]], gaps: Mapping[tuple[str, str], tuple[float, float]]
) -> list[Evidence]:
    """Witnesses that are sharp, large and beyond their twins, and agree with e on the place; e among them."""
    return [o for o, r in found if r.verdict is None and r.placed and (o is e or _together(e, o, gaps))]


def _lineages(group: Sequence[Evidence]) -> list[str]:
    return sorted({o.witness.lineage for o in group})


def _carried(group: Sequence[Evidence]) -> bool:
    """Two lineages, one continuous (COURT 12)."""
    return len(_lineages(group)) >= 2 and any(o.witness.continuous for o in group)


def _agree(
    e: Evidence,
    ruling: Ruling,
    found: Sequence[tuple[Evidence, Ruling]],
    gaps: Mapping[tuple[str, str], tuple[float, float]],
) -> Card:
    """The final card (docs/decisions/0003-court-agreement.md).

    A witness that carries needs carriers of another lineage that agree with it. One that supports
    needs a carrier that agrees with it *and* has its transition already: two carriers that contradict
    each other make none for a third between them.
    """
    if not ruling.placed:
        return Card(e, ruling.verdict or Verdict.CANNOT_TELL, ruling.reason)
    names = tuple(o.witness.name for o, r in found if r.placed and _together(e, o, gaps))
    group = _carriers(e, found, gaps)
    if ruling.verdict is None and _carried(group):
        carriers = ", ".join(o.witness.name for o in group if o is not e)
        return Card(
            e,
            Verdict.TRANSITION,
            f"sharp, and agreed by {carriers} ({' and '.join(_lineages(group))})",
            names,
        )
    if ruling.verdict is not None:
        proven = [o.witness.name for o in group if _carried(_carriers(o, found, gaps))]
        if not proven:
            return Card(e, ruling.verdict, ruling.reason, names)
        return Card(
            e,
            Verdict.TRANSITION,
            f"agrees on the place with {', '.join(proven)}, which carry the transition; {ruling.reason}",
            names,
        )
    if len(_lineages(group)) < 2:
        return Card(
            e,
            Verdict.CANNOT_TELL,
            f"sharp, but no witness of another lineage agrees on the place ({e.witness.lineage} only); "
            "bring weights, activations, loss or evaluations of the same run",
            names,
        )
    return Card(e, Verdict.CANNOT_TELL, "sharp, but all agreeing witnesses are thresholded metrics", names)


def _together(a: Evidence, b: Evidence, gaps: Mapping[tuple[str, str], tuple[float, float]]) -> bool:
    names = a.witness.name, b.witness.name
    gap = gaps.get(names) or gaps.get(names[::-1])
    return gap is not None and equivalent(gap, max(a.margin, b.margin))


def rank(
    witnesses: Sequence[Witness], setting: Setting, rng: np.random.Generator
) -> tuple[tuple[Evidence, float], ...]:
    """Exploratory witnesses by Benjamini-Hochberg q-value; no verdict is given on them."""
    looks = [dated(first_look(w, setting), setting, rng) for w in witnesses]
    judged = sorted((e for e in looks if e.judged is not None), key=lambda e: e.p_sharp)
    ranked = list(zip(judged, corrected([e.p_sharp for e in judged], "bh").tolist(), strict=True))
    return tuple(ranked + [(e, 1.0) for e in looks if e.judged is None])
