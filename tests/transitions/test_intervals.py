"""Intervals by inversion: they cover, they are not points, and a wide change is called wide."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from opalesce.transitions.intervals import bounds, place_interval, refine
from opalesce.transitions.scan import Design
from opalesce.transitions.smooth import logistic

from . import dense


@pytest.fixture(scope="module")
def design():
    return Design(np.arange(41.0), 10.0)


@pytest.fixture(scope="module")
def short():
    return Design(np.arange(31.0), 7.5)


@pytest.mark.parametrize(("height", "width", "phi"), [(6, 1.0, 0.0), (4, 1.0, 0.7), (8, 4.0, 0.0)])
def test_place_interval_covers(short, height, width, phi):
    """100 planted steps: at least the 1-in-1000 quantile of a coverage of 0.87 (the figure asked of 0.90)."""
    j = dense.near(short, phi)
    rng = np.random.default_rng([height, int(width), j])
    covered = 0
    for _ in range(100):
        place = rng.uniform(7, 24)
        y = height * logistic(short.u, place, width) + short.models[j].root @ rng.standard_normal(31)
        low, high = place_interval(short, y, short.fit(y), rng, replicates=100)
        covered += low <= place <= high
    assert covered >= binom.ppf(0.001, 100, 0.87)


def test_too_short_an_interval_would_be_noticed(short):
    """A quarter of the interval, about its middle, misses what the whole one covers."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(100):
        place = rng.uniform(7, 24)
        y = 4 * logistic(short.u, place, 4.0) + rng.standard_normal(31)
        low, high = place_interval(short, y, short.fit(y), rng, replicates=100)
        covered += abs(place - (low + high) / 2) <= (high - low) / 8
    assert covered < binom.ppf(0.001, 100, 0.87)


def test_nothing_planted_nothing_known(design):
    """Where there is no change, any place is kept: most of the axis, in most series."""
    rng = np.random.default_rng(1)
    length = []
    for _ in range(15):
        y = rng.standard_normal(41)
        low, high = place_interval(design, y, design.fit(y), rng, replicates=100)
        length.append(high - low)
    assert np.median(length) > 20


@pytest.mark.parametrize("place", [15.3, 15.5, 15.8])
def test_a_step_in_a_gap_may_be_anywhere_in_the_gap(design, place):
    """The likelihood is flat between two points, so the points bound the interval, not the grid inside."""
    rng = np.random.default_rng(8)
    y = 100 * (design.u > place) + rng.standard_normal(41)
    low, high = place_interval(design, y, design.fit(y), rng, replicates=100)
    assert low <= 15
    assert high >= 16


def test_a_higher_level_gives_a_longer_interval(design):
    rng = np.random.default_rng(2)
    y = 5 * logistic(design.u, 20.3, 2.0) + rng.standard_normal(41)
    fit = design.fit(y)
    spans = [
        np.diff(place_interval(design, y, fit, np.random.default_rng(3), level))[0]
        for level in (0.5, 0.9, 0.99)
    ]
    assert spans == sorted(spans)
    assert spans[0] < spans[-1]


def test_width_interval_tells_a_step_from_a_slow_rise(design):
    rng = np.random.default_rng(4)
    noise = rng.standard_normal(41)
    step = 20 * logistic(design.u, 20.3, 0.3) + noise
    rise = 200 * logistic(design.u, 20.3, 12.0) + noise
    sharp, slow = (bounds(design, y, design.fit(y), rng) for y in (step, rise))
    assert sharp.width[1] <= 5.0  # W*/2
    assert slow.width[0] > 5.0
    assert slow.width[0] <= 12.0 <= slow.width[1]
    assert sharp.place[0] <= 20.3 <= sharp.place[1]
    # the fit is refined, the statistics are those of the test
    assert sharp.fit.sharp == design.fit(step).sharp
    assert abs(sharp.fit.place - 20.3) < 0.75


def test_refined_grid_is_fine_near_the_fit_and_free_in_width(design):
    y = 10 * logistic(design.u, 20.3, 1.0) + 0.1 * np.random.default_rng(5).standard_normal(41)
    fit = design.fit(y)
    fine, keep = refine(design, y, fit)
    near = fine.places[np.abs(fine.places - fit.place) < 2.9]
    assert np.diff(near).max() <= 1 / 16 + 1e-9
    assert fine.widths[-1] == 40.0
    assert [fine.noises[i] for i in range(len(keep))] == [design.noises[j] for j in keep]
    best = [design.loglik(m, y[:, None]).max() for m in design.models]
    assert int(np.argmax(best)) in keep
