r"""Order along depth of a model that answers k-hop questions, checkpoint by checkpoint.

Everything is read at one position: the x of the first question, where the model must know its answer. The
claim under test (Alpay and Kilictas 2026) is that a step of Omega along depth, a fall of the effective rank,
and objects that live through layers go with multi-step reasoning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.decoder import from_checkpoint
from opalesce.measure.record import record
from opalesce.observables.moments import Moments, integrity_of
from opalesce.observables.order import residual_effective_rank, residual_participation_ratio
from opalesce.observables.probes import transfer
from opalesce.runs.open import open as open_run
from opalesce.systems.hops import Hops
from opalesce.systems.lm import Tokens

Array = NDArray[np.float64]
READABLE = 0.8  # accuracy from which an object counts as readable


@dataclass(frozen=True)
class HopsOrder:
    """One checkpoint.

    Attributes
    ----------
    step : float
    integrity : array, shape (prompts, layers)
        Omega of each prompt at each layer 0..L.
    effective_rank, participation_ratio : arrays, shape (layers,)
        Of the covariance over prompts.
    transfer : array, shape (layers, layers)
        Accuracy of a probe for the answer, trained at one layer and read at another without refit.
    lifetime : int
        Longest span b - a over which a probe of layer a stays readable up to b; -1 where none is readable.
    norm : float
        Root of the sum of squares of all weights.
    log : mapping
        The line of the run's log at this step.
    """

    step: float
    integrity: Array
    effective_rank: Array
    participation_ratio: Array
    transfer: Array
    lifetime: int
    norm: float
    log: Mapping[str, float]

    @property
    def integrity_step(self) -> float:
        """Largest change of the mean of Omega between neighbouring layers."""
        return float(np.abs(np.diff(self.integrity.mean(axis=0))).max())

    @property
    def rank_fall(self) -> float:
        """ln of the largest effective rank over the smallest one after it."""
        e = np.log(np.maximum(self.effective_rank, 1.0))
        return float((np.maximum.accumulate(e) - e).max())


def lifetime_of(accuracy: Array, readable: float = READABLE) -> int:
    """Longest b - a with accuracy[a, a..b] all readable; -1 where no probe is readable at its own layer."""
    best = -1
    for a in range(len(accuracy)):
        below = np.flatnonzero(accuracy[a, a:] < readable)
        span = int(below[0]) - 1 if below.size else len(accuracy) - 1 - a
        best = max(best, span)
    return best


def at_question(model: Any, corpus: Hops, tokens: Tokens, block: int = 256) -> list[Array]:
    """Residual stream at the x of the first question: (prompts, d) for each layer 0..L."""
    asked = corpus.first(tokens)[0]
    parts: list[list[Array]] = []
    for start in range(0, len(asked), block):
        parts.append(record(model, asked[start : start + block], lambda _layer, h: h[:, -1].copy()))
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def hops_order(folder: Path, corpus: Hops | None = None, steps: list[float] | None = None) -> list[HopsOrder]:
    """Order of every checkpoint of a `hops` run, on its own held-out prompts.

    Raises
    ------
    InputError
        Not a run of this system.
    """
    corpus = corpus or Hops()
    run = open_run(folder)
    if run.config.get("system") != corpus.name:
        raise InputError(
            "not a run of the hops system", expected="system hops", got=str(run.config.get("system"))
        )
    rows = [json.loads(line)["tokens"] for line in (folder / "prompts.jsonl").read_text().splitlines()]
    tokens = np.array(rows, np.int64)
    log = {r["step"]: r for r in map(json.loads, (folder / "log.jsonl").read_text().splitlines())}
    answer = corpus.first(tokens)[2]
    train = np.arange(len(tokens)) % 2 == 0
    out = []
    for c in run.checkpoints:
        if steps is not None and c.step not in steps:
            continue
        model = from_checkpoint(c, dict(run.config))
        layers = at_question(model, corpus, tokens)
        moments = [Moments.of(h) for h in layers]
        accuracy = transfer(layers, answer, train)
        norm = float(np.sqrt(sum(float((p.detach().double() ** 2).sum()) for p in model.parameters())))
        out.append(
            HopsOrder(
                c.step,
                np.column_stack([integrity_of(h) for h in layers]),
                np.array([residual_effective_rank(m) for m in moments]),
                np.array([residual_participation_ratio(m) for m in moments]),
                accuracy,
                lifetime_of(accuracy),
                norm,
                log[int(c.step)],
            )
        )
    return out
