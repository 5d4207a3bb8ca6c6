"""Connectivity in the weights of the ladders, beside that of their twins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opalesce.measure.sweep import measure
from opalesce.report.exhibits import Exhibit, Plate, Role, Series
from opalesce.runs.run import Run
from opalesce.systems.concepts.exhibits import spread

Floats = NDArray[np.float64]
MODULE = "property.weight"
# observable, title, value of independent weights (None: depends on the size)
SHOWN = (
    ("percolation_ratio", "threshold of the weights / random order", 1.0),
    ("median_breakthrough", "half of all paths open / random order", 1.0),
    ("abs_cv", "pores: CV of |w|", float(np.sqrt(np.pi / 2 - 1))),
    ("gini", "pores: Gini of |w|", float(np.sqrt(2) - 1)),
)


def weights(real: Sequence[Run], null: Sequence[Run], valid: int, store: Path) -> Exhibit:
    """Percolation and pore statistics of the property embedding against density, real and twin."""
    names = [n for n, _, _ in SHOWN]
    real_, null_ = (_curves(runs, names, store) for runs in (real, null))
    density = np.array([c.step for c in real[0].checkpoints]) / valid
    plates = []
    for i, (_, title, random) in enumerate(SHOWN):
        groups: tuple[tuple[str, Role, Floats], ...] = (("twins", "null", null_), ("real", "seen", real_))
        series = []
        for label, role, values in groups:
            mean, low, high = spread(values[:, i])
            series.append(Series(label, role, density.tolist(), mean.tolist(), low, high))
        ends = [float(density[0]), float(density[-1])]
        series.append(Series("independent weights", "theory", ends, [random, random]))
        plates.append(Plate(title, "density of pairs seen", "value", series, (), log_x=True))
    return Exhibit(
        "weights",
        "Connectivity in the weights: does it know?",
        f"Entries of {MODULE} joined in order of size. Grey: twins, which learn to fit pairs that mean "
        "nothing. Where real and twin go together, the statistic sees that something was fitted, not that "
        "anything was inferred. Bands and bars: 95 % over seeds.",
        plates,
    )


def _curves(runs: Sequence[Run], names: list[str], store: Path) -> Floats:
    """Array (run, observable, rung) of the shown module."""
    out = []
    for run in runs:
        ds = measure(run, names, out=store)
        steps = [c.step for c in run.checkpoints]
        out.append([ds[n].sel(module=MODULE, step=steps).values for n in names])
    return np.array(out, float)
