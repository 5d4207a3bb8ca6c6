r"""The same theory for clusters whose sizes are known: below, at or above the threshold, in any mixture.

Eqs 20-24 and 34, 35 of brill2024neural for given weights :math:`w_k = s_k / \sum s` and exponents
:math:`\rho_k = c_k/D_k`, without a rank law. Subcritical data are sizes with a cut-off; supercritical
data have one more entry, the giant cluster with :math:`\rho = c/d`. The generalisation is ours [R].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from opalesce.errors import InputError
from opalesce.theory.brill.data_law import mean_power
from opalesce.theory.checks import Array, numbers, positive


def _weights(sizes: ArrayLike, ratios: ArrayLike) -> tuple[Array, Array]:
    s, r = (
        np.atleast_1d(numbers(sizes, "sizes", np.nextafter(0, 1))),
        numbers(ratios, "ratios", np.nextafter(0, 1)),
    )
    if r.ndim and r.shape != s.shape:
        raise InputError("exponents do not fit the clusters", expected=f"one or {s.size}", got=str(r.size))
    return s / s.sum(), np.broadcast_to(r, s.shape)


def allocate_given(sizes: ArrayLike, ratios: ArrayLike, dof: float) -> Array:
    r"""Degrees of freedom by cluster: equal marginal gain, at least one each or none.

    .. math:: n_k = (\rho_k w_k / \lambda)^{1/(1+\rho_k)} \text{ if} \ge 1 \text{ else } 0, \quad \sum n_k = N

    The rule "at least one" is eq. 29's. Where lambda jumps over N (a cluster enters with n = 1) the
    shares are scaled down to N.

    Parameters
    ----------
    sizes : array_like, shape (K,)
    ratios : float or array_like, shape (K,)
        c/D.
    dof : float

    Raises
    ------
    InputError
        Anything not positive, or shapes that differ.
    """
    w, r = _weights(sizes, ratios)
    dof = positive(dof, "dof")

    def share(log_rate: float) -> Array:
        n = np.exp((np.log(r * w) - log_rate) / (1 + r))
        return np.where(n >= 1 - 1e-12, n, 0.0)

    high = float(np.log(r * w).max())  # the first cluster enters here
    low = high - (1 + float(r.max())) * np.log1p(dof) - 1.0
    if dof <= 1:
        return np.where(np.arange(w.size) == int(np.argmax(r * w)), dof, 0.0)
    rate = brentq(lambda v: float(share(v).sum()) - dof, low, high, xtol=1e-13)
    n = share(float(rate))
    if n.sum() < dof:  # just above a jump: step below it, then scale
        n = share(float(rate) - 1e-11)
    return np.asarray(n * (dof / n.sum()))


def model_loss_given(sizes: ArrayLike, ratios: ArrayLike, dof: ArrayLike) -> Array:
    r"""Share of the loss left, :math:`\sum_k w_k \max(n_k, 1)^{-\rho_k}`, at N degrees of freedom.

    1 at N <= 1. Compare with a simulation whose scale factors are known.

    Raises
    ------
    InputError
        As `allocate_given`.
    """
    w, r = _weights(sizes, ratios)
    n = numbers(dof, "dof", np.nextafter(0, 1))
    loss = [float(w @ np.maximum(allocate_given(sizes, ratios, float(v)), 1.0) ** -r) for v in n.ravel()]
    return np.reshape(loss, n.shape)


def data_loss_given(sizes: ArrayLike, ratios: ArrayLike, data: ArrayLike) -> Array:
    r"""Share of the loss left at data set size n, :math:`\sum_k w_k E[\max(n_k, 1)^{-\rho_k}]`.

    n_k is Poisson with mean :math:`n w_k`.

    Raises
    ------
    InputError
        As `allocate_given`.
    """
    w, r = _weights(sizes, ratios)
    n = numbers(data, "data", np.nextafter(0, 1))
    loss = np.zeros(n.shape)
    for rho in np.unique(r):
        part = w[r == rho]
        loss += np.reshape([float(part @ mean_power(v * part, float(rho))) for v in n.ravel()], n.shape)
    return loss
