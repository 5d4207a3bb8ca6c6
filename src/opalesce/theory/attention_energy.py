r"""Free energy of attention: softmax as a Boltzmann law over the keys.

For scores s_j and inverse temperature beta, the free energy of a distribution p over the keys,

.. math:: F(p) = -\sum_j p_j s_j + \frac{1}{\beta} \sum_j p_j \ln p_j,

is least at :math:`p^* = \mathrm{softmax}(\beta s)`, where
:math:`F^* = -\frac{1}{\beta} \ln \sum_j e^{\beta s_j}` and
:math:`F(p) - F^* = \mathrm{KL}(p \| p^*)/\beta`. These are identities (Jaynes 1957); that attention "obeys a
variational principle" (Alpay and Kilictas 2026, abstract) says no more than this. Reading its heat capacity
along depth is a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Thermodynamics:
    r"""One Boltzmann law per row of scores; every attribute has the shape of the rows.

    Attributes
    ----------
    free_energy : array
        :math:`F^* = U - H/\beta`, in units of the scores.
    energy : array
        :math:`U = -\langle s \rangle`, in units of the scores.
    entropy : array
        H, nats; between 0 and ln(number of keys).
    heat_capacity : array
        :math:`C = \beta^2 \mathrm{Var}_p(s)`, dimensionless; 0 for equal scores.
    keys : array
        :math:`e^H`, effective number of keys attended to.
    """

    free_energy: Array
    energy: Array
    entropy: Array
    heat_capacity: Array
    keys: Array


def _scores(scores: ArrayLike, beta: float) -> Array:
    s = np.asarray(scores, np.float64)
    if s.ndim < 1 or s.size == 0 or np.isnan(s).any() or (s == np.inf).any():
        raise InputError(
            "these are no scores", expected="(..., keys), finite or -inf for masked keys", got=str(s.shape)
        )
    if (s == -np.inf).all(axis=-1).any():
        raise InputError("a query sees no key", expected="one unmasked key a row")
    if not (np.isfinite(beta) and beta > 0):
        raise InputError("no such temperature", expected="beta > 0", got=f"{beta:g}")
    return s


def attention(scores: ArrayLike, beta: float = 1.0) -> Array:
    r""":math:`p^* = \mathrm{softmax}(\beta s)` over the last axis.

    Raises
    ------
    InputError
        NaN or +inf among the scores, a row of masked keys only, beta not above 0.
    """
    s = beta * _scores(scores, beta)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def thermodynamics(scores: ArrayLike, beta: float = 1.0) -> Thermodynamics:
    r"""Free energy, energy, entropy and heat capacity of every row of scores.

    Scores already divided by :math:`\sqrt{d_k}` have beta = 1; raw products q.k have beta
    :math:`= 1/\sqrt{d_k}`. Identities: :math:`dF^*/d\beta = H/\beta^2`,
    :math:`dU/d\beta = -\mathrm{Var}_p(s)`. Null: for n equal scores H = ln n and C = 0; for independent
    normal scores of variance v and many keys, :math:`C \approx \beta^2 v` and :math:`H \approx \ln n -
    \beta^2 v/2` while :math:`\beta^2 v < 2 \ln n`; beyond, attention freezes on few keys (the random energy
    model, Derrida 1981).

    Parameters
    ----------
    scores : array, shape (..., keys)
        -inf for masked keys.
    beta : float
        Inverse temperature.

    Raises
    ------
    InputError
        From `attention`.
    """
    s = _scores(scores, beta)
    p = attention(s, beta)
    top = s.max(axis=-1, keepdims=True)
    off = np.where(np.isfinite(s), s - top, 0.0)  # masked keys have p = 0
    log_z = np.log(np.exp(beta * np.where(np.isfinite(s), off, -np.inf)).sum(axis=-1))
    mean = (p * off).sum(axis=-1)
    variance = (p * (off - mean[..., None]) ** 2).sum(axis=-1)
    entropy = np.maximum(log_z - beta * mean, 0.0)
    level = top[..., 0]
    return Thermodynamics(-level - log_z / beta, -level - mean, entropy, beta**2 * variance, np.exp(entropy))


def free_energy(p: ArrayLike, scores: ArrayLike, beta: float = 1.0) -> Array:
    r"""F(p) of any distribution over the keys.

    .. math:: F(p) = -\sum_j p_j s_j + \frac{1}{\beta}\sum_j p_j \ln p_j

    Raises
    ------
    InputError
        p is no distribution, or gives weight to a masked key; from `attention`.
    """
    s, q = _scores(scores, beta), np.asarray(p, np.float64)
    if q.shape != s.shape or (q < 0).any() or not np.allclose(q.sum(axis=-1), 1, atol=1e-9):
        raise InputError(
            "p is no distribution over the keys", expected=f"{s.shape}, rows sum to 1", got=str(q.shape)
        )
    if (q[~np.isfinite(s)] > 0).any():
        raise InputError("a masked key has weight", expected="p = 0 where the score is -inf")
    safe = np.where(q > 0, q, 1.0)
    energy = -(q * np.where(np.isfinite(s), s, 0.0)).sum(axis=-1)
    return np.asarray(energy + (q * np.log(safe)).sum(axis=-1) / beta)


def divergence(p: ArrayLike, q: ArrayLike) -> Array:
    r""":math:`\mathrm{KL}(p \| q) = \sum_j p_j \ln(p_j/q_j)`, nats, over the last axis; 0 ln 0 = 0.

    Raises
    ------
    InputError
        Shapes that differ, or p > 0 where q = 0.
    """
    a, b = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if a.shape != b.shape or ((b <= 0) & (a > 0)).any():
        raise InputError("no finite divergence", expected="equal shapes, q > 0 where p > 0", got=str(a.shape))
    ratio = np.where(a > 0, a, 1.0) / np.where(a > 0, b, 1.0)
    return np.asarray((a * np.log(ratio)).sum(axis=-1))
