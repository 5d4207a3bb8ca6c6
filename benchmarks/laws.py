"""Fits of scaling laws against SciPy, PyPI `chinchilla`, and the grid of the broken law's authors.

Needs the public data (`OPALESCE_DATA`, by default ../shared/data); without it there is nothing to time.
"""

from __future__ import annotations

import csv
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import brute, curve_fit, minimize
from scipy.special import logsumexp

from benchmarks.figures import Figure, seconds
from opalesce.laws.compute import Chinchilla, hoffmann_grid
from opalesce.laws.data import points
from opalesce.laws.descent import search
from opalesce.laws.fit import fit
from opalesce.laws.spread import resample

DATA = Path(os.environ.get("OPALESCE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DELTA = 1e-3


def runs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """N, D and loss of the 240 digitised runs of hoffmann2022training."""
    with (DATA / "chinchilla" / "svg_extracted_data.csv").open() as f:
        rows = list(csv.DictReader(f))
    table = np.array([[float(r[k]) for k in ("Model Size", "Training FLOP", "loss")] for r in rows])
    n, c, loss = table[np.argsort(table[:, 2])[:240]].T
    return n, c / (6 * n), loss


def published(theta: np.ndarray, n: np.ndarray, d: np.ndarray, v: np.ndarray, w: np.ndarray) -> float:
    """The objective as it is stated: un-centred logs, a sum of Huber terms."""
    e, a, b, alpha, beta = theta
    terms = np.stack([np.full_like(v, e), a - alpha * np.log(n), b - beta * np.log(d)])
    r = np.abs(v - logsumexp(terms, axis=0))
    return float((w * np.where(r <= DELTA, r**2 / 2, DELTA * (r - DELTA / 2))).sum())


def figures(quick: bool = False) -> Iterator[Figure]:
    """CPU time on one thread. Both sides of each row end at the same optimum, or the row says so."""
    if not DATA.is_dir():
        return
    n, d, loss = runs()
    yield grid_of_starts(n, d, loss, 5 if quick else 60)
    yield refits(n, d, loss, 10 if quick else 100)
    yield broken()
    yield from package(n, d, loss, quick)


def grid_of_starts(n: np.ndarray, d: np.ndarray, loss: np.ndarray, tried: int) -> Figure:
    data = points(("N", "D"), {"N": n, "D": d}, loss)
    centre = data.centre
    u, v, grid = data.u - centre[:, None], data.v, hoffmann_grid(centre)
    start = time.process_time()
    best = search(Chinchilla(), u, v, delta=DELTA, starts=grid)[0]
    mine = (time.process_time() - start) / len(grid)
    rng = np.random.default_rng(0)
    some = hoffmann_grid(np.zeros(2))[rng.choice(len(grid), tried, replace=False)]
    ones = np.ones_like(loss)
    start = time.process_time()
    ends = [minimize(published, t, (n, d, np.log(loss), ones), method="L-BFGS-B").fun for t in some]
    theirs = (time.process_time() - start) / tried
    what = (
        f"Chinchilla, a start of the 4,500 (objective {best.objective:.6g}; the peer's best {min(ends):.6g})"
    )
    return Figure(
        "laws", what, f"SciPy L-BFGS-B, un-centred, {tried} random starts", "ms", 1e3 * mine, 1e3 * theirs
    )


def refits(n: np.ndarray, d: np.ndarray, loss: np.ndarray, tried: int) -> Figure:
    f = fit("chinchilla", {"N": n, "D": d}, loss, draws=0)
    u = f.data.u - f.data.centre[:, None]
    ends = search(f.law, u, f.data.v, delta=DELTA)
    mine = seconds(lambda: resample(f.law, f.data, u, ends, DELTA, np.random.default_rng(0), 1000), 1)
    p = f.params
    warm = np.array([np.log(p["E"]), np.log(p["A"]), np.log(p["B"]), p["alpha"], p["beta"]])
    counts = np.random.default_rng(0).multinomial(240, np.full(240, 1 / 240), size=tried).astype(float)
    start = time.process_time()
    for w in counts:
        minimize(published, warm, (n, d, np.log(loss), w), method="BFGS")
    theirs = (time.process_time() - start) * 1000 / tried
    return Figure(
        "laws", "Chinchilla, 1,000 bootstrap refits", f"SciPy BFGS, warm ({tried}, scaled)", "s", mine, theirs
    )


def broken() -> Figure:
    """Grid and curve_fit of caballero2023broken for 4-digit addition; both get the same curve."""
    with (DATA / "bnsl_benchmark" / "bnsl_4digit_addition.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["split"] == "fit"]
    x = np.array([float(r["train_dataset_size"]) for r in rows])
    y = np.array([float(r["test_cross_entropy"]) for r in rows])

    def law(x: np.ndarray, a: float, b: float, c0: float, c1: float, d1: float, f1: float) -> np.ndarray:
        return a + b * x**-c0 * (1 + (x / d1) ** (1 / f1)) ** (-c1 * f1)

    def grid(p: np.ndarray) -> float:
        a, b, c0, c1, d1, f1 = p
        b, d1 = 1.25**b - 1 + 1e-8, 1.25**d1 - 1 + 1e-8
        miss = np.log(law(x, a, b, c0, c1, d1, f1 + 1e-8) + 1) - np.log(y + 1)
        return float(np.mean(miss**2)) if np.isfinite(miss).all() else 1e9

    def procedure() -> np.ndarray:
        cells = (
            slice(0, 1, 0.1), slice(0, 40, 2.5), slice(0, 1, 0.25), slice(0, 1, 0.25), slice(0, 40, 2.5),
            slice(0, 1, 0.25),
        )  # fmt: skip
        a, b, c0, c1, d1, f1 = brute(grid, cells, finish=None)
        start = [a, 1.25**b - 1 + 1e-8, c0, c1, 1.25**d1 - 1 + 1e-8, f1 + 1e-8]
        return curve_fit(lambda x, *p: np.log(law(x, *p) + 1), x, np.log(y + 1), start, maxfev=100000)[0]

    mine = seconds(lambda: fit("broken", x, y))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        start = time.process_time()
        found = procedure()
        theirs = time.process_time() - start
    d1 = fit("broken", x, y, draws=0).params["d1"]
    what = (
        "broken law on 4-digit addition, number of breaks and intervals included "
        f"(break {d1:.1f}; the peer's {found[4]:.1f}, told that there is one)"
    )
    return Figure("laws", what, "its authors' grid and curve_fit", "s", mine, theirs)


def package(n: np.ndarray, d: np.ndarray, loss: np.ndarray, quick: bool) -> Iterator[Figure]:
    """PyPI `chinchilla` with its log_huber (delta = 1) on a grid of 243 starts, ours from the same starts."""
    try:
        from chinchilla import Chinchilla as Package
        from chinchilla._metrics import log_huber
    except ImportError:
        return
    side = 2 if quick else 3
    grid = {
        "E": np.linspace(1, 2, side), "a": np.linspace(1, 10, side), "b": np.linspace(1, 10, side),
        "alpha": np.linspace(0.1, 0.7, side), "beta": np.linspace(0.1, 0.7, side),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "df.csv").open("w") as f:
            csv.writer(f).writerows([("C", "N", "D", "loss"), *zip(6 * n * d, n, d, loss, strict=True)])
        peer = Package(project_dir=folder, param_grid=grid, loss_fn=log_huber, log_level=40)
        start = time.process_time()
        peer.fit(parallel=False)
        theirs = time.process_time() - start
    data = points(("N", "D"), {"N": n, "D": d}, loss)
    centre = data.centre
    cells = np.stack(np.meshgrid(*(grid[k] for k in ("E", "a", "b", "alpha", "beta")), indexing="ij"), -1)
    starts = cells.reshape(-1, 5).copy()
    starts[:, 0] = np.log(starts[:, 0])
    starts[:, 1] -= starts[:, 3] * centre[0]
    starts[:, 2] -= starts[:, 4] * centre[1]
    u = data.u - centre[:, None]
    mine = seconds(lambda: search(Chinchilla(), u, data.v, delta=1.0, starts=starts))
    alpha = search(Chinchilla(), u, data.v, delta=1.0, starts=starts)[0].theta[3]
    what = f"Chinchilla at delta = 1, {len(starts)} starts (alpha {alpha:.5f}; the peer's {peer.alpha:.5f})"
    yield Figure("laws", what, "chinchilla 0.2.0", "s", mine, theirs)


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.what} | {figure.peer} | {figure.ours:.4g} against {figure.theirs:.4g} {figure.unit}")
