"""Planted runs with a known verdict: what the court should say, and what it says."""

from __future__ import annotations

import numpy as np

from opalesce.runs.run import Axis
from opalesce.transitions.court import judge
from opalesce.transitions.evidence import Setting
from opalesce.transitions.smooth import logistic
from opalesce.transitions.witness import Witness

AXIS = Axis("step", "spacings", "linear", 1.0)
LINEAGES = ("loss", "activations", "weights")


def ar1(rng: np.random.Generator, n: int, phi: float, k: int) -> np.ndarray:
    """k stationary AR(1) series of unit variance; shape (k, n)."""
    e = rng.standard_normal((k, n))
    for i in range(1, n):
        e[:, i] = phi * e[:, i - 1] + np.sqrt(1 - phi**2) * e[:, i]
    return e


def _witnesses(rng, signals, phi, n, twins=2, twin_signal=None, **special):
    x = np.arange(n, dtype=float)
    out = []
    for k, signal in enumerate(signals):
        y = signal + ar1(rng, n, phi, 1)[0]
        null = ar1(rng, n, phi, twins) + (0.0 if twin_signal is None else twin_signal)
        out.append(
            Witness(f"w{k}", x, y, None, null if twins else None, LINEAGES[k % 3], **special.get(f"w{k}", {}))
        )
    return out


def transition(rng):
    """A rise of 15 to 30 sd over 1 to 4 spacings at one place in three lineages."""
    n, phi, c = 61, rng.choice([0.0, 0.7]), rng.uniform(12, 48)
    x, h = np.arange(n), rng.uniform(15, 30)
    return _witnesses(
        rng, [h * logistic(x, c + rng.normal(0, 0.3), rng.uniform(1, 4)) for _ in range(3)], phi, n
    )


def crossover(rng):
    """A rise of 40 to 60 sd over 1 to 2 W* in three lineages."""
    n, phi, c = 61, rng.choice([0.0, 0.7]), rng.uniform(20, 40)
    x = np.arange(n)
    return _witnesses(
        rng, [rng.uniform(40, 60) * logistic(x, c, rng.uniform(15, 30)) for _ in range(3)], phi, n
    )


def artefact(rng):
    """A continuous score that rises smoothly by 40 to 60 sd, and the same thresholded."""
    n, phi, c = 61, rng.choice([0.0, 0.7]), rng.uniform(20, 40)
    x = np.arange(n, dtype=float)
    smooth = logistic(x, c, rng.uniform(20, 35))
    level = np.interp(c, x, smooth)
    sharp = logistic(smooth, level, 0.06)
    ws = _witnesses(
        rng,
        [rng.uniform(15, 30) * sharp, rng.uniform(40, 60) * smooth],
        phi,
        n,
        w0={"continuous": False, "pair": "w1"},
    )
    return ws


def fault(rng):
    """Noise in which 6 to 10 neighbouring checkpoints are not what they claim to be."""
    n, phi = 61, rng.choice([0.0, 0.7])
    start, length = int(rng.integers(15, 38)), int(rng.integers(6, 11))
    box = np.zeros(n)
    box[start : start + length] = rng.uniform(10, 20)
    flagged = frozenset(float(i) for i in range(start, start + length))
    return _witnesses(rng, [box, box], phi, n, w0={"flagged": flagged}, w1={"flagged": flagged})


def nothing(rng):
    """Noise alone, or (half of the time) a sharp change of the null runs, with or without the run."""
    n, phi = 61, rng.choice([0.0, 0.7])
    if rng.random() < 0.5:
        return _witnesses(rng, [np.zeros(n)] * 3, phi, n)
    c = rng.uniform(15, 45)
    step = 20 * logistic(np.arange(n), c, 1.0)
    real = step if rng.random() < 0.5 else np.zeros(n)
    return _witnesses(rng, [real] * 3, phi, n, twins=3, twin_signal=step)


def undecidable(rng):
    """One lineage only; or 20 points; or a rise too small for its width to be seen."""
    kind = int(rng.integers(3))
    if kind == 0:
        x = np.arange(61)
        return _witnesses(rng, [10 * logistic(x, rng.uniform(12, 48), 1.0)], 0.0, 61)
    if kind == 1:
        return _witnesses(rng, [np.zeros(20)] * 3, 0.7, 20)
    x = np.arange(61)
    return _witnesses(rng, [rng.uniform(14, 20) * logistic(x, 30, 25)] * 2, 0.0, 61)


PLANTED = {
    "TRANSITION": transition,
    "CROSSOVER": crossover,
    "METRIC ARTEFACT": artefact,
    "DATA FAULT": fault,
    "NOT SUPPORTED": nothing,
    "CANNOT TELL": undecidable,
}


def verdict_of(kind: str, seed: int) -> tuple[str, str]:
    """(verdict on the first witness, its reason) of one planted run."""
    rng = np.random.default_rng([seed, list(PLANTED).index(kind)])
    hearing = judge(kind, PLANTED[kind](rng), Setting(AXIS), rng)
    return str(hearing.cards[0].verdict), hearing.cards[0].reason
