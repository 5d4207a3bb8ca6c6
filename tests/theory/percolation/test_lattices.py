"""Lattices: neighbours where the pictures have them."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.theory.percolation.lattices import NAMES, lattice

# coordination numbers of the lattices (stauffer1994introduction, table 1)
DEGREE = {"square": 4, "triangular": 6, "honeycomb": 3, "kagome": 4, "cubic": 6, "bcc": 8, "fcc": 12}

# sites of the cell and primitive vectors, in space: all bonds of a lattice have one length
H = np.sqrt(3) / 2
PLACES = {
    "triangular": ([[0, 0]], [[1, 0], [0.5, H]], 1.0),
    "honeycomb": ([[0, 0], [0.5, H / 3]], [[1, 0], [0.5, H]], 1 / np.sqrt(3)),
    "kagome": ([[0, 0], [0.5, 0], [0.25, H / 2]], [[1, 0], [0.5, H]], 0.5),
    "bcc": ([[0, 0, 0], [0.5, 0.5, 0.5]], np.eye(3), np.sqrt(3) / 2),
    "fcc": ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], np.eye(3), np.sqrt(0.5)),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_site_has_its_neighbours(name):
    lat = lattice(name, 3)
    edges, winding = lat.edges()
    degree = DEGREE.get(name) or 2 * lat.dimension
    assert lat.coordination == degree
    assert (np.bincount(edges.ravel(), minlength=lat.n_sites) == degree).all()
    assert len({tuple(sorted(e)) for e in edges.tolist()}) == len(edges) == lat.n_bonds
    assert np.abs(winding).max() == 1


@pytest.mark.parametrize("name", PLACES)
def test_bonds_have_one_length(name):
    sites, vectors, length = (np.array(x) for x in PLACES[name])
    for a, b, offset in lattice(name, 3).bonds:
        step = sites[b] - sites[a] + np.array(offset) @ vectors
        assert np.linalg.norm(step) == pytest.approx(float(length), rel=1e-12)


def test_shape_of_the_torus():
    assert lattice("square", (2, 6)).aspect == pytest.approx(3j)
    assert lattice("kagome", 4).aspect == pytest.approx(np.exp(1j * np.pi / 3))
    assert lattice("cubic", 4).aspect == 0
