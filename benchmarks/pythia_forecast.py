"""LAMBADA log-perplexity of Pythia, each model foretold from the others, beside plain conformal intervals.

python -m benchmarks.pythia_forecast      (OPALESCE_DATA: the folder of data; writes docs/pythia-forecast.md)
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

import opalesce

ROOT = Path(__file__).resolve().parents[1]
CURVE = "lambada_openai/log_ppl"
LEVEL = 0.9
FIRST = 13000  # step of the first origin; every later checkpoint but the last is one
TWINS = ("pythia-2.8b", "pythia-2.8b-deduped")  # one run under two names up to small differences
Run = tuple[np.ndarray, np.ndarray]


def curves() -> dict[str, Run]:
    """Steps from 1 on and log-perplexity of each model."""
    folder = Path(os.environ.get("OPALESCE_DATA", ROOT.parent / "shared" / "data")) / "pythia_evals"
    out = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        c = opalesce.open(path).curves[CURVE]
        out[path.name] = (c.x[c.x > 0], c.y[c.x > 0])
    return out


def others(runs: dict[str, Run], name: str) -> list[str]:
    """The family of a model: neither itself nor its twin."""
    return [k for k in runs if k != name and {k, name} != set(TWINS)]


def interval_score(low: np.ndarray, high: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Width plus 2 / (1 - level) times the miss (Gneiting and Raftery, 2007, eq. 43), in ln y."""
    miss = np.maximum(low - v, 0) + np.maximum(v - high, 0)
    return high - low + 2 / (1 - LEVEL) * miss


def scores() -> dict[str, dict[str, np.ndarray]]:
    """Mean interval score, coverage, absolute error and width of the targets: (origins, 4) by rule, model."""
    runs = curves()
    steps = runs[TWINS[0]][0]
    out: dict[str, dict[str, list[list[float]]]] = {}
    for cut in steps[(steps >= FIRST) & (steps < steps[-1])]:
        to = steps[steps > cut]
        truth = {k: np.log(y[x > cut]) for k, (x, y) in runs.items()}
        early = {k: (x[x <= cut], y[x <= cut]) for k, (x, y) in runs.items()}
        alone = {k: opalesce.forecast(*r, to=to, level=LEVEL) for k, r in early.items()}
        for name in runs:
            kin = others(runs, name)
            f = opalesce.forecast(*early[name], to=to, level=LEVEL, family={k: runs[k] for k in kin})
            own, stay = np.log(alone[name].median), np.full(len(to), np.log(early[name][1][-1]))
            by_law = conformal([truth[k] - np.log(alone[k].median) for k in kin])
            by_last = conformal([truth[k] - np.log(early[k][1][-1]) for k in kin])
            bands = {
                "family": (np.log(f.median), np.log(f.lower), np.log(f.upper)),
                "its own curve": (own, np.log(alone[name].lower), np.log(alone[name].upper)),
                "plain conformal about its own curve": (own, own - by_law, own + by_law),
                "plain conformal about its last value": (stay, stay - by_last, stay + by_last),
            }
            for rule, (middle, low, high) in bands.items():
                v = truth[name]
                row = (interval_score(low, high, v), (low <= v) & (v <= high), np.abs(middle - v), high - low)
                out.setdefault(rule, {}).setdefault(name, []).append([float(np.mean(r)) for r in row])
    return {rule: {k: np.array(r) for k, r in rows.items()} for rule, rows in out.items()}


def conformal(residuals: list[np.ndarray]) -> float:
    """Half-width: the (n + 1) level-th smallest of all absolute residuals of the other models."""
    size = np.sort(np.abs(np.concatenate(residuals)))
    return float(size[min(int(np.ceil((len(size) + 1) * LEVEL)), len(size)) - 1])


def main() -> None:
    table = scores()
    names = list(table["family"])
    lines = [
        "---", "orphan: true", "---", "", "# Pythia's log-perplexity, one model left out", "",
        "Made by `python -m benchmarks.pythia_forecast`; do not edit. LAMBADA, origins at each checkpoint "
        f"from step {FIRST} on, targets all later checkpoints, {LEVEL:.0%} intervals of ln y.", "",
        "| rule | interval score | coverage | absolute error | width |", "|" + " --- |" * 5,
    ]  # fmt: skip
    means = {rule: np.array([rows[k].mean(axis=0) for k in names]) for rule, rows in table.items()}
    for rule, m in means.items():
        lines.append(f"| {rule} | " + " | ".join(f"{v:.3f}" for v in m.mean(axis=0)) + " |")
    lines += ["", "Coverage and interval score by model:", "", "| model | " + " | ".join(means) + " |"]
    lines.append("|" + " --- |" * (len(means) + 1))
    for i, k in enumerate(names):
        lines.append(f"| {k} | " + " | ".join(f"{m[i, 1]:.2f}, {m[i, 0]:.3f}" for m in means.values()) + " |")
    rng = np.random.default_rng(0)
    lines.append("")
    for rule in list(means)[1:]:
        ours, plain = means["family"][:, 0], means[rule][:, 0]
        pick = rng.integers(len(names), size=(5000, len(names)))
        low, high = np.quantile(1 - ours[pick].mean(axis=1) / plain[pick].mean(axis=1), [0.05, 0.95])
        lines.append(
            f"Interval score of the family below {rule}: {1 - ours.mean() / plain.mean():.0%} "
            f"[{low:.0%}, {high:.0%}] (bootstrap over the {len(names)} models)."
        )
    text = "\n".join(lines) + "\n"
    (ROOT / "docs" / "pythia-forecast.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
