"""Percolation plates say what the sweeps say."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.report.percolation import backbone, clusters, collapse, curve, lattice_exhibits, ranked
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.scaling import curves
from opalesce.theory.percolation.sweep import sweep


def test_clusters_are_ranked_by_size():
    z = [[1, 1, 0], [2, 0, 3], [3, 3, 3]]
    assert ranked(z).tolist() == [[2, 2, 0], [3, 0, 1], [1, 1, 1]]


def test_the_image_holds_the_share_that_was_asked():
    image = np.asarray(clusters(64, 0.6, np.random.default_rng(0)).image)
    assert abs((image > 0).mean() - 0.6) < 4 * np.sqrt(0.24 / 64**2)  # binomial error
    assert (image == 1).sum() == max(np.bincount(image.ravel())[1:])


def test_curves_and_collapse():
    p = np.linspace(0.5, 0.7, 9)
    made = [sweep(lattice("square", n), sweeps=40, rng=np.random.default_rng(n)) for n in (8, 16)]
    plates = curve([("8", made[0]), ("16", made[1])], p, 0.59, 0.58, 0.60)
    share = np.array(plates[0].series[1].y)
    assert share[0] < 0.5 < 0.6 < share[-1] <= 0.7 + 0.02
    assert plates[0].marks[0].x == 0.59
    c = curves([8, 16], made, p, rng=np.random.default_rng(1), resamples=2)
    plate = collapse(c, 0.5927, 4 / 3, -5 / 36)
    middle = 16 ** (3 / 4) * (p[4] - 0.5927)
    assert plate.series[1].x[4] == pytest.approx(middle)
    assert plate.series[1].y[4] == pytest.approx(c.y[1, 4] * 16 ** (5 / 48))


def test_the_backbone_of_a_full_lattice_is_everything_and_of_an_empty_one_nothing():
    full = backbone(12, 1.0, np.random.default_rng(0))
    assert (np.asarray(full.image) == 1).all()  # each of 12 rows carries a twelfth
    assert "G = 1.09" in full.title  # 12 rows of 11 unit bonds in series: 12/11
    none = backbone(12, 0.0, np.random.default_rng(0))
    assert not np.asarray(none.image).any()


def test_exhibits_of_a_lattice():
    sizes = [8, 16, 32]
    window = (0.3, 0.7)
    made = [
        sweep(lattice("square", n), "bond", 40, rng=np.random.default_rng(n), window=window) for n in sizes
    ]
    rng = np.random.default_rng(2)
    shown = lattice_exhibits(sizes, made, window, (0.5, 0.49, 0.51), (4 / 3, 5 / 36), "bond", rng)
    assert [e.id for e in shown] == ["curve", "picture"]
    assert len(shown[0].plates) == 3
    assert len(lattice_exhibits(sizes, made, window, (0.5, 0.49, 0.51), (4 / 3, 5 / 36), None, rng)) == 1
