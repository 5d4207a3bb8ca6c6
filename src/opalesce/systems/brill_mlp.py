"""Small networks on Brill's data: does loss fall as the theory allows, and are clusters learned by rank?

The paper's networks are nearest-neighbour estimators; these are multilayer perceptrons trained by AdamW,
which the theory was made for. Clusters follow the paper's rank law s_k = s_1 k^-(alpha+1); positions and
labels come from a uniform random tree and its hierarchy (`opalesce.theory.brill.hierarchy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.systems.concepts.models import torch_module
from opalesce.theory.brill.hierarchy import cyclic_coalescent, embed, latent_labels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Positions x (n, d), labels y (n,) with variance 1 in each cluster, cluster rank (n,) from 0."""

    x: Floats
    y: Floats
    rank: NDArray[np.int64]


@dataclass(frozen=True)
class Learned:
    """A trained perceptron on held-out points.

    `steps` (t,) and `curves` (t, clusters): mean squared error of each cluster along training, in units of
    the variance of its labels; `loss` the final one over all points; `hidden` (n, width) last hidden layer.
    """

    steps: NDArray[np.int64]
    curves: Floats
    loss: float
    hidden: Floats


def rank_sizes(clusters: int, largest: int, alpha: float = 1.0) -> NDArray[np.int64]:
    """Sizes s_k = s_1 k^-(alpha+1) (eq. 4), at least 4 sites each."""
    if clusters < 1 or largest < 4 or not alpha > 0:
        raise InputError("no such clusters", expected="clusters >= 1, largest >= 4", got=str(clusters))
    k = np.arange(1, clusters + 1)
    return np.asarray(np.maximum(4, np.rint(largest * k ** -(alpha + 1.0))), np.int64)


def points(sizes: NDArray[np.int64], dimension: int, rng: np.random.Generator) -> Points:
    """Clusters with origins uniform in a ball of radius sqrt(d), walked along their hierarchies."""
    xs, ys, ranks = [], [], []
    for k, size in enumerate(sizes):
        tree = cyclic_coalescent(int(size), rng)
        way = rng.standard_normal(dimension)
        origin = way / np.linalg.norm(way) * rng.random() ** (1 / dimension) * np.sqrt(dimension)
        y = latent_labels(tree, rng)[0]
        xs.append(origin + embed(tree, dimension, rng))
        ys.append((y - y.mean()) / max(float(y.std()), 1e-12))
        ranks.append(np.full(size, k))
    return Points(np.concatenate(xs), np.concatenate(ys), np.concatenate(ranks))


def learn(
    data: Points, n: int, seed: int, width: int = 128, steps: int = 1500, rate: float = 2e-3, looks: int = 40
) -> Learned:
    """Train a perceptron with two hidden ReLU layers on n random points; watch each cluster on the others.

    Raises
    ------
    InputError
        n leaves no point to train on or to hold out.
    MissingExtra
        Without torch.
    """
    torch = torch_module()
    if not 1 <= n < len(data.y):
        raise InputError("cannot split the points so", expected=f"1 to {len(data.y) - 1}", got=str(n))
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 11))))
    order = rng.permutation(len(data.y))
    train, held = order[:n], order[n:][:8000]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(torch, data, train, held, rng, width, steps, rate, looks)
    finally:
        torch.set_num_threads(threads)


def _train(
    torch: Any,
    data: Points,
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    rng: np.random.Generator,
    width: int,
    steps: int,
    rate: float,
    looks: int,
) -> Learned:
    d = data.x.shape[1]
    x, y = (torch.tensor(v, dtype=torch.float32) for v in (data.x / np.sqrt(d), data.y))
    shapes = ((width, d), (width, width), (1, width))
    w = [torch.tensor(rng.standard_normal(s) * (2 / s[1]) ** 0.5, dtype=torch.float32) for s in shapes]
    b = [torch.zeros(s[0]) for s in shapes]
    for t in (*w, *b):
        t.requires_grad_(True)
    optimiser = torch.optim.AdamW([*w, *b], lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def hidden(z: Any) -> Any:
        return torch.relu(torch.relu(z @ w[0].T + b[0]) @ w[1].T + b[1])

    def errors() -> tuple[Floats, Floats]:
        with torch.no_grad():
            h = hidden(x[held])
            return ((h @ w[2].T + b[2])[:, 0] - y[held]).numpy().astype(float) ** 2, h.numpy().astype(float)

    clusters = int(data.rank.max()) + 1
    count = np.bincount(data.rank[held], minlength=clusters)
    at = np.unique(np.geomspace(1, steps, looks).astype(np.int64))
    curves = np.full((len(at), clusters), np.nan)
    for t in range(1, steps + 1):
        i = torch.from_numpy(train[rng.integers(len(train), size=min(256, len(train)))])
        loss = (((hidden(x[i]) @ w[2].T + b[2])[:, 0] - y[i]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if t in at:
            e = np.bincount(data.rank[held], weights=errors()[0], minlength=clusters)
            curves[np.searchsorted(at, t)] = np.where(count > 0, e / np.maximum(count, 1), np.nan)
    error, h = errors()
    return Learned(at, curves, float(error.mean()), h)


def half_steps(learned: Learned, level: float = 0.5) -> Floats:
    """Step at which each cluster's held-out error first falls below `level`; infinity where it never does."""
    below = learned.curves < level
    first = below.argmax(axis=0)
    return np.where(below.any(axis=0), learned.steps[first].astype(float), np.inf)


def decode(
    hidden: Floats, target: NDArray[np.int64], rng: np.random.Generator, folds: int = 4
) -> tuple[float, float]:
    """Cross-validated accuracy of a ridge classifier that reads `target` from `hidden`, and of its null.

    The null shuffles the targets: what chance and the sizes of the clusters alone would give.
    """

    def accuracy(t: NDArray[np.int64]) -> float:
        h = np.column_stack([(hidden - hidden.mean(0)) / (hidden.std(0) + 1e-9), np.ones(len(hidden))])
        one = np.eye(int(t.max()) + 1)[t]
        fold = rng.permutation(len(t)) % folds
        right = 0
        for f in range(folds):
            a, held = h[fold != f], fold == f
            beta = np.linalg.solve(a.T @ a + len(a) * 1e-3 * np.eye(a.shape[1]), a.T @ one[fold != f])
            right += int(((h[held] @ beta).argmax(1) == t[held]).sum())
        return right / len(t)

    return accuracy(target), accuracy(rng.permutation(target))
