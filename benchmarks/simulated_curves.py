"""The forecast rule on simulated curves of many shapes: the second set that it was chosen on.

python -m benchmarks.simulated_curves      (writes docs/simulated-curves.md)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import expit

from benchmarks.vision import ALONE, LEVEL, TREND, Part, errors_alone, score

ROOT = Path(__file__).resolve().parents[1]
CURVES = 120
SHAPES = ("power", "bent", "sigmoid", "one break", "two breaks")


def curve(rng: np.random.Generator) -> Part | None:
    """One curve: 8 to 60 points over 0.7 to 4 decades, noise of ln y from 1e-4 to 0.03, targets up to a
    factor 2, 3 or 10 beyond. None where it hardly moves, or leaves the range of numbers."""
    shape = rng.choice(SHAPES)
    n, end = int(rng.integers(8, 60)), rng.uniform(0.7, 4) * np.log(10)
    u = np.sort(rng.uniform(0, end, n)) if rng.random() < 0.5 else np.linspace(0, end, n)
    every = np.r_[u, u[-1] + np.log(rng.choice([2, 3, 10])) * np.linspace(0.1, 1, 10)]
    slope = np.exp(rng.normal(np.log(0.3), 0.7))
    z = -slope * every
    if shape == "bent":
        z = slope * np.log(np.exp(-every) + np.exp(-rng.uniform(-1, 1.3) * u[-1]))
    elif shape == "sigmoid":
        z = np.log(expit(-(every - rng.uniform(-0.5, 0.8) * u[-1]) * slope * rng.uniform(0.5, 1.5)))
    else:
        for _ in range(("power", "one break", "two breaks").index(shape)):
            place, width = rng.uniform(-0.2, 1.3) * u[-1], np.exp(rng.normal(-0.5, 0.8))
            z = z - rng.normal(0, 0.4) * width * np.logaddexp(0, (every - place) / width)
    y = np.exp(z)
    if shape != "bent" and rng.random() < 0.7:
        y = y + y[n - 1] * np.exp(rng.normal())
    noise = np.exp(rng.uniform(np.log(1e-4), np.log(0.03)))
    y = y * np.exp(noise * rng.standard_normal(len(y)))
    if not np.isfinite(y).all() or np.ptp(np.log(y[:n])) < 0.05 or np.ptp(np.log(y)) > 12:
        return None
    return np.exp(u), y[:n], np.exp(every[n:]), y[n:]


def main() -> None:
    rng = np.random.default_rng(0)
    parts: list[Part] = []
    while len(parts) < CURVES:
        part = curve(rng)
        parts += [] if part is None else [part]
    alone = np.array([errors_alone(p) for p in parts])
    rows = np.array([score(p) for p in parts])
    lines = [
        "---", "orphan: true", "---", "", "# Simulated curves", "",
        f"Made by `python -m benchmarks.simulated_curves`; do not edit. {CURVES} curves of the shapes "
        f"{', '.join(SHAPES)}; root mean square error of ln y.", "",
        "| rule | mean | median |", "|" + " --- |" * 3,
    ]  # fmt: skip
    for i, name in enumerate((*ALONE, TREND)):
        lines.append(f"| {name} | {np.nanmean(alone[:, i]):.4f} | {np.nanmedian(alone[:, i]):.4f} |")
    lines += [
        f"| **forecast** | {rows[:, 0].mean():.4f} | {np.median(rows[:, 0]):.4f} |", "",
        f"Coverage of {LEVEL:.0%} intervals: {rows[:, 1].mean():.3f}. Mean interval score: "
        f"{rows[:, 2].mean():.3f}. Back-test coverage of 80 % intervals: {np.nanmean(rows[:, 3]):.3f}.",
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    (ROOT / "docs" / "simulated-curves.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
