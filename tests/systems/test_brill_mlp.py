"""Points on Brill's clusters, and a perceptron that learns them."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.systems.brill_mlp import Learned, decode, half_steps, learn, points, rank_sizes


def test_sizes_follow_the_rank_law():
    assert rank_sizes(4, 3600).tolist() == [3600, 900, 400, 225]
    assert rank_sizes(3, 10)[2] == 4
    with pytest.raises(InputError):
        rank_sizes(0, 10)


def test_points_are_standardised_cluster_by_cluster():
    data = points(rank_sizes(5, 400), 16, np.random.default_rng(0))
    assert data.x.shape == (len(data.y), 16)
    for k in range(5):
        y = data.y[data.rank == k]
        assert y.mean() == pytest.approx(0, abs=1e-12)
        assert y.std() == pytest.approx(1, abs=1e-12)


def test_half_steps():
    steps = np.array([1, 10, 100])
    curves = np.array([[1.0, 1.0, 1.0], [0.4, 0.9, 1.0], [0.1, 0.3, 1.0]])
    assert half_steps(Learned(steps, curves, 0.0, np.empty((0, 1)))).tolist() == [10, 100, np.inf]


def test_decoding_reads_what_is_there_and_its_null_does_not():
    rng = np.random.default_rng(1)
    t = rng.integers(0, 4, 800)
    there = np.eye(4)[t] + 0.1 * rng.standard_normal((800, 4))
    found, null = decode(there, t, rng)
    assert found > 0.95
    assert abs(null - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 800) + 0.03  # binomial error; classes uneven by 3 %


@pytest.mark.torch
def test_a_perceptron_learns_and_more_data_helps():
    pytest.importorskip("torch")
    data = points(rank_sizes(6, 1500), 24, np.random.default_rng(2))
    few, many = (learn(data, n, 1, width=48, steps=400) for n in (60, 1500))
    assert many.loss < 0.8 < few.loss * 1.1
    assert many.curves.shape == (len(many.steps), 6)
    assert (learn(data, 60, 1, width=48, steps=400).curves == few.curves).all()
    with pytest.raises(InputError):
        learn(data, 10**6, 1)
