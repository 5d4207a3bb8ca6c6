"""Threshold estimators on lattices whose threshold is known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.threshold import at_value, crossing, extrapolate, gap, normal, peak, stderr
from opalesce.theory.percolation.wrapping import torus


def sweeps(size, number, seed, **kwargs):
    return sweep(lattice("square", size), "bond", number, rng=np.random.default_rng([40, seed]), **kwargs)


@pytest.fixture(scope="module")
def measured():
    return {size: sweeps(size, number, size) for size, number in ((8, 3000), (16, 2000), (32, 1000))}


@pytest.mark.parametrize("event", ["either", "axis", "all"])
def test_wrapping_meets_its_exact_value_at_one_half(measured, event):
    # p_c = 1/2 (kesten1980critical); shift of order L^-2.75 = 7e-5
    e = at_value(measured[32], getattr(torus(), event), event)
    assert 0 < stderr(e) < 1.2e-3
    assert e.value == pytest.approx(0.5, abs=4 * stderr(e) + 1e-4)
    assert e.low < e.value < e.high


def test_error_of_the_threshold_is_its_scatter():
    # 100 runs: spread known to 7 %
    found = [at_value(sweeps(8, 100, 100 + i, sizes=False), torus().axis) for i in range(100)]
    claimed = np.mean([stderr(e) for e in found])
    assert np.std([e.value for e in found], ddof=1) == pytest.approx(claimed, rel=0.3)
    inside = np.mean([e.low <= 0.5 <= e.high for e in found])
    assert inside > 0.9 - 0.13  # level 0.9, four standard errors of 0.03; p_c(8) is shifted by less


def test_sizes_cross_at_the_threshold(measured):
    e = crossing(measured[8], measured[32])
    assert stderr(e) < 2e-3
    assert e.value == pytest.approx(0.5, abs=4 * stderr(e) + 5e-4)
    with pytest.raises(InputError, match="do not cross"):
        crossing(measured[32], measured[8])


def test_peaks_lie_within_the_width_of_the_transition(measured):
    # shift of order L^(-1/nu) = 32^(-3/4) = 0.074; the mean size peaks below p_c, as does S2
    for quantity in ("S2", "chi"):
        e = peak(measured[32], quantity, rng=np.random.default_rng(1), window=(0.3, 0.7))
        assert e.ok
        assert e.low <= e.value <= e.high
        assert 0.5 - 0.074 < e.value < 0.5 + 0.02
    end = peak(measured[32], "S2", rng=np.random.default_rng(1), window=(0.55, 0.7))
    assert "end of the window" in end.status
    with pytest.raises(InputError, match="quantity"):
        peak(measured[32], "S9", rng=np.random.default_rng(1))


def test_largest_gap(measured):
    place, size = gap(measured[32])
    assert abs(place.value - 0.5) < 0.074
    smaller = gap(measured[8])[1]
    # size falls as L^(-beta/nu) = 4^(-5/48) = 0.866 from L = 8 to 32
    assert size.value / smaller.value == pytest.approx(4 ** (-5 / 48), abs=0.06)
    assert place.low < place.value < place.high


def test_extrapolation_finds_a_planted_shift():
    rng, sizes = np.random.default_rng(2), np.array([8, 16, 32, 64])
    se, pulls = 1e-4, []
    for _ in range(200):
        p = 0.3 + 0.7 * sizes**-2.0 + se * rng.standard_normal(4)
        p_c, a = extrapolate(sizes, [normal(x, se, 1, "") for x in p], 2.0)
        pulls.append([(p_c.value - 0.3) / stderr(p_c), (a.value - 0.7) / stderr(a)])
    pulls = np.array(pulls)
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(200)
    assert pulls.std(axis=0) == pytest.approx([1, 1], abs=4 / np.sqrt(400))
    p = 0.3 + 0.7 * sizes**-0.5
    wrong, _ = extrapolate(sizes, [normal(x, se, 1, "") for x in p], 2.0)
    assert "smallest size" in wrong.status


def test_what_cannot_be_estimated(measured):
    with pytest.raises(InputError, match="monotone"):
        at_value(measured[8], 0.1, "one")
    with pytest.raises(InputError, match="does not pass"):
        at_value(measured[8], 1.2)
    silent = sweeps(8, 10, 1, wrapping=False)
    with pytest.raises(InputError, match="nothing that wraps"):
        at_value(silent, 0.5)
    with pytest.raises(InputError, match="not recorded"):
        gap(sweeps(8, 10, 1, sizes=False))
    with pytest.raises(InputError, match="different sizes"):
        extrapolate([8, 8], [normal(0.5, 0.1, 1, "")] * 2, 2.0)
    with pytest.raises(InputError, match="interval"):
        extrapolate([8, 16], [normal(0.5, 0.0, 1, "")] * 2, 2.0)
