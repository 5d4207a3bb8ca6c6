"""What moves the learned onset of the `concepts` system: width, training time, balance, kind of model.

python -m benchmarks.concepts --out validation/concepts      (cells are kept: run again to go on)

Each variant trains ladders of four seeds; the table gives, per capability, the onset of learning (density
at which the AUC first reaches 0.6) in units of the threshold, mean of logs over seeds with its 95 %
t-interval, beside that of the oracle on the same graphs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np

import opalesce
from opalesce.systems.concepts.judge import estimate
from opalesce.systems.concepts.ladder import Design, train
from opalesce.systems.concepts.models import Learner
from opalesce.systems.concepts.predict import LEVEL
from opalesce.systems.concepts.world import LADDER, Capability
from opalesce.systems.once import once
from opalesce.theory.concepts import onset

SEEDS = (101, 102, 103, 104)
RUNGS = 14
TABLE = Path("docs/concepts-ablation.md")


@dataclass(frozen=True)
class Variant:
    name: str
    learner: Learner
    capabilities: tuple[Capability, ...] = LADDER


VARIANTS = (
    Variant("reference: embedding, width 8, 300 steps", Learner()),
    Variant("width 4", Learner(width=4)),
    Variant("width 16", Learner(width=16)),
    Variant("width 32", Learner(width=32)),
    Variant("100 steps", Learner(steps=100)),
    Variant("1000 steps", Learner(steps=1000)),
    Variant("weight decay 1", Learner(decay=1.0)),
    Variant("weight decay 0.3", Learner(decay=0.3)),
    Variant("weight decay 1, width 32", Learner(width=32, decay=1.0)),
    Variant("weight decay 1, width 4", Learner(width=4, decay=1.0)),
    Variant("one capability alone: 20x80", Learner(), (Capability(20, 80),)),
    Variant("one capability alone: 80x320", Learner(), (Capability(80, 320),)),
    Variant("balanced: eight families of 20x80", Learner(), (Capability(20, 80, 8),)),
    Variant("balanced: eight families of 40x160", Learner(), (Capability(40, 160, 8),)),
    Variant("transformer, width 16, 800 steps", Learner("transformer", 16, 800, 0.01)),
    Variant("transformer, 3000 steps", Learner("transformer", 16, 3000, 0.01)),
    Variant("transformer, 3000 steps, decay 0.3", Learner("transformer", 16, 3000, 0.01, decay=0.3)),
)


def cell(variant: Variant, seed: int, out: Path) -> dict[str, dict[str, float]]:
    """Onsets in units of the threshold, of one ladder; kept as JSON."""
    key = "".join(c if c.isalnum() else "-" for c in variant.name)
    path = out / f"{key}-{seed}.json"
    if not path.exists():
        run = out / "runs" / f"{key}-{seed}"
        run.parent.mkdir(parents=True, exist_ok=True)
        design = Design(variant.capabilities, RUNGS, variant.learner)
        once(run, lambda folder: train(folder, seed, design=design))
        curves = opalesce.open(run).curves
        found = {}
        for c in variant.capabilities:
            x = curves[f"auc/{c.name}"].x / design.valid / c.threshold
            found[c.name] = {k: onset(x, curves[f"{k}/{c.name}"].y, LEVEL) for k in ("auc", "oracle")}
            found[c.name]["end"] = float(x[-1])
        path.write_text(json.dumps(found, indent=1))
    return json.loads(path.read_text())


def row(variant: Variant, out: Path) -> list[str]:
    cells = [cell(variant, s, out) for s in SEEDS]
    words = [variant.name]
    names = [c.name for c in variant.capabilities]
    for c in LADDER:
        if c.name not in names:
            words.append("")
            continue
        learned = np.array([x[c.name]["auc"] for x in cells])
        words.append(text(learned, cells[0][c.name]["end"]))
    oracle = [np.mean([log(x[n]["oracle"]) for x in cells]) for n in names]
    words.append(f"{np.exp(np.mean(oracle)):.2f}")
    return words


def text(values: np.ndarray, end: float) -> str:
    e = estimate(values, end=end)
    if np.isinf(e.high):
        return f"> {e.low:.2f}"
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"


def table(rows: list[list[str]]) -> str:
    head = ["variant", *(c.name for c in LADDER), "oracle, mean"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("validation/concepts"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for v in VARIANTS:
        rows.append(row(v, out))
        print(" | ".join(rows[-1]), flush=True)
    TABLE.write_text(
        "# What moves the learned onset\n\n"
        "Made by `python -m benchmarks.concepts`. Onset of learning (density at which the AUC on matched "
        f"questions first reaches {LEVEL:g}) in units of the threshold 1/√(|E||K|), mean over "
        f"{len(SEEDS)} seeds with its 95 % interval; `>` where some seeds never reach it on this ladder.\n\n"
        + table(rows)
        + "\n"
    )


if __name__ == "__main__":
    main()
