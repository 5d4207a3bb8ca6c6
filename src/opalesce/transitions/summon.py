"""From runs to witnesses: measure, align with the twins, drop what is not a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.aggregate import aggregate
from opalesce.measure.sweep import measure
from opalesce.observables.registry import load
from opalesce.runs.check import Finding
from opalesce.runs.run import Curve, Run
from opalesce.transitions.panel import Pick
from opalesce.transitions.scan import MIN_POINTS
from opalesce.transitions.witness import Witness

Array = NDArray[np.float64]
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Measured:
    """A run and the curves of the called witnesses; `dataset` holds the modules one by one."""

    run: Run
    curves: dict[str, Curve]
    dataset: xr.Dataset | None
    notes: tuple[str, ...] = ()


def summon(
    run: Run, picks: Sequence[Pick], out: Path | None, n_jobs: int, progress: Progress | None = None
) -> Measured:
    """Curves of all picks that this run can give; what it cannot give is noted."""
    registry = load()
    weights = sorted({p.name for p in picks if p.name not in run.curves and p.name in registry})
    unknown = [p.name for p in picks if p.name not in run.curves and p.name not in registry]
    notes = [f"{run.name}: no column and no observable is called {n!r}" for n in unknown]
    ds = None
    if weights and run.checkpoints:
        try:
            ds = measure(run, weights, out=out, n_jobs=n_jobs, progress=progress)
        except InputError as error:
            notes.append(f"{run.name}: {error.what}")
    curves: dict[str, Curve] = {}
    for p in picks:
        if p.name in run.curves:
            curves[p.key] = run.curves[p.name]
        elif ds is not None and p.name in ds:
            try:
                curves[p.key] = aggregate(ds, p.name, p.modules)
            except InputError as error:
                notes.append(f"{run.name}: {error.what}")
    return Measured(run, curves, ds, tuple(notes))


def witnesses(
    main: Measured, nulls: Sequence[Measured], picks: Sequence[Pick], findings: Iterable[Finding]
) -> tuple[list[Witness], list[str]]:
    """Witnesses of one run with their twins at the same places; and notes on what was left out."""
    flagged = frozenset(x for f in findings if f.severity == "fault" for x in _places(f))
    out, notes = [], list(main.notes)
    for p in picks:
        if p.key not in main.curves:
            continue
        curve = _finite(main.curves[p.key])
        if len(curve.x) < len(main.curves[p.key].x):
            notes.append(
                f"{p.key}: {len(main.curves[p.key].x) - len(curve.x)} values are not finite and left out"
            )
        twins = [_finite(n.curves[p.key]) for n in nulls if p.key in n.curves]
        x = curve.x
        for t in twins:
            x = np.intersect1d(x, t.x)
        if twins and len(x) < max(MIN_POINTS, len(curve.x) // 2):
            notes.append(f"{p.key}: the null runs share only {len(x)} of {len(curve.x)} places; left out")
            twins, x = [], curve.x
        if len(x) < len(curve.x):
            lost = len(curve.x) - len(x)
            notes.append(f"{p.key}: {lost} of {len(curve.x)} places are not in every null run and not judged")
        at = np.isin(curve.x, x)
        out.append(
            Witness(
                p.key,
                x,
                curve.y[at],
                None if curve.stderr is None or not p.primary else curve.stderr[at],
                np.array([t.y[np.isin(t.x, x)] for t in twins]) if twins else None,
                curve.lineage,
                curve.continuous,
                curve.pair,
                p.primary,
                curve.unit,
                p.label or p.key,
                p.control,
                flagged,
            )
        )
    return out, notes


def _places(f: Finding) -> tuple[float, ...]:
    return f.x or (() if f.step is None else (f.step,))


def _finite(c: Curve) -> Curve:
    """Finite values only, at strictly increasing places (the first of equal places is kept)."""
    ok = np.isfinite(c.x) & np.isfinite(c.y)
    x, first = np.unique(c.x[ok], return_index=True)
    return replace(
        c, x=x, y=c.y[ok][first].astype(float), stderr=None if c.stderr is None else c.stderr[ok][first]
    )
