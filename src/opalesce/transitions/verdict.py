"""The verdict: a pure function of the evidence (COURT, table of verdicts)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from opalesce.transitions.evidence import LARGE, Evidence
from opalesce.transitions.power import GOAL

NOTABLE = 8.0  # noise sd: a step that large must be seeable before its absence is "not supported"


OWN = 0.5  # share of the height, real minus twin, that the run itself must show at that place


class Verdict(StrEnum):
    """The six verdicts, and no others."""

    TRANSITION = "TRANSITION"
    CROSSOVER = "CROSSOVER"
    METRIC_ARTEFACT = "METRIC ARTEFACT"
    DATA_FAULT = "DATA FAULT"
    NOT_SUPPORTED = "NOT SUPPORTED"
    CANNOT_TELL = "CANNOT TELL"


@dataclass(frozen=True)
class Ruling:
    """What one witness says on its own.

    `verdict` None: sharp, large and beyond its twin; the others are asked. `placed`: a sharp
    change of the run's own, whose place others may confirm, even if it is small or its width
    is not settled.
    """

    verdict: Verdict | None
    reason: str = ""
    placed: bool = False


def alone(e: Evidence, alpha: float, pair: Evidence | None, pair_power: float) -> Ruling:
    """Ruling on one witness before the others are asked.

    Parameters
    ----------
    e : Evidence
    alpha : float
    pair : Evidence, optional
        The continuous pair of a thresholded metric.
    pair_power : float
        Power of the pair's test for the jump that the threshold implies.
    """
    if e.judged is None:
        return Ruling(Verdict.CANNOT_TELL, e.status)
    if e.p_adjusted > alpha:
        return Ruling(*_no_rejection(e, alpha))
    if e.p_unflagged is not None and math.isnan(e.p_unflagged):
        return Ruling(Verdict.CANNOT_TELL, "too few points are left without those that check flagged")
    if e.p_unflagged is not None and e.p_unflagged > alpha:
        places = ", ".join(f"{x:g}" for x in sorted(e.witness.flagged)[:5])
        return Ruling(
            Verdict.DATA_FAULT,
            f"the sharp change is gone (p = {e.p_unflagged:.3g}) without the points that check flagged "
            f"({places})",
        )
    if e.twin is not None and e.twin.same_place:
        return Ruling(
            Verdict.NOT_SUPPORTED, "a null run, with nothing to learn, changes sharply at the same place"
        )
    if e.twin is not None and e.twin.own_share < OWN:
        return Ruling(Verdict.NOT_SUPPORTED, "the change is in the null runs, not in this run")
    if e.event is not None:
        return Ruling(
            Verdict.NOT_SUPPORTED,
            f"the change sits at a known event ({e.event.kind} at {e.event.x:g}): "
            "its effect, not a discovery",
        )
    if pair is not None and pair.judged is not None and pair.p_adjusted > alpha:
        return Ruling(*_unpaired(e, pair, pair_power))
    return _sharp(e)


def _unpaired(e: Evidence, pair: Evidence, pair_power: float) -> tuple[Verdict, str]:
    if pair_power >= GOAL:
        return (
            Verdict.METRIC_ARTEFACT,
            f"the thresholded metric jumps, its continuous pair {pair.witness.name!r} does not "
            f"(p = {pair.p_adjusted:.2g}), though a matching jump would be seen with power {pair_power:.2f}",
        )
    return (
        Verdict.CANNOT_TELL,
        f"the continuous pair {pair.witness.name!r} shows no jump, but would show one with power "
        f"{pair_power:.2f} only; more checkpoints near {e.place.value:.4g}, or more test items, would tell",
    )


def _no_rejection(e: Evidence, alpha: float) -> tuple[Verdict, str]:
    if e.p_smooth <= alpha:
        if e.twin is not None and not e.twin.beyond:
            return Verdict.NOT_SUPPORTED, "it moves no further than a null run does, with nothing to learn"
        if e.power >= GOAL:
            return (
                Verdict.CROSSOVER,
                f"it changes (p = {e.p_smooth:.2g} against a constant), smoothly: no sharp part "
                f"(p = {e.p_adjusted:.2g}), and a sharp quarter of its range would be seen with power "
                f"{e.power:.2f}",
            )
        return (
            Verdict.CANNOT_TELL,
            f"it changes (p = {e.p_smooth:.2g}); whether sharply is not decided: a sharp quarter of its "
            f"range would be seen with power {e.power:.2f} only; more checkpoints or less noise would tell",
        )
    if e.wander > NOTABLE:
        return (
            Verdict.CANNOT_TELL,
            f"it goes {e.wander:.0f} times as far as neighbours differ, but noise as correlated as these "
            f"points allow could do that too (p = {e.p_smooth:.2g}); more points, or a null run, would tell",
        )
    if e.smallest <= NOTABLE * e.sigma:
        return (
            Verdict.NOT_SUPPORTED,
            f"no change beyond noise (p = {min(1.0, e.p_adjusted):.2g}); a step of {e.smallest:.3g} "
            f"would be seen with power {GOAL}",
        )
    if math.isinf(e.smallest):
        return Verdict.CANNOT_TELL, "no step of any size would be seen here; more points would tell"
    return (
        Verdict.CANNOT_TELL,
        f"no change is seen, but only a step above {e.smallest:.3g} would be; more points would tell",
    )


def _sharp(e: Evidence) -> Ruling:
    limit = e.wstar / 2
    if e.width.low > limit:
        return Ruling(
            Verdict.CROSSOVER,
            f"the change is {e.width.value:.2g} wide [{e.width.low:.2g}, {e.width.high:.2g}], "
            f"above W*/2 = {limit:.2g}: not sharp at this resolution",
        )
    if e.share < LARGE:
        return Ruling(
            Verdict.CROSSOVER,
            f"mostly smooth: its sharp part, near {e.place.value:.4g}, is {100 * e.share:.3g} % of its "
            f"range, below {100 * LARGE:.0f} %",
            placed=True,
        )
    if e.width.high > limit:
        return Ruling(
            Verdict.CANNOT_TELL,
            f"the width lies in [{e.width.low:.2g}, {e.width.high:.2g}], on both sides of W*/2 = "
            f"{limit:.2g}; more checkpoints near {e.place.value:.4g} would tell",
            placed=True,
        )
    return Ruling(None, placed=True)


def as_control(e: Evidence, ruling: Ruling) -> Ruling:
    """A control may be described, but it confirms nothing (COURT 1: declared before judging)."""
    if ruling.verdict is not None:
        return Ruling(ruling.verdict, ruling.reason)
    return Ruling(
        Verdict.CANNOT_TELL,
        f"sharp near {e.place.value:.4g}, but called as a control: generic measures move for other reasons",
    )
