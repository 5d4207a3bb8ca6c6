"""Prediction P1 of the neural percolation model against the evaluations of Pythia.

python -m benchmarks.pythia_p1 [--freeze]      (OPALESCE_DATA names the folder of data)

The predictions are frozen in docs/pythia-p1.json before an evaluation is opened; `--freeze` stops there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

import opalesce
from opalesce.systems.pythia_prediction import (
    SIZES,
    TASKS,
    Onset,
    judge,
    onsets,
    predictions,
    published_steps,
    thresholds,
)
from opalesce.theory.prediction import Judgement, freeze

NOTES = (
    "- C_n holds nothing that differs between sizes; the scores at the end do differ.",
    "- The order is open: by these tasks retrieval and reasoning appear within the spacing of the "
    "evaluations (512, 1000, 3000). The sizes are the replicates (seeds) of that test.",
    "- Harder tasks (arc_challenge, winogrande, logiqa) might come later, but rise too little to be timed: "
    "on them the table is silent, which is not the same as right.",
    "- Evaluations every 10,000 steps could have confirmed the place of reasoning, but not that of retrieval "
    "(13,000 to 23,000 is wider than the prediction): that one could be missed or left open, no more.",
    "- Faults of the data: pythia-2.8b shares its numbers up to step 1000 with pythia-2.8b-deduped; "
    "pythia-1b-deduped saw another text.",
)
FROZEN, PAGE = Path("docs/pythia-p1.json"), Path("docs/pythia-p1.md")


def rows(judged: Sequence[Judgement]) -> list[str]:
    """One row per prediction, the sizes of a capability in one."""
    out = ["| prediction | says | seen | outcome | reason |", "| --- | --- | --- | --- | --- |"]
    for name, group in groupby(judged, key=lambda j: j.prediction.name.split(", ")[0]):
        each = list(group)
        p = each[0].prediction
        span = f" [{p.low[0]:.3g}, {p.high[0]:.3g}]" if p.kind == "place" else ""
        sizes = f" ({len(each)} sizes)" if len(each) > 1 else ""
        seen, outcome, reason = (
            "; ".join(dict.fromkeys(str(x) for x in column))
            for column in zip(*((j.seen, j.outcome, j.reason) for j in each), strict=True)
        )
        out.append(f"| {name}{sizes} | {p.expected}{span} | {seen} | {outcome} | {reason} |")
    return out


def table(found: Mapping[str, Mapping[str, Onset]]) -> list[str]:
    """Onsets by task and size."""
    out = ["| task | " + " | ".join(SIZES) + " |", "| --- " * (1 + len(SIZES)) + "|"]
    for task, by_size in found.items():
        seen = [by_size[size].estimate for size in SIZES]
        cells = [f"{e.low:,.0f} to {e.high:,.0f}" if e.ok else "-" for e in seen]
        out.append(f"| {task} | " + " | ".join(cells) + " |")
    return out


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
    at = published_steps()
    timed = [o.estimate for by_size in found.values() for o in by_size.values() if o.estimate.ok]
    first = at["factual retrieval"]
    stand_in = "; ".join(f"{c}: {', '.join(t)}" for c, t in TASKS.items())
    lines = [
        "# When do capabilities of Pythia appear? Prediction P1",
        "",
        f"Made by `python -m benchmarks.pythia_p1`. Predictions frozen {frozen.time}, sha256 "
        f"`{frozen.sha256[:16]}`, from the published constants (alpha 0.57, delta 2.76, k 68.5), breadth "
        "0.70 and 2^21 tokens a step; every size has the same steps.",
        "",
        "| capability | C_n | predicted step |",
        "| --- | --- | --- |",
        *(f"| {n} | {thresholds()[n]:g} | {t:,.0f} |" for n, t in at.items()),
        "",
        f"What stands for a capability is our choice: {stand_in}. No task here stands for translation, code "
        "or proofs. Steps between which a fifth of the rise is reached (90 %; - where a fifth of the rise is "
        "below two standard errors, so that it cannot be timed):",
        "",
        *table(found),
        "",
        *rows(judged),
        "",
        f"All that can be timed appears between C_n = {min(e.low for e in timed) / first:.3f} and "
        f"{max(e.high for e in timed) / first:.2f}, below the first published threshold.",
        "",
        *NOTES,
    ]
    text = "\n".join(lines)
    print(text)
    PAGE.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
