"""The forecast rule on the 72 curves of alabdulmohsin2022revisiting, inside and after the fitted parts.

python -m benchmarks.vision      (OPALESCE_DATA names the folder of data; writes docs/vision.md)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from opalesce.laws.catalogue import form
from opalesce.laws.descent import search
from opalesce.laws.discrepancy import roughness, tell
from opalesce.laws.forecast import forecast

ROOT = Path(__file__).resolve().parents[1]
ALONE = ("M2", "M3", "M4", "broken")
TREND = "local trend"
LEVEL = 0.9
Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def curves() -> tuple[list[str], list[Part]]:
    """Group (data set and architecture) of each curve, and x, y of its fitted and of its test part."""
    folder = Path(os.environ.get("OPALESCE_DATA", ROOT.parent / "shared" / "data"))
    frame = pd.read_csv(folder / "bnsl_benchmark" / "benchmark.vision.csv").drop_duplicates()
    groups, parts = [], []
    for (task, model), rows in frame.sort_values("Seen Examples", kind="stable").groupby(["Task", "Model"]):
        fitted = (rows["Training"] == 1).to_numpy()
        x, y = rows["Seen Examples"].to_numpy(float), rows["Loss"].to_numpy(float)
        groups.append(f"{task.split('_')[0]} {model}")
        parts.append((x[fitted], y[fitted], x[~fitted], y[~fitted]))
    return groups, parts


def inside(parts: list[Part]) -> Iterator[Part]:
    """Each fitted part cut at a half and at a quarter of its largest x, and what lies up to twice the cut."""
    for x, y, _, _ in parts:
        for back in (1, 2):
            early = x <= x[-1] / 2**back * (1 + 1e-9)
            ahead = ~early & (x <= x[-1] / 2 ** (back - 1) * (1 + 1e-9))
            if early.sum() >= 6:
                yield x[early], y[early], x[ahead], y[ahead]


def errors_alone(part: Part) -> list[float]:
    """Root mean square error of ln y of each law by itself and of the local trend; NaN: too few points."""
    x, y, to, new = (np.log(a) for a in part)
    centre = x.mean()
    out = []
    for law in map(form, ALONE):
        if len(x) < len(law.names) + 2:
            out.append(np.nan)
            continue
        best = search(law, (x - centre)[None], y, keep=1)[0]
        told = law.log_value(best.theta[None], (to - centre)[None])[0][0]
        out.append(float(np.sqrt(((told - new) ** 2).mean())))
    trend = tell(None, x, y, to, roughness(x, y), np.ones(len(x)))
    return [*out, float("nan") if trend is None else float(np.sqrt(((trend.mean - new) ** 2).mean()))]


def score(part: Part) -> tuple[float, float, float, float]:
    """Error, coverage and interval score of ln y of the forecast, and the back-test's 80 % coverage."""
    x, y, to, new = part
    f = forecast(x, y, to=to, level=LEVEL)
    v, low, high = np.log(new), np.log(f.lower), np.log(f.upper)
    miss = np.maximum(low - v, 0) + np.maximum(v - high, 0)
    error = np.sqrt(((np.log(f.median) - v) ** 2).mean())
    wide = (high - low + 2 / (1 - LEVEL) * miss).mean()
    return float(error), float((miss == 0).mean()), float(wide), f.coverage[0.8]


def over_groups(groups: list[str], values: np.ndarray, draws: int = 5000) -> tuple[float, float]:
    """90 % interval of the mean, by a bootstrap over groups with all their curves."""
    means = pd.Series(values).groupby(np.array(groups)).mean().to_numpy()
    rng = np.random.default_rng(0)
    low, high = np.quantile(
        means[rng.integers(len(means), size=(draws, len(means)))].mean(axis=1), [0.05, 0.95]
    )
    return float(low), float(high)


def main() -> None:
    groups, parts = curves()
    lines = [
        "---", "orphan: true", "---", "", "# 72 vision curves", "",
        "Made by `python -m benchmarks.vision`; do not edit. Root mean square error of ln y.", "",
        "| rule | mean, inside the fitted parts | median | mean, test parts | median |", "|" + " --- |" * 5,
    ]  # fmt: skip
    within = list(inside(parts))
    sets = [np.array([errors_alone(p) for p in part]) for part in (within, parts)]
    for i, name in enumerate((*ALONE, TREND)):
        cells = [f"{f(s[:, i]):.4f}" for s in sets for f in (np.nanmean, np.nanmedian)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    early, late = np.array([score(p) for p in within]), np.array([score(p) for p in parts])
    cells = [f"{f(s[:, 0]):.4f}" for s in (early, late) for f in (np.mean, np.median)]
    lines += ["| **forecast** | " + " | ".join(cells) + " |", ""]
    m4 = sets[1][:, ALONE.index("M4")]
    gap = late[:, 0] - np.where(np.isfinite(m4), m4, np.nanmean(m4))
    told = [
        f"{len(within)} cuts inside the fitted parts, {len(parts)} curves, {len(set(groups))} groups.",
        "Forecast less M4 (all points, fitted jointly) on the test parts: {:.4f} [{:.4f}, {:.4f}].".format(
            gap.mean(), *over_groups(groups, gap)
        ),
        "Mean of the forecast on the test parts {:.4f} [{:.4f}, {:.4f}], a bootstrap over groups.".format(
            late[:, 0].mean(), *over_groups(groups, late[:, 0])
        ),
        "Coverage of 90 % intervals: {:.3f} inside, {:.3f} [{:.3f}, {:.3f}] on the test parts.".format(
            early[:, 1].mean(), late[:, 1].mean(), *over_groups(groups, late[:, 1])
        ),
        f"Mean interval score: {early[:, 2].mean():.3f} inside, {late[:, 2].mean():.3f} on the test parts.",
        f"Back-test coverage of 80 % intervals on the fitted parts: {np.nanmean(late[:, 3]):.3f}.",
    ]
    text = "\n".join([*lines, *told]) + "\n"
    (ROOT / "docs" / "vision.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
