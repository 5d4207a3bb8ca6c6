"""Percolation of clouds, clusters, transient objects and sizes, on clouds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage

from opalesce.errors import InputError
from opalesce.observables.basins import basins, contraction_within, kept, return_probability, spherical_kmeans
from opalesce.observables.cloud import (
    giant_cluster_radius,
    merges,
    neighbour,
    percolate_cloud,
    shuffled_coordinates,
    threshold_against_shuffled,
)
from opalesce.observables.magnitudes import Magnitudes
from opalesce.observables.objects import purity, reuse, span, transient_object


def clumps(k: int, each: int, d: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centre = np.linalg.qr(rng.standard_normal((d, k)))[0].T
    label = np.repeat(np.arange(k), each)
    return centre[label] + spread * rng.standard_normal((k * each, d)) / np.sqrt(d), label


# ---- cloud ----------------------------------------------------------------------------------------------


def test_merges_are_those_of_single_linkage():
    x = np.random.default_rng(0).standard_normal((80, 4)) * 1e5
    assert merges(x)[0] == pytest.approx(linkage(x, "single")[:, 2], rel=1e-12)


def test_clusters_against_a_slow_twin():
    x = np.random.default_rng(1).standard_normal((40, 3))
    found = percolate_cloud(x)
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    for step in (0, 5, 20, 30, 38):
        reach = distance <= found.radius[step] + 1e-12
        for _ in range(6):
            reach = (reach.astype(int) @ reach.astype(int)) > 0
        sizes = np.sort(np.unique(reach, axis=0).sum(axis=1))[::-1] / 40
        assert found.largest[step] == sizes[0]
        assert found.second[step] == (sizes[1] if len(sizes) > 1 else 0)


def test_points_on_a_line_and_two_clumps():
    line = percolate_cloud(np.arange(11.0)[:, None])
    assert (line.threshold, line.near) == pytest.approx((1.0, 1.0))
    near = np.array([0.0, 1, 2, 3, 100, 101, 102, 103])[:, None]
    two = percolate_cloud(near)
    assert (two.threshold, two.gap, two.second.max()) == pytest.approx((97.0, 0.5, 0.5))
    assert neighbour(near) == pytest.approx(1.0)


def test_rotation_leaves_all_and_shuffling_finds_a_thread():
    """A thread through 10 dimensions is denser than its marginals say; a normal cloud is not."""
    rng = np.random.default_rng(2)
    thread = rng.standard_normal((200, 1)) * np.ones((1, 10)) + 0.01 * rng.standard_normal((200, 10))
    turn = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    assert percolate_cloud(thread @ turn).radius == pytest.approx(percolate_cloud(thread).radius, rel=1e-7)
    assert threshold_against_shuffled(thread, rng, 8).low > 1.5
    plain = threshold_against_shuffled(rng.standard_normal((200, 10)), rng, 20)
    assert abs(plain.value - 1) < 0.1  # s.d. over clouds 0.03
    shuffled = shuffled_coordinates(thread, rng)
    assert np.sort(shuffled, axis=0) == pytest.approx(np.sort(thread, axis=0))


def test_clouds_that_are_none():
    for bad in (np.empty((0, 3)), np.ones((1, 3)), np.full((4, 2), np.nan), np.ones(5)):
        with pytest.raises(InputError):
            percolate_cloud(bad)
    assert np.isnan(giant_cluster_radius(np.ones((20, 3))))  # all coincide
    with pytest.raises(InputError):
        threshold_against_shuffled(np.eye(4), np.random.default_rng(0), 1)


# ---- clusters -------------------------------------------------------------------------------------------


def test_kmeans_finds_planted_directions_and_not_lengths():
    x, label = clumps(5, 40, 20, 0.4, 3)
    x *= np.random.default_rng(4).uniform(0.1, 10, (200, 1))
    found = spherical_kmeans(x, 5, np.random.default_rng(5))
    assert kept(found.label, label).value == 1.0
    assert found.cohesion == pytest.approx(1 / np.sqrt(1 + 0.4**2), abs=0.02)


def test_planted_basins_hold_and_an_isotropic_cloud_has_none():
    rng = np.random.default_rng(6)
    x, label = clumps(4, 50, 16, 0.3, 7)
    centre = np.array([x[label == k].mean(0) for k in range(4)])
    tighter = centre[label] + 0.5 * (x - centre[label])
    good = basins(x, tighter, 4, rng, 0.3)
    assert good.basin.all()
    assert good.contraction.max() < 0.35  # 0.25 within, over 0.75 + 0.25 * share for the whole
    assert good.stay.value == 1.0
    cloud = rng.standard_normal((200, 16))
    none = basins(cloud, rng.standard_normal((200, 16)), 4, rng, 0.5)
    assert not none.basin.any()
    assert abs(none.stay.value) < 0.06  # adjusted Rand of unrelated clusterings, s.d. 0.01


def test_contraction_is_relative_and_needs_pairs():
    x, label = clumps(3, 30, 8, 0.5, 8)
    assert contraction_within(x, 7 * x, label) == pytest.approx(1)
    assert np.isnan(contraction_within(x[:3], x[:3], np.array([0, 0, 1]))[1])
    with pytest.raises(InputError):
        contraction_within(x, x[1:], label)


def test_a_kick_of_nothing_returns_and_a_huge_one_is_chance():
    x, _ = clumps(4, 50, 16, 0.3, 9)
    found = spherical_kmeans(x, 4, np.random.default_rng(10))
    assert (return_probability(x, found, np.random.default_rng(0), 0.0) == 1).all()
    far = return_probability(x, found, np.random.default_rng(0), 1e6, 64)
    assert far.mean() == pytest.approx(
        0.25, abs=0.03
    )  # standard error sqrt(.19 / 12800) = 0.004, and borders


def test_kept_is_adjusted_for_chance():
    same = np.repeat([0, 1, 2], 30)
    assert kept(same, (same + 1) % 3).value == 1.0
    rng = np.random.default_rng(11)
    values = [kept(same, rng.permutation(same)).value for _ in range(200)]
    assert abs(np.mean(values)) < 0.005  # s.d. of one 0.015, of the mean 0.001
    for bad in ([0], [0, 1]):
        with pytest.raises(InputError):
            kept([0], bad)


# ---- transient objects ------------------------------------------------------------------------------------


def test_an_object_with_a_birth_and_a_death():
    """Classes lie along one direction in layers 2..4 of 6; elsewhere there is noise."""
    rng = np.random.default_rng(12)
    y = rng.integers(0, 2, 400)
    way = np.zeros(10)
    way[0] = 4
    layers = [rng.standard_normal((400, 10)) + (2 <= k <= 4) * (2 * y[:, None] - 1) * way for k in range(6)]
    found = transient_object(layers, y, np.random.default_rng(13))
    assert (found.start, found.end, found.lifetime) == (2, 4, 2)
    assert found.permanence > 0.99
    assert found.chance < 0.6
    assert found.control.max() < 0.65  # s.d. of an accuracy on 200 items 0.035, largest of 36
    turned = [
        np.roll(x, k, axis=1) for k, x in enumerate(layers)
    ]  # the class moves on: read, not transferred
    assert transient_object(turned, y, np.random.default_rng(13)).lifetime == 0
    never = transient_object([rng.standard_normal((400, 10))] * 2, y, np.random.default_rng(13))
    assert (never.start, never.lifetime) == (-1, 0)


def test_spans_purity_and_reuse():
    good = np.array([[0.9, 0.9, 0.1], [0.2, 0.9, 0.9], [0.9, 0.9, 0.9]])
    assert span(good, 0.8) == (0, 1)
    assert span(good, 0.95) == (-1, -1)
    assert purity([0, 0, 1, 1, 1], ["a", "a", "a", "b", "b"]) == 0.8
    assert purity([0, 1, 2], ["a", "a", "b"]) == 1.0
    assert reuse([0, 0, 1, 0], [5, 6, 5, 6]).tolist() == [2, 1]
    for call in (lambda: purity([0], []), lambda: reuse([], []), lambda: transient_object([], [0], None)):
        with pytest.raises(InputError):
            call()


# ---- sizes ---------------------------------------------------------------------------------------------


def test_sizes_in_parts_are_sizes_at_once():
    rng = np.random.default_rng(14)
    x = rng.standard_normal((300, 20))
    x[250, 7], x[3, 1] = -5000, 0
    parts = Magnitudes.of(x[:100]).add(x[100:260]).merge(Magnitudes.of(x[260:]))
    whole = Magnitudes.of(x)
    for name in ("tokens", "zeros"):
        assert getattr(parts, name) == getattr(whole, name)
    assert (parts.histogram == whole.histogram).all()
    assert (parts.place == whole.place).all()
    assert whole.quantile(0.5) == pytest.approx(np.median(np.abs(x)), rel=0.05)
    (token, channel, value, ratio), *more = whole.massive()
    assert (token, channel, value, more) == (250, 7, -5000.0, [])
    assert ratio == pytest.approx(5000 / 0.6745, rel=0.06)
    assert Magnitudes.of(x[:100]).massive() == []


def test_a_bad_batch_never_enters():
    good = Magnitudes.of(np.ones((4, 3)))
    for bad in (np.full((4, 3), np.nan), np.ones((4, 5))):
        with pytest.raises(InputError):
            good.add(bad)
    assert Magnitudes.of(np.zeros((4, 3))).quantile(0.5) == 0.0
    with pytest.raises(InputError):
        good.quantile(2)
