"""Evidence on one witness: dates, excess, events, and what cannot be judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from opalesce.runs.run import Axis, Event
from opalesce.transitions.evidence import Setting, excess, first_look, halfway, sharpen
from opalesce.transitions.smooth import logistic
from opalesce.transitions.twin import twin_evidence
from opalesce.transitions.witness import Witness

LINEAR = Setting(Axis("step", "steps", "linear", 1.0))
X = np.arange(41.0)


def step(place=20.3, height=20.0, width=1.0, seed=0):
    return height * logistic(X, place, width) + np.random.default_rng(seed).standard_normal(41)


def look(witness, setting=LINEAR, seed=0):
    """One witness alone: nothing to correct for."""
    e = first_look(witness, setting)
    return sharpen(replace(e, p_adjusted=e.p_sharp), setting, 1, np.random.default_rng(seed))


def test_a_planted_step_is_placed_with_its_height_and_width():
    e = look(Witness("w", X, step()))
    assert e.p_sharp <= 0.002
    assert e.place.low <= 20.3 <= e.place.high
    assert e.place.high - e.place.low >= 1  # the least interval is one spacing
    assert e.height.low <= 20 <= e.height.high
    assert e.width.high <= e.wstar / 2
    assert e.share == pytest.approx(1, abs=0.25)
    assert (e.wstar, e.spacing, e.margin) == (10, 1, 2.5)


def test_places_come_back_in_units_of_a_log_axis():
    x = np.unique(np.round(np.geomspace(10, 10_000, 41)))
    axis = Axis("step", "steps", "log", 10.0)
    y = 20 * logistic(np.log10(1 + x / 10), np.log10(1 + 500 / 10), 0.1)
    e = look(Witness("w", x, y + np.random.default_rng(1).standard_normal(len(x))), Setting(axis))
    assert e.place.low <= 500 <= e.place.high
    assert 300 < e.place.value < 800
    assert e.wstar == 0.8


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.r_[np.zeros(40), np.nan], "not finite, first at 40"),
        (np.full(41, 3.0), "constant"),
    ],
)
def test_what_cannot_be_judged_gets_a_sentence(y, said):
    e = look(Witness("w", X, y))
    assert said in e.status
    assert (e.judged, e.p_sharp, e.p_adjusted) == (None, 1.0, 1.0)


def test_too_few_points_is_a_status_with_what_to_do():
    e = first_look(Witness("w", X[:8], np.arange(8.0) % 3), LINEAR)
    assert "at least 12" in e.status
    assert "add checkpoints" in e.status


def test_halfway_of_a_ramp_in_closed_form():
    """y = x from 0 to 40: levels are means of the first and last four points, half-way at exactly 20."""
    e = first_look(Witness("w", X, X + 0.0), LINEAR)
    found = halfway(e, LINEAR, np.random.default_rng(0))
    assert found.value == pytest.approx(20)
    uneven = np.r_[np.zeros(10), np.ones(31)] + 1e-9 * np.random.default_rng(0).standard_normal(41)
    at = halfway(first_look(Witness("w", X, uneven), LINEAR), LINEAR, np.random.default_rng(0))
    assert at.value == pytest.approx(9.5, abs=1e-6)
    assert at.low <= at.value <= at.high


def test_no_halfway_without_a_change():
    y = np.where(X % 2 == 0, 1.0, -1.0)
    y[:4] = y[-4:] = 0
    assert "alike" in halfway(first_look(Witness("w", X, y), LINEAR), LINEAR, np.random.default_rng(0)).status


def test_excess_is_a_t_interval_over_twins():
    rng = np.random.default_rng(2)
    twins = rng.standard_normal((4, 41))
    y = 5 + rng.standard_normal(41)
    ends = twins[:, -4:].mean(1)
    found = excess(Witness("w", X, y, twins=twins))
    value = y[-4:].mean() - ends.mean()
    low, high = student.interval(0.9, 3, loc=value, scale=ends.std(ddof=1) * np.sqrt(1 + 1 / 4))
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))
    assert excess(Witness("w", X, y)).status == "no null run"
    assert "no spread" in excess(Witness("w", X, y, twins=twins[:1])).status


def test_excess_pools_the_spread_of_seeds():
    rng = np.random.default_rng(3)
    twins, peers, y = rng.standard_normal((2, 41)), rng.standard_normal(3), rng.standard_normal(41)
    a, b = twins[:, -4:].mean(1), np.append(peers, y[-4:].mean())
    pooled = (a.var() * 2 + b.var() * 4) / (1 + 3)
    found = excess(Witness("w", X, y, twins=twins), peers)
    half = student.ppf(0.95, 4) * np.sqrt(pooled * 1.5)
    assert found.high - found.value == pytest.approx(half)


def test_a_step_at_a_known_event_is_the_events_and_elsewhere_it_is_not():
    for at, near in ((20.5, True), (33.0, False)):
        setting = Setting(LINEAR.axis, (Event(at, "decay start"),))
        e = look(Witness("w", X, step(height=30)), setting)
        assert (e.p_sharp <= 0.05) is not near  # the event's own columns take the step up
        if not near:
            assert e.event is None
    close = Setting(LINEAR.axis, (Event(18.9, "restart"),))
    e = look(Witness("w", X, step(height=60, width=0.1)), close)
    assert e.event == close.events[0]  # within two spacings: reported as the event's


def test_twin_that_steps_at_the_same_place_is_seen():
    rng = np.random.default_rng(4)
    calm = rng.standard_normal((3, 41))
    own = twin_evidence(look(Witness("w", X, step(height=60), twins=calm)), LINEAR, 1)
    assert (own.same_place, own.beyond, own.n) == (False, True, 3)
    assert own.rank_p == 1 / 4  # never below 1 / (K + 1)
    assert own.ratio.low > 1
    assert own.own_share == pytest.approx(1, abs=0.2)
    one_steps = calm + np.array([[0.0], [0.0], [1.0]]) * step(height=60, seed=5)
    seen = twin_evidence(look(Witness("w", X, step(height=60), twins=one_steps)), LINEAR, 1)
    assert seen.same_place


def test_a_change_of_all_twins_is_not_the_runs_own():
    """The run is flat, its twins step: real minus twin steps too, and own_share says whose it is."""
    rng = np.random.default_rng(6)
    twins = rng.standard_normal((3, 41)) + 20 * logistic(X, 20.3, 1.0)
    e = look(Witness("w", X, rng.standard_normal(41), twins=twins))
    assert e.p_sharp <= 0.05
    assert abs(twin_evidence(e, LINEAR, 1).own_share) < 0.2


def test_power_and_smallest_step_are_in_units_of_the_witness():
    small = look(Witness("w", X, step(height=0)))
    large = look(Witness("w", X, 1000 * step(height=0)))
    assert large.smallest == pytest.approx(1000 * small.smallest, rel=1e-9)
    assert large.power == small.power
    assert 2 * small.sigma < small.smallest < 20 * small.sigma
    assert 0 <= small.false_alarm <= 0.06
