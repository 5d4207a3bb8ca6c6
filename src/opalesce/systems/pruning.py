"""Is what percolates what works? Accuracy of a trained network against the share of weights kept.

Weights are removed in order of size (magnitude, every layer at once, each divided by its root mean square)
or at random; nothing is retrained. Beside the accuracy stand the largest cluster S1(f) of the layered graph
of kept weights and the threshold f_c of a random order (`theory.percolation.weighted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.systems.concepts.models import torch_module
from opalesce.theory.percolation.exact import layered_threshold
from opalesce.theory.percolation.weighted import layer_widths, weight_curve

Floats = NDArray[np.float64]
WIDTHS = (20, 128, 128, 8)


@dataclass(frozen=True)
class Trained:
    """A perceptron without biases (weights of shape (in, out)) and held-out points with their classes."""

    weights: tuple[Floats, ...]
    x: Floats
    y: NDArray[np.int64]

    def accuracy(self, weights: Sequence[Floats]) -> float:
        """Share of held-out points that the network with these weights classifies rightly."""
        h = self.x
        for w in weights[:-1]:
            h = np.maximum(h @ w, 0)
        return float(((h @ weights[-1]).argmax(axis=1) == self.y).mean())


@dataclass(frozen=True)
class Pruned:
    """Curves over the kept share: accuracies by order of removal, S1 as a share of nodes, and thresholds.

    `open` is the share of inlet-outlet pairs joined by kept weights.
    """

    kept: Floats
    magnitude: Floats
    random: Floats
    largest: Floats
    open: Floats
    critical: float
    measured: float
    chance: float


def data(
    rng: np.random.Generator, n: int, widths: Sequence[int] = WIDTHS
) -> tuple[Floats, NDArray[np.int64]]:
    """Points of as many classes as the last width, each a union of three blobs."""
    centres = rng.normal(size=(widths[-1], 3, widths[0])) * 1.1
    y = rng.integers(widths[-1], size=n)
    return centres[y, rng.integers(3, size=n)] + 0.8 * rng.normal(size=(n, widths[0])), y


def train(seed: int, widths: Sequence[int] = WIDTHS, steps: int = 600, decay: float = 0.1) -> Trained:
    """Train on 6000 points by AdamW and hold out 4000.

    Raises
    ------
    MissingExtra
        Without torch.
    """
    torch = torch_module()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 13))))
    x, y = data(rng, 10_000, widths)
    sizes = list(pairwise(widths))
    start = [rng.standard_normal(s) * np.sqrt(2 / s[0]) for s in sizes]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        w = _fit(torch, start, x[:6000], y[:6000], steps, decay, rng)
    finally:
        torch.set_num_threads(threads)
    return Trained(tuple(w), x[6000:], y[6000:])


def _fit(
    torch: Any,
    start: list[Floats],
    x: Floats,
    y: NDArray[np.int64],
    steps: int,
    decay: float,
    rng: np.random.Generator,
) -> list[Floats]:
    w = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in start]
    points, classes = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    optimiser = torch.optim.AdamW(w, lr=3e-3, weight_decay=decay)
    for _ in range(steps):
        i = torch.from_numpy(rng.integers(len(y), size=256))
        h = points[i]
        for v in w[:-1]:
            h = torch.relu(h @ v)
        loss = torch.nn.functional.cross_entropy(h @ w[-1], classes[i])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [v.detach().numpy().astype(float) for v in w]


def prune(net: Trained, kept: Sequence[float], rng: np.random.Generator) -> Pruned:
    """Accuracy and connectivity of a network at each kept share, by magnitude and at random.

    Raises
    ------
    InputError
        Shares outside (0, 1].
    """
    f = np.sort(np.asarray(kept, float))
    if not f.size or f[0] <= 0 or f[-1] > 1:
        raise InputError("kept shares out of range", expected="above 0, at most 1", got=str(kept))
    scaled = np.concatenate([np.abs(w).ravel() / np.sqrt((w**2).mean()) for w in net.weights])
    order = np.argsort(-scaled, kind="stable")
    shuffled = rng.permutation(len(order))
    curve = weight_curve(net.weights, whole=True, rms=True)
    at = np.clip(np.searchsorted(curve.kept, f, "right") - 1, 0, None)
    widths = layer_widths(net.weights)
    by_size, at_random = (
        np.array([net.accuracy(_keep(net.weights, o[: max(1, round(v * len(o)))])) for v in f])
        for o in (order, shuffled)
    )
    return Pruned(
        f,
        by_size,
        at_random,
        curve.S1[at] / curve.n,
        curve.pairs[at] / curve.all_pairs,
        layered_threshold(widths),
        curve.peak,
        1 / widths[-1],
    )


def _keep(weights: Sequence[Floats], places: NDArray[np.int64]) -> list[Floats]:
    """The weights with all entries but those at `places` (of all layers end to end) set to 0."""
    mask = np.zeros(sum(w.size for w in weights), bool)
    mask[places] = True
    cuts = np.cumsum([w.size for w in weights])[:-1]
    return [w * m.reshape(w.shape) for w, m in zip(weights, np.split(mask, cuts), strict=True)]
