"""Exhibits of structure: spectral densities with noise and tail, spectra of neurons, curves along depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.report.exhibits import Exhibit, Grid, Mark, Plate, Role, Series
from opalesce.report.heat import shorten
from opalesce.theory.multifractal.exponents import MassExponents, Q, legendre
from opalesce.theory.random_matrix import marchenko_pastur_density, marchenko_pastur_median

if TYPE_CHECKING:
    from opalesce.measure.audit import Audit
    from opalesce.measure.audit_matrix import Audited

Array = NDArray[np.float64]
ROLES: tuple[Role, ...] = ("seen", "second", "third", "fourth")
POINTS = 48  # of a density
DEPTH = (
    "Order parameters of the residual stream with 90 % bands over prompts. A change that the controls "
    "show as well (rotation, masked massive coordinates, shuffled tokens, random weights) is not the model's."
)
GEOMETRY = "Geometry of a sample of tokens at each layer, first positions left out, beside random weights."


def density(squares: Array, bins: int = POINTS) -> tuple[Array, Array]:
    """Histogram density of positive numbers on logarithmic bins: centres and heights; of zeros, none."""
    x = squares[squares > 1e-12 * squares.max()]
    if not x.size:
        return x, x
    edges = (
        np.geomspace(x.min(), x.max() * 1.0001, bins + 1) if x.min() < x.max() else np.array([x[0], x[0] + 1])
    )
    count, edges = np.histogram(x, edges)
    height = count / (squares.size * np.diff(edges))
    centre = np.sqrt(edges[1:] * edges[:-1])
    return centre[count > 0], height[count > 0]


def spectral_plate(singular: Array, shape: tuple[int, int], tail: Any = None, title: str = "") -> Plate:
    """Density of s^2 / N beside Marchenko-Pastur at the level of its median, and a fitted tail.

    Parameters
    ----------
    singular : array
        Singular values, largest first.
    shape : (rows, columns)
    tail : PowerLawFit, optional
        Of the squared singular values, in units of the largest.
    """
    long, c = max(shape), min(shape) / max(shape)
    squares = np.asarray(singular, float) ** 2 / long
    x, y = density(squares)
    series = [Series("measured", "seen", x.tolist(), y.tolist())]
    level = float(np.median(squares)) / marchenko_pastur_median(c)
    if level > 0:
        low, high = level * (1 - c**0.5) ** 2, level * (1 + c**0.5) ** 2
        at = np.linspace(max(low, 1e-3 * high) * 1.0001, high * 0.9999, 120)
        bulk = marchenko_pastur_density(at, c, level)
        series.append(Series("Marchenko-Pastur", "null", at.tolist(), bulk.tolist()))
    marks = []
    if tail is not None and np.isfinite(tail.alpha):
        start = tail.xmin * squares.max()
        at = np.geomspace(start, squares.max(), 20)
        share = tail.n_tail / squares.size
        law = share * (tail.alpha - 1) / start * (at / start) ** -tail.alpha
        series.append(Series("power-law tail", "theory", at.tolist(), law.tolist()))
        marks.append(Mark(float(start), f"alpha {tail.alpha:.3g}, D {tail.distance:.2g}"))
    return Plate(
        title or "spectral density", "squared singular value / N", "density", series, marks, True, True
    )


def spectrum_series(tau: Sequence[float], label: str, role: Role) -> Series | None:
    """f(alpha) from tau on the published grid; None where there is none."""
    t = np.asarray(tau, float)
    if t.shape != Q.shape or not np.isfinite(t).all():
        return None
    f = legendre(MassExponents(Q, t, np.ones_like(t), (0.0, 1.0)))
    return Series(label, role, f.alpha.tolist(), f.f.tolist())  # along q: it may fold back


def audit_exhibits(found: Audit, layers: Mapping[str, Any] | None = None) -> list[Exhibit]:
    """Spectra, neurons and map of an audited checkpoint, and curves along depth when activations were read.

    Raises
    ------
    InputError
        Nothing was audited.
    """
    if not found.matrices:
        raise InputError("nothing was audited, so nothing can be drawn", fix="a larger --budget")
    firsts = {m.part: m for m in reversed(found.matrices)}
    out = [_spectra(list(firsts.values())[:4]), _neurons(list(firsts.values())[:4]), _map(found.matrices)]
    if layers is not None:
        out.append(depth_exhibit(layers["gamma"], layers["curves"], {}, GEOMETRY))
    return out


def _tail(m: Audited) -> Any:
    from opalesce.observables.tails import fit_power_law

    squares = (m.singular_values / (m.singular_values[0] or 1.0)) ** 2
    squares = squares[squares > 0]
    return fit_power_law(squares) if np.unique(squares).size > 1 else None


def _spectra(matrices: Sequence[Audited]) -> Exhibit:
    names = shorten([m.module for m in matrices])
    plates = [
        spectral_plate(m.singular_values, m.shape, _tail(m), name)
        for m, name in zip(matrices, names, strict=True)
    ]
    caption = (
        "Squared singular values beside what independent entries of the same size would give. A tail is "
        "drawn where the fit begins; with D above 0.1 noise would fit as well."
    )
    return Exhibit("spectra", "Spectral density", caption, plates)


def _neurons(matrices: Sequence[Audited]) -> Exhibit:
    found = [spectrum_series(m.tau.tolist(), m.part, role) for m, role in zip(matrices, ROLES, strict=False)]
    plate = Plate("spectrum of neurons", "alpha", "f(alpha)", [s for s in found if s is not None])
    caption = (
        "NeuroMFA free of scale, one matrix of each kind. All spectra of node sums peak at f = 0; a width is "
        "more than sampling only beside its shuffled null."
    )
    return Exhibit("neurons", "Multifractal spectrum of neurons", caption, [plate])


def _map(matrices: Sequence[Audited], name: str = "stable_rank") -> Exhibit:
    """Block x kind of matrix, coloured by the logarithm of null over value of the stable rank."""
    parts = list(dict.fromkeys(m.part for m in matrices))
    blocks = sorted({-1 if m.block is None else m.block for m in matrices})
    z = np.full((len(parts), len(blocks)), np.nan)
    cells: list[list[list[Series]]] = [[[] for _ in blocks] for _ in parts]
    for m in matrices:
        line = next((x for x in m.lines if x.name == name), None)
        i, j = parts.index(m.part), blocks.index(-1 if m.block is None else m.block)
        if line is None or not line.value > 0 or np.isfinite(z[i, j]):
            continue
        z[i, j] = np.log2(line.null / line.value)
        cells[i][j] = list(spectral_plate(m.singular_values, m.shape).series)
    labels = ["ends" if b < 0 else str(b) for b in blocks]
    grid = Plate("log2 of null / stable rank", "block", "", grid=Grid(labels, parts, z.tolist(), cells))
    first = next((c for row in cells for c in row if c), [])
    beside = Plate("its spectrum", "squared singular value / N", "density", first, log_x=True, log_y=True)
    return Exhibit("map", "Where the structure is", "Click a cell to see its spectrum.", [grid, beside])


def depth_exhibit(
    gamma: Sequence[float],
    curves: Mapping[str, Mapping[str, Any]],
    places: Mapping[str, Any],
    caption: str = DEPTH,
) -> Exhibit:
    """Order parameters along depth, each with its controls.

    Parameters
    ----------
    gamma : sequence of float
        Depth l / L of each layer.
    curves : mapping
        name -> {"mean", "low", "high", "controls": {label: curve}}; at most four controls are drawn.
    places : mapping
        name -> {"value", "low", "high"} of a critical depth, where one is claimed.
    """
    plates = []
    for name, c in curves.items():
        series = [Series("model", "exact", gamma, c["mean"], c.get("low"), c.get("high"))]
        controls = list((c.get("controls") or {}).items())[:4]
        series += [
            Series(k, role, gamma, v) for (k, v), role in zip(controls, ("null", *ROLES), strict=False)
        ]
        p = places.get(name)
        marks = [Mark(p["value"], "critical depth", p.get("low"), p.get("high"))] if p else []
        plates.append(Plate(name.replace("_", " "), "depth l / L", "", series, marks))
    return Exhibit("depth", "Order along depth", caption, plates)


def training_exhibits(ds: Any, modules: Sequence[str] = ()) -> list[Exhibit]:
    """f(alpha) over training and a layer x step map of a measured Dataset; empty where neither was measured.

    Needs `multifractal_tau` for the spectra; the map takes `stable_rank`, or the first spectral observable,
    and a click shows f(alpha) of that module and step.
    """
    out = []
    tau = ds.get("multifractal_tau")
    if tau is not None:
        names = [m for m in modules or ds["module"].values.tolist() if np.isfinite(tau.sel(module=m)).any()]
        if names:
            out.append(_over_training(tau, names[-1] if "network" not in names else "network"))
    name = next((n for n in ("stable_rank", "participation_ratio", "tail_alpha") if n in ds), None)
    if name is not None and tau is not None and ds.sizes["step"] > 1:
        out.append(_module_map(ds, name, tau))
    return out


def _over_training(tau: Any, module: str) -> Exhibit:
    rows = tau.sel(module=module)
    good = [i for i in range(rows.sizes["step"]) if np.isfinite(rows.values[i]).all()]
    chosen = [good[k] for k in sorted({0, len(good) // 3, 2 * len(good) // 3, len(good) - 1})]
    steps = rows["step"].values
    series = [
        spectrum_series(rows.values[i].tolist(), f"step {steps[i]:g}", role)
        for i, role in zip(chosen, ROLES, strict=False)
    ]
    plate = Plate(f"{module}", "alpha", "f(alpha)", [s for s in series if s is not None])
    caption = (
        "NeuroMFA free of scale, at four steps, drawn along q. An arch is what a multifractal gives; a curve "
        "that folds back has no scaling, and its width is made by a few neurons."
    )
    return Exhibit("training", "Spectrum of neurons over training", caption, [plate])


def _module_map(ds: Any, name: str, tau: Any) -> Exhibit:
    found = ds[name]
    modules = [m for m in ds["module"].values.tolist() if np.isfinite(found.sel(module=m)).any()]
    steps = [f"{s:g}" for s in ds["step"].values]
    z = np.log10(found.sel(module=modules).values.T)
    cells: list[list[list[Series]]] = []
    for m in modules:
        rows = tau.sel(module=m).values
        made = [spectrum_series(r.tolist(), "f(alpha)", "seen") for r in rows]
        cells.append([[s] if s is not None else [] for s in made])
    grid = Plate(
        f"log10 of {name}",
        str(ds.attrs.get("axis", "step")),
        "",
        grid=Grid(steps, modules, z.tolist(), cells),
    )
    first = next((c for row in cells for c in row if c), [])
    beside = Plate("its spectrum of neurons", "alpha", "f(alpha)", first)
    return Exhibit("module-map", "Layer by step", "Click a cell to see its spectrum.", [grid, beside])
