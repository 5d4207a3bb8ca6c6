r"""What can be read off a representation linearly: ridge probes with control labels, and the logit lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.observables.inputs import finite

Array = NDArray[np.float64]
LAMBDAS = tuple(10.0**k for k in range(-4, 5))


@dataclass(frozen=True)
class Probe:
    """A linear probe.

    Attributes
    ----------
    accuracy : Estimate
        On held-out groups, 90 % interval over groups.
    control : Estimate
        The same with labels shuffled between groups: what the probe can memorise.
    selectivity : Estimate
        Accuracy minus control, group by group (Hewitt and Liang 2019).
    penalty : float
        Ridge penalty chosen on the training part, in units of the mean eigenvalue.
    """

    accuracy: Estimate
    control: Estimate
    selectivity: Estimate
    penalty: float


class Ridge:
    r"""Ridge regression onto one-hot labels, all penalties from one eigendecomposition.

    .. math:: W_\lambda = (X^T X + \lambda I)^{-1} X^T Y

    X and Y centred (Hoerl and Kennard 1970, eq. 2.1). lambda is given in units of the mean eigenvalue of
    X^T X.
    """

    def __init__(self, x: Array, labels: NDArray[np.intp], classes: int) -> None:
        self.mean, y = x.mean(axis=0), np.eye(classes)[labels]
        self.share = y.mean(axis=0)
        xc = x - self.mean
        self.values, self.vectors = np.linalg.eigh(xc.T @ xc)
        self.inner = self.vectors.T @ (xc.T @ (y - self.share))
        self.unit = float(self.values.mean()) or 1.0

    def scores(self, x: Array, penalty: float) -> Array:
        """Linear scores of each class, (n, classes)."""
        w = self.vectors @ (self.inner / (np.clip(self.values, 0, None) + penalty * self.unit)[:, None])
        return np.asarray((x - self.mean) @ w + self.share)


def _folds(groups: NDArray[np.intp], n_groups: int, folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return rng.permutation(np.arange(n_groups) % folds)[groups]


def linear_probe(
    points: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    folds: int = 5,
) -> Probe:
    """Cross-validated linear probe with its control task.

    Parameters
    ----------
    points : array, shape (n, d)
    labels : array, shape (n,)
        Classes.
    rng : numpy.random.Generator
    groups : array, shape (n,), optional
        Rows of one group (one prompt) are never split between training and test; intervals are over groups.
        Default: every row its own.
    folds : int

    Raises
    ------
    InputError
        Not finite; fewer than two classes; fewer groups than folds.
    """
    x = np.asarray(finite(points, "the activations", ndim=2), np.float64)
    x = x / (float(np.abs(x).max()) or 1.0)
    kinds, y = np.unique(np.asarray(labels), return_inverse=True)
    g = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if y.shape != (len(x),) or g.shape != (len(x),):
        raise InputError(
            "one label and one group a row", expected=f"({len(x)},)", got=f"{y.shape}, {g.shape}"
        )
    n_groups = int(g.max()) + 1
    if len(kinds) < 2 or n_groups < max(folds, 2):
        raise InputError(
            "nothing to probe",
            expected=f"2 classes and {folds} groups or more",
            got=f"{len(kinds)}, {n_groups}",
        )
    fold = _folds(g, n_groups, folds, rng)
    right, penalty = _held_out(x, y, fold, folds, len(kinds), rng)
    control, _ = _held_out(x, _shuffled_by_group(y, g, rng), fold, folds, len(kinds), rng, penalty)
    return Probe(
        _over_groups(right, g, "held-out accuracy"),
        _over_groups(control, g, "accuracy on shuffled labels"),
        _over_groups(right - control, g, "selectivity"),
        penalty,
    )


def _held_out(
    x: Array,
    y: NDArray[np.intp],
    fold: NDArray[np.intp],
    folds: int,
    classes: int,
    rng: np.random.Generator,
    penalty: float | None = None,
) -> tuple[Array, float]:
    """Whether each row is classified rightly by the probe that has not seen it, and the mean penalty
    chosen.
    """
    right, chosen = np.zeros(len(x)), []
    for k in range(folds):
        train, test = fold != k, fold == k
        best = penalty
        if best is None:  # by a validation part of the training rows
            part = rng.random(int(train.sum())) < 0.2
            xt, yt = x[train], y[train]
            if part.any() and (~part).any():
                inner = Ridge(xt[~part], yt[~part], classes)
                scores = [(inner.scores(xt[part], c).argmax(axis=1) == yt[part]).mean() for c in LAMBDAS]
                best = LAMBDAS[int(np.argmax(scores))]
            else:
                best = 1e-2
        chosen.append(np.log(best))
        right[test] = Ridge(x[train], y[train], classes).scores(x[test], best).argmax(axis=1) == y[test]
    return right, float(np.exp(np.mean(chosen)))


def _shuffled_by_group(
    y: NDArray[np.intp], g: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    if len(np.unique(g)) == len(y):
        return rng.permutation(y)
    _, first = np.unique(g, return_index=True)
    constant = all((y[g == k] == y[first[k]]).all() for k in range(len(first)))
    return rng.permutation(y[first])[g] if constant else rng.permutation(y)


def _over_groups(values: Array, g: NDArray[np.intp], method: str) -> Estimate:
    number = np.bincount(g)
    mean = np.bincount(g, values) / number
    value = float(values.mean())
    half = 1.645 * float(mean.std(ddof=1)) / np.sqrt(len(mean)) if len(mean) > 1 else float("nan")
    return Estimate(value, value - half, value + half, len(mean), "", method)


def transfer(
    points: list[Array], labels: ArrayLike, train: NDArray[np.bool_], penalty: float = 1e-2
) -> Array:
    """Accuracy of a probe trained at layer a and read, without refit, at layer b: shape (layers, layers).

    `train` marks the rows that train; the others are tested.

    Raises
    ------
    InputError
        Layers of different shapes, or no rows to train or test on.
    """
    kinds, y = np.unique(np.asarray(labels), return_inverse=True)
    shapes = {p.shape for p in points}
    if len(shapes) != 1 or train.all() or not train.any():
        raise InputError(
            "layers cannot be compared", expected="equal shapes, rows to train and test on", got=str(shapes)
        )
    fitted = [Ridge(p[train], y[train], len(kinds)) for p in points]
    return np.array(
        [[(f.scores(p[~train], penalty).argmax(axis=1) == y[~train]).mean() for p in points] for f in fitted]
    )


# ---- logit lens ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lens:
    """What each layer would answer.

    Attributes
    ----------
    cross_entropy : array, shape (layers, n)
        Of the target, nats; NaN without targets.
    kl : array, shape (layers, n)
        Of the last layer's answer from this layer's, nats.
    entropy : array, shape (layers, n)
    depth : array, shape (n,)
        First layer from which the top answer stays that of the last layer.
    """

    cross_entropy: Array
    kl: Array
    entropy: Array
    depth: NDArray[np.intp]


def logit_lens(
    hidden: ArrayLike,
    unembed: ArrayLike,
    gain: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    norm: str = "rms",
    eps: float = 1e-5,
) -> Lens:
    r"""Logit lens: the final norm and unembedding applied to the stream of every layer.

    .. math:: p^{(l)} = \mathrm{softmax}(W_U\, \mathrm{LN}_f(h^{(l)}))

    (nostalgebraist 2020; Belrose et al. 2023, eq. 2.) An untrained readout: early layers may know more than
    it shows.

    Parameters
    ----------
    hidden : array, shape (layers, n, d)
    unembed : array, shape (vocabulary, d)
    gain, bias : arrays, shape (d,), optional
        Of the final norm.
    targets : array of int, shape (n,), optional
    norm : {"rms", "layer", "none"}

    Raises
    ------
    InputError
        Shapes that do not agree, non-finite input, unknown norm.
    """
    h = np.asarray(finite(hidden, "the hidden states", ndim=3), np.float64)
    w = np.asarray(finite(unembed, "the unembedding", ndim=2), np.float64)
    if h.shape[2] != w.shape[1]:
        raise InputError(
            "the unembedding does not fit", expected=f"(vocabulary, {h.shape[2]})", got=str(w.shape)
        )
    if norm not in ("rms", "layer", "none"):
        raise InputError("unknown norm", expected="rms, layer or none", got=repr(norm))
    goal = None if targets is None else np.asarray(targets)
    if goal is not None and goal.shape != h.shape[1:2]:
        raise InputError("one target a token", expected=str(h.shape[1:2]), got=str(goal.shape))

    def answer(x: Array) -> Array:
        if norm == "layer":
            x = x - x.mean(axis=1, keepdims=True)
        if norm != "none":
            x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps)
        x = x * (1.0 if gain is None else np.asarray(gain)) + (0.0 if bias is None else np.asarray(bias))
        z = x @ w.T
        return np.asarray(z - np.logaddexp.reduce(z, axis=1, keepdims=True))

    last = answer(h[-1])
    ce, kl, entropy, top = [], [], [], []
    for x in h:
        logp = answer(x)
        ce.append(np.full(len(x), np.nan) if goal is None else -logp[np.arange(len(x)), goal])
        kl.append((np.exp(last) * (last - logp)).sum(axis=1))
        entropy.append(-(np.exp(logp) * logp).sum(axis=1))
        top.append(logp.argmax(axis=1))
    wrong = np.array(top) != top[-1]
    depth = np.where(wrong.any(axis=0), len(h) - np.argmax(wrong[::-1], axis=0), 0)
    return Lens(np.array(ce), np.array(kl), np.array(entropy), depth)
