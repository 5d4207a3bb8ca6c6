r"""Why the loss removed by a cluster is proportional to its size (brill2024neural, appendix B, eqs 15-19).

A masked entry has V possible outputs, of which m continue the cluster; an output outside the cluster
has relative weight w < 1 where nothing is known. Form and constants of eqs 15-19 are re-derived from
the prose [R]; the identity is exact.
"""

from __future__ import annotations

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.checks import positive, whole


def _check(vocabulary: int, inside: int, weight: float) -> tuple[int, int, float]:
    v = whole(vocabulary, "vocabulary", 1)
    return v, whole(inside, "inside", 0, v), positive(weight, "weight", 0, 1)


def probabilities(vocabulary: int, inside: int, weight: float) -> tuple[float, float, float]:
    r"""Chance of the cluster, and of one output in it and outside it (eqs 15-17).

    .. math:: P_{in} = m/Z, \quad q_{in} = 1/Z, \quad q_{out} = w/Z, \qquad Z = m + (V - m) w

    Parameters
    ----------
    vocabulary : int
        V.
    inside : int
        m, 0 to V.
    weight : float
        w, between 0 and 1.

    Raises
    ------
    InputError
        Argument out of range.
    """
    v, m, w = _check(vocabulary, inside, weight)
    z = m + (v - m) * w
    return m / z, 1 / z, w / z


def loss_reduction(vocabulary: int, inside: int, weight: float) -> float:
    r"""Cross-entropy gained over the uniform guess when the cluster is learned, in nats (eq. 18).

    .. math:: \Delta L = \ln V + P_{in}\ln q_{in} + (1 - P_{in}) \ln q_{out}
              = \ln(1 - x) + \frac{x \ln(1/w)}{1 - w}, \qquad x = \frac{m (1 - w)}{Z}

    0 at m = 0 and m = V.

    Raises
    ------
    InputError
        Argument out of range.
    """
    v, m, w = _check(vocabulary, inside, weight)
    z = m + (v - m) * w
    x = m * (1 - w) / z
    log_rest = np.log1p(-x) if x < 0.5 else np.log(v * w / z)  # 1 - x = V w / Z, without the cancellation
    return float(log_rest - x * np.log(w) / (1 - w))


def first_order(vocabulary: int, inside: int, weight: float) -> float:
    r"""Leading term of `loss_reduction` for few outputs in the cluster (eq. 19).

    .. math:: \Delta L \approx x \Big( \frac{\ln(1/w)}{1 - w} - 1 \Big) \propto m

    With :math:`m \propto s^{1/D}` outputs and :math:`s^{(D-1)/D}` masked tasks that touch the cluster, the
    expected gain is proportional to the size s.

    Raises
    ------
    InputError
        Argument out of range.
    """
    v, m, w = _check(vocabulary, inside, weight)
    x = m * (1 - w) / (m + (v - m) * w)
    return float(x * (-np.log(w) / (1 - w) - 1))


def expected_reduction(size: float, fractal: float, vocabulary: int, weight: float) -> float:
    r"""Gain of a cluster of size s over its masked tasks, proportional to s (eq. 19).

    :math:`s^{(D-1)/D}` tasks, each with the gain of `first_order` at real :math:`m = s^{1/D}`.

    Raises
    ------
    InputError
        Argument out of range, or s^(1/D) > V.
    """
    s, d = positive(size, "size"), positive(fractal, "fractal dimension D")
    v, _, w = _check(vocabulary, 0, weight)
    m = s ** (1 / d)
    if m > v:
        raise InputError("a cluster is wider than the vocabulary", expected=f"s^(1/D) <= {v}", got=f"{m:.4g}")
    x = m * (1 - w) / (m + (v - m) * w)
    return float(s ** (1 - 1 / d) * x * (-np.log(w) / (1 - w) - 1))
