"""Slow statistical validation of the court; resumable: one file per cell, `make validate` again goes on.

python -m benchmarks.validation --out validation [--part calibration] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks.planted import PLANTED, ar1, verdict_of
from opalesce.transitions.calibrate import NullTable
from opalesce.transitions.intervals import place_interval
from opalesce.transitions.scan import Design
from opalesce.transitions.smooth import logistic

ALPHA = 0.05
SIZES = (27, 61, 154)
Cell = tuple[str, Callable[..., dict[str, Any]], dict[str, Any]]


def design(n: int, stderr: np.ndarray | None = None) -> Design:
    """n equally spaced points on a linear axis, W* a quarter of it."""
    return Design(np.arange(n, dtype=float), 0.25 * (n - 1), stderr)


def _spread(n: int) -> np.ndarray:
    """Stated errors that grow threefold along the axis."""
    return np.linspace(1.0, 3.0, n)


@lru_cache(maxsize=8)
def null_table(n: int, stated: bool = False) -> NullTable:
    """The null table of one design, shared by the cells of a process."""
    return NullTable(design(n, _spread(n) if stated else None), first=1999)


def null_series(kind: str, n: int, b: int, rng: np.random.Generator, d: Design) -> np.ndarray:
    """b series (n, b) in which nothing sharp happens."""
    if kind == "white":
        return rng.standard_normal((n, b))
    if kind == "ar1":
        return ar1(rng, n, 0.7, b).T
    if kind in ("heteroscedastic", "drifting"):  # the errors are stated in the first, not in the second
        return _spread(n)[:, None] * rng.standard_normal((n, b))
    if kind == "drifting-ar1":
        return _spread(n)[:, None] * ar1(rng, n, 0.7, b).T
    if kind == "smooth":  # a random member of S, large against the noise, a new one for each series
        return d.null @ (30 * rng.standard_normal((d.null.shape[1], b))) + ar1(rng, n, 0.7, b).T
    raise ValueError(kind)


def calibration(n: int, kind: str, series: int, seed: int) -> dict[str, Any]:
    """Rejection rate of M1 at alpha; every parameter is estimated anew for each series."""
    rng = np.random.default_rng([seed, n, hash_of(kind)])
    table = null_table(n, kind == "heteroscedastic")
    d = table.design
    y = null_series(kind, n, series, rng, d)
    sharp, smooth = d.statistics(y)
    p = table.p_values(sharp)
    q = table.p_values(smooth, which=1)
    rate = float((p <= ALPHA).mean())
    return {
        "n": n,
        "kind": kind,
        "series": series,
        "rejection": rate,
        "standard_error": float(np.sqrt(rate * (1 - rate) / series)),
        "smooth_rejection": None if kind == "smooth" else float((q <= ALPHA).mean()),
    }


def worst_smooth(n: int, series: int, members: int, seed: int) -> dict[str, Any]:
    """Rejection rate over many members of S with the same noise: the scan for the worst one."""
    rng = np.random.default_rng([seed, n, 77])
    table = null_table(n)
    d, critical = table.design, table.critical(ALPHA)
    noise = ar1(rng, n, 0.7, series).T
    rates = []
    for _ in range(members):
        curve = d.null @ rng.standard_normal(d.null.shape[1]) * 10 ** rng.uniform(-1, 4)
        rates.append(float((d.statistics(noise + curve[:, None])[0] > critical).mean()))
    return {"n": n, "members": members, "series": series, "worst": max(rates), "best": min(rates)}


def power(n: int, phi: float, height: float, series: int, seed: int) -> dict[str, Any]:
    """Chance that a step (a twentieth of a spacing wide, anywhere in the middle 80 %) is found."""
    rng = np.random.default_rng([seed, n, int(100 * phi), int(100 * height)])
    table = null_table(n)
    d = table.design
    places = rng.uniform(0.1, 0.9, series) * (n - 1)
    y = height * logistic(d.u[:, None], places, 0.05) + ar1(rng, n, phi, series).T
    rate = float((table.p_values(d.statistics(y)[0]) <= ALPHA).mean())
    return {"n": n, "phi": phi, "height": height, "series": series, "power": rate}


def coverage(n: int, phi: float, height: float, width: float, series: int, seed: int) -> dict[str, Any]:
    """Share of 90 % place intervals that hold the planted place: over all, and where the test rejects.

    `raw` is the inverted test, `printed` the interval widened to the least interval of one spacing.
    """
    rng = np.random.default_rng([seed, n, int(100 * phi), int(100 * height), int(100 * width)])
    table = null_table(n)
    d, critical = table.design, table.critical(ALPHA)
    hits = []
    for _ in range(series):
        place = rng.uniform(0.15, 0.85) * (n - 1)
        y = height * logistic(d.u, place, width) + ar1(rng, n, phi, 1)[0]
        fit = d.fit(y)
        low, high = place_interval(d, y, fit, rng)
        half = d.spacing / 2
        printed = min(low, fit.place - half) <= place <= max(high, fit.place + half)
        hits.append((low <= place <= high, printed, fit.sharp > critical, high - low))
    raw, printed_hits, found, length = map(np.array, zip(*hits, strict=True))
    return {
        "n": n,
        "phi": phi,
        "height": height,
        "width": width,
        "series": series,
        "power": float(found.mean()),
        "raw": float(raw.mean()),
        "printed": float(printed_hits.mean()),
        "raw_detected": float(raw[found].mean()) if found.any() else None,
        "printed_detected": float(printed_hits[found].mean()) if found.any() else None,
        "median_length": float(np.median(length)),
    }


def confusion(kind: str, first: int, count: int) -> dict[str, Any]:
    """Verdicts on planted runs of one kind."""
    verdicts = Counter(verdict_of(kind, seed)[0] for seed in range(first, first + count))
    return {"kind": kind, "first": first, "count": count, "verdicts": dict(verdicts)}


def cells(part: str, quick: bool, seed: int) -> Iterator[Cell]:
    """Every cell of one part: file name, function, arguments."""
    if part == "calibration":
        for n in SIZES:
            for kind in ("white", "ar1", "heteroscedastic", "drifting", "drifting-ar1", "smooth"):
                yield (
                    f"calibration-{n}-{kind}",
                    calibration,
                    {"n": n, "kind": kind, "series": 200 if quick else 2000, "seed": seed},
                )
            yield (
                f"worst-smooth-{n}",
                worst_smooth,
                {"n": n, "series": 200 if quick else 2000, "members": 5 if quick else 50, "seed": seed},
            )
    if part == "power":
        for n in SIZES:
            for phi in (0.0, 0.7):
                for height in (2, 3, 4, 5, 6, 7, 8, 10):
                    yield (
                        f"power-{n}-{phi}-{height}",
                        power,
                        {
                            "n": n,
                            "phi": phi,
                            "height": height,
                            "series": 100 if quick else 2000,
                            "seed": seed,
                        },
                    )
    if part == "coverage":
        for phi in (0.0, 0.7):
            for height in (10, 6, 4, 2):
                for width in (0.05, 1, 4):
                    yield (
                        f"coverage-{phi}-{height}-{width}",
                        coverage,
                        {
                            "n": 61,
                            "phi": phi,
                            "height": height,
                            "width": width,
                            "series": 20 if quick else 1000,
                            "seed": seed,
                        },
                    )
    if part == "confusion":
        for first in range(0, 10 if quick else 200, 10 if quick else 50):
            for kind in PLANTED:
                yield (
                    f"confusion-{kind.replace(' ', '_')}-{first}",
                    confusion,
                    {"kind": kind, "first": first, "count": 10 if quick else 50},
                )


def hash_of(name: str) -> int:
    """A small stable number for a name (Python's hash changes between processes)."""
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31


def run_cell(name: str, function: Callable[..., dict[str, Any]], kwargs: dict[str, Any], out: Path) -> str:
    """Compute one cell and write it whole, or not at all."""
    path = out / f"{name}.json"
    if path.exists():
        return name
    start = time.perf_counter()
    with threadpool_limits(1):
        result = function(**kwargs)
    result["seconds"] = round(time.perf_counter() - start, 1)
    part = path.with_suffix(f".{os.getpid()}.tmp")
    part.write_text(json.dumps(result))
    part.replace(path)
    print(name, {k: v for k, v in result.items() if k not in kwargs}, flush=True)
    return name


PARTS = ("calibration", "power", "coverage", "confusion", "induction")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("validation"))
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true", help="small cells, to try the machinery")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    jobs: list[Cell] = []
    for part in options.part or PARTS:
        if part == "induction":
            from benchmarks.induction import cells as induction_cells

            jobs += induction_cells(options.out, options.quick)
        else:
            jobs += cells(part, options.quick, options.seed)
    Parallel(n_jobs=options.jobs)(delayed(run_cell)(*job, options.out) for job in jobs)
    from benchmarks.tables import write_tables

    write_tables(options.out, Path("docs/validation.md"))


if __name__ == "__main__":
    main()
