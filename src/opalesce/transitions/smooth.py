"""The class S of smooth curves: what a change must beat before it may be called sharp."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from opalesce.errors import InputError
from opalesce.runs.run import Axis, Event

Array = NDArray[np.float64]

DECADES = 0.8  # W* on a log axis: a 10-90 rise within a factor 10**0.4 = 2.5 counts as sharp
LINEAR_SHARE = 0.25  # W* on a linear axis, as a share of it
LOGISTIC_1090 = 2.0 * math.log(9.0)  # 10-90 width of a logistic of unit scale


def resolution(axis: Axis, u: Array) -> float:
    """W*, the resolution of "sharp", in units of u (COURT 3)."""
    return DECADES if axis.scale == "log" else LINEAR_SHARE * float(u[-1] - u[0])


def spline(u: Array, wstar: float) -> Array:
    """Cubic B-spline basis on u with equal knot intervals of at most W*; shape (n, k).

    k = ceil((u_max - u_min) / W*) + 3. The constant and the straight line are in its span.
    """
    a, b = float(u[0]), float(u[-1])
    pieces = max(1, math.ceil((b - a) / wstar - 1e-9))
    if pieces > len(u):
        raise InputError(
            "the resolution W* is finer than the points",
            expected=f"at least {(b - a) / len(u):.3g}",
            got=f"{wstar:.3g}",
            fix="a larger --wstar",
        )
    knots = np.concatenate([[a] * 3, np.linspace(a, b, pieces + 1), [b] * 3])
    return np.asarray(BSpline.design_matrix(np.clip(u, a, b), knots, 3).toarray())


def event_columns(u: Array, events: tuple[Event, ...], axis: Axis) -> Array:
    """A step and a change of slope at each known event inside the axis; shape (n, 2 events).

    What an event may do is part of the null: only a change beyond it is a discovery.
    """
    columns = []
    for e in events:
        if not float(axis.x(u[0])) <= e.x <= float(axis.x(u[-1])):
            continue
        at = float(axis.u(np.array([e.x]))[0])
        after = u > at
        if 0 < int(after.sum()) < len(u):
            columns += [after.astype(float), np.maximum(0.0, u - at)]
    return np.column_stack(columns) if columns else np.empty((len(u), 0))


def orthonormal(x: Array) -> Array:
    """Orthonormal basis of the column span; directions below 1e-9 of the largest are dropped."""
    left, s, _ = np.linalg.svd(x, full_matrices=False)
    return left[:, s > 1e-9 * s[0]] if s.size else left


def logistic(u: Array, place: Array | float, width: Array | float) -> Array:
    """Rise from 0 to 1 at `place` with 10-90 width `width`; broadcasts over both."""
    scale = np.asarray(width, float) / LOGISTIC_1090
    return 0.5 * (1.0 + np.tanh(0.5 * np.clip((u - place) / scale, -700, 700)))
