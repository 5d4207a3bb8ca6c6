"""Brill's figures 1 to 10 as exhibits: our simulation with theory over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from opalesce.report.exhibits import Exhibit, Mark, Plate, Role, Series
from opalesce.report.percolation import ranked

Numbers = Mapping[str, Any]
ROLES: tuple[Role, ...] = ("exact", "second", "third", "seen", "null")


def _lattice(d: Numbers) -> list[Plate]:
    return [
        Plate(f"{name}, middle layer", "", "", image=ranked(clusters[len(clusters) // 2]))
        for name, clusters in d.items()
    ]


def _laws(key: str, x: str) -> Callable[[Numbers], list[Plate]]:
    def plates(d: Numbers) -> list[Plate]:
        out = []
        for i, r in enumerate(d["ratio"]):
            series = [
                Series("law", "exact", d[key], d["loss"][i]),
                Series("its power-law limit", "theory", d[key], d["limit"][i]),
            ]
            out.append(Plate(f"c/D = {r:g}", x, "loss / loss(1)", series, log_x=True, log_y=True))
        return out

    return plates


def _exponents(d: Numbers) -> list[Plate]:
    def plate(title: str, values: Any) -> Plate:
        series = [Series(f"c = {c:g}", ROLES[i], d["dimension"], values[i]) for i, c in enumerate(d["c"])]
        return Plate(title, "dimension d", "ratio", series)

    return [plate("(c/D) / alpha: model", d["model"]), plate("(c/D) / (alpha/(1+alpha)): data", d["data"])]


def _allocations(d: Numbers) -> list[Plate]:
    best = (float(d["b"][-1]), float(d["break_rank"][-1]), float(d["loss"][-1]))

    def plate(x: str, values: Any, at: float, log: bool) -> Plate:
        order = np.argsort(values[:-1])
        lower = [float(v) for v in np.minimum.accumulate(d["loss"][:-1])]
        series = [
            Series("simulated allocations", "null", values[:-1][order], d["loss"][:-1][order]),
            Series("theory's optimum", "seen", [at], [best[2]]),
        ]
        title = f"N = {float(d['dof']):g}, best of {len(lower)}: {lower[-1]:.3f}"
        return Plate(title, x, "loss", series, (Mark(at, "theory"),), log_x=log, log_y=True)

    return [plate("b", d["b"], best[0], False), plate("break rank", d["break_rank"], best[1], True)]


def _seeds(d: Numbers) -> list[Plate]:
    x = d["dof"]
    return [
        Plate(
            f"{kind} scaling", "N" if kind == "model" else "data points", "loss / loss of nothing",
            [
                Series("simulation: median, 16-84 %", "seen", x, d[f"{kind}_median"], d[f"{kind}_low"],
                       d[f"{kind}_high"]),
                Series("theory", "theory", x, d[f"{kind}_theory"]),
            ],
            log_x=True, log_y=True,
        )
        for kind in ("model", "data")
    ]  # fmt: skip


def _sizes(d: Numbers) -> list[Plate]:
    series = [
        Series("simulated clusters", "seen", d["size"], d["share"]),
        Series("exact law", "exact", d["size"], d["exact"]),
        Series("power -1/2", "theory", d["size"], d["power"]),
    ]
    return [Plate("cluster sizes", "size s", "share of s or more", series, log_x=True, log_y=True)]


def _clusters(d: Numbers) -> list[Plate]:
    return [
        Plate(
            f"rank {rank}, {d['size'][i]:,} sites, f = {d['scale'][i]:.3g}", "training sites", "loss",
            [
                Series("simulation", "seen", d["training"][i], d["loss"][i]),
                Series("fit of eq. 13", "theory", d["training"][i], d["fit"][i]),
            ],
            log_x=True, log_y=True,
        )
        for i, rank in enumerate(d["rank"])
    ]  # fmt: skip


def _width(d: Numbers) -> list[Plate]:
    order = np.argsort(d["params"])
    series = [
        Series("models", "seen", d["params"][order], d["width"][order]),
        Series("fit", "theory", d["params"][order], d["fit"][order]),
    ]
    return [
        Plate(f"exponent {float(d['exponent']):.4f}", "parameters", "d_model", series, log_x=True, log_y=True)
    ]


FIGURES: dict[int, tuple[str, Callable[[Numbers], list[Plate]]]] = {
    1: ("Site percolation on a cube below, at and above the threshold", _lattice),
    2: ("Model scaling (eq. 7) and its limits", _laws("dof", "N")),
    3: ("Data scaling (eqs 10, 11) and its limits", _laws("data", "data points")),
    4: ("Which limit rules, by dimension", _exponents),
    5: ("Loss of random allocations, N = 500", _allocations),
    6: ("Simulation against theory", _seeds),
    7: ("Sizes of clusters", _sizes),
    8: ("Learning curves of single clusters", _clusters),
    9: ("Loss of random allocations, N = 5000", _allocations),
    10: ("Width of models against parameters", _width),
}


def exhibit(number: int, numbers: Numbers) -> Exhibit:
    """Figure `number` of Brill (2024) from its numbers (`opalesce.theory.brill.figures.figure`)."""
    title, plates = FIGURES[number]
    caption = "Brill 2024 (arXiv 2412.07942), regenerated here from our own simulation; dotted: theory."
    return Exhibit(f"brill-{number}", f"Figure {number}. {title}", caption, plates(numbers))
