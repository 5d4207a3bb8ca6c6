"""The verdict on one witness is a pure function of its evidence: one row a rule."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from opalesce.estimate import Estimate
from opalesce.runs.run import Axis, Event
from opalesce.transitions.evidence import Evidence, Setting, TwinEvidence, first_look
from opalesce.transitions.verdict import Verdict, alone
from opalesce.transitions.witness import Witness

ALPHA = 0.05
GONE = Evidence(Witness("gone", np.arange(20.0), np.zeros(20)), status="the curve is constant")


@cache
def sharp(range_=10.0):
    """Evidence of a clear case: W* = 5, sharp, narrow, large, no twin, no event."""
    x = np.arange(20.0)
    w = Witness("w", x, np.linspace(0, range_, 20) + 1e-3 * np.sin(9 * x), flagged=frozenset({3.0}))
    e = first_look(w, Setting(Axis("step", "steps", "linear", 1.0)))
    return replace(
        e,
        p_sharp=0.001,
        p_adjusted=0.003,
        p_smooth=0.001,
        place=Estimate(10.0, 9.5, 10.5),
        width=Estimate(1.0, 0.5, 2.0),
        height=Estimate(6.0, 5.0, 7.0),
        power=0.95,
        smallest=5.0,
        sigma=1.0,
        wstar=5.0,
        spacing=1.0,
        twin=None,
        event=None,
        p_unflagged=None,
    )


def twin(same_place=False, beyond=True, own_share=1.0):
    return TwinEvidence(2, Estimate(9.0), 1 / 3, same_place, beyond, own_share)


def but(**changes):
    return replace(sharp(), **changes)


calm = {"p_adjusted": 0.4, "p_sharp": 0.2, "wander": 2.0}

RULES = [
    ("sharp, narrow, large", but(), None, True),
    ("p at alpha counts", but(p_adjusted=0.05), None, True),
    ("beyond its twins", but(twin=twin()), None, True),
    ("flagged points do not matter", but(p_unflagged=0.001), None, True),
    ("gone without flagged points", but(p_unflagged=0.3), Verdict.DATA_FAULT, False),
    ("a fault comes before the twin", but(p_unflagged=0.3, twin=twin(True)), Verdict.DATA_FAULT, False),
    ("a twin steps at the same place", but(twin=twin(same_place=True)), Verdict.NOT_SUPPORTED, False),
    ("the change is the twins' own", but(twin=twin(own_share=0.4)), Verdict.NOT_SUPPORTED, False),
    ("or goes the other way", but(twin=twin(own_share=-1.0)), Verdict.NOT_SUPPORTED, False),
    ("half of it is enough", but(twin=twin(own_share=0.5)), None, True),
    ("at a known event", but(event=Event(10.0, "decay start")), Verdict.NOT_SUPPORTED, False),
    ("surely wider than W*/2", but(width=Estimate(4.0, 2.6, 6.0)), Verdict.CROSSOVER, False),
    ("width on both sides of W*/2", but(width=Estimate(2.0, 1.0, 2.6)), Verdict.CANNOT_TELL, True),
    ("fitted wide, not surely so", but(width=Estimate(4.0, 1.0, 6.0)), Verdict.CANNOT_TELL, True),
    ("width just inside", but(width=Estimate(2.0, 1.0, 2.5)), None, True),
    ("less than a quarter of the range", but(height=Estimate(2.4)), Verdict.CROSSOVER, True),
    ("downwards is as good", but(height=Estimate(-6.0)), None, True),
    ("smooth, a step would be seen", but(**calm), Verdict.CROSSOVER, False),
    ("smooth, power exactly 0.8", but(**calm, power=0.8), Verdict.CROSSOVER, False),
    ("smooth, a step might be missed", but(**calm, power=0.79), Verdict.CANNOT_TELL, False),
    ("no more than a twin moves", but(**calm, twin=twin(beyond=False)), Verdict.NOT_SUPPORTED, False),
    ("nothing, and it would be seen", but(**calm, p_smooth=0.3), Verdict.NOT_SUPPORTED, False),
    ("nothing, at the limit of 8 sd", but(**calm, p_smooth=0.3, smallest=8.0), Verdict.NOT_SUPPORTED, False),
    ("nothing, but who knows", but(**calm, p_smooth=0.3, smallest=8.1), Verdict.CANNOT_TELL, False),
    ("it wanders", but(**{**calm, "wander": 8.1}, p_smooth=0.3), Verdict.CANNOT_TELL, False),
    ("nothing can be seen at all", but(**calm, p_smooth=0.3, smallest=np.inf), Verdict.CANNOT_TELL, False),
    ("not judged", GONE, Verdict.CANNOT_TELL, False),
]


@pytest.mark.parametrize(("e", "verdict", "placed"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_rule(e, verdict, placed):
    ruling = alone(e, ALPHA, None, 0.0)
    assert (ruling.verdict, ruling.placed) == (verdict, placed)
    assert bool(ruling.reason) == (verdict is not None)


PAIRS = [
    ("pair steps too", but(), 0.9, None),
    ("pair does not, and would", but(**calm), 0.8, Verdict.METRIC_ARTEFACT),
    ("pair does not, but might not", but(**calm), 0.79, Verdict.CANNOT_TELL),
    ("pair was not judged", GONE, 0.0, None),
    ("no pair", None, 0.0, None),
]


@pytest.mark.parametrize(("pair", "power", "verdict"), [r[1:] for r in PAIRS], ids=[r[0] for r in PAIRS])
def test_a_thresholded_metric_needs_its_continuous_pair(pair, power, verdict):
    assert alone(sharp(), ALPHA, pair, power).verdict is verdict


def test_a_pair_does_not_make_a_calm_metric_jump():
    assert alone(but(**calm), ALPHA, but(), 1.0).verdict is Verdict.CROSSOVER


def test_reasons_name_numbers_and_what_would_tell():
    assert "decay start at 10" in alone(but(event=Event(10.0, "decay start")), ALPHA, None, 0).reason
    assert "(3)" in alone(but(p_unflagged=0.3), ALPHA, None, 0).reason
    assert "more checkpoints near 10" in alone(but(width=Estimate(2.0, 1.0, 2.6)), ALPHA, None, 0).reason
    assert "more points would tell" in alone(but(**calm, p_smooth=0.3, smallest=9.0), ALPHA, None, 0).reason


def test_there_are_six_verdicts():
    assert [str(v) for v in Verdict] == [
        "TRANSITION",
        "CROSSOVER",
        "METRIC ARTEFACT",
        "DATA FAULT",
        "NOT SUPPORTED",
        "CANNOT TELL",
    ]
