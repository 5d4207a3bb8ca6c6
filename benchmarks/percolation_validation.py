"""Thresholds, exponents and anchors of the percolation engine; resumable, one JSON file a cell.

python -m benchmarks.percolation_validation --out validation/percolation [--list]

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
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.tables import threshold
from opalesce.theory.percolation.threshold import at_value, crossing, stderr
from opalesce.theory.percolation.wrapping import torus

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


def cells() -> Iterator[Cell]:
    """Every cell with its name, cheap ones first within a part."""
    for name, kind, size, sweeps, parts in (*PLANE, *SQUARE):
        for part in range(parts):
            yield (
                f"value-{name}-{kind}-{size}-{part}",
                lambda rng, a=(name, kind, size, sweeps): at_torus_value(*a, rng),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("validation/percolation"))
    run(parser.parse_args().out)


if __name__ == "__main__":
    main()
