"""Percolation as exhibits: the curve with its threshold, clusters at the threshold, the collapse of sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import label

from opalesce.report.exhibits import Exhibit, Mark, Plate, Role, Series
from opalesce.theory.percolation.canonical import canonical, susceptibility
from opalesce.theory.percolation.flow import steady_flow
from opalesce.theory.percolation.scaling import Curves, curves
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


def backbone(size: int, p: float, rng: np.random.Generator) -> Plate:
    """Flow from the left to the right edge of an open square lattice, bonds kept with probability p.

    Sites that carry a twentieth of the whole or more are drawn in the report's colour, those that carry
    anything in another; the rest, dead ends included, are empty.
    """
    node = np.arange(size * size).reshape(size, size)
    edges = np.concatenate(
        [
            np.stack([node[:, :-1].ravel(), node[:, 1:].ravel()], axis=1),
            np.stack([node[:-1].ravel(), node[1:].ravel()], axis=1),
        ]
    )
    kept = edges[rng.random(len(edges)) < p]
    got = steady_flow(size * size, kept, np.ones(len(kept)), node[:, 0], node[:, -1])
    through = np.bincount(kept.ravel(), np.repeat(np.abs(got.flux), 2), size * size) / 2
    through[np.concatenate([node[:, 0], node[:, -1]])] *= 2  # what enters there has no edge of its own
    share = through / got.conductance if got.conductance > 0 else np.zeros(size * size)
    image = np.where(share >= 0.05, 1, np.where(share > 1e-9, 2, 0)).reshape(size, size)
    title = (
        f"flow backbone at p = {p:.4g}: {np.mean(share > 1e-9):.0%} of sites carry, G = {got.conductance:.3g}"
    )
    return Plate(title, "", "", image=image)


def lattice_exhibits(
    sizes: Sequence[int],
    swept: Sequence[Sweeps],
    window: tuple[float, float],
    p_c: tuple[float, float, float],
    exponents: tuple[float, float],
    square: str | None,
    rng: np.random.Generator,
) -> list[Exhibit]:
    """Curves of all sizes, their collapse with the published exponents, and pictures of a square lattice.

    Parameters
    ----------
    sizes, swept
        Linear sizes and their sweeps.
    window : (low, high)
        Occupied shares that were swept.
    p_c : (value, low, high)
    exponents : (nu, beta)
    square : {"site", "bond"} or None
        Draw clusters and the flow backbone of a square lattice.
    """
    inner = np.linspace(0.85 * window[0] + 0.15 * window[1], 0.15 * window[0] + 0.85 * window[1], 61)
    named = [(f"L = {n}", s) for n, s in zip(sizes, swept, strict=True)]
    plates = curve(named, inner, *p_c)
    nu, beta = exponents
    found = curves(sizes, swept, inner, rng=rng, resamples=2)
    plates.append(collapse(found, p_c[0], nu, -beta))
    out = [Exhibit("curve", "Curves and their collapse", "Tori of three sizes, published exponents.", plates)]
    if square is not None:
        pictures = (
            [clusters(256, p_c[0], rng)] if square == "site" else [backbone(128, min(1.0, 1.1 * p_c[0]), rng)]
        )
        caption = (
            "At the threshold the largest cluster, in the report's colour, has holes of every size."
            if square == "site"
            else "A tenth above the threshold: dead ends carry nothing, and little of the rest carries much."
        )
        out.append(Exhibit("picture", "What it looks like", caption, pictures))
    return out
