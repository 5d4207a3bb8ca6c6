"""Thresholds, exponents and anchors of the percolation engine; resumable, one JSON file a cell.

python -m benchmarks.percolation_validation --out validation/percolation [--table]

Seeds come from the names of the cells, so there is nothing to pick. Finite-size corrections:
2-D thresholds are where "wrapping around one given axis" has its exact value on that torus, extrapolated
with p_c + a L^-2.75; thresholds in 3-D and above are crossings of the same probability between L and 2L,
with no correction. Exponents are slopes over all sizes with p_c fixed, no correction.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.theory.percolation.canonical import canonical, probability
from opalesce.theory.percolation.exact import square_bond_clusters
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.scaling import collapse, curves, power
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.tables import threshold
from opalesce.theory.percolation.threshold import at_value, crossing, extrapolate, normal, stderr
from opalesce.theory.percolation.wrapping import CUBIC_ALL, CUBIC_AXIS, CUBIC_EITHER, torus

TABLE = Path("docs/percolation-validation.md")
Cell = tuple[str, Callable[[np.random.Generator], dict[str, Any]]]

# (lattice, kind, L, sweeps, cells)
SQUARE = (
    ("square", "site", 16, 1_000_000, 4),
    ("square", "site", 32, 500_000, 12),
    ("square", "site", 64, 150_000, 10),
    ("square", "site", 128, 40_000, 5),
)
PLANE = tuple(
    (name, kind, size, sweeps, 1)
    for name, kind in (
        ("square", "bond"),
        ("triangular", "site"),
        ("triangular", "bond"),
        ("honeycomb", "site"),
        ("honeycomb", "bond"),
        ("kagome", "site"),
        ("kagome", "bond"),
    )
    for size, sweeps in ((16, 40_000), (32, 20_000), (64, 8_000))
)
# (lattice, kind, L, sweeps at 2L); six times as many at L, which cost little
SPACE = (
    ("cubic", "site", 16, 50_000),
    ("cubic", "bond", 16, 10_000),
    ("bcc", "site", 12, 30_000),
    ("bcc", "bond", 12, 20_000),
    ("fcc", "site", 12, 20_000),
    ("fcc", "bond", 12, 10_000),
    ("hypercubic4", "site", 12, 4_000),
    ("hypercubic4", "bond", 12, 3_000),
    ("hypercubic5", "site", 8, 4_000),
    ("hypercubic5", "bond", 8, 1_500),
)
# sizes and sweeps for the exponents
EXPONENTS = ((32, 300_000), (64, 100_000), (128, 30_000), (256, 8_000), (512, 1_500), (1024, 300))


def at_torus_value(name: str, kind: str, size: int, sweeps: int, rng: np.random.Generator) -> dict[str, Any]:
    """Threshold from the exact wrapping probability of a two-dimensional torus."""
    lat = lattice(name, size)
    s = sweep(lat, kind, sweeps, rng=rng, sizes=False)
    e = at_value(s, torus(lat.aspect).axis)
    return {"L": size, "sweeps": sweeps, "p": e.value, "se": stderr(e)}


def at_crossing(name: str, kind: str, size: int, sweeps: int, rng: np.random.Generator) -> dict[str, Any]:
    """Threshold from the crossing of L and 2L."""
    small = sweep(lattice(name, size), kind, 6 * sweeps, rng=rng, sizes=False)
    e = crossing(small, sweep(lattice(name, 2 * size), kind, sweeps, rng=rng, sizes=False))
    return {"L": [size, 2 * size], "sweeps": [6 * sweeps, sweeps], "p": e.value, "se": stderr(e)}


def at_threshold(size: int, sweeps: int, rng: np.random.Generator) -> dict[str, Any]:
    """S1 / n and the slope of the wrapping probability at the published p_c, square sites."""
    p = threshold("square", "site").value
    s = sweep(lattice("square", size), "site", sweeps, rng=rng, window=(p, p))
    top, slope = canonical(s, "S1", p), probability(s, p, "axis", derivative=True)
    out = {"S1/n": top[0][0] / s.n, "S1/n se": top[1][0] / s.n, "slope": slope[0][0], "slope se": slope[1][0]}
    return {"L": size, "sweeps": sweeps, **{k: float(v) for k, v in out.items()}}


def rows_square(rng: np.random.Generator) -> dict[str, Any]:
    """Part D, rows 1 and 3: wrapping at p_c, L = 64; p_c where either direction wraps as it should."""
    p, out = threshold("square", "site").value, {}
    for size, sweeps in ((64, 20_000), (128, 10_000), (256, 4_000)):
        s = sweep(lattice("square", size), "site", sweeps, rng=rng, sizes=False)
        e = at_value(s, torus().either, "either")
        out[f"p_c from either, L = {size}"] = [e.value, stderr(e), p, 3e-4]
        if size == 64:
            for event in ("either", "axis", "all"):
                got, error = probability(s, p, event)
                true = getattr(torus(), event)
                out[f"{event} at L = 64"] = [float(got[0]), float(error[0]), true, 4 * float(error[0]) + 2e-3]
    return {"rows": out}


def row_clusters(rng: np.random.Generator) -> dict[str, Any]:
    """Part D, row 4: clusters per site, square bonds at p = 1/2, L = 16, 4e5 sweeps."""
    s = sweep(lattice("square", 16), "bond", 400_000, rng=rng, window=(0.5, 0.5), wrapping=False)
    got, error = canonical(s, "clusters", 0.5)
    value, se = float(got[0]) / 256, float(error[0]) / 256
    return {"rows": {"clusters per site, L = 16": [value, se, square_bond_clusters(16), 1e-4]}}


def row_cubic(rng: np.random.Generator) -> dict[str, Any]:
    """Part D, row 9: wrapping of simple cubic sites at p_c, L = 24, 4e4 sweeps."""
    p, out = threshold("cubic", "site").value, {}
    s = sweep(lattice("cubic", 24), "site", 40_000, rng=rng, sizes=False)
    for event, true in (("axis", CUBIC_AXIS), ("either", CUBIC_EITHER), ("all", CUBIC_ALL)):
        got, error = probability(s, p, event)
        out[f"cubic {event} at L = 24"] = [float(got[0]), float(error[0]), true, 3 * float(error[0]) + 5e-3]
    return {"rows": out}


def row_collapse(rng: np.random.Generator) -> dict[str, Any]:
    """Part D, row 13: collapse of S1/n, three free parameters; errors are of 30 resamplings."""
    numbers, p_c = {32: 6000, 64: 3000, 128: 1200}, threshold("square", "site").value
    window = (0.57, 0.62)
    runs = [sweep(lattice("square", size), "site", n, rng=rng, window=window) for size, n in numbers.items()]
    c = curves(list(numbers), runs, np.linspace(*window, 26), rng=rng, resamples=30)
    got = collapse(c, (p_c, 4 / 3, -5 / 36))
    ratio = -got.zeta.value / got.nu.value
    out = {
        "collapse p_c": [got.p_c.value, stderr(got.p_c), p_c, 3e-3],
        "collapse nu": [got.nu.value, stderr(got.nu), 4 / 3, 0.08],
        "collapse beta/nu": [ratio, None, 5 / 48, 0.02],
    }
    return {"rows": out, "quality": got.quality}


def cells() -> Iterator[Cell]:
    """Every cell with its name, cheap ones first within a part."""
    for name, kind, size, sweeps, parts in (*PLANE, *SQUARE):
        for part in range(parts):
            yield (
                f"value-{name}-{kind}-{size}-{part}",
                lambda rng, a=(name, kind, size, sweeps): at_torus_value(*a, rng),
            )
    yield from (
        ("rows-square", rows_square),
        ("row-clusters", row_clusters),
        ("row-cubic", row_cubic),
        ("row-collapse", row_collapse),
    )
    for name, kind, size, sweeps in SPACE:
        yield f"crossing-{name}-{kind}-{size}", lambda rng, a=(name, kind, size, sweeps): at_crossing(*a, rng)
    for size, sweeps in EXPONENTS:
        yield f"exponents-{size}", lambda rng, a=(size, sweeps): at_threshold(*a, rng)


def seed(name: str) -> np.random.Generator:
    """Generator of a cell, from its name alone."""
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))


def run(folder: Path) -> dict[str, dict[str, Any]]:
    """All cells by name; those on disk are not run again. A cell appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    out = {}
    for name, cell in cells():
        path = folder / f"{name}.json"
        if not path.exists():
            start = time.process_time()
            result = {**cell(seed(name)), "cpu_s": None}
            result["cpu_s"] = round(time.process_time() - start, 2)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(result) + "\n", "utf-8")
            os.replace(part, path)
            print(name, result, flush=True)
        out[name] = json.loads(path.read_text("utf-8"))
    return out


def thresholds(done: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str, int, float, float]]:
    """(lattice, kind, sizes, sweeps, p_c, standard error) of all thresholds whose cells are done."""
    for name, kind in dict.fromkeys((n, k) for n, k, *_ in (*SQUARE, *PLANE)):
        found = [c for key, c in done.items() if key.startswith(f"value-{name}-{kind}-")]
        if len({c["L"] for c in found}) < 2:
            continue
        estimates = [normal(c["p"], c["se"], c["sweeps"], "") for c in found]
        p_c, _ = extrapolate([c["L"] for c in found], estimates, 2.75)
        sizes = ", ".join(map(str, sorted({c["L"] for c in found})))
        yield name, kind, sizes, sum(c["sweeps"] for c in found), p_c.value, stderr(p_c)
    for name, kind, size, _ in SPACE:
        if (c := done.get(f"crossing-{name}-{kind}-{size}")) is not None:
            yield name, kind, " x ".join(map(str, c["L"])), sum(c["sweeps"]), c["p"], c["se"]


def table(done: dict[str, dict[str, Any]]) -> str:
    """Markdown of thresholds, exponents and rows."""
    lines = ["| lattice | kind | L | sweeps | p_c | s.e. | relative | reference | z |", "|" + " --- |" * 9]
    for name, kind, sizes, sweeps, p, se in thresholds(done):
        ref = threshold(name, kind).value
        lines.append(
            f"| {name} | {kind} | {sizes} | {sweeps} | {p:.7f} | {se:.1e} | {se / ref:.1e} | {ref:.9g} "
            f"| {(p - ref) / se:+.2f} |"
        )
    found = [c for key, c in done.items() if key.startswith("exponents-")]
    if len(found) > 1:
        lines += ["", "| exponent, p_c fixed | L | value | s.e. | exact | off |", "|" + " --- |" * 6]
        sizes = [c["L"] for c in found]
        top, slope = (
            power(sizes, [c[k] for c in found], [c[f"{k} se"] for c in found]) for k in ("S1/n", "slope")
        )
        nu = 1 / slope.value
        for what, value, se, exact in (
            ("beta/nu", -top.value, stderr(top), 5 / 48),
            ("nu", nu, nu**2 * stderr(slope), 4 / 3),
        ):
            off = f"{100 * (value / exact - 1):+.2f} %"
            lines.append(
                f"| {what} | {min(sizes)} to {max(sizes)} | {value:.5f} | {se:.5f} | {exact:.5f} | {off} |"
            )
    lines += ["", "| row | value | s.e. | expected | tolerance | |", "|" + " --- |" * 6]
    for c in done.values():
        for what, (value, se, true, tolerance) in c.get("rows", {}).items():
            verdict = "met" if abs(value - true) <= tolerance else "MISSED"
            error = "" if se is None else f"{se:.1e}"
            lines.append(f"| {what} | {value:.6f} | {error} | {true:.6f} | {tolerance:.1e} | {verdict} |")
    total = sum(c["cpu_s"] for c in done.values())
    return "\n".join([*lines, "", f"{len(done)} cells, {total / 60:.1f} core-minutes"])


def main() -> None:
    """Run what is missing and print the table; --table prints what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("validation/percolation"))
    parser.add_argument("--table", action="store_true", help="run nothing, show the cells that are done")
    given = parser.parse_args()
    if given.table:
        names = [name for name, _ in cells() if (given.out / f"{name}.json").exists()]
        done = {name: json.loads((given.out / f"{name}.json").read_text("utf-8")) for name in names}
    else:
        done = run(given.out)
    text = table(done)
    print(text)
    TABLE.write_text(
        "# Percolation: thresholds, exponents, anchors\n\n"
        "Made by `python -m benchmarks.percolation_validation`. Seeds come from the names of "
        "the cells. Two dimensions: where wrapping round one axis has its exact "
        "probability, extrapolated with p_c + a L^-2.75. Three and more: crossing of the same probability "
        "between L and 2L, uncorrected.\n\n" + text + "\n",
        "utf-8",
    )


if __name__ == "__main__":
    main()
