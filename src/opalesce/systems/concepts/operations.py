"""Predictions of the neural percolation model for operations on trained networks, and their judgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from opalesce.estimate import Estimate
from opalesce.systems.concepts import phenomena
from opalesce.systems.concepts.judge import estimate
from opalesce.systems.concepts.world import LADDER
from opalesce.theory.npm.field import drive, onset_shift
from opalesce.theory.prediction import Judgement, Prediction, judge_order, judge_place

Floats = NDArray[np.float64]
SHARE = 0.3  # of the data that is corrupted
ROOM = 0.1  # relative width given to a predicted factor, either way
SOURCE = "ding2026percolation, table of phenomena"
THEORY = "neural percolation model, B-layer"
HARDEST_FIRST = tuple(c.name for c in sorted(LADDER, key=lambda c: -c.threshold))
HARMS = ("wrong", "contradiction", "noise")


def predictions() -> dict[str, Prediction]:
    """What the model says, before any network is trained; by the name of the experiment."""

    def say(name: str, kind: str, expected: str, **more: object) -> Prediction:
        return Prediction(name, kind, THEORY, SOURCE, {"share": SHARE}, expected, **more)  # type: ignore[arg-type]

    def factor(value: float) -> dict[str, tuple[float]]:
        return {"low": (value / (1 + ROOM),), "high": (value * (1 + ROOM),)}

    lost = "highest threshold first: " + ", ".join(HARDEST_FIRST)
    harm = ", ".join(sorted(HARMS, key=lambda k: drive(k, SHARE)))  # type: ignore[arg-type]
    return {
        "quantisation": say("quantisation: what is lost first", "order", lost, order=HARDEST_FIRST),
        "distillation": say("distillation: what is lost first", "order", lost, order=HARDEST_FIRST),
        "noise": say(
            "noise: factor by which the onset is delayed",
            "place",
            "1 / (1 - share)",
            **factor(onset_shift(SHARE)),
        ),
        "harm": say("harm at equal dose", "order", f"AUC from lowest: {harm}", order=HARMS),
        "breadth": say(
            "specialist: onset over that of a generalist",
            "place",
            "1, density of its own pairs decides",
            **factor(1.0),
        ),
        "fine_tuning": say(
            "fine-tuning: onset over that from scratch", "place", "below 1", low=(0.0,), high=(1.0,)
        ),
    }


def run(seeds: Sequence[int], say: Callable[[str], object] | None = None) -> list[Judgement]:
    """Train, measure and judge every experiment on these seeds; about one minute a seed on an idle core.

    Raises
    ------
    MissingExtra
        Without torch.
    """
    said, say = predictions(), say or (lambda _: None)
    out = []
    for i, (name, p) in enumerate(said.items()):
        say(f"experiments: {i} of {len(said)}")
        out.append(_judge(name, p, seeds))
    return out


def _judge(name: str, p: Prediction, seeds: Sequence[int]) -> Judgement:
    names = [c.name for c in LADDER]
    if name in ("quantisation", "distillation"):
        places = getattr(phenomena, name)(seeds)
        return judge_order(p, dict(zip(names, places.T, strict=True)))
    if name == "noise":
        got = phenomena.corruption(seeds, SHARE, kinds=("clean", "noise"))
        return judge_place(p, _ratio(got["noise"], got["clean"]))
    if name == "harm":
        return judge_order(p, phenomena.affected(seeds, SHARE))
    top, base = reversed(phenomena.breadth(seeds)) if name == "breadth" else phenomena.fine_tuning(seeds)
    return judge_place(p, _ratio(top, base))


def _ratio(top: Floats, base: Floats) -> Estimate:
    """Mean ratio of onsets over seeds; seeds in which the base was not reached do not count."""
    known = np.isfinite(base)
    return estimate(top[known] / base[known], end=5.0)
