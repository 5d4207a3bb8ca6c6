"""NeuroMFA: our sums against the published procedure with dictionaries, at identical numbers; whole
matrices.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, seconds
from opalesce.theory.multifractal.exponents import Q
from opalesce.theory.multifractal.initial import Initial, sampled_noise
from opalesce.theory.multifractal.neurons import paper_exponents


def dictionaries(weights: list[np.ndarray], limit: int = 150) -> np.ndarray:
    """tau(q) as the procedure is published: one dictionary of distances a node, one loop a radius and
    moment.
    """
    nodes: list[dict[int, int]] = []
    for w in weights:
        for row in w:
            found: dict[int, int] = {}
            for x in row:
                if x != 0:
                    d = 1.0 / abs(x)
                    if 1 < d <= limit:
                        key = int(np.rint(d))
                        found[key] = found.get(key, 0) + 1
            if sum(found.values()) > 10:
                nodes.append(found)
    radii = sorted({d for node in nodes for d in node})
    counts = []
    for node in nodes:
        total, row_counts = 1, []
        for r in radii:
            total += node.get(r, 0)
            row_counts.append(total)
        counts.append(row_counts)
    log_r = np.log(np.array(radii) / radii[-1])
    out = []
    for q in Q:
        log_z = [np.log(sum((c[k] / c[-1]) ** q for c in counts)) for k in range(len(radii))]
        out.append(np.polyfit(log_r, log_z, 1)[0])
    return np.array(out)


def figures(quick: bool = False) -> Iterator[Figure]:
    """CPU time on one thread for the sampled networks of a Pythia-410m, then for all its kind of matrices."""
    blocks = 4 if quick else 24
    weights = sampled_noise(Initial.pythia(1024, 24), blocks, 32, np.random.default_rng(0))
    mine, theirs = paper_exponents(weights).tau, dictionaries(weights)
    gap = float(np.max(np.abs(mine - theirs)))
    assert gap < 1e-9, gap
    yield Figure(
        "multifractal",
        f"NeuroMFA, published rules, one sampled network of {blocks} blocks (tau(q) equal to {gap:.0e})",
        "the published procedure with dictionaries, in Python",
        "CPU s",
        seconds(lambda: paper_exponents(weights)),
        seconds(lambda: dictionaries(weights), 2),
    )
    width, deep = (128, 2) if quick else (768, 12)
    rng = np.random.default_rng(1)
    sides = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    whole = [(rng.standard_normal(s) * width**-0.5).astype(np.float32) for s in sides]
    sampled = [w[:32, :96] for w in whole]
    every = seconds(lambda: paper_exponents(whole * deep), 2)
    yield Figure(
        "multifractal",
        f"all neurons and weights of {deep} blocks of width {width}, no sampling",
        "the same on 32-neuron samples, dictionaries",
        "CPU s",
        every,
        seconds(lambda: dictionaries(sampled * deep), 2),
    )
    yield from _audit(quick)


def _audit(quick: bool) -> Iterator[Figure]:
    from benchmarks.big_checkpoint import write_big

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        size = write_big(home, 256, 2, 1000) if quick else write_big(home)
        budget = "5s" if quick else "60s"
        start = time.perf_counter()
        peak, said = _watched([sys.executable, "-m", "opalesce", "audit", str(home), "--budget", budget])
        wall = time.perf_counter() - start
        share = next(line for line in said.splitlines() if line.startswith("seen "))
        yield Figure(
            "audit",
            f"{size:,} BF16 parameters, --budget {budget}: {share}",
            "the budget",
            "wall s",
            wall,
            float(budget.rstrip("s")),
        )
        yield Figure("audit", "peak anonymous memory of the same", "the file", "MB", peak, 2 * size / 2**20)


def _watched(command: list[str]) -> tuple[float, str]:
    """Peak anonymous resident memory in MB, by looking every 20 ms, and what was printed."""
    with tempfile.TemporaryFile("w+") as out:
        process: Any = subprocess.Popen(command, stdout=out)
        peak = 0
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                peak = max(peak, *(int(x.split()[1]) for x in lines if x.startswith("RssAnon")), 0)
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        assert process.returncode == 0, process.returncode
        out.seek(0)
        return peak / 1024, out.read()
