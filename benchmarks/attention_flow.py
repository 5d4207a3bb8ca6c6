"""Flow along the attention of a trained transformer, head by head, beside its twin.

python -m benchmarks.attention_flow      (trains five real and five null runs where they are missing)
"""

from __future__ import annotations

from functools import partial
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

import opalesce
from opalesce.observables.attention import row_entropy
from opalesce.observables.flow import depth_of_heads
from opalesce.systems import induction
from opalesce.systems.once import once
from opalesce.theory.percolation.attention_flow import entropy_production, stationary

RUNS = Path("validation/runs")
TABLE = Path("docs/attention-flow.md")


def record(run: Path, step: int, seed: int) -> induction.Attention:
    """Patterns of all heads on fresh repeated sequences."""
    system = induction.Induction()
    tokens, period = system.sample(np.random.default_rng([seed, 5]), 64, False)
    state = next(c for c in opalesce.open(run).checkpoints if c.step == step)
    weights = {n: torch.tensor(state.read(n)) for n in state.tensors()}
    return induction.EvalSet(tokens, period).attention(weights, system)


def row(kind: str, step: int) -> list[str]:
    """Means over seeds with 95 % intervals: deepest head, flattest head, columns, stationarity."""
    deepest, entropy, columns, at_first, produced = [], [], [], [], []
    for s in range(1, 6):
        seed = (100 if kind == "real" else 200) + s
        run = RUNS / f"{kind}{seed}"
        RUNS.mkdir(parents=True, exist_ok=True)
        once(run, partial(induction.train, seed=seed, null=kind == "null"))
        a = record(run, step, seed)
        deepest.append(float(np.nanmax(depth_of_heads(a))))
        entropy.append(float(row_entropy(a).mean(axis=0).min()))
        p = np.asarray(a.patterns, float)
        columns.append(float(np.ptp(p.sum(axis=2), axis=2).mean()))
        first = [stationary(head)[0] for head in p[0]]
        at_first.append(float(np.mean(first)))
        produced.append(float(np.mean([entropy_production(head) for head in p[0]])))
    return [kind, str(step), *(interval(v) for v in (deepest, entropy, columns, at_first, produced))]


def interval(values: list[float]) -> str:
    a = np.array(values)
    half = student.ppf(0.975, len(a) - 1) * a.std(ddof=1) / sqrt(len(a))
    return f"{a.mean():.2f} [{a.mean() - half:.2f}, {a.mean() + half:.2f}]"


def main() -> None:
    head = [
        "run",
        "step",
        "depth of the deepest head",
        "entropy of the sharpest head, nats",
        "spread of column sums",
        "stationary weight on the first token",
        "entropy production, nats",
    ]
    rows = [head, ["---"] * len(head), *(row(k, s) for k in ("real", "null") for s in (0, 200, 600))]
    text = "\n".join("| " + " | ".join(r) + " |" for r in rows)
    print(text)
    TABLE.write_text(
        "# Flow along attention\n\nMade by `python -m benchmarks.attention_flow`: the induction "
        "transformer, five "
        "seeds and five null twins, mean and 95 % over seeds.\n\n"
        + text
        + "\n\nRows of attention sum to 1, columns "
        "do not: what is conserved is weight per query, not flow. Causal attention looks back only,"
        " so its walk ends "
        "on the first token, nothing flows in the steady state and no entropy is produced: it is no"
        " reversible flow "
        "network, and the analogy with one says nothing about it. What moves with training is how "
        "many steps a walk "
        "takes.\n",
        "utf-8",
    )


if __name__ == "__main__":
    main()
