"""Three phases: planted breaks, the published table, a straight line, and the relaxation of AdamW."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

from opalesce.errors import InputError
from opalesce.theory.npm.hinges import broken_line
from opalesce.theory.npm.phases import PYTHIA_70M, fit_terminal, relaxation, three_phases

STEP = np.r_[0, np.geomspace(10, 1e5, 29)]
U = np.log1p(STEP)


def planted(rng: np.random.Generator, noise: float) -> dict[str, np.ndarray]:
    """Flat, then large weights appear, then they go while cv rises; breaks at 300 and 10 000."""
    one, two = np.maximum(U - math.log(301), 0), np.maximum(U - math.log(10_001), 0)
    pure = {"cv": 0.8 + 0.3 * two, "large": 0.02 * one - 0.06 * two, "gini": 0.43 + 0.01 * one}
    return {k: v + noise * np.ptp(v) * rng.standard_normal(len(U)) for k, v in pure.items()}


def test_published_table() -> None:
    # reference 01, row 34: breaks in (512, 4000) and (16000, 64000)
    stats = {k: PYTHIA_70M[k] for k in ("cv", "gini", "large")}
    found = three_phases(PYTHIA_70M["step"], stats, PYTHIA_70M["size"], np.random.default_rng(0))
    first, second = found.breaks
    assert 512 < first.value < 4000
    assert 16000 < second.value < 64000
    assert [p.name for p in found.phases] == ["pressurisation", "breakthrough", "reorganisation"]


def test_planted_breaks_and_names() -> None:
    held = np.zeros(2)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        stats = planted(rng, 0.03)
        size = 0.02 + stats["large"].clip(0)
        found = three_phases(STEP, stats, size, rng, draws=100)
        assert len(found.breaks) == 2
        assert [p.name for p in found.phases][1:] == ["breakthrough", "reorganisation"]
        held += [b.low <= truth <= b.high for b, truth in zip(found.breaks, (300, 10_000), strict=True)]
    # 90 % intervals: below 15 of 20 has probability 0.011 each if they hold
    assert (held >= 15).all()


@pytest.mark.parametrize("n", [10, 30])
def test_straight_line_is_broken_at_the_stated_rate(n: int) -> None:
    rng = np.random.default_rng(n)
    step = np.r_[0, np.geomspace(10, 1e5, n - 1)]
    runs = 200
    broken = sum(
        len(broken_line(step, 0.3 * np.log1p(step) + rng.standard_normal(n)).breaks) > 0 for _ in range(runs)
    )
    # stated: 5 % at 10 steps, 1 % at 30, each known to 1 % (500 runs)
    assert broken <= binom.ppf(0.999, runs, {10: 0.06, 30: 0.02}[n])


def test_search_agrees_with_a_slow_twin() -> None:
    rng = np.random.default_rng(3)
    step = np.r_[0, np.geomspace(5, 5000, 11)]
    y = rng.standard_normal((12, 2)).cumsum(axis=0)
    line = broken_line(step, y, most=2)
    u = np.log1p(step)
    places = np.interp(np.linspace(0, 11, 41), np.arange(12), u)[1:-1]
    best = {}
    for k in range(3):
        values = []
        for knots in combinations(places, k):
            cut = [0, *(int((u < v).sum()) for v in knots), 12]
            if min(np.diff(cut)) >= 3:
                x = np.column_stack([np.ones(12), u, *(np.maximum(u - v, 0) for v in knots)])
                rss = ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum(axis=0)
                values.append(12 * np.log(rss / 12).sum() + (2 * (2 + k) + 3 * k) * math.log(24))
        best[k] = min(values)
    assert line.bic == pytest.approx(list(best.values()), rel=1e-8)
    assert len(line.breaks) == min(best, key=best.__getitem__)


def test_exact_line_gives_exact_slopes() -> None:
    line = broken_line(STEP, np.column_stack([2 + 3 * U, 1 - U]), most=1)
    assert not line.breaks.size
    assert line.slopes[0] == pytest.approx([3, -1], rel=1e-9)


def test_units_do_not_move_breaks() -> None:
    stats = planted(np.random.default_rng(1), 0.05)
    y = np.column_stack(list(stats.values()))
    moved = broken_line(STEP, y * [100, 1e-3, 7] + [5, 0, -2])
    assert moved.breaks == pytest.approx(broken_line(STEP, y).breaks)


def test_relaxation_closed_form_and_schedule() -> None:
    t = np.linspace(0, 5000, 101)
    assert relaxation(t, 0.1, 0.03, 1e-3) == pytest.approx(0.03 + 0.07 * np.exp(-t / 1000), rel=1e-12)
    assert relaxation(t, 0.1, 0.03, 0.0) == pytest.approx(0.1)
    rate = np.linspace(1e-3, 0, 101)  # integral of the rate over the run is 2.5
    assert relaxation(t, 0.1, 0.0, rate)[-1] == pytest.approx(0.1 * math.exp(-2.5), rel=1e-9)


def test_terminal_size_is_recovered() -> None:
    t = np.geomspace(100, 1e5, 20)
    goal, error = fit_terminal(t, 0.02 + 0.05 * np.exp(-(t - 100) / 3e4), 3e4)
    assert goal == pytest.approx(0.02, rel=1e-9)
    assert error < 1e-12


@pytest.mark.parametrize(
    "call",
    [
        lambda: broken_line([0, 1, 1, 2, 3, 4], np.zeros(6)),
        lambda: broken_line([0, 1, 2], np.zeros(3)),
        lambda: broken_line(STEP, np.zeros(5)),
        lambda: broken_line(STEP, np.full(30, np.nan)),
        lambda: broken_line(STEP, U, most=4),
        lambda: three_phases(STEP, {"cv": U}, U + 1, np.random.default_rng(0)),
        lambda: three_phases(STEP, {"cv": U, "large": U[:3]}, U + 1, np.random.default_rng(0)),
        lambda: three_phases(STEP, {"cv": U, "large": U}, U, np.random.default_rng(0)),
        lambda: relaxation([0, 1], 1.0, [1.0, 2.0, 3.0], 0.1),
        lambda: relaxation([1, 0], 1.0, 1.0, 0.1),
        lambda: fit_terminal([0, 1], [1, 2], 3.0),
        lambda: fit_terminal([0, 1, 2], [1, 2, 3], 0.0),
    ],
)
def test_bad_input(call) -> None:
    with pytest.raises(InputError):
        call()
