r"""Transient class objects: classes that one readout finds over a span of layers (reconstruction).

After Alpay and Kilictas (2026, abstract), which gives no formula: all here is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.probes import transfer

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TransientObject:
    """Longest span of layers over which a probe works without being trained again.

    Attributes
    ----------
    start, end : int
        Layers a and b; start = end = -1 where no layer reaches the accuracy asked for.
    lifetime : int
        b - a, layers.
    permanence : float
        Mean accuracy at the layers a + 1 to b of the probe trained at a; NaN where lifetime is 0.
    accuracy : array, shape (layers, layers)
        Trained at row, read at column, on rows that did not train.
    chance : float
        Accuracy of always naming the commonest class of the tested rows.
    control : array, shape (layers, layers)
        The same with labels shuffled: what transfers by itself.
    """

    start: int
    end: int
    lifetime: int
    permanence: float
    accuracy: Array
    chance: float
    control: Array


def transient_object(
    points: Sequence[ArrayLike],
    labels: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    least: float = 0.8,
) -> TransientObject:
    """Train a linear probe at each layer, read it at every other without training it again.

    Parameters
    ----------
    points : sequence of arrays (n, d)
        The same items at layers 0, 1, ...
    labels : array, shape (n,)
    rng : numpy.random.Generator
        Splits items in half, and shuffles labels for the control.
    groups : array, shape (n,), optional
        Items of one group (one prompt) are never split between training and test.
    least : float
        Accuracy asked for at a, and at every layer up to b.

    Raises
    ------
    InputError
        Layers of different shapes; one class only; fewer than two groups.
    """
    y = np.asarray(labels)
    g = np.arange(len(y)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if g.shape != y.shape or y.ndim != 1 or len(np.unique(y)) < 2 or len(np.unique(g)) < 2:
        raise InputError(
            "no classes to follow",
            expected="2 classes, 2 groups, one label an item",
            got=f"{y.shape}, {g.shape}",
        )
    count = int(g.max()) + 1
    half = rng.permutation(count) < count / 2
    train = half[g]
    arrays = [np.asarray(p, np.float64) for p in points]
    accuracy = transfer(arrays, y, train)
    control = transfer(arrays, rng.permutation(y), train)
    _, number = np.unique(y[~train], return_counts=True)
    start, end = span(accuracy, least)
    inside = accuracy[start, start + 1 : end + 1] if end > start else np.empty(0)
    return TransientObject(
        start,
        end,
        end - start,
        float(inside.mean()) if inside.size else float("nan"),
        accuracy,
        float(number.max() / number.sum()),
        control,
    )


def span(accuracy: Array, least: float) -> tuple[int, int]:
    """Longest [a, b] all of which the probe of a reads with at least `least`; (-1, -1) without any."""
    best = (-1, -1)
    for a in range(len(accuracy)):
        b = a
        while b < len(accuracy) and accuracy[a, b] >= least:
            b += 1
        if b > a and (best[0] < 0 or b - 1 - a > best[1] - best[0]):
            best = (a, b - 1)
    return best


def purity(cluster: ArrayLike, labels: ArrayLike) -> float:
    r"""Share of items whose cluster's commonest class is their own, :math:`\frac1n \sum_k \max_c n_{kc}`.

    At least the share of the commonest class, and 1 when every cluster holds one class or one item: more
    clusters raise it by themselves.

    Raises
    ------
    InputError
        Lengths that differ, or nothing.
    """
    x, y = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (cluster, labels))
    if x.shape != y.shape or not x.size:
        raise InputError("one cluster and one class an item", expected=str(x.shape), got=str(y.shape))
    table = np.zeros((int(x.max()) + 1, int(y.max()) + 1))
    np.add.at(table, (x, y), 1)
    return float(table.max(axis=1).sum() / x.size)


def reuse(cluster: ArrayLike, prompts: ArrayLike) -> NDArray[np.intp]:
    """Number of different prompts whose items each cluster holds, by cluster number.

    Raises
    ------
    InputError
        Lengths that differ, or nothing.
    """
    x, g = np.asarray(cluster), np.asarray(prompts)
    if x.shape != g.shape or not x.size:
        raise InputError("one cluster and one prompt an item", expected=str(x.shape), got=str(g.shape))
    return np.array([len(np.unique(g[x == k])) for k in range(int(x.max()) + 1)], np.intp)
