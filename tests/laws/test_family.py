"""Forecasts from runs of one family: coverage on simulated families, and what such a forecast cannot know."""

from __future__ import annotations

import numpy as np
import pytest

import opalesce
from opalesce.errors import InputError
from opalesce.laws.family import regress

STEPS = np.geomspace(10, 1000, 30)
SEEN = 20


def family(rng, n=8, noise=0.01, turn=0.0):
    """Curves whose late slope goes with their level, as a ladder of sizes has it."""
    out = {}
    for i in range(n):
        level = rng.normal(0, 0.5)
        u = np.log(STEPS / STEPS[SEEN - 1])
        late = np.maximum(u, 0) * (-0.1 + 0.1 * level + turn * (-1) ** i)
        out[f"run {i}"] = (
            STEPS,
            np.exp(1 + level - 0.1 * np.minimum(u, 0) + late + rng.normal(0, noise, 30)),
        )
    return out


def one_left_out(runs, name, **kind):
    x, y = runs[name]
    others = {k: r for k, r in runs.items() if k != name}
    return opalesce.forecast(x[:SEEN], y[:SEEN], to=x[SEEN:], family=others, **kind)


def test_intervals_hold_where_those_of_the_curve_alone_do_not():
    # 25 families of 8 whose slopes change after the last point: the share inside of 90 % intervals, one
    # family counting once; its standard error is at most .06 even if a family stood and fell together
    rng = np.random.default_rng(0)
    held, alone = [], []
    for i in range(25):
        runs = family(rng)
        x, y = runs["run 0"]
        f = one_left_out(runs, "run 0")
        held.append(np.mean((f.lower <= y[SEEN:]) & (y[SEEN:] <= f.upper)))
        if i < 8:
            g = opalesce.forecast(x[:SEEN], y[:SEEN], to=x[SEEN:])
            alone.append(
                np.abs(np.log(g.median / y[SEEN:])).mean() / np.abs(np.log(f.median / y[SEEN:])).mean()
            )
    assert 0.82 <= np.mean(held) <= 1.0
    assert np.median(alone) > 1.2


def test_the_level_tells_the_slope():
    # without noise D is linear in the level, up to the prior's pull towards no change (one member in nine)
    place = np.linspace(-1, 1, 8)
    after = np.outer(place, [0.5, 1.0])
    middle, half = regress(place, after, 1.0, 0.9)
    assert middle == pytest.approx([0.5 * 8 / 9, 8 / 9], rel=1e-9)
    assert (half > 0).all()


def test_coverage_is_of_members_left_out():
    rng = np.random.default_rng(1)
    runs = family(rng)
    f = one_left_out(runs, "run 3")
    assert f.tested == 7 * 10
    assert f.coverage[0.5] <= f.coverage[0.8] <= f.coverage[0.95]
    runs["run 5"] = (STEPS, np.where(STEPS[SEEN - 1] < STEPS, 30.0, 1.0) * runs["run 5"][1])  # breaks away
    wide = one_left_out(runs, "run 3")
    assert np.log(wide.upper / wide.lower).mean() > 5 * np.log(f.upper / f.lower).mean()


def test_what_a_family_cannot_know_is_said():
    rng = np.random.default_rng(2)
    told = " ".join(one_left_out(family(rng, turn=0.3), "run 0").warnings)
    assert "does not settle the direction" in told
    runs = family(rng)
    x, y = runs["run 0"]
    runs["high"] = (x, 50 * y)
    assert "above every member" in " ".join(one_left_out(runs, "high").warnings)
    runs["copy"] = runs["run 1"]
    assert "counted as one run" in " ".join(one_left_out(runs, "run 0").warnings)
    runs["short"] = tuple(c[:10] for c in runs["run 2"])
    assert "short does not reach" in " ".join(one_left_out(runs, "run 0").warnings)


def test_bad_families():
    x, y = family(np.random.default_rng(3))["run 0"]
    others = family(np.random.default_rng(4), n=3)
    with pytest.raises(InputError, match="too few members"):
        opalesce.forecast(x[:SEEN], y[:SEEN], to=[900.0], family={"run 1": others["run 1"]})
    with pytest.raises(InputError, match="too few members"):
        opalesce.forecast(x[:SEEN], y[:SEEN], to=[2000.0], family=others)
    with pytest.raises(InputError, match="after the data"):
        opalesce.forecast(x[:SEEN], y[:SEEN], to=[20.0], family=others)
    with pytest.raises(InputError, match="one of them"):
        opalesce.forecast(x[:SEEN], y[:SEEN], to=[900.0], family=others, law="M2")
