from __future__ import annotations

import numpy as np
import pytest

from opalesce.runs.spacing import spacing

POWERS = [0, *(2**i for i in range(10))]
PYTHIA = POWERS + list(range(1000, 143_001, 1000))


@pytest.mark.parametrize(
    "x",
    [
        PYTHIA,
        [*POWERS, 1000, *range(3000, 143_001, 10_000)],  # the published evaluations
        list(range(0, 601, 10)),
        [*range(0, 601, 100), 650],  # the last state is saved whenever the run ends
        [*range(4, 8001, 4), *range(8040, 20_000, 40)],
        [1, 2, 3, 5, 7, 10, 15, 22, 33, 47, 68, 100],
        [0, 1],
        [],
    ],
)
def test_honest_schedules_have_no_holes(x: list[int]) -> None:
    s = spacing(np.array(x, float))
    assert s.missing == []
    assert s.uneven == []


@pytest.mark.parametrize("gone", [[32], [32_000], [32_000, 33_000], [142_000], [16, 64, 5000, 90_000]])
def test_what_was_taken_out_is_found(gone: list[int]) -> None:
    s = spacing(np.array([v for v in PYTHIA if v not in gone], float))
    assert sorted(v for _, inside in s.missing for v in inside) == gone
    assert s.uneven == []


def test_a_step_off_the_grid_is_uneven() -> None:
    s = spacing(np.array([0, 100, 200, 300, 437, 500, 600, 700, 800], float))
    assert s.uneven == [(437.0,)]
    assert s.missing == []


def test_the_ends() -> None:
    assert spacing(np.array([0, 200, 300, 400, 500, 600.0])).missing[0][1] == (100.0,)
    assert spacing(np.array([0, 100, 200, 300, 400, 600.0])).missing[0][1] == (500.0,)


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_is_one_remark(seed: int) -> None:
    rng = np.random.default_rng(seed)
    s = spacing(np.sort(rng.choice(20_000, 500, replace=False)).astype(float))
    assert s.missing == []
    assert s.uneven == []
    assert s.regular < 0.5


def test_a_gap_beyond_belief_is_not_filled() -> None:
    found = spacing(np.array([0.0, 1, 2, 3, 4, 5, 6, 1e15, 1e15 + 1, 1e15 + 2]))
    assert found.missing == []
