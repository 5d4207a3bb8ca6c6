"""Sentences of a probabilistic context-free grammar that is made here; the entropy of the source is known.

Clauses nest (a noun may carry "that ..." with a clause of its own), verbs agree in number with their subject,
and the twin has the words of every sentence shuffled: same frequencies, no grammar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.measure.decoder import Sizes
from opalesce.systems.lm import Tokens, mean_and_error

SIZES = {"small": (2, 48), "medium": (4, 64), "large": (6, 96)}  # layers, width
NOUNS = ("fox", "king", "child", "stone", "river", "bird", "wolf", "lamp", "sailor", "garden")
VERBS = ("see", "follow", "fear", "find", "call", "know", "carry", "leave")
ADJECTIVES = ("red", "old", "small", "quiet", "bright", "tall")
PLACES = ("near", "behind", "under", "above")
ENDS = (".", "?")


@dataclass(frozen=True)
class Grammar:
    """The corpus: sentences one after the other, cut to `length` tokens. `nest` is the chance of a clause."""

    length: int = 48
    nest: float = 0.25
    name: str = "grammar"

    def words(self) -> list[str]:
        """Vocabulary; plural nouns and singular verbs end in s."""
        nouns = [w + s for w in NOUNS for s in ("", "s")]
        verbs = [w + s for w in VERBS for s in ("", "s")]
        return ["the", "a", "many", "that", "and", *ENDS, *ADJECTIVES, *PLACES, *nouns, *verbs]

    def sizes(self, layers: int, width: int) -> Sizes:
        """A decoder for this corpus: heads of 16 channels, MLP twice as wide as the stream."""
        return Sizes(len(self.words()), width, 2 * width, layers, width // 16)

    def sentence(self, rng: np.random.Generator) -> list[str]:
        """One sentence: clause, perhaps "and" and another clause, and an end."""
        out = self._clause(rng, 0)
        if rng.random() < 0.2:
            out += ["and", *self._clause(rng, 0)]
        return [*out, ENDS[int(rng.random() < 0.3)]]

    def _clause(self, rng: np.random.Generator, depth: int) -> list[str]:
        subject, plural = self._noun(rng, depth)
        return subject + self._verb(rng, plural) + self._noun(rng, depth)[0]

    def _verb(self, rng: np.random.Generator, plural: bool) -> list[str]:
        return [VERBS[rng.integers(len(VERBS))] + ("" if plural else "s")]

    def _noun(self, rng: np.random.Generator, depth: int) -> tuple[list[str], bool]:
        plural = bool(rng.random() < 0.4)
        out = [("many" if plural else "a") if rng.random() < 0.4 else "the"]
        if rng.random() < 0.3:
            out.append(ADJECTIVES[rng.integers(len(ADJECTIVES))])
        out.append(NOUNS[rng.integers(len(NOUNS))] + ("s" if plural else ""))
        if depth < 3 and rng.random() < self.nest:
            if rng.random() < 0.5:  # subject relative: the verb agrees with this noun
                out += ["that", *self._verb(rng, plural), *self._noun(rng, depth + 1)[0]]
            else:  # object relative: the noun after "that" is the subject
                inner, many = self._noun(rng, depth + 1)
                out += ["that", *inner, *self._verb(rng, many)]
        elif rng.random() < 0.15:
            out += [PLACES[rng.integers(len(PLACES))], *self._noun(rng, depth + 1)[0]]
        return out, plural

    def sample(self, rng: np.random.Generator, n: int, null: bool) -> tuple[Tokens, NDArray[np.bool_]]:
        """Sequences (n, length); every token but the first is to be predicted."""
        ids = {w: i for i, w in enumerate(self.words())}
        out = np.empty((n, self.length), np.int64)
        for row in out:
            text: list[str] = []
            while len(text) < self.length:
                more = self.sentence(rng)
                if null:
                    more = [more[i] for i in rng.permutation(len(more))]
                text += more
            row[:] = [ids[w] for w in text[: self.length]]
        scored = np.ones(out.shape, bool)
        scored[:, 0] = False
        return out, scored

    def scores(self, model: Any, tokens: Tokens, scored: NDArray[np.bool_]) -> Mapping[str, float]:
        """Agreement: how often the verb of the right number is likelier than its twin of the wrong one.

        Only verbs that follow a clause of their subject ("the foxes that a king sees follow") count as `far`.
        """
        words = self.words()
        first = words.index(VERBS[0])
        is_verb = tokens >= first
        device = str(next(model.parameters()).device)
        other = np.where(is_verb, first + ((tokens - first) ^ 1), tokens)
        logp = _verb_odds(model, tokens, other, device)
        near = is_verb.copy()
        near[:, 0] = False
        far = near.copy()
        far[:, 1:] &= is_verb[:, :-1]
        far[:, :1] = False
        right = logp > 0
        return mean_and_error(right[near], "agreement_acc") | mean_and_error(right[far], "far_agreement_acc")


def _verb_odds(model: Any, tokens: Tokens, other: Tokens, device: str) -> NDArray[np.float64]:
    """log p(token) - log p(other token) at each place, given the true past."""
    import torch

    out = np.zeros(tokens.shape)
    with torch.no_grad():
        for at in range(0, len(tokens), 128):
            batch = torch.from_numpy(tokens[at : at + 128]).to(device)
            wrong = torch.from_numpy(other[at : at + 128]).to(device)
            logits = model(batch)[:, :-1].float()
            odds = logits.gather(2, batch[:, 1:, None]) - logits.gather(2, wrong[:, 1:, None])
            out[at : at + 128, 1:] = odds[..., 0].double().cpu().numpy()
    return out
