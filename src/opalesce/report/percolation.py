"""Percolation as exhibits: the curve with its threshold, clusters at the threshold, the collapse of sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import label

from opalesce.report.exhibits import Exhibit, Mark, Plate, Role, Series
from opalesce.theory.percolation.canonical import canonical, susceptibility
from opalesce.theory.percolation.scaling import Curves
from opalesce.theory.percolation.sweep import Sweeps

ROLES: tuple[Role, ...] = ("second", "third", "fourth", "seen", "exact", "null")


def ranked(labels: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Cluster numbers by size: 0 stays empty, 1 is the largest cluster, 2 the next."""
    z = np.asarray(labels, int)
    count = np.bincount(z.ravel())
    count[0] = 0
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(1, len(count) + 1)
    return np.where(z == 0, 0, rank[z])


def clusters(size: int, p: float, rng: np.random.Generator) -> Plate:
    """Site clusters of an open square lattice at p, each in its colour, the largest in the report's."""
    image = ranked(label(rng.random((size, size)) < p)[0])
    return Plate(f"{size} x {size} sites at p = {p:.4g}", "", "", image=image)


def curve(
    sweeps: Sequence[tuple[str, Sweeps]], p: ArrayLike, p_c: float, low: float, high: float
) -> list[Plate]:
    """Share of the largest cluster and mean size of the others against p, one curve for each size.

    `p_c` with [`low`, `high`] is the threshold that is marked.
    """
    at = np.asarray(p, float)
    first, rest = [], []
    for i, (name, s) in enumerate(sweeps):
        role = ROLES[i % len(ROLES)]
        y, e = canonical(s, "S1", at)
        y, e = y / s.n, e / s.n
        first.append(Series(name, role, at.tolist(), y.tolist(), (y - 2 * e).tolist(), (y + 2 * e).tolist()))
        y, e = susceptibility(s, at)
        rest.append(Series(name, role, at.tolist(), y.tolist(), (y - 2 * e).tolist(), (y + 2 * e).tolist()))
    mark = (Mark(p_c, "threshold", low, high),)
    return [
        Plate("largest cluster", "occupied share p", "share of sites", first, mark),
        Plate("mean size of the others", "occupied share p", "(M2 - S1²) / n", rest, mark, log_y=True),
    ]


def collapse(c: Curves, p_c: float, nu: float, zeta: float) -> Plate:
    """The curves of all sizes in scaled coordinates: one curve when the exponents are right."""
    series = []
    for i, size in enumerate(c.sizes):
        x = size ** (1 / nu) * (c.p[i] - p_c)
        y = c.y[i] * size ** (-zeta / nu)
        series.append(Series(f"L = {size:g}", ROLES[i % len(ROLES)], x.tolist(), y.tolist()))
    return Plate(
        f"collapse: nu = {nu:.3g}, beta = {-zeta:.3g}", "L^(1/ν) (p − p_c)", "L^(β/ν) S1 / n", series
    )


def exhibit(title: str, caption: str, plates: Sequence[Plate]) -> Exhibit:
    """A row of these plates."""
    return Exhibit("percolation", title, caption, plates)
