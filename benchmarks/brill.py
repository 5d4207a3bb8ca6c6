"""Brill's data model against its theory; resumable: one JSON cell a seed.

python -m benchmarks.brill --out validation/brill            # 50 seeds, about 5 s each on one core; policies
python -m benchmarks.brill --out validation/brill --summary  # judge the cells that are there
"""

from __future__ import annotations

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.theory.brill.given import data_loss_given, model_loss_given
from opalesce.theory.brill.policies import POLICIES, policy_curves
from opalesce.theory.brill.simulate import Protocol, run_seed
from opalesce.theory.brill.summary import compare, theory_curve

SEEDS = 50
BAND = (0.85, 1.20)  # acceptance for median(simulation / theory)
RANGE = (30.0, 3e4)  # degrees of freedom (or data) over which it is judged


ONE_SCALE = 5.6  # mean scale factor of the 50 seeds


def seed_cell(seed: int, one_scale: float | None = None) -> dict[str, Any]:
    """One seed of the paper's protocol, with fitted scale factors or one for all clusters."""
    s = run_seed(seed, Protocol(one_scale=one_scale))
    return {
        "seed": seed,
        "sites": int(s.sizes.sum()),
        "sizes": s.sizes.tolist(),
        "n_small": s.n_small,
        "n_large": s.n_large,
        "mean_scale": float(s.scale.mean()),
        "median_scale": float(np.median(s.scale)),
        "weighted_scale": float(s.scale @ s.sizes / s.sizes.sum()),
        "model": s.loss("model").tolist(),
        "data": s.loss("data").tolist(),
        # theory for this seed's own sizes: no rank law, no normalisation
        "model_given": model_loss_given(s.sizes, s.protocol.ratio, s.protocol.dof).tolist(),
        "data_given": data_loss_given(s.sizes, s.protocol.ratio, s.protocol.dof).tolist(),
    }


def policy_cell(policy: str) -> dict[str, Any]:
    """Exponent of one sampling policy over 50 seeds of small data sets."""
    c = policy_curves(policy, range(SEEDS))
    e = c.exponent
    losses = np.median(c.losses, axis=0).tolist()
    return {
        "policy": policy,
        "counts": c.counts.tolist(),
        "median": losses,
        "exponent": [e.value, e.low, e.high],
    }


def write_cell(path: Path, result: dict[str, Any]) -> None:
    """Whole, or not at all."""
    part = path.with_suffix(f".{os.getpid()}.tmp")
    part.write_text(json.dumps(result))
    part.replace(path)


def read_cells(out: Path, kind: str = "seed") -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted(out.glob(f"{kind}-*.json"))]


def summary(out: Path) -> dict[str, Any]:
    """Ratio to theory with 99 % bootstrap intervals, slopes, scale factors."""
    cells, protocol = read_cells(out), Protocol()
    dof = protocol.dof
    judged = (dof >= RANGE[0]) & (dof <= RANGE[1] * (1 + 1e-9))
    result: dict[str, Any] = {"seeds": len(cells)}
    for kind in ("model", "data"):
        theory = theory_curve(kind, dof, protocol.alpha, protocol.ratio)
        c = compare([cell[kind] for cell in cells], dof, theory, np.random.default_rng(2412))
        meets = (c.ratio_low <= BAND[1]) & (c.ratio_high >= BAND[0])
        inside = (c.ratio_low >= BAND[0]) & (c.ratio_high <= BAND[1])
        in_band = (c.low16 <= theory) & (theory <= c.high84) & (dof >= 100)
        result[kind] = {
            "ratio": [float(c.ratio[judged].min()), float(c.ratio[judged].max())],
            "ratio_mean": float(c.ratio[judged].mean()),
            "lowest_low": float(c.ratio_low[judged].min()),
            "highest_high": float(c.ratio_high[judged].max()),
            "interval_meets_band_everywhere": bool(meets[judged].all()),
            "interval_inside_band": f"{int(inside[judged].sum())} of {int(judged.sum())}",
            "theory_in_16_84": f"{int(in_band.sum())} of {int((dof >= 100).sum())}",
            "slope": [c.slope.value, c.slope.low, c.slope.high],
            "theory_slope": c.theory_slope,
            "over_own_sizes": given(cells, kind, judged),
        }
    for name in ("mean_scale", "median_scale", "weighted_scale", "sites", "n_small", "n_large", "seconds"):
        values = np.array([cell[name] for cell in cells])
        result[name] = {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)),
            "max": float(values.max()),
        }
    result["policies"] = {p["policy"]: p["exponent"] for p in read_cells(out, "policy")}
    if one := read_cells(out, "one"):
        result["one_scale"] = {kind: given(one, kind, judged) for kind in ("model", "data")}
    return result


def given(cells: list[dict[str, Any]], kind: str, judged: np.ndarray) -> dict[str, float]:
    """Simulation over the theory of the seed's own sizes: range of the median, spread between seeds."""
    ratio = np.array([np.array(c[kind]) / np.array(c[f"{kind}_given"]) for c in cells])[:, judged]
    own, law = ratio.std(axis=0, ddof=1).mean(), np.array([c[kind] for c in cells])[:, judged]
    middle = np.median(ratio, axis=0)
    return {
        "lowest": float(middle.min()),
        "highest": float(middle.max()),
        "spread": float(own),
        "spread_without": float((law / np.median(law, axis=0)).std(axis=0, ddof=1).mean()),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("validation/brill"))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--summary", action="store_true", help="only judge what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[str, Any, Any]] = [(f"seed-{s}", seed_cell, s) for s in range(options.seeds)]
    jobs += [(f"policy-{p}", policy_cell, p) for p in POLICIES]
    jobs += [(f"one-{s}", partial(seed_cell, one_scale=ONE_SCALE), s) for s in range(options.seeds)]
    for name, function, argument in [] if options.summary else jobs:
        path = options.out / f"{name}.json"
        if path.exists():
            continue
        start = time.perf_counter()
        result = function(argument)
        result["seconds"] = round(time.perf_counter() - start, 1)
        write_cell(path, result)
        print(path.name, result["seconds"], flush=True)
    judged = summary(options.out)
    write_cell(options.out / "summary.json", judged)
    print(json.dumps(judged, indent=1))


if __name__ == "__main__":
    main()
