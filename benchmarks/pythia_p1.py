"""Prediction P1 of the neural percolation model against the evaluations of Pythia.

python -m benchmarks.pythia_p1 [--freeze]      (OPALESCE_DATA names the folder of data)

The predictions are frozen in docs/pythia-p1.json before an evaluation is opened; `--freeze` stops there.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import opalesce
from opalesce.systems.pythia_prediction import (
    SIZES,
    TASKS,
    judge,
    onsets,
    predictions,
    published_steps,
    thresholds,
)
from opalesce.theory.prediction import freeze

FROZEN, PAGE = Path("docs/pythia-p1.json"), Path("docs/pythia-p1.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--freeze", action="store_true", help="freeze the predictions and stop")
    arguments = parser.parse_args()
    frozen = freeze(predictions(), FROZEN)
    print(f"frozen {frozen.time}, sha256 {frozen.sha256[:12]}")
    if arguments.freeze:
        return
    folder = Path(os.environ.get("OPALESCE_DATA", "../shared/data")) / "pythia_evals"
    runs = {size: opalesce.open(folder / size) for size in SIZES}
    found = onsets(runs, np.random.default_rng(0))
    judged = judge(frozen.predictions, runs, found)
    lines = ["| capability | C_n | predicted step |", "| --- | --- | --- |"]
    lines += [f"| {n} | {thresholds()[n]:g} | {t:,.0f} |" for n, t in published_steps().items()]
    lines += ["", "| task | " + " | ".join(SIZES) + " |", "| --- " * (1 + len(SIZES)) + "|"]
    for task in found:
        cells = [
            f"{e.low:,.0f} to {e.high:,.0f}" if e.ok else "-"
            for e in (found[task][size].estimate for size in SIZES)
        ]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    lines += ["", "| prediction | says | seen | outcome | reason |", "| --- | --- | --- | --- | --- |"]
    for j in judged:
        p = j.prediction
        span = f" [{p.low[0]:.3g}, {p.high[0]:.3g}]" if p.kind == "place" else ""
        lines.append(f"| {p.name} | {p.expected}{span} | {j.seen} | {j.outcome} | {j.reason} |")
    stand_in = "; ".join(f"{c}: {', '.join(t)}" for c, t in TASKS.items())
    head = (
        "# When do capabilities of Pythia appear? Prediction P1\n\nMade by `python -m benchmarks.pythia_p1`. "
        f"Predictions frozen {frozen.time}, sha256 `{frozen.sha256[:16]}`, from the published constants "
        "(alpha 0.57, delta 2.76, k 68.5), breadth 0.70 and 2^21 tokens a step; the model has them at the "
        f"same step for every size. What stands for a capability is our choice: {stand_in}. No task here "
        "stands for translation, code or proofs.\n\nSteps between which a fifth of the rise is reached "
        "(90 %; - where a fifth of the rise is below two standard errors):\n\n"
    )
    text = "\n".join(lines)
    print(text)
    PAGE.write_text(head + text + "\n", "utf-8")


if __name__ == "__main__":
    main()
