"""Local thickness: a twin that tries every ball, and shapes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.thickness import graph_thickness, image_thickness


def twin(mask):
    """Every open place asks every ball."""
    places = np.argwhere(mask)
    shut = np.argwhere(~mask)
    out = np.zeros(mask.shape)
    radius = [np.sqrt(((shut - p) ** 2).sum(axis=1).min()) for p in places]
    for p in places:
        covers = [r for c, r in zip(places, radius, strict=True) if ((c - p) ** 2).sum() <= r * r + 1e-9]
        out[tuple(p)] = max(covers)
    return out


@pytest.mark.parametrize("shape", [(40,), (14, 17), (7, 8, 6)])
def test_image_against_every_ball(shape):
    for seed in range(4):
        mask = np.random.default_rng(seed).random(shape) < 0.8
        assert image_thickness(mask) == pytest.approx(twin(mask), abs=1e-12)


def test_a_slab_has_one_thickness():
    mask = np.zeros((40, 11), bool)
    mask[:, 3:8] = True
    assert set(image_thickness(mask)[mask]) == {3.0}


def hops(n, edges):
    d = np.full((n, n), np.inf)
    np.fill_diagonal(d, 0)
    for u, v in edges:
        d[u, v] = d[v, u] = min(d[u, v], 1)
    for k in range(n):
        d = np.minimum(d, d[:, [k]] + d[[k]])
    return d


def test_graph_against_all_distances():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = 30
        edges, closed = rng.integers(0, n, (34, 2)), rng.random(n) < 0.12
        radius, thick = graph_thickness(n, edges, closed)
        d = hops(n, edges)
        expected = d[:, closed].min(axis=1, initial=np.inf)
        for j in range(n):
            if np.isinf(expected[j]):
                assert radius[j] == thick[j] == -1
            elif closed[j]:
                assert radius[j] == thick[j] == 0
            else:
                covers = expected[np.isfinite(expected) & (d[:, j] <= expected)]
                assert (radius[j], thick[j]) == (expected[j], covers.max())


def test_a_path_between_two_closed_ends():
    edges = np.stack([np.arange(10), np.arange(1, 11)], axis=1)
    closed = np.isin(np.arange(11), [0, 10])
    radius, thick = graph_thickness(11, edges, closed)
    assert radius.tolist() == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
    assert set(thick[1:-1]) == {5}


@pytest.mark.parametrize(
    "call",
    [
        lambda: image_thickness(np.ones((3, 3), bool)),
        lambda: image_thickness(np.ones((3, 3))),
        lambda: image_thickness(np.zeros((0,), bool)),
        lambda: graph_thickness(3, [[0, 1]], np.zeros(2, bool)),
        lambda: graph_thickness(3, [[0, 5]], np.zeros(3, bool)),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
