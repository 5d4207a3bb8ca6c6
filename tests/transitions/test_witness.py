"""A witness and its twins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.transitions.witness import MAX_POINTS, Witness

X = np.arange(5.0)
Y = np.array([0.0, 1.0, 4.0, 9.0, 16.0])
TWINS = np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 3.0, 2.0, 1.0, 0.0]])


def test_series_is_real_minus_the_mean_of_the_twins():
    assert np.array_equal(Witness("w", X, Y, twins=TWINS).series(), Y - [0, 2, 2, 2, 2])
    assert np.array_equal(Witness("w", X, Y).series(), Y)


def test_spread_is_the_larger_range():
    assert Witness("w", X, Y, twins=TWINS).spread() == 16
    assert Witness("w", X, Y, twins=-10 * np.array([X])).spread() == 56


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_errors_are_all_usable_or_none(bad):
    good = np.full(5, 0.1)
    assert Witness("w", X, Y, good).errors() is good
    assert Witness("w", X, Y, np.r_[good[:4], bad]).errors() is None
    assert Witness("w", X, Y).errors() is None


def test_places_are_removed_everywhere():
    w = Witness("w", X, Y, np.full(5, 0.1), TWINS, flagged=frozenset({1.0, 3.0}))
    left = w.without(frozenset({1.0, 3.0}))
    assert np.array_equal(left.x, [0, 2, 4])
    assert np.array_equal(left.y, [0, 4, 16])
    assert left.twins.shape == (2, 3)
    assert left.stderr.shape == (3,)
    assert left.flagged == frozenset()


def test_leave_one_out_puts_a_twin_in_the_dock():
    w = Witness("w", X, Y, np.full(5, 0.1), TWINS)
    tried = w.leave_one_out(1)
    assert np.array_equal(tried.y, TWINS[1])
    assert np.array_equal(tried.twins, TWINS[:1])
    assert tried.stderr is None
    assert Witness("w", X, Y, twins=TWINS[:1]).leave_one_out(0) is None
    assert Witness("w", X, Y).leave_one_out(0) is None


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(InputError, match="x and y differ"):
        Witness("w", X, Y[:-1])
    with pytest.raises(InputError, match="twins are not at its places"):
        Witness("w", X, Y, twins=TWINS[:, :-1])


@pytest.mark.parametrize("stated", [False, True])
def test_a_long_log_is_binned_to_means_with_their_errors(stated):
    """Each bin against a plain loop: mean of x, y and twins; error sqrt(sum se^2) / k, or 1 / sqrt(k)."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 1, 1000)) ** 2
    y, twins, se = rng.standard_normal(1000), rng.standard_normal((2, 1000)), rng.uniform(1, 2, 1000)
    w = Witness("w", x, y, se if stated else None, twins, flagged=frozenset({x[500]}))
    found = w.coarse(x)
    assert len(found.x) <= MAX_POINTS
    assert np.all(np.diff(found.x) > 0)
    edges = np.linspace(x[0], x[-1], MAX_POINTS + 1)
    filled = []
    for low, high in pairwise(edges):
        inside = (x >= low) & ((x < high) | (high == edges[-1]))
        if inside.any():
            filled.append(inside)
    assert len(filled) == len(found.x)
    for i, inside in enumerate(filled):
        assert found.x[i] == pytest.approx(x[inside].mean())
        assert found.y[i] == pytest.approx(y[inside].mean())
        assert found.twins[:, i] == pytest.approx(twins[:, inside].mean(1))
        k = inside.sum()
        wanted = np.sqrt((se[inside] ** 2).sum()) / k if stated else 1 / np.sqrt(k)
        assert found.stderr[i] == pytest.approx(wanted)
        assert (found.x[i] in found.flagged) == bool(inside[500])


def test_a_short_log_is_judged_as_it_is():
    w = Witness("w", X, Y)
    assert w.coarse(X) is w
