"""Tables of thresholds and exponents: closed forms, dualities, the series, rational exponents."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.exponents import EXACT_2D, FRACTAL, MEAN_FIELD, NU, exponents
from opalesce.theory.percolation.lattices import NAMES
from opalesce.theory.percolation.tables import hypercubic_series, threshold


def test_exact_thresholds_solve_their_equations():
    p = threshold("triangular", "bond").value
    assert 1 - 3 * p + p**3 == pytest.approx(0, abs=1e-15)  # sykes1964exact
    assert p + threshold("honeycomb", "bond").value == 1  # dual lattices
    assert threshold("kagome", "site").value == threshold("honeycomb", "bond").value  # covering lattice
    assert threshold("3-12-12", "site").value ** 2 == pytest.approx(threshold("kagome", "site").value)
    assert threshold("square", "bond").value == threshold("triangular", "site").value == 0.5


def test_every_lattice_has_both_thresholds_and_sites_need_more():
    for name in NAMES:
        site, bond = threshold(name, "site"), threshold(name, "bond")
        assert 0 < bond.value <= site.value <= 1
        assert site.source
    assert threshold("hypercubic3", "site") == threshold("cubic", "site")
    with pytest.raises(InputError, match="no such threshold"):
        threshold("cairo", "site")


@pytest.mark.parametrize("kind", ["site", "bond"])
def test_high_dimensions_agree_with_the_series(kind):
    gaps = [
        abs(hypercubic_series(d, kind) / threshold(f"hypercubic{d}", kind).value - 1) for d in range(7, 14)
    ]
    # computed by us: 1e-3 / 1.5e-3 at d = 7, 6.7e-5 / 2.3e-5 at d = 13
    assert gaps[0] < 2e-3
    assert gaps[-1] < 7e-5
    assert gaps == sorted(gaps, reverse=True)
    for d, kind_ in ((1, "site"), (7, "face")):
        with pytest.raises(InputError, match="series"):
            hypercubic_series(d, kind_)


@pytest.mark.parametrize(("d", "wrong"), [(9, 0.065209595), (13, 0.042715021)])
def test_the_two_wrong_entries_that_circulate_are_not_here(d, wrong):
    """They differ in the 8th decimal only, which no series and no sweep of ours would show."""
    right = threshold(f"hypercubic{d}", "site").value
    assert abs(right - wrong) > 5e-8
    assert abs(wrong - right) < 1e-7


def test_exponents_of_two_dimensions_are_these_rationals():
    # den Nijs 1979, Nienhuis 1982 (stauffer1994introduction, table 2)
    e = EXACT_2D
    assert (e.beta, e.gamma, e.tau) == (Fraction(5, 36), Fraction(43, 18), Fraction(187, 91))
    assert (e.sigma, e.alpha) == (Fraction(36, 91), Fraction(-2, 3))
    assert e.beta / e.nu == Fraction(5, 48)


def test_mean_field():
    e = MEAN_FIELD
    assert (e.beta, e.gamma, e.tau, e.sigma) == (1, 1, Fraction(5, 2), Fraction(1, 2))
    assert exponents(11) == exponents(6)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
def test_scaling_relations_hold(d):
    e = exponents(d)
    assert 2 * e.beta + e.gamma == pytest.approx(2 - e.alpha)  # hyperscaling
    assert e.tau == pytest.approx(2 + e.beta * e.sigma)
    assert 1 / e.sigma == pytest.approx(e.beta + e.gamma)
    assert (e.nu, e.fractal) == (NU[d][0], FRACTAL[d][0])


def test_three_dimensions_and_the_chain():
    # wang2013bond: beta/nu = 0.47705(15), 1/nu = 1.1410(15)
    e = exponents(3)
    assert e.beta / e.nu == pytest.approx(0.47705, abs=3 * 0.00015)
    assert 1 / e.nu == pytest.approx(1.1410, abs=3 * 0.0015)
    chain = exponents(1)
    assert (chain.nu, chain.beta, chain.gamma, chain.tau, chain.sigma) == (1, 0, 1, 2, 1)
    with pytest.raises(InputError, match="dimension"):
        exponents(0)
    assert math.isclose(exponents(2).tau, 187 / 91)
