"""Accuracy against the share of weights kept, beside what percolates.

python -m benchmarks.pruning
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from opalesce.report.exhibits import Exhibit, Mark, Plate, Role, Series
from opalesce.report.html import write_exhibits
from opalesce.systems.pruning import WIDTHS, Pruned, prune, train
from opalesce.theory.concepts import onset

SEEDS = range(8)
KEPT = np.geomspace(0.002, 1, 40)
TABLE = Path("docs/pruning.md")


def interval(values: np.ndarray, f_c: float) -> str:
    """Mean of logs over seeds with its 95 % t-interval, as a share and in units of f_c."""
    x = np.log(values)
    half = student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / sqrt(len(x))
    m, low, high = (float(np.exp(v)) for v in (x.mean(), x.mean() - half, x.mean() + half))
    return f"{m:.4f} [{low:.4f}, {high:.4f}] | {m / f_c:.1f}"


def main() -> None:
    runs = []
    for s in SEEDS:
        net = train(s)
        runs.append(prune(net, KEPT, np.random.default_rng(s)))
    f_c = runs[0].critical
    half = [(1 + r.chance) / 2 for r in runs]

    def at(name: str, level: list[float]) -> str:
        return interval(
            np.array([onset(KEPT, getattr(r, name), v) for r, v in zip(runs, level, strict=True)]), f_c
        )

    rows = [
        ("threshold of a random order (exact)", f"{f_c:.4f} | 1"),
        ("measured: peak of the second cluster", interval(np.array([r.measured for r in runs]), f_c)),
        ("half of all inlet-outlet pairs joined", at("open", [0.5] * len(runs))),
        ("half of the accuracy, by magnitude", at("magnitude", half)),
        ("half of the accuracy, at random", at("random", half)),
    ]
    lines = ["| event | kept share of weights | in units of f_c |", "| --- | --- | --- |"]
    text = "\n".join([*lines, *(f"| {a} | {b} |" for a, b in rows)])
    print(text)
    widths = "-".join(map(str, WIDTHS))
    TABLE.write_text(
        f"# What percolates and what works\n\nMade by `python -m benchmarks.pruning`: perceptrons {widths} "
        f"trained to classify, {len(SEEDS)} seeds, pruned without retraining; mean of logs and 95 % over "
        f"seeds.\n\n{text}\n\nEvery inlet reaches every outlet long before anything works: connectivity is "
        "necessary, not sufficient.\n",
        "utf-8",
    )
    page = write_exhibits([figure(runs)], Path("validation"), "What percolates and what works", [], "pruning")
    print(page)


def figure(runs: list[Pruned]) -> Exhibit:
    """Accuracies and connectivity against the share kept, means over seeds."""

    def line(label: str, role: Role, name: str) -> Series:
        y = np.array([getattr(r, name) for r in runs])
        low, high = y.min(axis=0), y.max(axis=0)
        return Series(label, role, KEPT.tolist(), y.mean(axis=0).tolist(), low.tolist(), high.tolist())

    series = [
        line("accuracy, by magnitude", "seen", "magnitude"),
        line("accuracy, at random", "second", "random"),
        line("largest cluster S1", "exact", "largest"),
        line("inlet-outlet pairs joined", "fourth", "open"),
    ]
    marks = (Mark(runs[0].critical, "f_c"),)
    plate = Plate("trained perceptron", "share of weights kept", "share", series, marks, log_x=True)
    caption = "Bands and bars: range over seeds. The dashed line is the threshold of a random order, exact."
    return Exhibit("pruning", "Connected is not yet working", caption, [plate])


if __name__ == "__main__":
    main()
