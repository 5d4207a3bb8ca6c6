"""Per-cluster learning curves of Brill's model before the court: monogenic and polygenic.

python -m benchmarks.brill_court

A curve of one cluster (monogenic: one quantum) and the loss over all clusters (polygenic: a sum of many)
are judged as witnesses along the number of data points; so is the share of clusters that count as learned,
a thresholded metric. Other seeds go with the first.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import opalesce
from opalesce.theory.brill.policies import SMALL
from opalesce.theory.brill.simulate import run_seed

PROTOCOL = replace(SMALL, validation_share=0.02, points=60)
SEEDS = range(5)
WITNESSES = ["loss_all", "loss_cluster_1", "loss_cluster_8", "learned_share"]
TABLE = Path("docs/brill-court.md")


def table(seed: int) -> pd.DataFrame:
    """Columns over N: loss of everything, of the clusters of rank 1 and 8, share with error below 1/2."""
    run = run_seed(seed, PROTOCOL)
    curves = run.cluster_curves("data")
    there = np.isfinite(curves[:, 0])
    return pd.DataFrame(
        {
            "x": PROTOCOL.dof,
            "loss_all": run.loss("data"),
            "loss_cluster_1": curves[0],
            "loss_cluster_8": curves[7],
            "learned_share": (curves[there] < 0.5).mean(axis=0),
        }
    )


def main() -> None:
    first, *others = (table(s) for s in SEEDS)
    held = opalesce.trial(first, seeds=others, observables=WITNESSES)
    lines = ["| witness | verdict | reason |", "| --- | --- | --- |"]
    for card in held.hearing.cards:
        lines.append(f"| {card.evidence.witness.name} | {card.verdict} | {card.reason} |")
    text = "\n".join(lines)
    print(text)
    TABLE.write_text(
        "# One cluster and all of them before the court\n\nMade by `python -m benchmarks.brill_court`: "
        f"learning curves of Brill's model ({PROTOCOL.clusters} clusters, {len(SEEDS)} seeds), judged along "
        "the number of data points. No null run: the smooth class is their null.\n\n" + text + "\n",
        "utf-8",
    )


if __name__ == "__main__":
    main()
