"""k-hop composition: who is reached from x in k steps, when the steps are listed in the context.

A sequence lists the pairs of a cycle through n of E names in random order, "a b" for a -> b, then asks
questions "k x y": y is k steps from x. No pair is ever asked twice in the weights: the cycle is new in every
sequence, so a model must look up (k = 1) and compose (k = 2, 3, 4). In the twin each answer is a random name
of the cycle: same sequences, nothing to learn but the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.decoder import Sizes
from opalesce.systems.lm import Tokens, mean_and_error

SIZES = {"small": (2, 48), "medium": (4, 64), "large": (6, 96), "deep": (14, 64)}  # layers, width


@dataclass(frozen=True)
class Hops:
    """The corpus. `names` E, `cycle` n, `hops` largest k, `questions` per sequence.

    k hops are asked `rarer` times as often as k - 1: without easy questions small models learn none.
    """

    names: int = 14
    cycle: int = 7
    hops: int = 4
    questions: int = 8
    rarer: float = 0.5
    name: str = "hops"

    def __post_init__(self) -> None:
        if not (2 <= self.cycle <= self.names and 1 <= self.hops < self.cycle and self.questions >= 1):
            raise InputError(
                "these numbers make no hops corpus",
                expected="2 <= cycle <= names, 1 <= hops < cycle, questions >= 1",
                got=str(self),
            )

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return 2 * self.cycle + 3 * self.questions

    def words(self) -> list[str]:
        """Names n0, n1, ... and the numbers of hops."""
        return [f"n{i}" for i in range(self.names)] + [str(k + 1) for k in range(self.hops)]

    def sizes(self, layers: int, width: int) -> Sizes:
        """A decoder for this corpus: heads of 16 channels, MLP twice as wide as the stream."""
        return Sizes(len(self.words()), width, 2 * width, layers, width // 16)

    def sample(self, rng: np.random.Generator, n: int, null: bool) -> tuple[Tokens, NDArray[np.bool_]]:
        """Sequences (n, length); the answers are to be predicted."""
        E, c, q = self.names, self.cycle, self.questions
        walk = np.argsort(rng.random((n, E)), axis=1)[:, :c]  # the cycle, in its own order
        order = np.argsort(rng.random((n, c)), axis=1)
        pairs = np.stack([np.take_along_axis(np.roll(walk, -s, axis=1), order, 1) for s in (0, 1)], axis=2)
        odds = self.rarer ** np.arange(self.hops)
        k = 1 + rng.choice(self.hops, (n, q), p=odds / odds.sum())
        at = rng.integers(0, c, (n, q))
        to = rng.integers(0, c, (n, q)) if null else (at + k) % c
        asked = [E + k - 1, np.take_along_axis(walk, at, 1), np.take_along_axis(walk, to, 1)]
        tokens = np.concatenate([pairs.reshape(n, 2 * c), np.stack(asked, axis=2).reshape(n, 3 * q)], axis=1)
        scored = np.zeros(tokens.shape, bool)
        scored[:, 2 * c + 2 :: 3] = True
        return tokens.astype(np.int64), scored

    def first(self, tokens: Tokens) -> tuple[Tokens, Tokens, Tokens]:
        """Sequences up to the first question's x, its k, its answer: no earlier answer can help."""
        at = 2 * self.cycle
        return tokens[:, : at + 2], tokens[:, at] - self.names + 1, tokens[:, at + 2]

    def scores(self, model: Any, tokens: Tokens, scored: NDArray[np.bool_]) -> Mapping[str, float]:
        """Accuracy and log probability (nats) of the answer to the first question, for each k."""
        import torch

        asked, k, answer = self.first(tokens)
        device = next(model.parameters()).device
        with torch.no_grad():
            logits = model(torch.from_numpy(asked).to(device))[:, -1].float()
            logp = torch.log_softmax(logits, -1).cpu().numpy()
        right = logp.argmax(1) == answer
        sure = logp[np.arange(len(answer)), answer]
        out: dict[str, float] = {}
        for hop in range(1, self.hops + 1):
            out |= mean_and_error(right[k == hop], f"hop{hop}_acc")
            out |= mean_and_error(sure[k == hop], f"hop{hop}_logp")
        return out
