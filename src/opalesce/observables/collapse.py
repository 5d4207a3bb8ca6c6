r"""Neural collapse: how last-layer features of a classifier gather in their class means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import InputError
from opalesce.observables.inputs import finite


@dataclass(frozen=True)
class NeuralCollapse:
    r"""The four measures; all 0 at collapse (Papyan, Han and Donoho 2020).

    Attributes
    ----------
    nc1 : float
        :math:`\mathrm{tr}(\Sigma_W \Sigma_B^+)/K`: scatter within classes over that between their means.
    nc2_norms : float
        Coefficient of variation of the lengths of the centred class means.
    nc2_angles : float
        Mean of :math:`|\cos(\mu_k, \mu_l) + 1/(K-1)|` over pairs: distance from a simplex.
    nc3 : float
        :math:`\|W/\|W\|_F - M/\|M\|_F\|_F`, classifier rows against centred means; NaN without a classifier.
    nc4 : float
        Share of points whose nearest class mean is not the classifier's answer (without one: not their
        label).
    """

    nc1: float
    nc2_norms: float
    nc2_angles: float
    nc3: float
    nc4: float


def neural_collapse(
    features: ArrayLike,
    labels: ArrayLike,
    classifier: ArrayLike | None = None,
    bias: ArrayLike | None = None,
) -> NeuralCollapse:
    """Neural collapse of features (n, d) with integer labels (n,); `classifier` (K, d), `bias` (K,).

    Raises
    ------
    InputError
        Not finite, fewer than two classes, a label per row missing, a classifier of another shape.
    """
    h = np.asarray(finite(features, "the features", ndim=2), np.float64)
    y = np.asarray(labels)
    if y.shape != (len(h),):
        raise InputError("one label a row", expected=f"({len(h)},)", got=str(y.shape))
    kinds, code = np.unique(y, return_inverse=True)
    K = len(kinds)
    if K < 2:
        raise InputError("collapse is about classes", expected="2 or more", got=str(K))
    means = np.array([h[code == k].mean(axis=0) for k in range(K)])
    centred = means - means.mean(axis=0)
    within = h - means[code]
    sw, sb = within.T @ within / len(h), centred.T @ centred / K
    lengths = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(lengths > 0, lengths, 1.0)[:, None]
    cos = (unit @ unit.T)[np.triu_indices(K, 1)]
    w = None if classifier is None else np.asarray(finite(classifier, "the classifier", ndim=2), np.float64)
    if w is not None and w.shape != centred.shape:
        raise InputError("the classifier does not fit", expected=str(centred.shape), got=str(w.shape))
    answer = code
    nc3 = float("nan")
    if w is not None:
        nc3 = float(np.linalg.norm(w / np.linalg.norm(w) - centred / np.linalg.norm(centred)))
        answer = np.argmax(h @ w.T + (0.0 if bias is None else np.asarray(bias, float)), axis=1)
    d2 = (means**2).sum(axis=1) - 2 * h @ means.T
    return NeuralCollapse(
        float(np.trace(sw @ np.linalg.pinv(sb, rcond=1e-10, hermitian=True)) / K),
        float(lengths.std() / lengths.mean()) if lengths.mean() > 0 else float("nan"),
        float(np.abs(cos + 1 / (K - 1)).mean()),
        nc3,
        float((np.argmin(d2, axis=1) != answer).mean()),
    )
