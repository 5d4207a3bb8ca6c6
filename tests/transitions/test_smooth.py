"""The smooth class and the sharp change, against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_lsq_spline

from opalesce.runs.run import Axis, Event
from opalesce.transitions.smooth import event_columns, logistic, orthonormal, resolution, spline


def residual(basis, y):
    return float(np.abs(y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]).max())


@pytest.mark.parametrize("wstar", [0.8, 1.7, 100.0])
def test_polynomials_to_the_third_degree_are_smooth_and_a_step_is_not(wstar):
    u = np.sort(np.random.default_rng(0).uniform(0, 4, 50))
    basis = spline(u, wstar)
    for k in range(4):
        assert residual(basis, u**k) < 1e-9 * 4**k
    assert residual(basis, (u > 2).astype(float)) > 0.2


def test_span_is_that_of_scipys_least_squares_spline():
    u = np.linspace(0, 4, 60)
    y = np.random.default_rng(1).standard_normal(60)
    inner = np.linspace(0, 4, 6)[1:-1]  # 4 / 0.8 = 5 pieces
    oracle = make_lsq_spline(u, y, np.concatenate([[0] * 4, inner, [4] * 4]), 3)(u)
    basis = spline(u, 0.8)
    assert np.allclose(basis @ np.linalg.lstsq(basis, y, rcond=None)[0], oracle, atol=1e-9)
    assert basis.shape == (60, 5 + 3)
    assert np.allclose(basis.sum(1), 1)  # B-splines add up to one


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 3.0))
def test_number_of_columns_never_spaces_knots_wider_than_wstar(wstar):
    u = np.linspace(0, 3, 80)
    pieces = spline(u, wstar).shape[1] - 3
    assert 3 / pieces <= wstar * (1 + 1e-9)
    assert pieces == 1 or 3 / (pieces - 1) > wstar * (1 - 1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(-100, 100), st.floats(1e-3, 50))
def test_logistic_rises_from_a_tenth_to_nine_tenths_over_its_width(place, width):
    ends = logistic(np.array([place - width / 2, place, place + width / 2]), place, width)
    assert ends == pytest.approx([0.1, 0.5, 0.9], rel=1e-6)


def test_logistic_is_finite_far_away_and_broadcasts():
    assert np.array_equal(logistic(np.array([-1e9, 1e9]), 0.0, 1e-6), [0.0, 1.0])
    assert logistic(np.arange(5.0)[:, None], np.array([1.0, 2.0, 3.0]), 0.5).shape == (5, 3)


def test_resolution_is_declared_by_the_axis_alone():
    u = np.array([2.0, 3.0, 10.0])
    assert resolution(Axis(scale="log"), u) == 0.8
    assert resolution(Axis(scale="linear"), u) == 2.0


def test_events_give_a_step_and_a_slope_inside_the_axis_only():
    axis = Axis(scale="log", x1=10.0)
    x = np.array([0.0, 10.0, 100.0, 1000.0])
    u = axis.u(x)
    at = axis.u(np.array([50.0]))[0]
    found = event_columns(u, (Event(50.0, "decay start"), Event(5000.0, "restart"), Event(-1.0, "x")), axis)
    assert np.allclose(found, np.column_stack([u > at, np.maximum(0, u - at)]))
    assert event_columns(u, (), axis).shape == (4, 0)


def test_orthonormal_basis_drops_what_is_dependent():
    x = np.random.default_rng(2).standard_normal((20, 3))
    q = orthonormal(np.column_stack([x, x @ [1.0, 2.0, 3.0]]))
    assert q.shape == (20, 3)
    assert np.allclose(q.T @ q, np.eye(3), atol=1e-12)
    assert residual(q, x[:, 0]) < 1e-12
