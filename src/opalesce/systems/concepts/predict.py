"""What percolation says about a ladder before the first network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from opalesce.systems.concepts.ladder import Design, stream
from opalesce.theory.concepts import Grown, band, grow, onset
from opalesce.theory.prediction import Prediction

LEVEL = 0.6  # AUC at which a capability counts as there: a fifth of the way from chance
FAMILY = 0.95  # of a group of predictions of one kind, all hold with this probability
THEORY = "bipartite percolation, graphs of exactly these sizes"
SOURCE = "lubana2024percolation; random graphs grown pair by pair"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Theory:
    """Predictions with the replicates they were read from (world, capability, rung)."""

    predictions: tuple[Prediction, ...]
    grown: Grown
    densities: Floats

    def band(self, capability: int, seeds: int, level: float = FAMILY) -> tuple[Floats, Floats]:
        """Simultaneous band of the oracle's AUC, mean of `seeds` worlds."""
        return band(batches(self.grown.oracle[:, capability], seeds), level)


def batches(replicates: Floats, size: int, n: int = 20_000) -> Floats:
    """Means over `n` random batches of `size` replicates (rows): what the mean of that many seeds does."""
    rows = stream(0, 3).integers(len(replicates), size=(n, size))
    return np.asarray(sum(replicates[rows[:, j]] for j in range(size)) / size)


def slope(log_threshold: Floats, log_onset: Floats) -> Floats:
    """Least-squares slope of log onset on log threshold, over capabilities (last axis)."""
    x = log_threshold - log_threshold.mean()
    return np.asarray((log_onset * x).sum(-1) / (x @ x))


def predict(
    design: Design,
    seeds: int,
    replicates: int = 2000,
    learner: str = "networks",
    grown: Grown | None = None,
) -> Theory:
    """Predictions for the mean of `seeds` ladders of this design.

    1. The oracle's AUC of each capability stays in a simultaneous band.
    2. No network's AUC exceeds that of the oracle (connectivity is necessary).
    3. Each capability is learned where the oracle has it (connectivity is sufficient): its onset, the
       density at which the AUC first reaches 0.6, has the oracle's distribution.
    4. Capabilities come in the order of their thresholds.
    5. Onsets scale with thresholds as those of the oracle do.
    6. Twins stay at chance.

    `grown` takes the replicates of another prediction for the same ladder: they know no learner.

    2 and 3 are rivals where the truth lies between them: a network that needs more than connection
    breaks 3 and keeps 2.
    """
    caps, ladder = design.capabilities, design.ladder()
    sizes = [(c.entities, c.properties, c.families) for c in caps]
    if grown is None or not np.array_equal(grown.rungs, ladder):
        grown = grow(sizes, ladder, replicates, stream(0, 2))
    rho = ladder / design.valid
    inputs = {
        "sizes (entities, properties, families)": sizes,
        "families": 2,
        "pairs": ladder.tolist(),
        "seeds": seeds,
        "replicates": len(grown.connected),
    }
    each = 1 - (1 - FAMILY) / len(caps)
    theory = Theory((), grown, rho)
    out: list[Prediction] = []
    for i, c in enumerate(caps):
        low, high = theory.band(i, seeds, each)
        out.append(
            Prediction(
                f"{c.name}: pairs that are connected",
                "curve", THEORY, SOURCE, inputs,
                f"oracle AUC along the theory's curve, threshold {c.threshold:.4g} "
                f"(finite size: {grown.peak[:, i].mean():.4g})",
                tuple(map(float, low)), tuple(map(float, high)), tuple(map(float, rho)), level=each,
            )
        )  # fmt: skip
    out.append(
        Prediction(
            f"{learner}: connection is necessary", "bound", THEORY, SOURCE, inputs,
            "learned AUC never above the oracle's",
            at=tuple(map(float, np.tile(rho, len(caps)))), level=FAMILY,
        )
    )  # fmt: skip
    logs = np.log(_onsets(rho, grown.oracle))
    for i, c in enumerate(caps):
        low, high = np.quantile(batches(logs[:, i], seeds), [(1 - each) / 2, (1 + each) / 2])
        out.append(
            Prediction(
                f"{c.name}: {learner}, connection is sufficient", "place", THEORY, SOURCE, inputs,
                f"onset (AUC {LEVEL:g}) at density",
                (float(np.exp(low)),), (float(np.exp(high)),), level=each,
            )
        )  # fmt: skip
    order = sorted(caps, key=lambda c: c.threshold)
    out.append(
        Prediction(
            f"{learner}: order of capabilities", "order", THEORY, SOURCE, inputs,
            "by threshold: " + ", ".join(c.name for c in order), order=tuple(c.name for c in order),
        )
    )  # fmt: skip
    slopes = batches(slope(np.array([log(c.threshold) for c in caps]), logs), seeds)
    low, high = np.quantile(slopes, [0.025, 0.975])
    out.append(
        Prediction(
            f"{learner}: onset against threshold", "place", THEORY, SOURCE, inputs,
            "slope of log onset on log threshold", (float(low),), (float(high),),
        )
    )  # fmt: skip
    return Theory(tuple(out), grown, rho)


def chance(design: Design, seeds: int) -> Prediction:
    """The twins' prediction: at every rung and capability, the mean AUC over seeds is 0.50 ± 0.05."""
    n = len(design.capabilities) * len(design.ladder())
    at = np.tile(design.ladder() / design.valid, len(design.capabilities))
    return Prediction(
        "twins stay at chance", "curve", "nothing connects the two ends of a shuffled pair", SOURCE,
        {"seeds": seeds}, "AUC between 0.45 and 0.55", (0.45,) * n, (0.55,) * n, tuple(map(float, at)),
    )  # fmt: skip


def _onsets(rho: Floats, auc: Floats) -> Floats:
    """Onset of every curve (last axis: rungs); where it is never reached, the end of the ladder."""
    flat = [min(onset(rho, y, LEVEL), float(rho[-1])) for y in auc.reshape(-1, auc.shape[-1])]
    return np.asarray(flat, float).reshape(auc.shape[:-1])
