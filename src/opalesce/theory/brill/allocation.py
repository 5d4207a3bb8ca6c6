r"""Model scaling: N degrees of freedom dealt out among clusters of rank k (brill2024neural, eqs 4-9, 20-33).

Words: `dof` is N, the degrees of freedom; `alpha` the exponent of the rank law
:math:`s_k \propto k^{-(\alpha+1)}`; `ratio` is c/D, the exponent with which one cluster is learned,
:math:`L_k = k^{-(\alpha+1)} n_k^{-c/D}`, and c is 2 for piecewise constant, 4 for piecewise linear fits.

The constants and the form of eqs 4, 6-9 and 26-31 follow the paper's published notebook; eqs 20-25, 32
and 33 are re-derived [R] and agree with it numerically.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import lambertw

from opalesce.theory.checks import Array, numbers, positive


def allocation_exponent(alpha: float, ratio: float) -> float:
    r"""Exponent b of the optimal allocation :math:`n_k = a k^{b-1}` (eqs 6, 25, 27).

    .. math:: b = 1 - \frac{\alpha+1}{c/D+1} = \frac{c/D - \alpha}{c/D + 1}

    From :math:`\partial L_k / \partial n_k` equal for all clusters (eqs 22-24); -alpha < b < 1.

    Raises
    ------
    InputError
        alpha or ratio not positive.
    """
    alpha, ratio = positive(alpha, "alpha"), positive(ratio, "ratio (c/D)")
    return (ratio - alpha) / (ratio + 1)


def break_rank(dof: ArrayLike, alpha: float, ratio: float) -> Array:
    r"""Rank k_br of the first cluster that is not learned: the root of eq. 29.

    .. math:: N = k_{br} \frac{1 - k_{br}^{-b}}{b}, \qquad N = k_{br} \ln k_{br} \;\;(b = 0)

    that is, the last cluster learned gets one degree of freedom. Solved for ln k_br, with `expm1`, so
    b near 0 is as exact as the rest; at b = 0 it is :math:`\exp W_0(N)`.

    Parameters
    ----------
    dof : array_like
        N > 0.
    alpha, ratio : float

    Returns
    -------
    array, shape of dof
        A real number above 1.

    Raises
    ------
    InputError
        Any argument not positive.
    """
    n = numbers(dof, "dof", np.nextafter(0, 1))
    b = allocation_exponent(alpha, ratio)
    if b == 0.0:
        return np.asarray([np.exp(lambertw(float(v)).real) for v in n.ravel()]).reshape(n.shape)
    steep = 1 + max(-b, 0.0)

    def root(target: float) -> float:
        # x exp(-b x) bounds -expm1(-b x)/b from above for b < 0, x for b > 0, and 1 - exp(-x) from below
        low, high = lambertw(steep * target).real / steep, np.log1p(target)
        if high - low < 1e-13 * high:
            return float(high)

        def gap(x: float) -> float:
            return float(x + np.log(-np.expm1(-b * x) / b) - np.log(target))

        return float(brentq(gap, 0.999999 * low, 1.000001 * high, xtol=1e-300, rtol=1e-14))

    return np.asarray(np.exp(np.reshape([root(float(v)) for v in n.ravel()], n.shape)))


def break_rank_asymptote(dof: ArrayLike, alpha: float, ratio: float) -> Array:
    r"""Limit of `break_rank` for large N (eq. 30).

    .. math:: bN \;(b > 0), \quad \exp W_0(N) \;(b = 0), \quad (-bN)^{1/(1-b)} \;(b < 0)

    Raises
    ------
    InputError
        Any argument not positive.
    """
    n = numbers(dof, "dof", np.nextafter(0, 1))
    b = allocation_exponent(alpha, ratio)
    if b > 0:
        return np.asarray(b * n)
    return break_rank(n, alpha, ratio) if b == 0 else np.asarray((-b * n) ** (1 / (1 - b)))


def allocate(dof: float, clusters: int, alpha: float, ratio: float) -> Array:
    r"""Degrees of freedom of the clusters 1..clusters (eqs 6, 26-28).

    .. math::

        n_k = a k^{b-1} \;(k < k_{br}), \quad 0 \;(k \ge k_{br}), \qquad
        a = \frac{bN}{k_{br}^b - 1} = k_{br}^{1-b}

    The integral of n_k, not its sum, is N; where there are fewer clusters than k_br the rest is lost,
    as in the paper's experiment.

    Raises
    ------
    InputError
        Any argument out of range.
    """
    b = allocation_exponent(alpha, ratio)
    top = float(break_rank(positive(dof, "dof"), alpha, ratio))
    k = np.arange(1, int(positive(clusters, "clusters")) + 1, dtype=np.float64)
    return np.where(k < top, (k / top) ** (b - 1), 0.0)


def model_loss(dof: ArrayLike, alpha: float, ratio: float, normalised: bool = False) -> Array:
    r"""Loss at N degrees of freedom (eqs 7, 31).

    .. math:: L = k_{br}^{-\alpha} \Big(\frac{N}{k_{br}} + \frac{1}{\alpha}\Big)

    Unit: loss of the largest cluster unlearned. `normalised` divides by L(1) and puts 1 for N <= 1,
    which the paper does; N = 1 is an arbitrary point, so real curves need a free prefactor.

    Raises
    ------
    InputError
        Any argument not positive.
    """
    n, alpha = numbers(dof, "dof", np.nextafter(0, 1)), positive(alpha, "alpha")
    if normalised:
        n = np.maximum(n, 1.0)
    k = break_rank(n, alpha, ratio)
    loss = k**-alpha * (n / k + 1 / alpha)
    return np.asarray(loss / model_loss(1.0, alpha, ratio) if normalised else loss)


def model_limit(dof: ArrayLike, alpha: float, ratio: float) -> Array:
    r"""Leading power law of `model_loss` at large N (eqs 32, 33; their extremes are eqs 8, 9).

    .. math::

        \Big(\frac1b + \frac1\alpha\Big) (bN)^{-\alpha} \;(b > 0), \qquad
        (-b)^{-(c/D+1)} N^{-c/D} \;(b < 0)

    At b = 0 there is no power law; :math:`(N/k + 1/\alpha) k^{-\alpha}`, k = exp W_0(N), is returned.

    Raises
    ------
    InputError
        Any argument not positive.
    """
    n = numbers(dof, "dof", np.nextafter(0, 1))
    b = allocation_exponent(alpha, ratio)
    if b == 0:
        return model_loss(n, alpha, ratio)
    if b > 0:
        return np.asarray((1 / b + 1 / alpha) * (b * n) ** -alpha)
    return np.asarray((-b) ** -(ratio + 1) * n**-ratio)


def discrete_loss(
    dof: float, last: int, alpha: float, ratio: float, clusters: int = 10**6
) -> tuple[float, float]:
    r"""Loss and smallest share when the clusters 1..last share N exactly, without eq. 29's condition.

    .. math:: L = \sum_{k \le K} k^{-(\alpha+1)} n_k^{-c/D} + \sum_{k > K} k^{-(\alpha+1)}, \quad
              n_k = N k^{b-1} / \sum_{j \le K} j^{b-1}

    Returns
    -------
    loss, n_last : float

    Raises
    ------
    InputError
        Any argument out of range.
    """
    dof, last = positive(dof, "dof"), int(positive(last, "last", 0, clusters + 1))
    b = allocation_exponent(alpha, ratio)
    k = np.arange(1.0, clusters + 1)
    share = k[:last] ** (b - 1)
    share *= dof / share.sum()
    weight = k ** -(alpha + 1)
    beyond = (clusters + 0.5) ** -alpha / alpha  # clusters past the last one summed
    return float(weight[:last] @ share**-ratio + weight[last:].sum() + beyond), float(share[-1])


def best_break(dof: float, alpha: float, ratio: float, clusters: int = 10**6) -> tuple[int, float, float]:
    """Number of clusters to learn that minimises `discrete_loss`: (K, loss, smallest share).

    Eq. 29 stops where a share falls to one degree of freedom. A learned cluster with n = 1 has the loss
    of an unlearned one, so its share was wasted: the optimum stops earlier (28 against 58 at N = 500,
    alpha 1, c/D 1/2). The valley is flat.

    Raises
    ------
    InputError
        Any argument out of range.
    """
    top = min(int(np.ceil(4 * float(break_rank(dof, alpha, ratio)))) + 2, clusters)
    b = allocation_exponent(alpha, ratio)
    k = np.arange(1.0, top + 1)
    total = np.cumsum(k ** (b - 1))  # n_k = N k^(b-1) / total[K]; the sum over k <= K is then closed
    weight = k ** -(alpha + 1)
    learned = np.cumsum(weight * k ** (-(b - 1) * ratio)) * (total / positive(dof, "dof")) ** ratio
    at = int(np.argmin(learned - np.cumsum(weight)))
    loss, n_last = discrete_loss(dof, at + 1, alpha, ratio, clusters)
    return at + 1, loss, n_last
