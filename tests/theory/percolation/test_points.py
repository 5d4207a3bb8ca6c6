"""Clouds of points and cluster-size laws: known thresholds, exact laws, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import zeta

from opalesce.errors import InputError
from opalesce.theory.percolation.cluster_law import draw, exponent, fit_sizes
from opalesce.theory.percolation.points import clusters, column_shuffled, connect, neighbours


def rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key or 0)


def test_draws_follow_the_zeta_law():
    s = draw(20_000, 2.5, 2, rng(1))
    for value in (2, 3, 5, 10):
        p = value**-2.5 / zeta(2.5, 2)
        assert abs((s == value).mean() - p) < 4 * np.sqrt(p * (1 - p) / len(s))  # binomial error


def test_the_exponent_is_recovered():
    for tau in (1.9, 2.5, 3.2):
        got = [exponent(draw(2000, tau, 1, rng(int(10 * tau), i)), 1) for i in range(30)]
        assert abs(np.mean(got) - tau) < 4 * np.std(got) / np.sqrt(30) + 0.01  # bias of order 1/n


def test_p_values_of_true_laws_are_not_small_and_those_of_others_are():
    true = [fit_sizes(draw(300, 2.5, 1, rng(2, i)), rng(3, i), 40).p_value for i in range(12)]
    assert np.mean(np.array(true) < 0.1) <= 0.1 + 3 * np.sqrt(0.09 / 12)
    geometric = rng(4).geometric(0.15, 600)
    law = fit_sizes(geometric, rng(5), 60)
    assert law.p_value < 0.1 or law.n_tail < 200  # rejected, or hardly any tail left


@pytest.mark.parametrize("bad", [[1, 2, 3], [0] * 60, [1.5] * 60, [[1] * 60]])
def test_no_exponent_from_what_is_no_list_of_clusters(bad):
    with pytest.raises(InputError):
        fit_sizes(bad, rng())


def test_neighbours_are_those_of_brute_force():
    x = rng(6).normal(size=(120, 5))
    got = neighbours(x, 4)
    d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    np.fill_diagonal(d, np.inf)
    want = {tuple(sorted((i, int(j)))) for i in range(120) for j in np.argsort(d[i])[:4]}
    assert {tuple(e) for e in got.edges.tolist()} == want
    assert got.length == pytest.approx(d[got.edges[:, 0], got.edges[:, 1]])
    assert (np.diff(got.length) >= 0).all()


def test_a_random_plane_connects_at_the_continuum_threshold():
    """Overlapping discs: mean number of neighbours at the threshold 4 eta_c = 4.51235 (reference 01, C2).

    The peak of a finite sample lies off by about n^(-1/(2 nu)) = n^(-3/8): 0.04 in relative terms here.
    """
    n = 4000
    degree = []
    for i in range(6):
        c = connect(rng(7, i).random((n, 2)), rng(8), k=15, sweeps=10)
        degree.append(np.pi * c.critical**2 * n)
    error = np.std(degree) / np.sqrt(len(degree))
    assert abs(np.mean(degree) - 4.51235) < 4 * error + 0.04 * 4.51 + 4.51 * 4 / np.sqrt(
        n
    )  # edges: perimeter


def test_the_distance_from_the_threshold_is_the_share_that_may_be_left_out():
    """Points in the plane, radius with mean degree z: leaving out 1 - p leaves mean degree z p = 4.51."""
    n, z = 6000, 12.0
    c = connect(rng(9).random((n, 2)), rng(10), k=40, radius=float(np.sqrt(z / (np.pi * n))), sweeps=60)
    assert c.kept.ok
    assert abs(c.c_n.value - z / 4.51235) < 0.15 * z / 4.51235  # finite size and borders
    assert c.c_n.low <= c.c_n.value <= c.c_n.high


def test_far_apart_blobs_do_not_connect():
    centres = 100.0 * rng(11).normal(size=(20, 3))
    x = np.concatenate([m + rng(12, i).normal(size=(40, 3)) for i, m in enumerate(centres)])
    c = connect(x, rng(13), radius=2.0, sweeps=20)
    assert not c.c_n.ok
    assert "do not connect" in c.c_n.status
    assert sorted(clusters(c.neighbours, int((c.neighbours.length < 30).sum())).tolist()) == [40] * 20


def test_the_null_keeps_the_columns_and_nothing_else():
    x = rng(14).normal(size=(500, 1)) @ np.ones((1, 3))
    y = column_shuffled(x, rng(15))
    assert (np.sort(x, axis=0) == np.sort(y, axis=0)).all()
    assert abs(np.corrcoef(y.T)[0, 1]) < 4 / np.sqrt(500)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 3)),
        np.zeros(5),
        np.full((9, 2), np.nan),
        np.array([["a", "b"]] * 5),
        np.zeros((60_000, 1)),
    ],
)
def test_what_is_no_cloud_is_refused(bad):
    with pytest.raises(InputError):
        neighbours(bad, 1)


def test_equal_points_and_a_radius_that_joins_nothing():
    with pytest.raises(InputError, match="no two points"):
        connect(rng(16).normal(size=(50, 2)), rng(17), radius=1e-9)
    same = connect(np.ones((30, 2)), rng(18), k=5, sweeps=12)
    assert same.critical == 0
