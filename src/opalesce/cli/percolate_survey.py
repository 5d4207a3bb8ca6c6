"""What `opalesce percolate` finds: one document for a lattice, a graph or a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.cli.graphs import Graph
from opalesce.errors import InputError

Say = Callable[[str], None]
POINTS = 201
SWEPT = "_swept"  # what the page draws and the document leaves out


def of_lattice(name: str, size: int, kind: str, sweeps: int, rng: np.random.Generator, say: Say) -> Any:
    """Threshold of a lattice from tori of size L, L/2 and L/4, and exponents from their ratios.

    Sweeps cover the neighbourhood of the published threshold only. In 2-D the threshold is where the
    wrapping probability of the largest torus has its exact critical value; else where two sizes cross.
    """
    from opalesce.theory.percolation.exponents import exponents
    from opalesce.theory.percolation.lattices import lattice
    from opalesce.theory.percolation.sweep import sweep
    from opalesce.theory.percolation.tables import threshold as published
    from opalesce.theory.percolation.threshold import at_value, crossing
    from opalesce.theory.percolation.wrapping import torus

    largest = lattice(name, size)  # raises before anything is swept
    if size < 16:
        raise InputError("the lattice is too small for a threshold", expected="16 or more", got=str(size))
    known = published(name, kind)
    sizes = [size // 4, size // 2, size]
    reach = 6 * (size / 4) ** (-1 / (exponents(largest.dimension).nu if largest.dimension > 1 else 1.0))
    window = (max(known.value - reach, 0.0), min(known.value + reach, 1.0))
    swept = []
    for i, length in enumerate(sizes):
        say(f"sweeping: {i} of {len(sizes)}")
        swept.append(sweep(lattice(name, length), kind, sweeps, rng=rng, window=window))
    if largest.dimension == 2:
        p_c = at_value(swept[-1], torus(largest.aspect).axis)
    else:
        p_c = crossing(swept[-2], swept[-1])
    return {
        "source": f"{name} {'x'.join(str(n) for n in largest.shape)} torus, {kind}",
        "nodes": largest.n_sites,
        "threshold": asdict(p_c),
        "published": asdict(known),
        "exponents": _exponents(sizes, swept, known.value),
        "curve": _canonical(swept[-1], np.linspace(*window, POINTS)),
        "notes": [],
        SWEPT: (name, kind, sizes, swept, window, exponents(largest.dimension)),
    }


def _exponents(sizes: list[int], swept: list[Any], p_c: float) -> dict[str, Any]:
    from opalesce.theory.percolation.canonical import canonical, has_happened
    from opalesce.theory.percolation.scaling import power

    slopes = [has_happened(s, p_c, "axis", derivative=True) for s in swept]
    mean = np.array([x.mean() for x in slopes])
    error = np.array([x.std(ddof=1) / np.sqrt(len(x)) for x in slopes])
    giant = [canonical(s, "S1", p_c) for s in swept]
    share = np.array([float(g[0][0]) / s.n for g, s in zip(giant, swept, strict=True)])
    spread = np.array([float(g[1][0]) / s.n for g, s in zip(giant, swept, strict=True)])
    return {
        "1/nu": asdict(power(sizes, mean, error)),
        "-beta/nu": asdict(power(sizes, share, spread)),
    }


def of_graph(g: Graph, kind: str, sweeps: int, rng: np.random.Generator, say: Say) -> Any:
    """Random sweeps of a graph; with weights, the sweep by weight against the random ones."""
    from opalesce.theory.percolation.sweep import sweep
    from opalesce.theory.percolation.threshold import gap, peak

    say("sweeping: 0 of 1")
    swept = sweep((g.n, g.edges), kind, sweeps, rng=rng, wrapping=False)
    place, jump = gap(swept)
    found: dict[str, Any] = {
        "source": f"graph, {kind}",
        "nodes": g.n,
        "edges": len(g.edges),
        "threshold": asdict(peak(swept, "S2", rng=rng)),
        "threshold_chi": asdict(peak(swept, "chi", rng=rng)),
        "largest_gap": {"place": asdict(place), "size": asdict(jump)},
        "curve": _canonical(swept, np.linspace(0, 1, POINTS)),
        "notes": list(g.notes),
    }
    if kind == "bond":
        found["theory"] = _theory(g)
    if g.weights is not None and kind == "bond":
        found["weights"] = _by_weight(g, swept)
    elif g.weights is not None:
        found["notes"].append("weights belong to edges: not used with --site")
    return found


def _theory(g: Graph) -> dict[str, Any]:
    """What degrees, and walks that never turn back, say of the threshold."""
    from opalesce.theory.percolation.networks import degrees_of, molloy_reed
    from opalesce.theory.percolation.nonbacktracking import walks

    simple = np.unique(np.sort(g.edges, axis=1), axis=0)
    simple = simple[simple[:, 0] != simple[:, 1]]
    lead = walks(g.n, simple)
    out: dict[str, Any] = {
        "threshold by degrees (Molloy and Reed)": _number(molloy_reed(degrees_of(g.n, simple))),
        "threshold by non-backtracking walks": _number(lead.threshold),
    }
    return out | ({"warning": lead.warning} if lead.warning else {})


def _by_weight(g: Graph, swept: Any) -> dict[str, Any]:
    """The same edges in order of weight: place of the largest gap, beside that of random orders."""
    from opalesce.theory.percolation.weighted import graph_curve

    assert g.weights is not None
    c = graph_curve(g.n, g.edges, g.weights)
    jumps = np.diff(c.S1)
    at = float(c.kept[int(jumps.argmax()) + 1]) if jumps.size else float("nan")
    null = swept.gap_at / swept.m
    return {
        "threshold": _number(c.peak),
        "largest_gap": _number(at),
        "gap_z": _number(_z(at, null)),
        "null": f"{len(null)} random orders of the same edges",
        "curve": _thin(c),
    }


def of_matrix(w: NDArray[Any], name: str, rng: np.random.Generator, say: Say) -> Any:
    """A weight matrix as a network: curve, thresholds, and z-scores against three nulls."""
    from opalesce.nulls.weights import Against, against, same_strengths
    from opalesce.observables.flow import resistance_excess
    from opalesce.observables.percolation import WeightGraph, giant_share, median_breakthrough
    from opalesce.observables.percolation import percolation_ratio as ratio
    from opalesce.observables.pores import graph_thickness
    from opalesce.theory.percolation.exact import layered_threshold
    from opalesce.theory.percolation.uniform import null_peaks, uniform_curve

    graph = WeightGraph(w)
    if min(graph.shape) < 2:
        raise InputError("one row or column is a star", expected="a matrix", got=f"shape {w.shape}")
    exact = layered_threshold(graph.shape)
    every = (ratio, giant_share, median_breakthrough, resistance_excess, graph_thickness)
    say("nulls: 0 of 2")
    edges = int(np.count_nonzero(w))
    shuffle = Against(ratio(graph), null_peaks(graph.shape, 100, edges) / exact)
    say("nulls: 1 of 2")
    notes, strengths = [], None
    draws = 20 if w.size <= 2_000_000 else 5
    try:
        strengths = against(w, lambda x: ratio(WeightGraph(x)), same_strengths, rng, draws)
    except InputError as error:
        notes.append(f"no null of equal strengths: {error.what}")
    if edges < w.size:
        notes.append(f"{w.size - edges} entries are 0: no edges")
    curve = graph.curve
    assert curve is not None
    if not np.isfinite(curve.peak):
        notes.append("no threshold: equal entries come at once, or no second cluster ever grows")
    return {
        "source": f"{name}, {w.shape[0]} x {w.shape[1]}",
        "nodes": sum(graph.shape),
        "edges": edges,
        "threshold": {"value": _number(curve.peak), "exact_null": exact, "ratio": _number(shuffle.value)},
        "nulls": {
            "shuffled or Gaussian": _against(shuffle),
            "equal strengths": None if strengths is None else _against(strengths),
        },
        "observables": {f.__name__: _number(f(graph)) for f in every},
        "curve": _thin(curve),
        "null_curve": _thin(uniform_curve(graph.shape, rng, edges)),
        "notes": notes,
    }


def _against(a: Any) -> dict[str, Any]:
    mean = float(a.null.mean()) if a.null.size else float("nan")
    return {"z": _number(a.z), "p": _number(a.p_value), "mean": _number(mean), "draws": int(a.null.size)}


def _z(value: float, null: NDArray[np.float64]) -> float:
    sd = float(null.std(ddof=1)) if null.size > 1 else 0.0
    return (value - float(null.mean())) / sd if sd > 0 else float("nan")


def _number(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def _canonical(swept: Any, p: NDArray[np.float64]) -> dict[str, list[float]]:
    from opalesce.theory.percolation.canonical import canonical, susceptibility

    return {
        "p": p.tolist(),
        "S1": (canonical(swept, "S1", p)[0] / swept.n).tolist(),
        "S2": (canonical(swept, "S2", p)[0] / swept.n).tolist(),
        "chi": susceptibility(swept, p)[0].tolist(),
    }


def _thin(c: Any) -> dict[str, list[float]]:
    pick = np.unique(np.linspace(0, len(c.counts) - 1, 2 * POINTS).astype(int))
    return {
        "p": c.kept[pick].tolist(),
        "S1": (c.S1[pick] / c.n).tolist(),
        "S2": (c.S2[pick] / c.n).tolist(),
        "chi": c.susceptibility[pick].tolist(),
    }
