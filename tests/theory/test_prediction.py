"""Predictions are frozen once, cannot be changed unseen, and are judged by stated rules."""

from __future__ import annotations

import json

import numpy as np
import pytest

from opalesce.errors import FormatError, InputError
from opalesce.estimate import Estimate
from opalesce.theory.prediction import (
    Outcome,
    Prediction,
    freeze,
    judge_bound,
    judge_curve,
    judge_order,
    judge_place,
    thaw,
)

PLACE = Prediction("onset", "place", "percolation", "here", {"n": 3}, "at 1", (0.8,), (1.2,))
CURVE = Prediction("curve", "curve", "t", "s", {}, "band", (0.0, 0.0), (1.0, 1.0), (1.0, 2.0))
BOUND = Prediction("bound", "bound", "t", "s", {}, "never above", at=(1.0, 2.0))
ORDER = Prediction("order", "order", "t", "s", {}, "a, b, c", order=("a", "b", "c"))


def test_what_is_frozen_is_read_back_with_its_time_and_hash(tmp_path):
    first = freeze([PLACE, CURVE], tmp_path / "p.json")
    assert thaw(tmp_path / "p.json").sha256 == first.sha256
    assert freeze([PLACE, CURVE], tmp_path / "p.json").time == first.time


def test_a_frozen_file_is_not_overwritten_by_other_predictions(tmp_path):
    freeze([PLACE], tmp_path / "p.json")
    with pytest.raises(InputError, match="what is frozen stays"):
        freeze([CURVE], tmp_path / "p.json")


def test_a_change_after_freezing_is_seen(tmp_path):
    freeze([PLACE], tmp_path / "p.json")
    document = json.loads((tmp_path / "p.json").read_text())
    document["predictions"][0]["high"] = [9.0]
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match="changed after"):
        thaw(tmp_path / "p.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"predictions": [{"nonsense": 1}]}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(FormatError):
        thaw(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.9, 1.1, Outcome.MET),
        (1.3, 1.5, Outcome.MISSED),
        (0.1, 0.7, Outcome.MISSED),
        (0.9, 1.3, Outcome.CANNOT_TELL),
        (0.5, 1.5, Outcome.CANNOT_TELL),
        (1.3, np.inf, Outcome.MISSED),
        (1.0, np.inf, Outcome.CANNOT_TELL),
        (np.nan, np.nan, Outcome.CANNOT_TELL),
    ],
)
def test_places(low, high, outcome):
    assert judge_place(PLACE, Estimate(1.0, low, high)).outcome is outcome


@pytest.mark.parametrize(
    ("y", "outcome"),
    [
        ([0.5, 0.5], Outcome.MET),
        ([0.5, 1.5], Outcome.MISSED),
        ([0.5, np.nan], Outcome.CANNOT_TELL),
        ([np.nan, np.nan], Outcome.CANNOT_TELL),
    ],
)
def test_curves(y, outcome):
    assert judge_curve(CURVE, y).outcome is outcome


def test_a_bound_is_missed_only_beyond_its_error_and_met_only_with_power():
    assert judge_bound(BOUND, [0.01, -0.2], [0.01, 0.01], 3.0, 0.1).outcome is Outcome.MET
    assert judge_bound(BOUND, [0.05, -0.2], [0.01, 0.01], 3.0, 0.1).outcome is Outcome.MISSED
    assert judge_bound(BOUND, [0.05, -0.2], [0.1, 0.1], 3.0, 0.1).outcome is Outcome.CANNOT_TELL
    assert judge_bound(BOUND, [0.05, -0.2], [0.0, 0.0], 3.0, 0.1).outcome is Outcome.MISSED


def test_orders():
    seeds = np.random.default_rng(0).normal(1, 0.05, (3, 6))
    right = {"a": seeds[0], "b": 2 * seeds[1], "c": 4 * seeds[2]}
    assert judge_order(ORDER, right).outcome is Outcome.MET
    swapped = {"a": seeds[0], "b": 4 * seeds[1], "c": 2 * seeds[2]}
    assert judge_order(ORDER, swapped).outcome is Outcome.MISSED
    same = {"a": seeds[0], "b": 2 * seeds[1], "c": 2 * seeds[2]}
    assert judge_order(ORDER, same).outcome is Outcome.CANNOT_TELL
    few = {k: v[:2] for k, v in right.items()}
    assert judge_order(ORDER, few).outcome is Outcome.CANNOT_TELL


def test_orders_take_what_was_never_reached_as_later():
    never = {"a": np.full(4, 1.0), "b": np.full(4, 2.0), "c": np.full(4, np.inf)}
    assert judge_order(ORDER, never).outcome is Outcome.MET


def test_a_false_order_is_rarely_called_met():
    """Names in random order with no real difference: MET at most at the stated level (5 %) of trials."""
    generator = np.random.default_rng(1)
    n = 400
    outcomes = [
        judge_order(ORDER, dict(zip("abc", generator.normal(3, 0.2, (3, 5)), strict=True))).outcome
        for _ in range(n)
    ]
    wrong = sum(o is not Outcome.CANNOT_TELL for o in outcomes)
    assert wrong / n < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
