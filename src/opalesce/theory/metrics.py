r"""What one smooth change of a model looks like through different metrics (schaeffer2023mirage).

With a probability p of each token of an answer of L tokens, independent tokens, and
:math:`p = e^{-CE}`, exact match is :math:`p^L` and rises late and steeply, while the expected token edit
distance :math:`L(1 - p)` and the Brier score :math:`(1 - p)^2` move with p.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

Floats = NDArray[np.float64]


def token_probability(cross_entropy: ArrayLike) -> Floats:
    r"""Probability of the right token at a cross entropy in nats, :math:`p = e^{-CE}`.

    Source: schaeffer2023mirage, sec. 2.
    """
    ce = np.asarray(cross_entropy, float)
    if not (np.isfinite(ce).all() and (ce >= 0).all()):
        raise InputError("a cross entropy", expected="finite numbers from 0 on, in nats", got="others")
    return np.asarray(np.exp(-ce))


def exact_match(p: ArrayLike, length: float) -> Floats:
    r"""Probability that all of `length` tokens are right, :math:`p^L`, for independent tokens.

    Independence is known to fail (success falls more slowly with L than geometrically): fit an effective
    length rather than assume the real one.

    Source: schaeffer2023mirage, eq. 1.
    """
    return _probability(p) ** _length(length)


def edit_distance(p: ArrayLike, length: float) -> Floats:
    r"""Expected number of wrong tokens, :math:`L (1 - p)`.

    Source: schaeffer2023mirage, sec. 2.
    """
    return np.asarray(_length(length) * (1.0 - _probability(p)))


def brier(p: ArrayLike) -> Floats:
    r"""Brier score of the right answer alone, :math:`(1 - p)^2`.

    A reconstruction: the source plots a Brier score and does not write its formula for one token.
    """
    return np.asarray((1.0 - _probability(p)) ** 2)


def _probability(p: ArrayLike) -> Floats:
    out = np.asarray(p, float)
    if not (np.isfinite(out).all() and (out >= 0).all() and (out <= 1).all()):
        raise InputError("a probability", expected="numbers from 0 to 1", got="others")
    return out


def _length(length: float) -> float:
    if not 0 < length < np.inf:
        raise InputError("a length of answers", expected="a positive number of tokens", got=str(length))
    return float(length)
