"""Wrapping at the threshold: closed forms, symmetries, and sweeps."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.canonical import probability
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.tables import threshold
from opalesce.theory.percolation.wrapping import CUBIC_ALL, CUBIC_AXIS, CUBIC_EITHER, torus

RHOMBUS = cmath.exp(1j * math.pi / 3)


def test_square_torus():
    # newman2001fast, eqs. 12 to 17 (after pinson1994critical), evaluated to 20 digits
    w = torus(1j)
    assert w.either == pytest.approx(0.69047372457017, abs=1e-12)
    assert w.one == pytest.approx(0.16941543532135, abs=1e-12)
    assert w.axis == pytest.approx(0.52105828924882, abs=1e-12)
    assert w.all == pytest.approx(0.35164285392748, abs=1e-12)


@pytest.mark.parametrize("tau", [1j, 0.3 + 1.7j, RHOMBUS, 0.45 + 0.2j, 6j])
def test_the_same_torus_drawn_differently(tau):
    w = torus(tau)
    for other in (tau + 1, tau - 1, -1 / tau, tau / (1 - tau)):
        assert torus(other).either == pytest.approx(w.either, abs=1e-11)
    turned = torus(-1 / tau)  # the axes change places
    assert (turned.first, turned.second) == pytest.approx((w.second, w.first), abs=1e-11)
    assert torus(tau + 1).second == pytest.approx(w.second, abs=1e-11)  # axis 0 stays, the other is sheared


def test_long_tori_wrap_the_short_way():
    w = torus(4j)  # axis 1 four times as long
    assert w.first > 0.9 > 0.1 > w.second
    for bad in (0j, 1 - 1j, 100j, complex(0, math.nan)):
        with pytest.raises(InputError, match="torus"):
            torus(bad)


@pytest.mark.parametrize(
    ("name", "kind", "shape", "sweeps"),
    [
        ("square", "site", (64, 64), 20_000),
        ("square", "bond", (24, 48), 6_000),
        ("triangular", "site", (32, 32), 20_000),
        ("kagome", "bond", (24, 24), 6_000),
        ("honeycomb", "site", (20, 36), 6_000),
    ],
)
def test_sweeps_wrap_as_often_as_the_torus_says(name, kind, shape, sweeps):
    lat, p = lattice(name, shape), threshold(name, kind).value
    s = sweep(lat, kind, sweeps, rng=np.random.default_rng([21, *shape]), sizes=False)
    w = torus(lat.aspect)
    for event in ("either", "all", "axis", "one"):
        got, error = probability(s, p, event)
        # 4 standard errors and the correction, of order L^-2
        assert got[0] == pytest.approx(getattr(w, event), abs=4 * error[0] + 1 / min(shape) ** 2)
        assert error[0] < 0.008
    first = (s.wrapped[:, 0] < s.wrapped[:, 1]).mean()
    assert (first > 0.5) == (w.first > w.second) or shape[0] == shape[1]


def test_cubic_torus_sites():
    # wang2013bond [M]; at L = 16 their corrections of order L^-2 or L^-1.2 are below 0.005
    s = sweep(lattice("cubic", 16), "site", 10_000, rng=np.random.default_rng(22), sizes=False)
    p = threshold("cubic", "site").value
    for event, value in (("axis", CUBIC_AXIS), ("either", CUBIC_EITHER), ("all", CUBIC_ALL)):
        got, error = probability(s, p, event)
        assert got[0] == pytest.approx(value, abs=3 * error[0] + 0.005)
        assert error[0] < 0.006
