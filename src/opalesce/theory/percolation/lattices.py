"""Periodic and open lattices, given by the bonds of one unit cell; no edge list is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.percolation.union import check_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Bond = tuple[
    int, int, tuple[int, ...]
]  # (sublattice, sublattice, cell of the second minus cell of the first)

_HEX = complex(0.5, math.sqrt(0.75))  # second period of a rhombic cell over its first


def _bcc() -> tuple[Bond, ...]:
    """Corner sites 0 and centre sites 1 of the cubic cell: each centre has the eight corners around it."""
    return tuple((1, 0, c) for c in product((0, 1), repeat=3))


def _fcc() -> tuple[Bond, ...]:
    """Sites at 000, 011, 101, 110 (halves): neighbours differ by a half in two of three coordinates."""
    sites = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    steps = [s for s in product((-1, 0, 1), repeat=3) if sum(map(abs, s)) == 2 and s > (0, 0, 0)]
    out = []
    for a, x in enumerate(sites):
        for s in steps:
            to = [i + j for i, j in zip(x, s, strict=True)]
            out.append((a, sites.index((to[0] % 2, to[1] % 2, to[2] % 2)), tuple(t // 2 for t in to)))
    return tuple(out)


# name -> (sites in the cell, bonds of the cell, second period over first in 2-D: the shape of the torus)
_CELLS: dict[str, tuple[int, tuple[Bond, ...], complex]] = {
    "square": (1, ((0, 0, (1, 0)), (0, 0, (0, 1))), 1j),
    "triangular": (1, ((0, 0, (1, 0)), (0, 0, (0, 1)), (0, 0, (1, -1))), _HEX),
    "honeycomb": (2, ((0, 1, (0, 0)), (1, 0, (1, 0)), (1, 0, (0, 1))), _HEX),
    "kagome": (
        3,
        (
            (0, 1, (0, 0)), (0, 2, (0, 0)), (1, 2, (0, 0)),
            (1, 0, (1, 0)), (2, 0, (0, 1)), (2, 1, (-1, 1)),
        ),
        _HEX,
    ),
    "bcc": (2, _bcc(), 0j),
    "fcc": (4, _fcc(), 0j),
}  # fmt: skip
_DIMENSION = {"square": 2, "triangular": 2, "honeycomb": 2, "kagome": 2, "cubic": 3, "bcc": 3, "fcc": 3}
NAMES = (*_DIMENSION, *(f"hypercubic{d}" for d in range(1, 8)))


@dataclass(frozen=True)
class Lattice:
    """A lattice of `shape` unit cells; make one with `lattice`.

    Site i lies in cell i // basis (C order) on sublattice i % basis; bond b belongs to cell
    b // len(bonds) and is the bond b % len(bonds) of that cell. Where the lattice is open, bonds that
    would leave the box do not exist, though they keep their number (`n_bonds` counts those that exist).

    Attributes
    ----------
    name : str
    shape : tuple of int
        Cells along each axis.
    basis : int
        Sites in a cell.
    bonds : tuple of (a, b, offset)
        From sublattice a of a cell to sublattice b of the cell at `offset`.
    periodic : bool
        Torus, or open box.
    period_ratio : complex
        In 2-D, second primitive vector of the cell over the first (i for square); 0 otherwise.
    """

    name: str
    shape: tuple[int, ...]
    basis: int
    bonds: tuple[Bond, ...]
    periodic: bool
    period_ratio: complex

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def n_sites(self) -> int:
        """Sites in the box."""
        return math.prod(self.shape) * self.basis

    @property
    def coordination(self) -> float:
        """Mean number of bonds at a site (of the torus)."""
        return 2 * len(self.bonds) / self.basis

    @cached_property
    def n_bonds(self) -> int:
        """Bonds in the box."""
        if self.periodic:
            return math.prod(self.shape) * len(self.bonds)
        return sum(
            math.prod(max(n - abs(s), 0) for n, s in zip(self.shape, offset, strict=True))
            for _, _, offset in self.bonds
        )

    @property
    def aspect(self) -> complex:
        """Period of the torus along axis 1 over that along axis 0 (2-D only; else 0)."""
        return self.period_ratio * self.shape[1] / self.shape[0] if self.dimension == 2 else 0j

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bonds as (edges, winding), shapes (n_bonds, 2) and (n_bonds, dimension), in order of cell.

        Winding counts the crossings of the upper face of the box, with sign, on the way from the first to
        the second site. For small lattices and for checks: the sweeps never build it.
        """
        cells = np.indices(self.shape).reshape(self.dimension, -1).T
        size = np.array(self.shape)
        pairs, turns = [], []
        for a, b, offset in self.bonds:
            to = cells + np.array(offset)
            turn = to // size
            first = np.ravel_multi_index(tuple(cells.T), self.shape) * self.basis + a
            second = np.ravel_multi_index(tuple((to - turn * size).T), self.shape) * self.basis + b
            pairs.append(np.stack([first, second], axis=1))
            turns.append(turn)
        edges = np.stack(pairs, axis=1).reshape(-1, 2)
        winding = np.stack(turns, axis=1).reshape(-1, self.dimension)
        keep = np.ones(len(edges), bool) if self.periodic else ~winding.any(axis=1)
        return edges[keep], winding[keep]


def lattice(name: str, size: int | Sequence[int], periodic: bool = True) -> Lattice:
    """A lattice by name.

    Parameters
    ----------
    name : str
        square, triangular, honeycomb, kagome, cubic, bcc, fcc, or hypercubic1 to hypercubic7.
        bcc and fcc have 2 and 4 sites in a cubic cell, honeycomb 2 and kagome 3 in a rhombic one.
    size : int or sequence of int
        Cells along each axis; one number for all.
    periodic : bool
        Torus (default), or open box.

    Raises
    ------
    InputError
        Unknown name, a size below 1, the wrong number of sizes, or more than 2^31 - 1 sites or bonds.
    """
    if name not in NAMES:
        raise InputError("unknown lattice", expected=", ".join(NAMES), got=repr(name))
    d = _DIMENSION[name] if name in _DIMENSION else int(name.removeprefix("hypercubic"))
    basis, bonds, ratio = _CELLS.get(name, (1, _straight(d), 1j if d == 2 else 0j))
    sizes: tuple[object, ...] = (size,) * d if isinstance(size, int | np.integer) else tuple(size)
    if len(sizes) != d:
        raise InputError(f"wrong number of sizes for a {name} lattice", expected=str(d), got=str(len(sizes)))
    shape = tuple(check_size(s, "cells along an axis") for s in sizes)  # type: ignore[arg-type]
    check_size(math.prod(shape) * basis, "nodes")
    check_size(math.prod(shape) * len(bonds), "bonds")
    return Lattice(name, shape, basis, bonds, periodic, ratio)


def _straight(d: int) -> tuple[Bond, ...]:
    return tuple((0, 0, tuple(int(j == axis) for j in range(d))) for axis in range(d))
